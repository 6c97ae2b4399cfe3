"""ONNX models that have to be refused, each for the one reason that its text names.

All but those in `BROKEN` are well-formed files: what is wrong is what they ask for.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from .graph_builder import LENGTH, Builder

Build = Callable[[], onnx.ModelProto]
BAD: dict[str, Build] = {}
# onnx's own checker refuses these.
BROKEN = {"dangling_input", "missing_external_data", "no_input_shape"}


def faulty(**settings) -> Callable:
    """Enter a function that takes a Builder with these settings; it returns output or model."""

    def register(write: Callable[[Builder], str | onnx.ModelProto]) -> Callable:
        name = write.__name__
        if name in BAD:
            raise ValueError(f"model {name!r} is defined twice")

        def build() -> onnx.ModelProto:
            builder = Builder(seed=zlib.crc32(name.encode()), **settings)
            result = write(builder)
            return builder.model(result) if isinstance(result, str) else result

        BAD[name] = build
        return write

    return register


def network(b: Builder, x: str | None = None) -> str:
    """Convolution, ReLU, dense."""
    return b.dense(b.add("Relu", b.conv(x or b.x, 8, 7)), 1)


# --- operators -----------------------------------------------------------------------------------


@faulty()
def unsupported_mix(b):
    """LSTM, Einsum and Loop in one graph: all three belong into the message."""
    x = b.add("Transpose", b.x, perm=[2, 0, 1])
    weights = [b.weight(b.normal(1, 20, n, fan=4)) for n in (4, 5)]
    x = b.squeeze(b.add("LSTM", x, *weights, hidden_size=5, name="lstm"), 1)
    matrix = b.weight(b.normal(5, 3))
    x = b.add("Einsum", x, matrix, equation="lnh,hk->nk", name="attention/einsum")
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["still"]),
            helper.make_node("Add", ["state", "state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, ["N", 3]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, ["N", 3]),
        ],
    )
    count = b.weight(np.array(3, np.int64))
    x = b.add("Loop", count, b.weight(np.array(True)), x, body=body, name="repeat")
    return b.add("MatMul", x, b.weight(b.normal(3, 1)))


@faulty()
def custom_domain(b):
    """An operator of somebody's own domain."""
    return b.add("Swish", network(b), domain="my.lab", name="swish")


@faulty()
def matmul_of_branches(b):
    """Attention: both factors of a matrix product depend on the input."""
    x = b.add("Relu", b.conv(b.x, 8, 7))
    scores = b.add("MatMul", b.add("Transpose", x, perm=[0, 2, 1]), x, name="attention/scores")
    return b.dense(scores, 1)


@faulty()
def conv_weight_from_input(b):
    """A convolution whose kernel depends on the input."""
    kernel = b.add("Reshape", b.reduce("Mean", b.x, 0), b.ints(1, 4, LENGTH))
    return b.dense(b.add("Conv", b.x, kernel, pads=[3, 3], name="dynamic"), 1)


@faulty()
def batch_mixing(b):
    """The mean over the batch is taken off: a sequence's score depends on its neighbours."""
    x = b.conv(b.x, 8, 7)
    return b.dense(b.add("Sub", x, b.reduce("Mean", x, 0, keepdims=1)), 1)


@faulty()
def dropout_training(b):
    """Dropout in training mode: no two runs agree."""
    x = b.add("Relu", b.conv(b.x, 8, 7))
    ratio, training = b.weight(np.float32(0.4)), b.weight(np.array(True))
    return b.dense(b.add("Dropout", x, ratio, training, name="dropout"), 1)


@faulty()
def constant_output(b):
    """An output that does not depend on the input."""
    b.add("Relu", b.conv(b.x, 8, 7))
    return b.add("Identity", b.weight(b.normal(1, 1)))


# --- weights -------------------------------------------------------------------------------------


def with_number(b: Builder, number: float) -> str:
    """Put one number into the first convolution's weights."""
    output = network(b)
    tensor = b.initializers[0]
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[2, 1, 3] = number
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    return output


@faulty()
def nan_weights(b):
    """A weight is not a number."""
    return with_number(b, np.nan)


@faulty()
def infinite_weights(b):
    """A weight is infinite."""
    return with_number(b, np.inf)


@faulty()
def missing_external_data(b):
    """The weights are said to lie in a file that is not there."""
    output = network(b)
    tensor = b.initializers[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights_that_are_not_there.bin")
    return output


@faulty()
def dangling_input(b):
    """A node reads a tensor that nothing makes."""
    output = network(b)
    b.nodes[1].input[0] = "nowhere"
    return output


# --- inputs --------------------------------------------------------------------------------------


@faulty(input_shape=("N", 1, 4, LENGTH, 1))
def rank_5(b):
    """An input of rank five."""
    return network(b, b.squeeze(b.x, 1, 4))


@faulty(input_shape=(LENGTH,))
def rank_1(b):
    """An input of rank one."""
    return b.add("Relu", b.add("Add", b.x, b.weight(b.normal(LENGTH))))


@faulty(input_shape=("N", 5, LENGTH))
def five_channels(b):
    """Five channels: an alphabet with N, or a gap."""
    return network(b)


@faulty(input_shape=("N", LENGTH, 20))
def protein(b):
    """Twenty channels, last."""
    return network(b, b.add("Transpose", b.x, perm=[0, 2, 1]))


@faulty(input_shape=("N", 4, "L"))
def unknown_length(b):
    """Any length will do; the caller has to give one. It is refused only without."""
    return b.dense(b.squeeze(b.add("GlobalMaxPool", b.conv(b.x, 8, 7)), 2), 1)


@faulty(input_shape=None)
def no_input_shape(b):
    """The input has a type and no shape."""
    kernel = b.weight(b.normal(8, 4, 7, fan=6))
    x = b.squeeze(b.add("GlobalMaxPool", b.add("Relu", b.add("Conv", b.x, kernel))), 2)
    return b.add("MatMul", x, b.weight(b.normal(8, 1)))


@faulty()
def two_inputs(b):
    """A second input beside the sequence."""
    b.inputs.append(helper.make_tensor_value_info("accessibility", TensorProto.FLOAT, ["N", 1]))
    return b.add("Add", network(b), "accessibility")


@faulty(input_shape=("N", LENGTH), input_type=TensorProto.INT64, input_name="tokens")
def token_input(b):
    """Tokens into an embedding instead of one-hot DNA."""
    table = b.weight(b.normal(4, 6))
    x = b.add("Transpose", b.add("Gather", table, b.x, axis=0, name="embedding"), perm=[0, 2, 1])
    return network(b, x)

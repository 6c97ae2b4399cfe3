"""ONNX models written by hand: shapes and habits that PyTorch's exporters do not produce.

`ALL` maps a name to a function that returns a valid model, `BAD` to one that returns a model which
has to be refused. `LAYOUTS` holds the input axes of the valid ones (see oracles/onnx_truth.py) and
`LENGTHS` their lengths. All weights are random with a fixed seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .faulty import BAD
from .graph_builder import LENGTH, Builder

__all__ = ["ALL", "BAD", "LAYOUTS", "LENGTHS"]

Build = Callable[[], onnx.ModelProto]
ALL: dict[str, Build] = {}
LAYOUTS: dict[str, str] = {}
LENGTHS: dict[str, int] = {}
# The newest opset that onnx knows here, up to the newest that an onnxruntime runs at all so far.
NEWEST = min(26, onnx.defs.onnx_opset_version())
OPSETS = (11, 13, 17, 20, NEWEST)


def enter(name: str, build: Build, layout: str, length: int) -> None:
    """Put a builder into the tables."""
    if name in ALL:
        raise ValueError(f"model {name!r} is defined twice")
    ALL[name], LAYOUTS[name], LENGTHS[name] = build, layout, length


def valid(layout: str = "NCL", length: int = LENGTH, **settings) -> Callable:
    """Enter a function that takes a Builder; it returns the output's name, or a finished model.

    `settings` go to the Builder. Where `opset` is a tuple, one model per opset is entered.
    """

    def register(write: Callable[[Builder], str | onnx.ModelProto]) -> Callable:
        shapes = {
            "NCL": ("N", 4, length),
            "NLC": ("N", length, 4),
            "N1CL": ("N", 1, 4, length),
            "NC1L": ("N", 4, 1, length),
            "flat_CL": ("N", 4 * length),
            "flat_LC": ("N", 4 * length),
        }
        opsets = settings.pop("opset", 17)
        settings.setdefault("input_shape", shapes[layout])
        for opset in opsets if isinstance(opsets, tuple) else (opsets,):
            name = write.__name__
            if isinstance(opsets, tuple):
                name += "_newest" if opset == NEWEST else f"_opset_{opset}"

            def build(opset: int = opset, name: str = name) -> onnx.ModelProto:
                builder = Builder(opset=opset, seed=zlib.crc32(name.encode()), **settings)
                result = write(builder)
                return builder.model(result) if isinstance(result, str) else result

            enter(name, build, layout, length)
        return write

    return register


def trunk(b: Builder, x: str | None = None, channels: int = 8) -> str:
    """Convolve, kernel 7, and rectify."""
    return b.add("Relu", b.conv(x or b.x, channels, 7))


def head(b: Builder, x: str, columns: int = 1) -> str:
    """Pool by 3, flatten, and put two dense layers on top."""
    x = b.add("MaxPool", x, kernel_shape=[3], strides=[3])
    return b.dense(b.add("Relu", b.dense(x, 8)), columns)


# --- plain networks in every opset ---------------------------------------------------------------


@valid(opset=OPSETS)
def plain(b):
    """Convolutions, BatchNorm, dropout, pooling, dense layers."""
    x = b.conv(b.x, 8, 5, pads=[2, 2])
    x = b.dropout(b.add("Relu", b.batch_norm(x)))
    x = b.add("MaxPool", x, kernel_shape=[4], strides=[4])
    x = b.batch_norm(b.add("Relu", b.conv(x, 6, 3)))
    x = b.dropout(b.add("Relu", b.dense(x, 8)))
    return b.dense(x, 2)


@valid(opset=OPSETS)
def reduce_sum(b):
    """The sum over positions: its axes moved from attribute to input in opset 13."""
    return b.dense(b.reduce("Sum", trunk(b), -1), 1)


@valid(opset=OPSETS)
def reduce_mean(b):
    """The mean over positions, kept as an axis: attribute until 17, input from 18."""
    return b.dense(b.squeeze(b.reduce("Mean", trunk(b), 2, keepdims=1), 2), 1)


@valid(opset=OPSETS)
def reduce_max(b):
    """The maximum over positions."""
    return b.dense(b.reduce("Max", trunk(b), 2), 1)


@valid(opset=OPSETS)
def squeeze_unsqueeze(b):
    """Two-dimensional convolution between Unsqueeze and Squeeze, axes counted from the end."""
    x = b.add("Relu", b.conv(b.unsqueeze(b.x, 1), 8, (4, 7)))
    return head(b, b.squeeze(x, -2))


# --- as tf2onnx writes Keras networks ------------------------------------------------------------


def keras_conv(b: Builder, x: str, channels: int, kernel: int, expand: bool, **attributes) -> str:
    """Keras Conv1D on (N, L, C): a 2-D convolution between transpositions, then BiasAdd.

    With `expand`, the axis is inserted before the transposition; without, the optimiser has
    already merged the two.
    """
    if expand:
        x = b.add("Transpose", b.unsqueeze(x, 1), perm=[0, 3, 1, 2])
    else:
        x = b.unsqueeze(b.add("Transpose", x, perm=[0, 2, 1]), 2)
    x = b.conv(x, channels, (1, kernel), bias=False, **attributes)
    if expand:
        x = b.squeeze(b.add("Transpose", x, perm=[0, 2, 3, 1]), 1)
    else:
        x = b.add("Transpose", b.squeeze(x, 2), perm=[0, 2, 1])
    return b.add("Add", x, b.weight(b.normal(channels, fan=8), "bias"), name="conv1d/BiasAdd")


def keras_pool(b: Builder, x: str, size: int, expand: bool) -> str:
    """Keras MaxPooling1D on (N, L, C)."""
    if not expand:
        x = b.add("Transpose", x, perm=[0, 2, 1])
        x = b.add("MaxPool", x, kernel_shape=[size], strides=[size])
        return b.add("Transpose", x, perm=[0, 2, 1])
    x = b.add("Transpose", b.unsqueeze(x, 2), perm=[0, 3, 1, 2])
    x = b.add("MaxPool", x, kernel_shape=[size, 1], strides=[size, 1], auto_pad="VALID")
    return b.squeeze(b.add("Transpose", x, perm=[0, 2, 3, 1]), 2)


def keras_flatten(b: Builder, x: str) -> str:
    """Keras Flatten: the order is position-major, because the channels come last."""
    wide = int(np.prod([int(d) for d in b.shape(x)[1:]]))
    return b.add("Reshape", x, b.ints(-1, wide))


def keras_network(b: Builder, expand: bool, **attributes) -> str:
    """Conv1D, ReLU, MaxPooling1D, Flatten, Dense, ReLU, Dense, sigmoid."""
    x = b.add("Relu", keras_conv(b, b.x, 8, 7, expand, **attributes))
    x = keras_flatten(b, keras_pool(b, x, 4, expand))
    x = b.matmul(b.add("Relu", b.matmul(x, 8)), 1)
    return b.add("Sigmoid", x, name="dense_1/Sigmoid")


@valid(layout="NLC", input_name="input_1", opset=OPSETS)
def keras_same_upper(b):
    """Padding "same" left to the runtime."""
    return keras_network(b, expand=True, auto_pad="SAME_UPPER")


@valid(layout="NLC", input_name="input_1", opset=(11, 17))
def keras_pads(b):
    """Padding "same" written out; transpositions merged."""
    return keras_network(b, expand=False, pads=[0, 3, 0, 3])


@valid(layout="NLC", length=53, input_name="input_1", opset=(13, 20))
def keras_valid(b):
    """Padding "valid", strided, and an odd length whose end no window reaches."""
    return keras_network(b, expand=False, auto_pad="VALID", strides=[1, 2])


@valid(layout="NLC", opset=(11, 18))
def keras_global_max(b):
    """GlobalMaxPooling1D reduces axis 1."""
    x = b.add("Relu", keras_conv(b, b.x, 8, 7, expand=True))
    return b.matmul(b.reduce("Max", x, 1), 2)


@valid(layout="NLC")
def keras_batchnorm(b):
    """BatchNorm of channels-last tensors, folded into Mul and Add of vectors."""
    x = b.add("Relu", keras_conv(b, b.x, 8, 7, expand=True))
    x = b.add("Mul", x, b.weight(b.random.uniform(0.5, 1.5, 8)))
    x = b.add("Add", x, b.weight(b.normal(8, fan=8)))
    x = b.add("Relu", keras_conv(b, x, 6, 3, expand=False))
    return b.matmul(b.reduce("Mean", x, 1), 1)


@valid(layout="NLC", length=60)
def keras_dilated_residual(b):
    """BPNet in Keras: dilated convolutions, residual sums, Cropping1D, global average."""
    x = b.add("Relu", keras_conv(b, b.x, 8, 9, expand=False, auto_pad="SAME_UPPER"))
    for dilation in (2, 4):
        pads = [0, dilation, 0, dilation]
        y = keras_conv(b, x, 8, 3, expand=False, dilations=[1, dilation], pads=pads)
        x = b.add("Add", x, b.add("Relu", y))
    x = b.slice(x, [5], [-6], [1], [1])
    return b.matmul(b.reduce("Mean", x, 1), 1)


@valid(layout="NLC")
def keras_dense_positions(b):
    """Dense on (N, L, C) works position by position."""
    x = b.add("Relu", keras_conv(b, b.x, 8, 5, expand=True))
    x = b.add("Relu", b.matmul(x, 6))
    return b.matmul(keras_flatten(b, x), 1)


@valid(layout="NLC")
def keras_reverse_complement(b):
    """Both strands of (N, L, 4) through the same weights, the outputs averaged."""
    kernel, bias = b.weight(b.normal(8, 4, 7, fan=6)), b.weight(b.normal(8, fan=8))
    dense = b.weight(b.normal(8, 1, fan=8))
    outputs = []
    for strand in (b.x, b.reverse(b.x, 1, 2)):
        x = b.add("Conv", b.add("Transpose", strand, perm=[0, 2, 1]), kernel, bias)
        outputs.append(b.add("MatMul", b.reduce("Max", b.add("Relu", x), 2), dense))
    return b.add("Mul", b.add("Add", *outputs), b.weight(np.float32(0.5)))


# --- inputs --------------------------------------------------------------------------------------


@valid(layout="flat_CL", length=30)
def flat_gemm(b):
    """A flat input straight into dense layers; nothing in the file tells the order of its axis."""
    return b.dense(b.add("Relu", b.dense(b.x, 12)), 1)


@valid(layout="flat_CL")
def flat_reshape_cl(b):
    """A flat input unfolded to (N, 4, L)."""
    return head(b, trunk(b, b.add("Reshape", b.x, b.ints(-1, 4, LENGTH))))


@valid(layout="flat_LC")
def flat_reshape_lc(b):
    """A flat input unfolded to (N, L, 4)."""
    x = b.add("Reshape", b.x, b.ints(-1, LENGTH, 4))
    return head(b, trunk(b, b.add("Transpose", x, perm=[0, 2, 1])))


@valid(layout="N1CL", length=42)
def conv2d_n1cl(b):
    """The first kernel spans the four rows, as images of DNA were once read."""
    x = b.add("Relu", b.conv(b.x, 8, (4, 7)))
    x = b.add("MaxPool", x, kernel_shape=[1, 3], strides=[1, 3])
    x = b.add("Relu", b.conv(x, 6, (1, 3), pads=[0, 1, 0, 1]))
    return b.dense(x, 1)


@valid(layout="NC1L", length=42)
def conv2d_nc1l(b):
    """Kernels of height one."""
    x = b.add("Relu", b.conv(b.x, 8, (1, 7)))
    x = b.add("AveragePool", x, kernel_shape=[1, 4], strides=[1, 4])
    return b.dense(x, 1)


@valid(input_shape=(None, 4, LENGTH))
def batch_unnamed(b):
    """A free batch dimension without a name."""
    return head(b, trunk(b))


@valid(input_shape=(1, 4, LENGTH))
def batch_1(b):
    """A fixed batch of one, and a Reshape that says so."""
    x = b.add("MaxPool", trunk(b), kernel_shape=[3], strides=[3])
    return b.dense(b.add("Reshape", x, b.ints(1, -1)), 1)


@valid(input_shape=(8, 4, LENGTH))
def batch_8(b):
    """A fixed batch of eight, and a Reshape that says so."""
    x = b.add("MaxPool", trunk(b), kernel_shape=[3], strides=[3])
    return b.dense(b.add("Reshape", x, b.ints(8, -1)), 1)


@valid()
def initializers_as_inputs(b):
    """Files of old exporters list every weight among the inputs, too."""
    output = head(b, trunk(b))
    for tensor in b.initializers:
        b.inputs.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        )
    return output


@valid()
def centred_input(b):
    """The one-hot input has a quarter taken off and is scaled before the first convolution."""
    x = b.add("Sub", b.x, b.weight(np.float32(0.25)))
    return head(b, trunk(b, b.add("Div", x, b.weight(np.float32(0.4)))))


@valid()
def position_weights(b):
    """The input is weighted by position before the first convolution."""
    return head(b, trunk(b, b.add("Mul", b.x, b.weight(b.random.uniform(0.3, 1.5, (1, LENGTH))))))


# --- reverse complement, slices, joins -----------------------------------------------------------


def both_strands(b: Builder, other: str) -> str:
    """Average the outputs of shared weights over the input and `other`."""
    kernel, bias = b.weight(b.normal(8, 4, 7, fan=6)), b.weight(b.normal(8, fan=8))
    dense = b.weight(b.normal(8 * (LENGTH - 6), 1, fan=80))
    outputs = []
    for strand in (b.x, other):
        x = b.add("Relu", b.add("Conv", strand, kernel, bias))
        outputs.append(b.add("MatMul", b.add("Flatten", x), dense))
    return b.add("Div", b.add("Add", *outputs), b.weight(np.float32(2)))


@valid(opset=(11, 17))
def reverse_complement_slice(b):
    """One Slice of step -1 on both axes."""
    return both_strands(b, b.reverse(b.x, 1, 2))


@valid()
def reverse_complement_gather(b):
    """Gather with indices that count down, one axis after the other."""
    x = b.add("Gather", b.x, b.ints(3, 2, 1, 0), axis=1)
    return both_strands(b, b.add("Gather", x, b.ints(*range(LENGTH)[::-1]), axis=-1))


@valid()
def crop_slice(b):
    """A crop without axes and steps' defaults, an end past the array, and a step of two."""
    x = b.slice(trunk(b), [0, 3], [2**63 - 1, -2], [1, 2], [1, 1])
    return head(b, b.slice(x, [1], [1000], [-1], [2]))


@valid()
def concat_channels(b):
    """Branches of kernels 3, 5 and 7."""
    branches = [b.conv(b.x, 4, k, pads=[k // 2, k // 2]) for k in (3, 5, 7)]
    return head(b, b.add("Relu", b.add("Concat", *branches, axis=1)))


@valid()
def concat_positions(b):
    """Two stretches of different lengths, one of them reversed, laid end to end."""
    y = b.reverse(trunk(b), 2)
    return head(b, b.add("Concat", b.slice(trunk(b), [4], [20], [2], [1]), y, axis=-1))


@valid()
def concat_flats(b):
    """A flattened and a globally pooled branch side by side."""
    x = trunk(b)
    pooled = b.add("MaxPool", x, kernel_shape=[5], strides=[5])
    both = b.add("Concat", b.add("Flatten", pooled), b.reduce("Max", x, 2), axis=1)
    return b.dense(b.add("Relu", b.dense(both, 8)), 1)


# --- constants and their arithmetic --------------------------------------------------------------


@valid()
def constants_as_nodes(b):
    """Every weight, axis and shape is a Constant node."""
    b.constants = True
    x = b.reduce("Mean", trunk(b), 2)
    x = b.add("Mul", x, b.add("Constant", value_float=1.5))
    x = b.add("Add", x, b.add("Constant", value_floats=[float(v) for v in b.normal(8, fan=4)]))
    x = b.add("Reshape", x, b.add("Constant", value_ints=[-1, 8]))
    return b.dense(b.add("Relu", x), 1)


@valid()
def identity_nodes(b):
    """Identity on the input, on a weight, in the trunk and at the end."""
    kernel = b.add("Identity", b.weight(b.normal(8, 4, 7, fan=6)))
    x = b.add("Conv", b.add("Identity", b.x), kernel, b.weight(b.normal(8, fan=8)))
    return b.add("Identity", head(b, b.add("Identity", b.add("Relu", x))))


@valid()
def cast_nodes(b):
    """A cast to the type a tensor has already, and weights kept in half precision."""
    kernel = b.weight(b.normal(8, 4, 7, fan=6).astype(np.float16))
    kernel = b.add("Cast", kernel, to=TensorProto.FLOAT)
    x = b.add("Relu", b.add("Conv", b.x, kernel, b.weight(b.normal(8, fan=8))))
    return head(b, b.add("Cast", x, to=TensorProto.FLOAT))


@valid()
def folded_weights(b):
    """Weights computed from constants: Keras's (kernel, in, out), transposed and scaled."""
    kernel = b.add("Transpose", b.weight(b.normal(7, 4, 8, fan=6)), perm=[2, 1, 0])
    kernel = b.add("Mul", kernel, b.weight(b.random.uniform(0.5, 1.5, (8, 1, 1))))
    x = b.add("Relu", b.add("Conv", b.x, kernel))
    dense = b.add("Reshape", b.weight(b.normal(8 * 34, fan=40)), b.ints(8 * 34, 1))
    return b.add("MatMul", b.add("Flatten", x), dense)


@valid()
def float_data(b):
    """Weights in the typed field of the file instead of raw bytes."""
    output = head(b, trunk(b))
    for tensor in b.initializers:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            tensor.CopyFrom(
                helper.make_tensor(tensor.name, TensorProto.FLOAT, values.shape, values.ravel())
            )
    return output


@valid()
def unused_parts(b):
    """A weight and nodes that no output needs."""
    output = head(b, trunk(b))
    b.weight(b.normal(5, 5))
    b.add("Softmax", b.add("Einsum", b.x, equation="ncl->nl"), axis=1)
    return output


@valid()
def arithmetic_channel(b):
    """Mul, Add, Sub and Div by a number per channel, of ranks two and three."""
    x = b.conv(b.x, 8, 7)
    x = b.add("Mul", x, b.weight(b.random.uniform(0.5, 1.5, (8, 1))))
    x = b.add("Add", x, b.weight(b.normal(1, 8, 1, fan=4)))
    x = b.add("Sub", x, b.weight(b.normal(8, 1, fan=4)))
    x = b.add("Div", x, b.weight(-b.random.uniform(0.5, 1.5, (8, 1))))
    return head(b, b.add("Relu", x))


@valid()
def arithmetic_element(b):
    """Mul, Add, Sub and Div by a number per channel and position."""
    x = b.conv(b.x, 8, 7)
    wide = (8, LENGTH - 6)
    x = b.add("Mul", x, b.weight(b.random.uniform(0.5, 1.5, wide)))
    x = b.add("Add", x, b.weight(b.normal(1, *wide, fan=4)))
    x = b.add("Sub", x, b.weight(b.normal(*wide, fan=4)))
    x = b.add("Div", x, b.weight(b.random.uniform(0.5, 1.5, wide)))
    return head(b, b.add("Relu", x))


@valid()
def arithmetic_position(b):
    """Mul and Add by a number per position, the same for all channels."""
    x = b.conv(b.x, 8, 7)
    x = b.add("Mul", x, b.weight(b.random.uniform(0.5, 1.5, LENGTH - 6)))
    x = b.add("Add", x, b.weight(b.normal(1, 1, LENGTH - 6, fan=4)))
    return head(b, b.add("Relu", x))


@valid()
def arithmetic_scalar(b):
    """Mul, Add, Sub and Div by one number, of rank zero and one."""
    x = b.conv(b.x, 8, 7)
    x = b.add("Mul", x, b.weight(np.float32(-1.3)))
    x = b.add("Add", x, b.weight(np.array([0.2])))
    x = b.add("Sub", x, b.weight(np.float32(0.1)))
    x = b.add("Div", x, b.weight(np.array([[[0.7]]])))
    return head(b, b.add("Relu", x))


@valid()
def constant_left(b):
    """The constant stands on the left: c + x, c * x, c - x."""
    x = b.conv(b.x, 8, 7)
    x = b.add("Mul", b.weight(b.random.uniform(0.5, 1.5, (8, 1))), x)
    x = b.add("Add", b.weight(b.normal(8, 1, fan=4)), x)
    x = b.add("Sub", b.weight(b.normal(8, LENGTH - 6, fan=4)), x)
    x = head(b, b.add("Relu", x))
    return b.add("Sub", b.weight(np.float32(1)), x)


@valid()
def flat_arithmetic(b):
    """Mul and Add by a vector after flattening, where it runs over channels and positions."""
    x = b.add("Flatten", b.add("MaxPool", trunk(b), kernel_shape=[3], strides=[3]))
    x = b.add("Mul", x, b.weight(b.random.uniform(0.5, 1.5, 88)))
    x = b.add("Relu", b.add("Add", x, b.weight(b.normal(1, 88, fan=4, mean=-0.5))))
    return b.dense(x, 1)


# --- shapes --------------------------------------------------------------------------------------


@valid(opset=(11, 13))
def shape_chain(b):
    """x.view(x.shape[0], -1) as Shape, Gather, Unsqueeze, Concat, Reshape."""
    x = b.add("MaxPool", trunk(b), kernel_shape=[3], strides=[3])
    n = b.add("Gather", b.add("Shape", x), b.weight(np.array(0, np.int64)), axis=0)
    shape = b.add("Concat", b.unsqueeze(n, 0), b.ints(88), axis=0)
    return b.dense(b.add("Reshape", x, shape), 1, wide=88)


@valid()
def shape_slice(b):
    """Shape with start and end, of another tensor; Shape and Slice; 0 and -1 in Reshape."""
    x = b.add("MaxPool", trunk(b), kernel_shape=[3], strides=[3])
    n = b.add("Shape", b.x, start=0, end=1)
    x = b.add("Reshape", x, b.add("Concat", n, b.ints(-1), axis=0))
    x = b.add("Relu", b.dense(x, 30, wide=88))
    n = b.slice(b.add("Shape", x), [0], [1], [0], [1])
    x = b.add("Reshape", x, b.add("Concat", n, b.ints(6, -1), axis=0))
    kernel = b.weight(b.normal(6, 6, 2, fan=8))
    x = b.add("Reshape", b.add("Relu", b.add("Conv", x, kernel)), b.ints(0, -1))
    return b.dense(x, 1, wide=24)


@valid()
def flatten_axes(b):
    """Flatten with an axis counted from the end."""
    x = b.add("Flatten", trunk(b), axis=-2)
    return b.dense(x, 1)


# --- convolution, padding, pooling ---------------------------------------------------------------


@valid()
def conv_same_lower(b):
    """An even kernel: SAME_LOWER pads one more on the left."""
    return head(b, b.add("Relu", b.conv(b.x, 8, 6, auto_pad="SAME_LOWER")))


@valid(length=41)
def conv_same_upper_strided(b):
    """An even kernel with stride 2 on an odd length: SAME_UPPER pads one more on the right."""
    return head(b, b.add("Relu", b.conv(b.x, 8, 6, auto_pad="SAME_UPPER", strides=[2])))


@valid()
def conv_valid(b):
    """auto_pad VALID with stride and dilation; no bias."""
    x = b.conv(b.x, 8, 4, bias=False, auto_pad="VALID", strides=[2], dilations=[3])
    return head(b, b.add("Relu", x))


@valid()
def conv_asymmetric(b):
    """Explicit padding, more of it on one side than the kernel reaches."""
    return head(b, b.add("Relu", b.conv(b.x, 8, 5, pads=[6, 1])))


@valid()
def conv_grouped(b):
    """Groups of two and depthwise."""
    x = b.add("Relu", b.conv(trunk(b), 6, 3, group=2))
    return head(b, b.add("Relu", b.conv(x, 12, 3, group=6)))


@valid(opset=(11, 18))
def pad_zero(b):
    """Pad as a node of its own: the list of all axes, from opset 18 with axes as an input."""
    x = trunk(b)
    if b.opset < 18:
        x = b.add("Pad", x, b.ints(0, 0, 4, 0, 0, 1), mode="constant")
    else:
        x = b.add("Pad", x, b.ints(4, 1), "", b.ints(2), mode="constant")
    return head(b, b.add("Relu", b.conv(x, 6, 5)))


@valid()
def pad_value(b):
    """Pad with a number that is not zero."""
    x = b.add("Pad", trunk(b), b.ints(0, 0, 2, 0, 0, 3), b.weight(np.float32(-0.6)))
    return head(b, b.add("Relu", b.conv(x, 6, 5)))


@valid()
def global_max_pool(b):
    """GlobalMaxPool keeps an axis of length one."""
    return b.dense(b.add("GlobalMaxPool", trunk(b)), 2)


@valid()
def global_average_pool(b):
    """GlobalAveragePool keeps an axis of length one."""
    return b.dense(b.squeeze(b.add("GlobalAveragePool", trunk(b)), 2), 2)


def average_pool(b: Builder, **attributes) -> str:
    """Pool by AveragePool between a convolution and a dense layer."""
    x = b.add("AveragePool", trunk(b), kernel_shape=[4], strides=[3], **attributes)
    return b.dense(b.add("Relu", b.conv(x, 6, 3)), 1)


@valid()
def average_pool_count_pads(b):
    """Padding counts in the mean."""
    return average_pool(b, pads=[2, 1], count_include_pad=1)


@valid()
def average_pool_skip_pads(b):
    """Padding does not count in the mean: the default."""
    return average_pool(b, pads=[1, 3])


@valid()
def average_pool_same(b):
    """auto_pad SAME_UPPER."""
    return average_pool(b, auto_pad="SAME_UPPER")


@valid(length=41)
def max_pool_same_lower(b):
    """auto_pad SAME_LOWER with windows that overlap."""
    x = b.conv(b.x, 8, 7)
    x = b.add("MaxPool", x, kernel_shape=[4], strides=[2], auto_pad="SAME_LOWER")
    return b.dense(b.add("Relu", x), 1)


@valid(length=41)
def max_pool_ceil(b):
    """ceil_mode and padding on values that are mostly negative, which no padding may beat."""
    x = b.add("Sub", b.conv(b.x, 8, 7), b.weight(np.float32(3)))
    x = b.add("MaxPool", x, kernel_shape=[4], strides=[3], pads=[2, 2], ceil_mode=1)
    return b.dense(x, 1)


@valid()
def max_pool_default_stride(b):
    """A pool without strides moves by one position, not by its kernel."""
    return b.dense(b.add("MaxPool", trunk(b), kernel_shape=[3]), 1)


# --- activations ---------------------------------------------------------------------------------


def activated(b: Builder, op: str, *inputs: str, **attributes) -> str:
    """Put an activation between a convolution and the head."""
    return head(b, b.add(op, b.conv(b.x, 8, 7), *inputs, **attributes))


@valid()
def softplus(b):
    """Softplus."""
    return activated(b, "Softplus")


@valid()
def elu_alpha(b):
    """ELU with a scale of its own; the default of one elsewhere."""
    x = b.add("Elu", b.conv(b.x, 8, 7), alpha=0.4)
    return head(b, b.add("Elu", b.conv(x, 6, 3)))


@valid()
def leaky_relu_default(b):
    """LeakyRelu without a slope, which then is 0.01."""
    return activated(b, "LeakyRelu")


@valid()
def prelu_element(b):
    """A slope per channel and position."""
    return activated(b, "PRelu", b.weight(b.normal(8, LENGTH - 6, fan=8)))


@valid()
def prelu_channel(b):
    """A slope per channel."""
    return activated(b, "PRelu", b.weight(b.normal(8, 1, fan=8)))


@valid()
def prelu_shared(b):
    """One slope for all."""
    return activated(b, "PRelu", b.weight(np.array([0.3])))


@valid()
def clip_both(b):
    """Both bounds."""
    return activated(b, "Clip", b.weight(np.float32(-0.5)), b.weight(np.float32(0.8)))


@valid(opset=11)
def clip_minimum(b):
    """The lower bound only."""
    return activated(b, "Clip", b.weight(np.float32(0)))


@valid()
def clip_maximum(b):
    """The upper bound only: the lower one is an input without a name."""
    return activated(b, "Clip", "", b.weight(np.float32(0.3)))


@valid()
def relu_as_max(b):
    """Max with a constant, on either side, is how some exporters write a clamp."""
    x = b.add("Max", b.conv(b.x, 8, 7), b.weight(np.float32(0)))
    return head(b, b.add("Max", b.weight(np.array([0.1])), b.conv(x, 6, 3)))


@valid(opset=20)
def gelu_default(b):
    """Gelu without an attribute is the exact form."""
    return activated(b, "Gelu")


@valid()
def product_of_branches(b):
    """Tanh of one convolution times Sigmoid of another."""
    value = b.add("Tanh", b.conv(b.x, 8, 7))
    return head(b, b.add("Mul", value, b.add("Sigmoid", b.conv(b.x, 8, 7))))


@valid()
def divide_by_branch(b):
    """One branch divided by another, and a constant divided by a branch."""
    x = b.add("Div", b.conv(b.x, 8, 7), b.add("Exp", b.conv(b.x, 8, 7)))
    below = b.add("Add", b.add("Softplus", b.conv(x, 6, 3)), b.weight(np.float32(0.5)))
    return head(b, b.add("Div", b.weight(np.float32(2)), below))


@valid()
def row_by_row(b):
    """Everything that works on a position's channels alone, branches of one channel among it."""
    x, y = b.conv(b.x, 8, 7), b.conv(b.x, 8, 7)
    wide = b.add("Pad", b.conv(x, 7, 1), b.ints(0, 1, 0, 0, 0, 0), b.weight(np.float32(0.3)))
    shares = b.add("Softmax", wide, axis=1)
    logs = b.add("Mul", b.add("LogSoftmax", y, axis=1), b.weight(np.float32(0.3)))
    x = b.add("Min", b.add("Max", x, y), b.add("Mul", shares, b.conv(y, 1, 1)))
    x = b.add("Where", b.add("Less", logs, b.weight(np.float32(-0.6))), x, b.add("Tanh", logs))
    x = b.add("Sub", x, b.reduce("Max", x, 1, keepdims=1))
    turned = b.add("Transpose", x, perm=[0, 2, 1])
    parameters = (b.weight(b.random.uniform(0.5, 1.5, 8)), b.weight(b.normal(8, fan=4)))
    turned = b.add("LayerNormalization", turned, *parameters)
    x = b.add(
        "Conv", b.add("Transpose", turned, perm=[0, 2, 1]), b.weight(b.normal(6, 8, 5, fan=20))
    )
    return head(
        b, b.add("HardSwish", b.add("Pad", x, b.ints(0, 0, 1, 0, 0, 1), b.weight(np.float32(0.4))))
    )


@valid()
def attention_pooling(b):
    """Positions weighted by a softmax over them, and normalised over them."""
    x = b.add(
        "InstanceNormalization",
        trunk(b),
        b.weight(b.random.uniform(0.5, 1.5, 8)),
        b.weight(b.normal(8, fan=4)),
        epsilon=1e-3,
    )
    shares = b.add("Softmax", b.conv(x, 1, 1), axis=2)
    x = b.reduce("Sum", b.add("Mul", x, shares), 2)
    return b.dense(b.add("Mul", x, b.add("Softmax", b.dense(x, 8), axis=1)), 1)


# --- dense layers and outputs --------------------------------------------------------------------


@valid()
def gemm_forms(b):
    """Gemm with alpha and beta, untransposed; with a row and a scalar to add; with none."""
    x = b.add("Flatten", b.add("MaxPool", trunk(b), kernel_shape=[3], strides=[3]))
    row = b.weight(b.normal(1, 10, fan=4))
    x = b.add("Gemm", x, b.weight(b.normal(88, 10, fan=20)), row, alpha=0.5, beta=2.0)
    x = b.add("Gemm", b.add("Relu", x), b.weight(b.normal(8, 10, fan=5)), transB=1)
    last = b.weight(b.normal(8, 1, fan=8))
    return b.add("Gemm", b.add("Relu", x), last, b.weight(np.float32(0.3)))


@valid()
def shared_weights(b):
    """One kernel and one dense matrix used twice in sequence, not only side by side."""
    kernel, dense = b.weight(b.normal(8, 8, 3, fan=12)), b.weight(b.normal(8, 8, fan=4))
    x = trunk(b)
    for _ in range(2):
        x = b.add("Relu", b.add("Conv", x, kernel, pads=[1, 1]))
    x = b.reduce("Mean", x, 2)
    for _ in range(2):
        x = b.add("Relu", b.add("MatMul", x, dense))
    return b.dense(x, 1)


@valid()
def output_rank_1(b):
    """An output (N,): the sum over channels and positions."""
    return b.reduce("Sum", b.conv(trunk(b), 6, 3), 1, 2)


@valid()
def output_rank_3(b):
    """An output (N, 2, 1)."""
    return b.conv(b.add("GlobalMaxPool", trunk(b)), 2, 1)


@valid()
def two_outputs(b):
    """Three columns and one, the second from the middle of the trunk."""
    x = trunk(b)
    return b.model(head(b, x, 3), b.dense(b.reduce("Mean", x, 2), 1))


@valid()
def logit_and_probability(b):
    """The logit is an output, and its sigmoid another."""
    logit = head(b, trunk(b), 2)
    return b.model(logit, b.add("Sigmoid", logit))


@valid(opset=(11, 17))
def softmax_output(b):
    """Softmax over three classes; its default axis changed in opset 13."""
    return b.add("Softmax", head(b, trunk(b), 3))


@valid()
def sigmoid_output(b):
    """Sigmoid over two columns."""
    return b.add("Sigmoid", head(b, trunk(b), 2))

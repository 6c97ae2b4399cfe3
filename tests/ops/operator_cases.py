"""One table of small ONNX graphs, at least one for every operator that can be read.

`test_operators.py` runs every check over every entry. A reader, or an operator class, that no entry
here leads to fails a test of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

INPUTS = {
    "NCL": lambda length: ["N", 4, length],
    "NLC": lambda length: ["N", length, 4],
    "N1CL": lambda length: ["N", 1, 4, length],
    "NC1L": lambda length: ["N", 4, 1, length],
    "flat_CL": lambda length: ["N", 4 * length],
}
ODD = (1, 2, 127, 129)


@dataclass(frozen=True)
class Case:
    """A graph on x that ends in y, for several sequence lengths.

    Attributes
    ----------
    name : str
    op_type : str
        The ONNX operator that the entry is for.
    nodes : function of the length
        -> (nodes, constants by name).
    layout : str
        Axes of x, as in oracles/onnx_truth.py.
    lengths : tuple of int
    opset : int
    """

    name: str
    op_type: str
    nodes: Callable[[int], tuple[list[onnx.NodeProto], dict[str, np.ndarray]]]
    layout: str
    lengths: tuple[int, ...]
    opset: int

    def model(self, length: int) -> onnx.ModelProto:
        """The ONNX model for one length."""
        nodes, constants = self.nodes(length)
        return build(nodes, constants, INPUTS[self.layout](length), self.opset)


def build(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    shape: Sequence[Any],
    opset: int = 18,
    outputs: Sequence[str] = ("y",),
) -> onnx.ModelProto:
    """A model with one float input x of the given shape."""
    graph = helper.make_graph(
        list(nodes),
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def values(*shape: int, seed: int = 0, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Random constants, float32."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype(np.float32)


def ints(*numbers: int) -> np.ndarray:
    """An int64 constant: a shape, axes, indices."""
    return np.array(numbers, np.int64)


CASES: dict[str, Case] = {}


def case(
    name: str,
    op_type: str,
    *operands: Any,
    layout: str = "NCL",
    lengths: tuple[int, ...] = ODD,
    opset: int = 18,
    before: Sequence[onnx.NodeProto] = (),
    after: Sequence[onnx.NodeProto] = (),
    constants: dict[str, np.ndarray] | None = None,
    **attributes: Any,
) -> None:
    """Enter a node: y from x and the operands.

    An operand is an array, a function of the length that gives one, the name of a value, or None
    for an omitted input. The first is x unless some operand is the name of a value. ``before`` and
    ``after`` are nodes around it; where there is an ``after``, the node's own output is ``z``.
    """
    if not any(isinstance(o, str) for o in operands):
        operands = ("x", *operands)

    def nodes(length: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
        arrays, inputs = dict(constants or {}), []
        for i, operand in enumerate(operands):
            if operand is None or isinstance(operand, str):
                inputs.append(operand or "")
                continue
            arrays[f"c{i}"] = operand(length) if callable(operand) else operand
            inputs.append(f"c{i}")
        own = {k: v(length) if callable(v) else v for k, v in attributes.items()}
        output = "z" if after else "y"
        node = helper.make_node(op_type, inputs, [output], name="node", **own)
        return [*before, node, *after], arrays

    full = f"{op_type}-{name}"
    assert full not in CASES, full
    CASES[full] = Case(full, op_type, nodes, layout, lengths, opset)


def node(op_type: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """A helper node around the one that is tested; inputs separated by blanks."""
    return helper.make_node(op_type, inputs.split(), [output], name=output, **attributes)


# --- convolution ---------------------------------------------------------------------------------

case("pointwise", "Conv", values(5, 4, 1), values(5))
case("same", "Conv", values(3, 4, 3), values(3), pads=[1, 1])
case("no_bias_left_pad", "Conv", values(3, 4, 5), pads=[4, 0])
case("right_pad_only", "Conv", values(3, 4, 4), values(3), pads=[0, 5])
case("stride_2", "Conv", values(3, 4, 3), values(3), strides=[2], pads=[1, 2])
case("stride_over_kernel", "Conv", values(3, 4, 2), strides=[5], pads=[1, 0])
case("dilation_3", "Conv", values(3, 4, 3), values(3), dilations=[3], pads=[3, 3])
case("dilation_2_stride_3", "Conv", values(2, 4, 4), strides=[3], dilations=[2], pads=[3, 5])
case("valid", "Conv", values(6, 4, 2), values(6), lengths=(2, 127, 129), auto_pad="VALID")
case("groups_2", "Conv", values(6, 2, 3), values(6), group=2, pads=[1, 1])
case("depthwise", "Conv", values(8, 1, 4), group=4, pads=[2, 1])
case(
    "groups_stride_dilation",
    "Conv",
    values(4, 2, 3),
    values(4),
    group=2,
    strides=[2],
    dilations=[2],
    pads=[2, 2],
)
case("same_upper_even", "Conv", values(3, 4, 4), auto_pad="SAME_UPPER")
case("same_lower_even", "Conv", values(3, 4, 4), auto_pad="SAME_LOWER")
case("same_upper_stride", "Conv", values(3, 4, 6), auto_pad="SAME_UPPER", strides=[3])
case("whole_sequence", "Conv", lambda n: values(3, 4, n))
case("opset_11", "Conv", values(3, 4, 3), values(3), pads=[1, 1], opset=11)
case("bases_as_height", "Conv", values(5, 1, 4, 3), values(5), layout="N1CL", pads=[0, 1, 0, 1])
case("height_1", "Conv", values(5, 4, 1, 3), values(5), layout="NC1L", pads=[0, 1, 0, 1])
case("padded_height", "Conv", values(5, 4, 3, 3), layout="NC1L", pads=[1, 2, 1, 0])
case("padded_height_low", "Conv", values(5, 4, 2, 3), layout="NC1L", pads=[0, 1, 1, 1])
case(
    "height_dilated", "Conv", values(2, 4, 3, 2), layout="NC1L", pads=[2, 1, 2, 1], dilations=[2, 2]
)

# --- dense ---------------------------------------------------------------------------------------

case("plain", "Gemm", lambda n: values(4 * n, 3), values(3), layout="flat_CL")
case(
    "transposed_scaled",
    "Gemm",
    lambda n: values(5, 4 * n),
    values(1, 5),
    layout="flat_CL",
    transB=1,
    alpha=0.5,
    beta=-2.0,
)
case("no_bias_opset_11", "Gemm", lambda n: values(4 * n, 2), layout="flat_CL", opset=11)
case("scalar_bias", "Gemm", lambda n: values(4 * n, 3), np.float32(0.7), layout="flat_CL")
case("flattened", "Gemm", "f", lambda n: values(4 * n, 3), before=[node("Flatten", "x", "f")])
case(
    "position_major",
    "Gemm",
    "f",
    lambda n: values(4 * n, 3),
    before=[node("Transpose", "x", "t", perm=[0, 2, 1]), node("Flatten", "t", "f")],
)
case("matrix", "MatMul", lambda n: values(4 * n, 3), layout="flat_CL")
case("vector", "MatMul", lambda n: values(4 * n), layout="flat_CL")
case("each_position", "MatMul", values(4, 5), layout="NLC")
case("each_position_3d", "MatMul", values(1, 4, 5), layout="NLC")

# --- arithmetic ----------------------------------------------------------------------------------

SHAPES: dict[str, Callable[[int], np.ndarray]] = {
    "scalar": lambda n: values(low=0.5, high=2.0),
    "channel": lambda n: values(4, 1, low=0.5, high=2.0),
    "position": lambda n: values(n, low=0.5, high=2.0),
    "element": lambda n: values(1, 4, n, low=0.5, high=2.0),
}
for _op in ("Add", "Sub", "Mul", "Div"):
    for _shape, _make in SHAPES.items():
        case(_shape, _op, _make)
for _op in ("Add", "Sub", "Mul"):
    case("constant_first", _op, SHAPES["channel"], "x")
case("itself", "Add", "x", "x")
case("branches", "Add", "x", "b", before=[node("Relu", "x", "b")])
case("branches", "Sub", "b", "x", before=[node("Tanh", "x", "b")])
case("branch_of_one_position", "Add", "x", "b", before=[node("GlobalAveragePool", "x", "b")])
case(
    "branch_of_one_channel",
    "Sub",
    "x",
    "b",
    before=[node("Conv", "x k", "b")],
    constants={"k": values(1, 4, 1)},
)
case(
    "vector_repeated",
    "Mul",
    "b",
    values(4, 1),
    before=[node("Conv", "x k", "b")],
    constants={"k": values(1, 4, 1)},
)
case("negative", "Neg")
_statistics = (
    values(4, seed=1),
    values(4, seed=2),
    values(4, seed=3),
    values(4, seed=4, low=0.3, high=2.0),
)
case("channels", "BatchNormalization", *_statistics, epsilon=1e-3)
case("opset_11", "BatchNormalization", *_statistics, opset=11)
case("four_axes", "BatchNormalization", *_statistics, layout="NC1L")
case(
    "position_axis",
    "BatchNormalization",
    *(lambda n, s=s: values(n, seed=s, low=0.3, high=2.0) for s in range(4)),
    layout="NLC",
)

# --- activations ---------------------------------------------------------------------------------

for _op in ("Relu", "Sigmoid", "Tanh", "Softplus", "Exp", "LeakyRelu", "Elu"):
    case("default", _op)
case("slope", "LeakyRelu", alpha=0.3)
case("negative_slope", "LeakyRelu", alpha=-0.2)
case("alpha", "Elu", alpha=0.7)
case("channel", "PRelu", values(4, 1))
case("position", "PRelu", lambda n: values(n))
case("element", "PRelu", lambda n: values(4, n))
case("scalar", "PRelu", values(1))
case("exact", "Gelu", opset=20)
case("tanh", "Gelu", opset=20, approximate="tanh")
case("channels", "Softmax", axis=1)
case("positions", "Softmax")
case("channels", "LogSoftmax", axis=1)

# --- pools and reductions ------------------------------------------------------------------------

POOLS: dict[str, dict[str, Any]] = {
    "disjoint": {"kernel_shape": [2], "strides": [2], "lengths": (2, 127, 129)},
    "overlap": {"kernel_shape": [4], "strides": [2], "pads": [1, 2]},
    "stride_1": {"kernel_shape": [3], "pads": [1, 1]},
    "gaps": {"kernel_shape": [2], "strides": [5], "pads": [1, 0]},
    "dilated": {"kernel_shape": [3], "strides": [2], "dilations": [2], "pads": [2, 2]},
    "ceil": {"kernel_shape": [4], "strides": [3], "pads": [2, 2], "ceil_mode": 1},
    "ceil_dropped": {"kernel_shape": [2], "strides": [3], "pads": [0, 1], "ceil_mode": 1},
    "same_upper": {"kernel_shape": [4], "strides": [3], "auto_pad": "SAME_UPPER"},
    "same_lower": {"kernel_shape": [4], "strides": [3], "auto_pad": "SAME_LOWER"},
    "height_1": {"kernel_shape": [1, 3], "strides": [1, 2], "pads": [0, 1, 0, 1], "layout": "NC1L"},
    "idle": {"kernel_shape": [1]},
}
for _name, _settings in POOLS.items():
    case(_name, "MaxPool", **_settings)
    # average pools know no dilations before opset 19
    case(_name, "AveragePool", **{"opset": 19, **_settings})
    if _name != "idle":
        case(
            f"{_name}_padding_counts",
            "AveragePool",
            **{"opset": 19, "count_include_pad": 1, **_settings},
        )
case("all", "GlobalMaxPool")
case("all", "GlobalAveragePool")
case("height_1", "GlobalMaxPool", layout="NC1L")
case("height_1", "GlobalAveragePool", layout="NC1L")
for _op in ("ReduceMax", "ReduceMean", "ReduceSum", "ReduceLogSumExp"):
    _old = 13 if _op != "ReduceSum" else 11
    case("positions_opset_11", _op, axes=[2], keepdims=0, opset=11)
    case("negative_axis", _op, axes=[-1], keepdims=1, opset=_old)
    case("positions", _op, ints(2), keepdims=0)
    case("channels", _op, ints(1), keepdims=1)
    case("channels_dropped", _op, ints(1), keepdims=0)
    case("both", _op, ints(1, 2), keepdims=0)
    case("both_position_major", _op, ints(1, 2), keepdims=0, layout="NLC")
    case("height", _op, ints(2), keepdims=0, layout="NC1L")

# --- moving data ---------------------------------------------------------------------------------

case("plain", "Identity")
case("inference", "Dropout")
case("ratio", "Dropout", np.float32(0.3), np.array(False))
case("float", "Cast", to=1)
case("like", "CastLike", values(1))
case("swap", "Transpose", perm=[0, 2, 1])
case(
    "back_and_forth",
    "Transpose",
    "t",
    perm=[0, 2, 1],
    before=[node("Transpose", "x", "t", perm=[0, 2, 1])],
)
case("height", "Squeeze", ints(1), layout="N1CL")
case("opset_11", "Squeeze", axes=[2], layout="NC1L", opset=11)
case("height", "Unsqueeze", ints(1))
case("opset_11", "Unsqueeze", axes=[2, -1], opset=11)
case("default", "Flatten")
case("merge", "Reshape", lambda n: ints(-1, 4 * n))
case("zero_and_rest", "Reshape", ints(0, -1))
case("split_flat", "Reshape", lambda n: ints(-1, 4, n), layout="flat_CL")
case(
    "split_flat_position_major",
    "Reshape",
    lambda n: ints(-1, n, 4),
    layout="flat_CL",
    lengths=(2, 127),
)
case(
    "features",
    "Reshape",
    "d",
    ints(0, 3, 5),
    constants={"w": values(4 * 7, 15)},
    lengths=(7,),
    layout="flat_CL",
    before=[node("MatMul", "x w", "d")],
)
case(
    "asked",
    "Shape",
    "x",
    after=[
        node("Gather", "z first", "n", axis=0),
        node("Concat", "n rest", "s", axis=0),
        node("Reshape", "x s", "y"),
    ],
    constants={"first": ints(0), "rest": ints(-1)},
)
case(
    "part",
    "Shape",
    "x",
    opset=18,
    start=1,
    after=[node("Concat", "rest z", "s", axis=0), node("Reshape", "x s", "y")],
    constants={"rest": ints(-1)},
)
case(
    "batch",
    "Size",
    "x",
    after=[
        node("Div", "z four", "n"),
        node("Unsqueeze", "n zero", "u"),
        node("Concat", "u rest", "s", axis=0),
        node("Reshape", "x s", "y"),
    ],
    constants={"four": np.int64(4 * 7), "zero": ints(0), "rest": ints(28)},
    lengths=(7,),
)
case("crop", "Slice", ints(3), ints(-2), ints(2), lengths=(7, 127, 129))
case("every_third", "Slice", ints(1), ints(2**62), ints(2), ints(3), lengths=(2, 127, 129))
case("reversed", "Slice", ints(-1), ints(-(2**62)), ints(2), ints(-1))
case("reversed_to_the_first", "Slice", ints(-1), lambda n: ints(-n - 1), ints(2), ints(-1))
case(
    "reversed_to_the_second",
    "Slice",
    ints(-1),
    lambda n: ints(-n),
    ints(2),
    ints(-1),
    lengths=(2, 127),
)
case(
    "reverse_complement", "Slice", ints(-1, -1), ints(-(2**62), -(2**62)), ints(1, 2), ints(-1, -1)
)
case("reversed_part", "Slice", ints(-2), ints(1), ints(2), ints(-2), lengths=(7, 127, 129))
case("two_channels", "Slice", ints(1), ints(3), ints(1))
case("attributes", "Slice", starts=[1], ends=[3], axes=[1], opset=9)
case("positions", "Gather", lambda n: ints(n - 1, 0, 0, -1), axis=2)
case("channels", "Gather", ints(3, 1, 2, 0), axis=1)
case("one_position", "Gather", np.int64(-1), axis=2)
case("channels", "Concat", "x", "b", axis=1, before=[node("Relu", "x", "b")])
case("positions", "Concat", "x", "b", "x", axis=2, before=[node("Relu", "x", "b")])
case("negative_axis", "Concat", "b", "x", axis=-2, before=[node("Relu", "x", "b")])
case(
    "features",
    "Concat",
    "a",
    "b",
    axis=1,
    before=[
        node("Flatten", "x", "a"),
        node("GlobalAveragePool", "x", "p"),
        node("Flatten", "p", "b"),
    ],
)

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
    positive : bool
        Whether the operators are defined for positive numbers only.
    """

    name: str
    op_type: str
    nodes: Callable[[int], tuple[list[onnx.NodeProto], dict[str, np.ndarray]]]
    layout: str
    lengths: tuple[int, ...]
    opset: int
    positive: bool = False

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
    positive: bool = False,
    outputs: Sequence[str] = (),
    **attributes: Any,
) -> None:
    """Enter a node: y from x and the operands.

    An operand is an array, a function of the length that gives one, the name of a value, or None
    for an omitted input. The first is x unless some operand is the name of a value. ``before`` and
    ``after`` are nodes around it; where there is an ``after``, the node's own output is ``z``, or
    what ``outputs`` names.
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
        made = outputs or (["z"] if after else ["y"])
        node = helper.make_node(op_type, inputs, made, name="node", **own)
        return [*before, node, *after], arrays

    full = f"{op_type}-{name}"
    assert full not in CASES, full
    CASES[full] = Case(full, op_type, nodes, layout, lengths, opset, positive)


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
case(
    "constant_first",
    "Div",
    SHAPES["channel"],
    "p",
    before=[node("Softplus", "x", "p")],
    positive=True,
)
_gate = [node("Conv", "x k", "a"), node("Sigmoid", "a", "b")]
_kernels = {"k": values(4, 4, 1), "q": values(1, 4, 1, seed=1)}
for _op in ("Mul", "Div"):
    case("branches", _op, "x", "b", before=_gate, constants=_kernels, positive=_op == "Div")
    _one = [node("GlobalAveragePool", "x", "a"), node("Sigmoid", "a", "b")]
    case("branch_of_one_position", _op, "x", "b", before=_one, positive=_op == "Div")
    _one = [node("Conv", "x q", "a"), node("Sigmoid", "a", "b")]
    case("branch_of_one_channel", _op, "b", "x", before=_one, constants=_kernels, positive=True)
case(
    "features_unsqueezed",
    "Mul",
    "x",
    "u",
    before=[
        node("ReduceMean", "x last", "m", keepdims=0),
        node("MatMul", "m w", "f"),
        node("Unsqueeze", "f last", "u"),
    ],
    constants={"last": ints(-1), "w": values(4, 4)},
)
for _op in ("Max", "Min"):
    case("branches", _op, "x", "a", before=_gate[:1], constants=_kernels)
    case("three_branches", _op, "x", "a", "b", before=_gate, constants=_kernels)
    case("branch_of_one_position", _op, "x", "b", before=[node("GlobalAveragePool", "x", "b")])
    case("constant", _op, np.float32(0.2))
    case("constant_first", _op, values(4, 1), "x")
    case("itself", _op, "x")
case("relu", "Max", np.float32(0))
case("absolute", "Max", "x", "n", before=[node("Neg", "x", "n")])
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

for _op in (
    *("Relu", "Sigmoid", "Tanh", "Softplus", "Exp", "LeakyRelu", "Elu", "Selu", "Celu", "Mish"),
    *("HardSigmoid", "HardSwish", "Erf", "Abs"),
):
    case("default", _op)
case("default", "Swish", opset=24)
case("alpha", "Swish", opset=24, alpha=1.7)
case("alpha_gamma", "Selu", alpha=1.3, gamma=0.8)
case("alpha", "Celu", alpha=0.4)
case("alpha_beta", "HardSigmoid", alpha=0.3, beta=0.4)
for _op in ("Log", "Sqrt", "Reciprocal"):
    case("positive", _op, "p", before=[node("Softplus", "x", "p")], positive=True)
for _name, _power in (("square", 2.0), ("cube", 3.0), ("nothing", 1.0)):
    case(_name, "Pow", np.float32(_power))
for _name, _power in (("half", 0.5), ("inverse", -1.0), ("odd", -1.3)):
    _before = [node("Softplus", "x", "p")]
    case(_name, "Pow", "p", np.array([_power], np.float32), before=_before, positive=True)
case("relu_6", "Clip", np.float32(0), np.float32(6))
case("both", "Clip", np.float32(-0.5), np.float32(0.8))
case("relu", "Clip", np.float32(0))
case("high", "Clip", None, np.float32(0.3))
case("none", "Clip")
case("attributes", "Clip", min=-0.4, max=0.6, opset=10)
case("slope", "LeakyRelu", alpha=0.3)
case("negative_slope", "LeakyRelu", alpha=-0.2)
case("alpha", "Elu", alpha=0.7)
case("channel", "PRelu", values(4, 1))
case("position", "PRelu", lambda n: values(n))
case("element", "PRelu", lambda n: values(4, n))
case("scalar", "PRelu", values(1))
case("exact", "Gelu", opset=20)
case("tanh", "Gelu", opset=20, approximate="tanh")
for _op in ("Softmax", "LogSoftmax"):
    case("channels", _op, axis=1)
    case("positions", _op, lengths=(2, 127, 129))
    case("last_channels", _op, layout="NLC")
    case("all_opset_11", _op, opset=11)
    case("flat", _op, layout="flat_CL")

# --- comparisons and choices ---------------------------------------------------------------------

for _op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual"):
    case("scalar", _op, np.float32(0.2), after=[node("Cast", "z", "y", to=1)])
    case("channel_first", _op, values(4, 1), "x", after=[node("Cast", "z", "y", to=1)])
case(
    "branches",
    "Greater",
    "x",
    "a",
    before=_gate[:1],
    constants=_kernels,
    after=[
        node("Cast", "z", "y", to=1),
    ],
)
_above = [node("Greater", "x t", "c")]
_half = {"t": np.float32(0.25), **_kernels}
case(
    "constant_condition",
    "Where",
    np.array([[True], [False], [True], [False]]),
    "x",
    "b",
    before=[node("Tanh", "x", "b")],
)
case(
    "constant_condition_and_branch",
    "Where",
    np.array([[True], [False], [True], [False]]),
    "x",
    values(1),
)
case(
    "constant_condition_and_first",
    "Where",
    np.array([[True], [False], [True], [False]]),
    values(4, 1),
    "x",
)
case(
    "other_branches",
    "Where",
    "c",
    "x",
    "b",
    before=[
        node("Conv", "x q", "a"),
        node("Greater", "a t", "c"),
        node("Tanh", "x", "b"),
    ],
    constants=_half,
)
case(
    "own_threshold",
    "Where",
    "c",
    "x",
    "b",
    before=[*_above, node("Mul", "x x", "b")],
    constants=_half,
)
case("constant_branch", "Where", "c", "x", np.float32(-0.3), before=_above, constants=_half)
case(
    "leaky_relu",
    "Where",
    "c",
    "x",
    "b",
    before=[
        node("Greater", "x zero", "c"),
        node("Mul", "x t", "b"),
    ],
    constants={"zero": np.float32(0), **_half},
)

# --- functions that exporters take apart ---------------------------------------------------------

_NUMBERS = {
    n: np.float32(v)
    for n, v in {
        "half": 0.5,
        "one": 1,
        "root2": 2**0.5,
        "three": 3,
        "cubic": 0.044715,
        "six": 6,
        "zero": 0,
        "twenty": 20,
        "scale": (2 / np.pi) ** 0.5,
        "eps": 1e-5,
        "beta": 1.702,
        "two": 2,
    }.items()
} | {"last": ints(-1), "w": values(4), "b": values(4, seed=1)}


def spelled(name: str, *lines: str, **settings: Any) -> None:
    """Enter nodes written as "Op in1 in2 -> out", the last of which gives y."""
    nodes = []
    for line in lines:
        left, output = line.split(" -> ")
        op_type, *inputs = left.split()
        nodes.append(node(op_type, " ".join(inputs), output))
    last = nodes.pop()
    case(name, last.op_type, *last.input, before=nodes, constants=_NUMBERS, **settings)


spelled("silu", "Sigmoid x -> s", "Mul x s -> y")
spelled("quick_gelu", "Mul x beta -> u", "Sigmoid u -> s", "Mul s x -> y")
spelled(
    "gelu_half_first",
    "Mul x half -> h",
    "Div x root2 -> u",
    "Erf u -> e",
    "Add e one -> p",
    "Mul h p -> y",
)
spelled(
    "gelu_half_last",
    "Div x root2 -> u",
    "Erf u -> e",
    "Add one e -> p",
    "Mul x p -> m",
    "Mul half m -> y",
)
spelled(
    "gelu_tanh",
    "Pow x three -> q",
    "Mul q cubic -> r",
    "Add x r -> s",
    "Mul s scale -> u",
    "Tanh u -> t",
    "Add t one -> p",
    "Mul x half -> h",
    "Mul h p -> y",
)
spelled(
    "gelu_tanh_products",
    "Mul x x -> q",
    "Mul q x -> p",
    "Mul cubic p -> r",
    "Add x r -> s",
    "Mul scale s -> u",
    "Tanh u -> t",
    "Add one t -> v",
    "Mul x v -> m",
    "Mul m half -> y",
)
spelled("mish", "Softplus x -> p", "Tanh p -> t", "Mul x t -> y")
spelled(
    "softplus",
    "Exp x -> e",
    "Add e one -> p",
    "Log p -> l",
    "Greater x twenty -> c",
    "Where c x l -> y",
    positive=True,
)
spelled(
    "softplus_beta",
    "Mul x two -> u",
    "Exp u -> e",
    "Add e one -> p",
    "Log p -> l",
    "Div l two -> d",
    "Greater u twenty -> c",
    "Where c x d -> y",
    positive=True,
)
spelled("hard_swish", "Add x three -> s", "Clip s zero six -> k", "Mul x k -> m", "Div m six -> y")
spelled("unknown", "Tanh x -> t", "Sigmoid x -> s", "Add x t -> a", "Mul a s -> y")
for _layout in ("NLC", "NCL"):
    spelled(
        f"layer_norm_{_layout}",
        "ReduceMean x last -> m",
        "Sub x m -> d",
        "Pow d two -> q",
        "ReduceMean q last -> v",
        "Add v eps -> s",
        "Sqrt s -> r",
        "Div d r -> y",
        layout=_layout,
        positive=True,
        lengths=(2, 127, 129),
    )

# --- normalisation -------------------------------------------------------------------------------

_two = (2, 127, 129)
case("channels", "LayerNormalization", values(4), values(4, seed=1), layout="NLC")
case("no_bias", "LayerNormalization", values(4), layout="NLC", epsilon=1e-2)
case("all", "LayerNormalization", lambda n: values(4, n), lambda n: values(4, n, seed=1), axis=1)
case("positions", "LayerNormalization", lambda n: values(n), axis=2, lengths=_two)
case("channels", "InstanceNormalization", values(4), values(4, seed=1), lengths=_two)
case("height_1", "InstanceNormalization", values(4), values(4), layout="NC1L", lengths=_two)

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

# --- padding, parts and repeats ------------------------------------------------------------------

case("zeros", "Pad", ints(0, 0, 3, 0, 0, 1))
case("value", "Pad", ints(0, 0, 0, 0, 0, 2), np.float32(-0.7))
case(
    "before_a_convolution",
    "Pad",
    ints(0, 0, 3, 0, 0, 2),
    constants={"k": values(3, 4, 4)},
    after=[node("Conv", "z k", "y", pads=[1, 0])],
)
case(
    "before_a_pool",
    "Pad",
    ints(0, 0, 1, 0, 0, 2),
    after=[node("AveragePool", "z", "y", kernel_shape=[3], strides=[2])],
)
case("axes", "Pad", ints(2, 3), None, ints(-1), opset=18)
case("channels", "Pad", ints(0, 1, 0, 0, 2, 0), np.float32(0.5))
case("channels_and_crop", "Pad", ints(0, 1, -1, 0, 0, 2), lengths=(2, 127))
case("attributes", "Pad", pads=[0, 0, 1, 0, 0, 1], value=0.3, opset=10)
case("reflect", "Pad", ints(0, 0, 1, 0, 0, 1), mode="reflect", lengths=(2, 127, 129))
case("edge", "Pad", ints(0, 0, 2, 0, 0, 3), mode="edge")
case("wrap", "Pad", ints(0, 0, 1, 0, 0, 1), mode="wrap", opset=19, lengths=(2, 127, 129))
case(
    "gate",
    "Split",
    ints(1, 3),
    axis=1,
    outputs=["a", "b"],
    after=[
        node("Sigmoid", "b", "s"),
        node("Mul", "a s", "y"),
    ],
)
case("halves", "Split", axis=1, num_outputs=2, outputs=["a", "b"], after=[node("Add", "a b", "y")])
case(
    "halves_opset_13",
    "Split",
    axis=-2,
    outputs=["a", "b"],
    opset=13,
    after=[node("Sub", "a b", "y")],
)
case(
    "positions_opset_11",
    "Split",
    axis=2,
    split=lambda n: [n - 1, 1],
    outputs=["a", "b"],
    opset=11,
    lengths=(2, 127),
    after=[node("Concat", "b a", "y", axis=2)],
)
case(
    "uneven",
    "Split",
    axis=2,
    num_outputs=2,
    outputs=["a", "b"],
    lengths=(3, 127, 129),
    after=[node("Concat", "b a", "y", axis=2)],
)
case(
    "position", "Expand", "b", lambda n: ints(1, 4, n), before=[node("GlobalAveragePool", "x", "b")]
)
case("channel", "Expand", "b", ints(1, 5, 1), before=[node("Conv", "x q", "b")], constants=_kernels)
case("nothing", "Expand", ints(4, 1))
case("rank", "Expand", ints(1, 1, 1, 1))
case("positions", "Tile", ints(1, 1, 3))
case("channels", "Tile", ints(1, 2, 1))
case(
    "one_position",
    "Tile",
    "b",
    lambda n: ints(1, 1, n),
    lengths=(2, 127),
    before=[node("GlobalAveragePool", "x", "b")],
)
_batch = [
    node("Shape", "x", "n", start=0, end=1),
    node("Concat", "n part", "s", axis=0),
    node("Expand", "one s", "o"),
]
for _name, _axis, _operands in (
    ("constants_around", 1, "o x o"),
    ("constants_before", 1, "o o x"),
    ("constants_between", 2, "x o x"),
):
    case(
        _name,
        "Concat",
        *_operands.split(),
        axis=_axis,
        before=_batch,
        constants={"part": ints(4, 2), "one": values(4, 2)},
        lengths=(2, 127) if _axis == 2 else (2,),
    )
case(
    "zeros_of_the_batch",
    "Concat",
    "x",
    "o",
    axis=2,
    before=[
        node("Shape", "x", "s"),
        node("ConstantOfShape", "s", "o"),
    ],
)
case(
    "ones_of_the_shape",
    "Add",
    "x",
    "o",
    before=[
        node("Shape", "x", "s"),
        node("ConstantOfShape", "s", "o", value=numpy_helper.from_array(np.ones(1, np.float32))),
    ],
)

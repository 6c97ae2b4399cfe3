"""What an operator cannot read is refused in one line that names the node and the reason."""

import numpy as np
import pytest
from onnx import helper
from ops.operator_cases import INPUTS, build, ints, node, values

from dfim_fast.errors import ModelError
from dfim_fast.graph.reader import read_graph

LENGTH = 12


def refusal(nodes, constants, layout="NCL", opset=18) -> str:
    """The message that a graph on 12 positions is refused with."""
    proto = build(nodes, constants, INPUTS[layout](LENGTH), opset)
    with pytest.raises(ModelError) as caught:
        read_graph(proto, "model")
    return str(caught.value)


def one(op_type, *operands, before=(), layout="NCL", opset=18, domain="", **attributes) -> str:
    """The reason why a node on x, and constants or named values, is refused."""
    names = [o if isinstance(o, str) else f"c{i}" for i, o in enumerate(operands)]
    constants = {f"c{i}": o for i, o in enumerate(operands) if not isinstance(o, str)}
    last = helper.make_node(op_type, names, ["y"], name="it", domain=domain, **attributes)
    message = refusal([*before, last], constants, layout, opset)
    prefix = f"model: node 'it' ({op_type}): "
    assert message.startswith(prefix)
    assert "\n" not in message
    return message.removeprefix(prefix)


NOT_THERE = "this operator is not supported"


@pytest.mark.parametrize(
    ("reason", "op_type", "operands", "settings"),
    [
        # --- operators that are not there
        (NOT_THERE, "Sin", ("x",), {}),
        (NOT_THERE, "Equal", ("x", np.float32(0)), {}),
        (NOT_THERE, "GRU", ("x", values(1, 9, 12), values(1, 9, 3)), {"hidden_size": 3}),
        (NOT_THERE, "Attention", ("x", "x", "x"), {"opset": 23}),
        (
            "this operator of domain 'com.microsoft' is not supported",
            "Relu",
            ("x",),
            {"domain": "com.microsoft"},
        ),
        ("the product of two branches that both depend on the input", "MatMul", ("x", "x"), {}),
        # --- operators that are there, asked for more than they do
        (
            "combines (N=7919, C=4, L=12) with (N=7919, L=12, C=4), whose axes do not match",
            "Mul",
            ("x", "t"),
            {"before": [node("Transpose", "x", "t", perm=[0, 2, 1])]},
        ),
        (
            "bounds of shape (3, 1) do not fit (N=7919, 1=1, L=12)",
            "Max",
            ("p", values(3, 1)),
            {"before": [node("ReduceMax", "x", "p", axes=[1])], "opset": 17},
        ),
        (
            "thresholds of shape (3, 1) do not fit (N=7919, 1=1, L=12)",
            "Less",
            ("p", values(3, 1)),
            {"before": [node("ReduceMax", "x", "p", axes=[1])], "opset": 17},
        ),
        ("alpha=-1 is not positive", "Celu", ("x",), {"alpha": -1.0}),
        ("the exponent (input 1) is not a constant", "Pow", ("x", "x"), {}),
        ("the exponent (input 1) is not a constant", "Pow", (np.float32(2), "x"), {}),
        (
            "exponents of shape (4, 1); one for all entries is supported",
            "Pow",
            ("x", values(4, 1)),
            {},
        ),
        (
            "normalises over the batch axis of (N=7919, C=4, L=12)",
            "Softmax",
            ("x",),
            {"axis": 0},
        ),
        (
            "normalises an axis of (N=7919, 1=1, C=4, L=12) that has a single entry",
            "Softmax",
            ("x",),
            {"axis": 1, "layout": "N1CL"},
        ),
        ("the scale (input 1) is not a constant", "LayerNormalization", ("x", "x"), {}),
        (
            "mode='mirror' is unknown; wanted one of constant, reflect, edge, wrap",
            "Pad",
            ("x", ints(0, 0, 1, 0, 0, 1)),
            {"mode": "mirror"},
        ),
        ("its numbers are not constants", "Pad", ("x",), {}),
        (
            "changes the size of axis 0 of (N=7919, C=4, L=12)",
            "Pad",
            ("x", ints(1, 0, 0, 0, 0, 0)),
            {},
        ),
        (
            "parts of [1, 2] entries on axis 1 of (N=7919, C=4, L=12)",
            "Split",
            ("x", ints(1, 2)),
            {"axis": 1},
        ),
        (
            "a constant of shape (1, 3, 1) does not fit (N=7919, C=4, L=12)",
            "Expand",
            ("x", ints(1, 3, 1)),
            {},
        ),
        ("2 repeats for (N=7919, C=4, L=12)", "Tile", ("x", ints(1, 2)), {}),
        ("selects along axis 0 of (N=7919, C=4, L=12)", "Tile", ("x", ints(2, 1, 1)), {}),
        # --- never
        ("division by zero", "Div", ("x", np.array([1, 0, 2, 3], np.float32)[:, None]), {}),
        (
            "a constant of shape (1, 5, 1) does not fit (N=7919, C=4, L=12)",
            "Add",
            ("x", values(5, 1)),
            {},
        ),
        (
            "a constant differs between the sequences of a batch",
            "Add",
            ("x", values(7919, 1, 1)),
            {},
        ),
        (
            "group=2 with a kernel of shape (4, 3, 1) does not fit 4 channels",
            "Conv",
            ("x", values(4, 3, 1)),
            {"group": 2},
        ),
        (
            "group=3 with a kernel of shape (4, 4, 1) does not fit 4 channels",
            "Conv",
            ("x", values(4, 4, 1)),
            {"group": 3},
        ),
        (
            "a kernel of shape (3, 4, 1, 1) on an input of shape (N=7919, C=4, L=12); only 1-D and "
            "2-D convolutions are supported",
            "Conv",
            ("x", values(3, 4, 1, 1)),
            {},
        ),
        (
            "its channel axis holds positions (N=7919, L=12, C=4); transpose the input to "
            "(N, C, L)",
            "Conv",
            ("x", values(3, 12, 1)),
            {"layout": "NLC"},
        ),
        (
            "its window spans 15 positions but the padded input has only 14; use a longer "
            "sequence_length",
            "Conv",
            ("x", values(3, 4, 8)),
            {"dilations": [2], "pads": [1, 1]},
        ),
        ("auto_pad='SAME' is unknown", "Conv", ("x", values(3, 4, 2)), {"auto_pad": "SAME"}),
        (
            "a 2-D kernel of height 2 on (N=7919, 1=1, C=4, L=12); the height must be 4, without "
            "padding",
            "Conv",
            ("x", values(3, 1, 2, 5)),
            {"layout": "N1CL"},
        ),
        (
            "a 2-D kernel of height 4 on (N=7919, 1=1, C=4, L=12); the height must be 4, without "
            "padding",
            "Conv",
            ("x", values(3, 1, 4, 5)),
            {"layout": "N1CL", "pads": [1, 0, 1, 0]},
        ),
        (
            "padding makes its height larger than 1",
            "Conv",
            ("x", values(3, 4, 3, 5)),
            {"layout": "NC1L", "pads": [2, 0, 1, 0]},
        ),
        (
            "no row of its kernel of height 2 meets the data",
            "Conv",
            ("x", values(3, 4, 2, 5)),
            {"layout": "NC1L", "pads": [1, 0, 1, 0], "dilations": [2, 1]},
        ),
        ("the kernel (input 1) is not a constant", "Conv", ("x", "x"), {}),
        (
            "transA=1 multiplies the batch axis",
            "Gemm",
            ("x", values(48, 2)),
            {"layout": "flat_CL", "transA": 1},
        ),
        (
            "a matrix of shape (47, 2) does not fit (N=7919, CL=48)",
            "Gemm",
            ("x", values(47, 2)),
            {"layout": "flat_CL"},
        ),
        (
            "a bias of shape (3,) for 2 outputs",
            "Gemm",
            ("x", values(48, 2), values(3)),
            {"layout": "flat_CL"},
        ),
        (
            "multiplies a constant from the left; only x @ constant is supported",
            "MatMul",
            (values(3, 4), "x"),
            {},
        ),
        (
            "mixes the positions of (N=7919, C=4, L=12) separately for each channel",
            "MatMul",
            ("x", values(12, 3)),
            {},
        ),
        (
            "is in training mode; export the model after model.eval()",
            "BatchNormalization",
            ("x", *[values(4, low=0.5)] * 4),
            {"training_mode": 1},
        ),
        (
            "is in training mode; export the model after model.eval()",
            "Dropout",
            ("x", np.float32(0.5), np.array(True)),
            {},
        ),
        ("casts to data type 7, which is not a float", "Cast", ("x",), {"to": 7}),
        (
            "slopes of shape (3, 1) do not fit (N=7919, 1=1, L=12)",
            "PRelu",
            ("p", values(3, 1)),
            {"before": [node("ReduceMax", "x", "p", axes=[1])], "opset": 17},
        ),
        (
            "approximate='fast' is unknown; export with 'none' or 'tanh'",
            "Gelu",
            ("x",),
            {"approximate": "fast", "opset": 20},
        ),
        (
            "a window of shape [2, 2] on (N=7919, C=4, 1=1, L=12); it may slide over positions "
            "only",
            "MaxPool",
            ("x",),
            {"kernel_shape": [2, 2], "layout": "NC1L"},
        ),
        (
            "a window of shape [2, 2] on (N=7919, C=4, L=12)",
            "MaxPool",
            ("x",),
            {"kernel_shape": [2, 2]},
        ),
        (
            "pools over the channels of (N=7919, L=12, C=4); transpose its input",
            "AveragePool",
            ("x",),
            {"kernel_shape": [2], "layout": "NLC"},
        ),
        (
            "pools over the channels of (N=7919, L=12, C=4); transpose its input",
            "GlobalMaxPool",
            ("x",),
            {"layout": "NLC"},
        ),
        (
            "pools over the channels of (N=7919, 1=1, C=4, L=12); transpose its input",
            "GlobalAveragePool",
            ("x",),
            {"layout": "N1CL"},
        ),
        ("reduces the batch axis of (N=7919, C=4, L=12)", "ReduceMax", ("x", ints(0, 1)), {}),
        ("axis 3 does not exist in a tensor of rank 3", "ReduceMean", ("x", ints(3)), {}),
        (
            "reshapes (N=7919, C=4, L=12) to [7919, 2, 24], which splits or mixes axes; only "
            "merging whole axes and splitting them again is supported",
            "Reshape",
            ("x", ints(-1, 2, 24)),
            {},
        ),
        ("cannot reshape (N=7919, C=4, L=12) to [0, 7, -1]", "Reshape", ("x", ints(0, 7, -1)), {}),
        ("the shape (input 1) is not a constant", "Reshape", ("x", "x"), {}),
        (
            "squeezes axis 1 of (N=7919, C=4, L=12), whose size is not 1",
            "Squeeze",
            ("x", ints(1)),
            {},
        ),
        (
            "selects nothing along axis 2 of (N=7919, C=4, L=12)",
            "Slice",
            ("x", ints(5), ints(5), ints(2)),
            {},
        ),
        (
            "selects along axis 0 of (N=7919, C=4, L=12)",
            "Slice",
            ("x", ints(0), ints(1), ints(0)),
            {},
        ),
        ("indices of rank 2", "Gather", ("x", ints(1, 2)[None]), {"axis": 2}),
        (
            "an index is outside axis 2 of (N=7919, C=4, L=12)",
            "Gather",
            ("x", ints(12)),
            {"axis": 2},
        ),
        (
            "a constant of shape (1, 3, 3) does not fit (N=7919, C=4, L=3)",
            "Concat",
            ("x", values(1, 3, 3)),
            {"axis": 2},
        ),
        (
            "joins tensors of (N=7919, C=4, L=12), (N=7919, C=4, L=1)",
            "Concat",
            ("x", "b"),
            {"axis": 1, "before": [node("GlobalMaxPool", "x", "b")]},
        ),
        ("joins along axis 0 of (N=7919, C=4, L=12)", "Concat", ("x", "x"), {"axis": 0}),
    ],
)
def test_one_line(reason, op_type, operands, settings):
    assert one(op_type, *operands, **settings) == reason


def test_recurrence_and_attention_are_refused_together_by_name():
    nodes = [
        node("Transpose", "x", "t", perm=[2, 0, 1]),
        node("LSTM", "t w r", "l", hidden_size=3),
        node("GRU", "t w r", "g", hidden_size=4),
        node("RNN", "t w r", "n", hidden_size=12),
        node("MatMul", "x u", "scores"),
        node("Transpose", "x", "u", perm=[0, 2, 1]),
        node("Attention", "t t t", "a"),
        *(node("Squeeze", f"{name} one", f"{name}1") for name in "lgn"),
        node("Concat", "l1 g1 n1 a scores", "y", axis=2),
    ]
    nodes[4], nodes[5] = nodes[5], nodes[4]
    constants = {"w": values(1, 12, 4), "r": values(1, 12, 3), "one": ints(1)}
    assert refusal(nodes, constants, opset=23) == (
        "model: 5 problems:\n"
        "  node 'l' (LSTM): this operator is not supported\n"
        "  node 'g' (GRU): this operator is not supported\n"
        "  node 'n' (RNN): this operator is not supported\n"
        "  node 'scores' (MatMul): the product of two branches that both depend on the input\n"
        "  node 'a' (Attention): this operator is not supported"
    )


def test_what_depends_on_an_unread_node_is_not_reported():
    nodes = [node("Sin", "x", "e"), node("Mul", "e x", "m"), node("Relu", "m", "y")]
    assert refusal(nodes, {}) == "model: node 'e' (Sin): this operator is not supported"


def test_a_node_without_a_name_is_called_by_its_output():
    nodes = [helper.make_node("Sin", ["x"], ["y"])]
    assert refusal(nodes, {}) == "model: node 'y' (Sin): this operator is not supported"


def test_constants_that_cannot_be_evaluated():
    nodes = [node("MatMul", "a a", "m"), node("Add", "x m", "y")]
    message = refusal(nodes, {"a": values(2, 3)})
    assert message.startswith("model: node 'm' (MatMul): its constant inputs cannot be evaluated (")
    assert "\n" not in message


def test_nan_made_by_constant_folding_is_reported():
    nodes = [node("Log", "a", "l"), node("Add", "x l", "y")]
    with np.errstate(invalid="ignore"):
        message = refusal(nodes, {"a": np.array([-1, 1, 2, 3], np.float32)[:, None]})
    assert message == (
        "model: weight 'l': 1 of 4 values are NaN or infinite; check the training run and export "
        "again"
    )


def test_random_constants_are_refused():
    nodes = [node("RandomNormal", "", "r", shape=[4, 1]), node("Add", "x r", "y")]
    assert refusal(nodes, {}) == (
        "model: node 'r' (RandomNormal): draws random numbers; export the model after model.eval()"
    )

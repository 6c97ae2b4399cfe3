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


NOT_YET = "this operator is not supported"


@pytest.mark.parametrize(
    ("reason", "op_type", "operands", "settings"),
    [
        # --- for later versions
        (NOT_YET, "Clip", ("x", np.float32(0), np.float32(6)), {}),
        (NOT_YET, "Max", ("x", values(1)), {}),
        (NOT_YET, "Min", ("x", "x"), {}),
        (NOT_YET, "Erf", ("x",), {}),
        (NOT_YET, "Pad", ("x", ints(0, 0, 1, 0, 0, 1)), {}),
        (NOT_YET, "Greater", ("x", np.float32(20)), {}),
        (NOT_YET, "Expand", ("x", ints(2, 4, LENGTH)), {}),
        (NOT_YET, "HardSwish", ("x",), {}),
        (
            "this operator of domain 'com.microsoft' is not supported",
            "Relu",
            ("x",),
            {"domain": "com.microsoft"},
        ),
        ("the product of two branches that both depend on the input", "Mul", ("x", "x"), {}),
        ("the product of two branches that both depend on the input", "MatMul", ("x", "x"), {}),
        ("division by something that depends on the input", "Div", (values(1), "x"), {}),
        ("division by something that depends on the input", "Div", ("x", "x"), {}),
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
        ("joins constant positions to data", "Concat", ("x", values(1, 4, 3)), {"axis": 2}),
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


def test_where_of_branches_is_refused_together_with_its_condition():
    nodes = [node("Greater", "x c", "g"), node("Where", "g x r", "y"), node("Relu", "x", "r")]
    nodes = [nodes[0], nodes[2], nodes[1]]
    assert refusal(nodes, {"c": np.float32(20)}) == (
        "model: 2 problems:\n"
        "  node 'g' (Greater): this operator is not supported\n"
        "  node 'y' (Where): this operator is not supported"
    )


def test_what_depends_on_an_unread_node_is_not_reported():
    nodes = [node("Erf", "x", "e"), node("Mul", "e x", "m"), node("Relu", "m", "y")]
    assert refusal(nodes, {}) == "model: node 'e' (Erf): this operator is not supported"


def test_a_node_without_a_name_is_called_by_its_output():
    nodes = [helper.make_node("Erf", ["x"], ["y"])]
    assert refusal(nodes, {}) == "model: node 'y' (Erf): this operator is not supported"


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

"""The evaluators that other tests trust, held against numbers worked out by hand."""

import math

import numpy as np
import onnx
import pytest
from models.checks import sequences
from models.graph_builder import Builder
from models.handmade import ALL
from onnx import numpy_helper
from oracles import onnx_truth


@pytest.mark.parametrize(
    ("layout", "index"),
    [
        ("NCL", (1, 2, 3)),
        ("NLC", (1, 3, 2)),
        ("N1CL", (1, 0, 2, 3)),
        ("NC1L", (1, 2, 0, 3)),
        ("flat_CL", (1, 2 * 5 + 3)),
        ("flat_LC", (1, 3 * 4 + 2)),
    ],
)
def test_layout_puts_a_letter_where_the_model_looks_for_it(layout, index):
    x = np.zeros((2, 4, 5))
    x[1, 2, 3] = 1
    moved = onnx_truth.to_layout(x, layout)
    assert moved[index] == 1
    assert moved.sum() == 1


def test_unknown_layout_is_refused():
    with pytest.raises(ValueError, match="layout 'LCN' is unknown; use one of"):
        onnx_truth.to_layout(np.zeros((2, 4, 5)), "LCN")


@pytest.mark.parametrize("evaluate", [onnx_truth.run, onnx_truth.run_double])
def test_fixed_batch_is_filled_up_and_cut(evaluate):
    model = ALL["batch_8"]()
    x = sequences(11, 40)
    together = evaluate(model, x)[0]
    one_by_one = np.concatenate([evaluate(model, x[i : i + 1])[0] for i in range(11)])
    assert together.shape == (11, 1)
    np.testing.assert_allclose(together, one_by_one, rtol=1e-6)


def test_weights_listed_as_inputs_need_not_be_fed():
    model = ALL["initializers_as_inputs"]()
    assert len(model.graph.input) > 1
    assert [value.name for value in onnx_truth.graph_inputs(model)] == ["x"]


def linear_model():
    b = Builder(opset=17, seed=3)
    return b.model(b.dense(b.x, 2))


def test_finite_difference_of_a_linear_model_is_its_weights():
    model = linear_model()
    weight = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    x = sequences(3, 40)
    direction = np.random.default_rng(1).normal(size=x.shape)
    for column in (0, 1):
        slope = onnx_truth.finite_difference(model, x, direction, column=column)
        np.testing.assert_allclose(
            slope, direction.reshape(3, -1) @ weight[column], rtol=0, atol=1e-6
        )


def test_finite_difference_sees_the_double_not_the_float_model():
    # In float32 a step of 1e-7 would leave nothing but rounding.
    model = ALL["gelu_default"]()
    x = sequences(4, 40)
    direction = np.random.default_rng(1).normal(size=x.shape)
    fine, coarse = (
        onnx_truth.finite_difference(model, x, direction, step=step) for step in (1e-7, 1e-6)
    )
    np.testing.assert_allclose(fine, coarse, rtol=0, atol=1e-6)


def test_double_model_holds_no_float32():
    for name in ("constants_as_nodes", "cast_nodes", "plain_opset_11"):
        model = onnx_truth.to_double(ALL[name]())
        tensors = [*model.graph.initializer]
        tensors += [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
        assert onnx.TensorProto.FLOAT not in {tensor.data_type for tensor in tensors}
        assert not any(
            attribute.name in ("value_float", "value_floats")
            for node in model.graph.node
            for attribute in node.attribute
        )


def test_logit_comes_before_the_squash():
    x = sequences(5, 40)
    model = ALL["sigmoid_output"]()
    logit = onnx_truth.run_double(onnx_truth.before_squash(model), x)[0]
    np.testing.assert_allclose(1 / (1 + np.exp(-logit)), onnx_truth.run_double(model, x)[0])
    model = ALL["softmax_output_opset_17"]()
    odds = np.exp(onnx_truth.run_double(onnx_truth.before_squash(model), x)[0])
    np.testing.assert_allclose(
        odds / odds.sum(axis=1, keepdims=True), onnx_truth.run_double(model, x)[0]
    )


def test_output_without_a_squash_stays():
    x = sequences(5, 40)
    model = ALL["two_outputs"]()
    for a, b in zip(
        onnx_truth.run(onnx_truth.before_squash(model), x), onnx_truth.run(model, x), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_looking_inside_leaves_the_model_alone():
    model = ALL["sigmoid_output"]()
    before = model.SerializeToString()
    first = model.graph.node[0]
    found = onnx_truth.run(onnx_truth.with_outputs(model, [first.output[0]]), sequences(2, 40))[0]
    assert found.shape == (2, 8, 34)
    assert model.SerializeToString() == before


def pooled(op, values, **attributes):
    b = Builder(opset=19, input_shape=("N", 1, len(values)))
    model = b.model(b.add(op, b.x, **attributes))
    x = np.array(values, np.float64)[None, None]
    outputs = onnx_truth.run_double(model, x)[0], onnx_truth.run(model, x)[0]
    np.testing.assert_allclose(*outputs, rtol=1e-6)  # onnxruntime is of the same opinion
    return outputs[0][0, 0].tolist()


def test_average_does_not_count_what_ceil_mode_adds():
    settings = {"kernel_shape": [2], "strides": [2], "ceil_mode": 1}
    assert pooled("AveragePool", [1, 2, 3, 4, 5], count_include_pad=1, **settings) == [1.5, 3.5, 5]
    assert pooled("AveragePool", [1, 2, 3, 4, 5], **settings) == [1.5, 3.5, 5]


def test_average_counts_padding_if_told():
    settings = {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}
    assert pooled("AveragePool", [3, 6, 9, 12], **settings) == [4.5, 9]
    assert pooled("AveragePool", [3, 6, 9, 12], count_include_pad=1, **settings) == [3, 9]


def test_maximum_ignores_padding_and_the_side_of_same_matters():
    values = [-5, -1, -4, -2, -3]
    settings = {"kernel_shape": [2], "strides": [2]}
    assert pooled("MaxPool", values, auto_pad="SAME_LOWER", **settings) == [-5, -1, -2]
    assert pooled("MaxPool", values, auto_pad="SAME_UPPER", **settings) == [-1, -2, -3]
    assert pooled("MaxPool", values, kernel_shape=[2], dilations=[3]) == [-2, -1]
    assert pooled("MaxPool", values, kernel_shape=[3], pads=[2, 0], strides=[2]) == [-5, -1, -2]


def test_global_maximum_is_per_channel():
    b = Builder(opset=17, input_shape=("N", 3, 4))
    x = np.arange(12.0).reshape(1, 3, 4)
    found = onnx_truth.run_double(b.model(b.add("GlobalMaxPool", b.x)), x)[0]
    assert found.tolist() == [[[3], [7], [11]]]


@pytest.mark.parametrize(
    ("op", "attributes", "wanted"),
    [
        ("Erf", {}, math.erf(0.3)),
        ("Gelu", {}, 0.15 * (1 + math.erf(0.3 / math.sqrt(2)))),
        ("Gelu", {"approximate": "none"}, 0.15 * (1 + math.erf(0.3 / math.sqrt(2)))),
        (
            "Gelu",
            {"approximate": "tanh"},
            0.15 * (1 + math.tanh(math.sqrt(2 / math.pi) * (0.3 + 0.044715 * 0.027))),
        ),
    ],
)
def test_smooth_functions_are_computed_in_double(op, attributes, wanted):
    b = Builder(opset=20, input_shape=("N", 1, 1))
    model = b.model(b.add(op, b.x, **attributes))
    found = onnx_truth.run_double(model, np.full((1, 1, 1), 0.3))[0]
    assert abs(found.item() - wanted) < 1e-15


def test_batch_norm_of_an_old_opset_uses_the_stored_statistics():
    model = ALL["plain_opset_11"]()
    x = sequences(4, 40)
    np.testing.assert_allclose(
        onnx_truth.run_double(model, x)[0][:1], onnx_truth.run_double(model, x[:1])[0]
    )

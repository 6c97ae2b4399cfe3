"""Logits of every model as onnxruntime computes them, gradients as finite differences show them."""

import numpy as np
import pytest
from graph.all_models import NAMES, PUT_TOGETHER, entry, model, one_hot
from ops.operator_cases import build, node, values
from oracles.onnx_truth import finite_difference, run, run_double

from dfim_fast.backends.passes import Passes
from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.maps.model import load_model


def joined(outputs: list[np.ndarray]) -> np.ndarray:
    """Graph outputs side by side, (N, T): the tasks in order."""
    return np.concatenate([o.reshape(len(o), -1) for o in outputs], axis=1)


def passes(graph) -> Passes:
    """Float64 passes over all tasks."""
    return Passes(graph, tuple(range(len(graph.tasks))))


def scores(graph, x: np.ndarray) -> np.ndarray:
    """Float64 scores (N, T) of x (N, 4, L)."""
    p = passes(graph)
    return p.scores(p.forward(x.astype(np.float64).swapaxes(1, 2))).T


@pytest.mark.parametrize("name", NAMES)
def test_logits_equal_onnxruntime(name):
    here = entry(name)
    x = one_hot(5, here.length)
    truth = joined(run(here.scored, x, here.layout))
    found = model(name).predict(x)
    assert found.dtype == np.float32
    # two float32 evaluations that add in different orders; the residual networks' logits are small
    # differences of larger numbers
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-5 * np.abs(truth).max())


FLOAT32 = (
    *PUT_TOGETHER,
    *("folded_weights", "row_by_row", "hardswish_dynamo.onnx", "hardswish_legacy.onnx"),
)


@pytest.mark.parametrize("name", NAMES)
def test_float64_scores_equal_the_onnx_evaluator_off_the_one_hot_grid(name):
    here = entry(name)
    x = np.random.default_rng(1).uniform(-1, 1, (3, 4, here.length))
    truth = joined(run_double(here.scored, x, here.layout))
    # both in float64, but weights that the file computes from constants are float32, as it says,
    # as are the constants inside functions that are put together again, and the evaluator holds
    # attributes, a slope of 0.01 or HardSwish's 1/6 too, in float32
    tolerance = 1e-6 if name in FLOAT32 else 1e-9
    np.testing.assert_allclose(
        scores(model(name).graph, x), truth, rtol=0, atol=tolerance * np.abs(truth).max()
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_finite_differences(name):
    here, graph = entry(name), model(name).graph
    rng = np.random.default_rng(2)
    # between the corners of the one-hot cube, where no two windows are equal
    x = one_hot(3, here.length) * 0.8 + rng.uniform(0, 0.2, (3, 4, here.length))
    direction = rng.normal(size=x.shape)
    p = passes(graph)
    acts = p.forward(x.swapaxes(1, 2))
    columns = [
        (i, j)
        for i, out in enumerate(run_double(here.scored, x, here.layout))
        for j in range(out[0].size)
    ]
    for task, (output, column) in list(zip(graph.tasks, columns, strict=True))[:4]:
        g = p.gradient(task, acts).swapaxes(1, 2)
        slope = finite_difference(here.scored, x, direction, here.layout, output, column)
        scale = np.sqrt((g**2).sum(axis=(1, 2)))
        # the difference itself is good to 1e-8 of the output
        np.testing.assert_allclose(
            (g * direction).sum(axis=(1, 2)), slope, rtol=0, atol=2e-6 * scale.max()
        )


SQUASHED = [
    "sigmoid_output",
    "sigmoid_output_dynamo.onnx",
    "sigmoid_output_legacy.onnx",
    "keras_pads_opset_11",
]


@pytest.mark.parametrize("name", SQUASHED)
def test_target_output_scores_the_sigmoid_itself(name):
    here = entry(name)
    x = one_hot(4, here.length)
    found = here.load(target="output")
    assert found.target == "output"
    truth = joined(run(here.proto, x, here.layout))
    np.testing.assert_allclose(found.predict(x), truth, atol=1e-6)
    logits = model(name).predict(x)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), truth, atol=1e-6)
    assert np.abs(logits - truth).max() > 0.1
    # the float64 gradient goes through the sigmoid
    p = passes(found.graph)
    acts = p.forward(x.astype(np.float64).swapaxes(1, 2))
    inner = passes(model(name).graph)
    y = p.scores(acts)[0][:, None, None]
    np.testing.assert_allclose(
        p.gradient(found.graph.tasks[0], acts),
        y
        * (1 - y)
        * inner.gradient(
            model(name).graph.tasks[0], inner.forward(x.astype(np.float64).swapaxes(1, 2))
        ),
        rtol=1e-10,
        atol=1e-14,
    )


@pytest.mark.parametrize(
    "name", ["softmax_output_opset_11", "softmax_output_legacy.onnx", "softmax_output_dynamo.onnx"]
)
def test_softmax_is_scored_at_its_input_or_as_it_is(name):
    here = entry(name)
    x = one_hot(4, here.length)
    truth = joined(run(here.proto, x, here.layout))
    np.testing.assert_allclose(here.load(target="output").predict(x), truth, atol=1e-6)
    odds = np.exp(model(name).predict(x))
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), truth, atol=1e-6)


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
def test_joined_sigmoids_are_scored_at_their_inputs(exporter):
    here = entry(f"two_sigmoids_{exporter}.onnx")
    x = one_hot(4, here.length)
    outputs = here.load(target="output").predict(x)
    np.testing.assert_allclose(outputs, run(here.proto, x)[0], atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-here.load().predict(x))), outputs, atol=1e-6)


def test_joined_sigmoid_and_logit_keep_their_order():
    """Columns 0 and 2 are squashed, column 1 is not: only those are scored at their inputs."""
    names = ["a", "b", "c"]
    nodes = [
        node("Flatten", "x", "f"),
        *(node("MatMul", f"f {n}", f"{n}1") for n in names),
        node("Sigmoid", "a1", "a2"),
        node("Sigmoid", "c1", "c2"),
        node("Concat", "a2 b1 c2", "y", axis=1),
    ]
    proto = build(nodes, {n: values(36, 1, seed=i) for i, n in enumerate(names)}, ["N", 4, 9])
    x = one_hot(3, 9)
    truth = run(proto, x)[0]
    found = load_model(proto)
    assert [t.squashed for t in found.graph.tasks] == [True, False, True]
    logits = found.predict(x)
    np.testing.assert_allclose(logits[:, 1], truth[:, 1], atol=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits[:, ::2])), truth[:, ::2], atol=1e-6)
    np.testing.assert_allclose(load_model(proto, target="output").predict(x), truth, atol=1e-6)


def test_a_logit_that_is_an_output_beside_its_sigmoid():
    found = model("logit_and_probability")
    y = found.predict(one_hot(3, found.sequence_length))
    np.testing.assert_array_equal(y[:, :2], y[:, 2:])
    assert [t.squashed for t in found.graph.tasks] == [False, False, True, True]


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
@pytest.mark.parametrize("length", [20, 45, 127])
def test_a_model_of_free_length_takes_any(exporter, length):
    here = entry(f"free_length_{exporter}.onnx")
    found = load_model(here.proto, sequence_length=length)
    assert found.sequence_length == length
    x = one_hot(3, length)
    np.testing.assert_allclose(found.predict(x), run(here.proto, x)[0], atol=1e-5)


def test_a_free_length_has_to_be_given():
    with pytest.raises(ModelError) as caught:
        load_model(entry("free_length_legacy.onnx").proto)
    assert str(caught.value) == (
        "model: input 'x' of shape (?, 4, ?) leaves the sequence length open; pass "
        "sequence_length= (--sequence-length)"
    )
    with pytest.raises(ModelError) as caught:
        load_model(entry("free_length_legacy.onnx").proto, sequence_length=6)
    assert str(caught.value) == (
        "model: node '/0/Conv' (Conv): its window spans 7 positions but the padded input has only "
        "6; use a longer sequence_length"
    )
    with pytest.raises(SettingsError, match=r"^sequence_length=0 is not a positive number$"):
        load_model(entry("free_length_legacy.onnx").proto, sequence_length=0)


def test_a_fixed_length_cannot_be_changed():
    with pytest.raises(ModelError) as caught:
        load_model(entry("sigmoid_output").proto, sequence_length=41)
    assert str(caught.value) == (
        "model: input 'x' of shape (?, 4, 40) is fixed at length 40, not 41; drop sequence_length="
    )
    assert load_model(entry("sigmoid_output").proto, sequence_length=40).sequence_length == 40


def test_a_flat_input_without_a_reshape_is_read_as_told():
    """Nothing in the file says whether bases or positions run fastest."""
    here = entry("flat_gemm")
    x = one_hot(4, here.length)
    for order, options in (("CL", {}), ("CL", {"flat_order": "CL"}), ("LC", {"flat_order": "LC"})):
        found = load_model(here.proto, **options).predict(x)
        np.testing.assert_allclose(found, run(here.proto, x, f"flat_{order}")[0], atol=1e-5)


def test_a_reshape_says_how_a_flat_input_is_laid_out():
    for order in ("cl", "lc"):
        proto = entry(f"flat_reshape_{order}").proto
        wrong = "LC" if order == "cl" else "CL"
        with pytest.raises(ModelError, match=r"^model: node 'node_reshape_\d' \(Reshape\): "):
            load_model(proto, flat_order=wrong)

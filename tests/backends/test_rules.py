"""RevealCancel, guided backpropagation and deconvolution against the papers, unit by unit."""

import dataclasses

import numpy as np
import pytest
from backends.running import assert_same, engines, few, inputs, plan_for, run
from graph.all_models import model, one_hot
from ops.operator_cases import build, node, values
from oracles.unit_networks import LENGTH, network
from oracles.unit_rules import deeplift, rectified

from dfim_fast import BackendError
from dfim_fast.backends.passes import Passes
from dfim_fast.backends.select import make_backend
from dfim_fast.maps.model import load_model
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.one_hot import one_hot as encoded

REVEALED = {"deeplift": set(), "deeplift_revealcancel": {4, 6}, "revealcancel": {1, 4, 6}}
RECTIFIED = ("guided_backprop", "deconv")
OTHER = ("deeplift_revealcancel", "revealcancel", *RECTIFIED)


def multipliers(loaded, method: str, x: np.ndarray, r: np.ndarray | None, maxpool="deeplift"):
    """What arrives at the input (B, L, 4), float64."""
    plan = make_plan(
        loaded.graph, method=method, maxpool=maxpool, n_references=int(r is not None), sources=[0]
    )
    passes = Passes(plan.graph, plan.tasks)
    acts = passes.forward(x.swapaxes(1, 2).astype(np.float64))
    against = None if r is None else passes.forward(r.swapaxes(1, 2).astype(np.float64))
    return passes.signal(passes.tasks[0], acts, against, plan.rule)


@pytest.mark.parametrize("method", REVEALED)
@pytest.mark.parametrize("functions", [("Relu", "Relu"), ("Tanh", "LeakyRelu"), ("Relu", "Tanh")])
def test_revealcancel_as_the_paper_has_it(method, functions):
    loaded, layers, _ = network(*functions)
    x, r = one_hot(4, LENGTH), one_hot(4, LENGTH, seed=1)
    r[1] = 0.25
    r[2] = 0.0
    for one, other in zip(x, r, strict=True):
        found = multipliers(loaded, method, one[None], other[None])[0].T
        wanted = deeplift(
            layers,
            one.ravel().astype(np.float64),
            other.ravel().astype(np.float64),
            REVEALED[method],
        )
        np.testing.assert_allclose(found.ravel(), wanted, rtol=0, atol=1e-12 * abs(wanted).max())


@pytest.mark.parametrize("method", RECTIFIED)
def test_rectified_gradients_as_the_papers_have_them(method):
    loaded, layers, _ = network()
    for one in one_hot(5, LENGTH, seed=2):
        found = multipliers(loaded, method, one[None], None)[0].T
        wanted = rectified(layers, one.ravel().astype(np.float64), method)
        np.testing.assert_allclose(found.ravel(), wanted, rtol=0, atol=1e-13 * abs(wanted).max())


@pytest.mark.parametrize("method", ["deeplift_revealcancel", "revealcancel"])
@pytest.mark.parametrize(
    "name", ["basset_legacy.onnx", "chrombpnet_legacy.onnx", "convnext_legacy.onnx"]
)
def test_revealcancel_sums_to_the_difference_from_the_reference(method, name):
    """With branches, normalization, smooth functions, averages: nothing is lost on the way."""
    plan = plan_for(name, method=method, sources=[0])
    assert plan.additive
    for result in run("reference", plan, *inputs(plan, 2)):
        assert result.delta_error < 1e-12


def test_against_itself_revealcancel_is_the_gradient():
    loaded = model("basset_legacy.onnx")
    x = one_hot(2, loaded.sequence_length)
    gradient = multipliers(loaded, "gradient", x, None)
    for method in ("deeplift_revealcancel", "revealcancel"):
        found = multipliers(loaded, method, x[:1], x[:1])
        np.testing.assert_allclose(found, gradient[:1], rtol=1e-12, atol=1e-14)


def test_without_a_hidden_dense_layer_it_is_deeplift_by_the_fast_engine():
    name = "chrombpnet_legacy.onnx"
    plain, other = (
        plan_for(name, method=method, sources=[3, 40])
        for method in ("deeplift", "deeplift_revealcancel")
    )
    assert other.strategy == plain.strategy != "whole"
    x, references = inputs(plain, 1)
    for a, b in zip(
        run("numba", plain, x, references), run("numba", other, x, references), strict=True
    ):
        assert_same(a, b)


@pytest.mark.parametrize("method", OTHER)
@pytest.mark.parametrize(
    "name", ["basset_legacy.onnx", "chrombpnet_legacy.onnx", "danq_conv_legacy.onnx"]
)
def test_numba_agrees_with_float64_by_every_engine(name, method):
    length = model(name).sequence_length
    plan = plan_for(name, n_references=2, method=method, sources=few(length))
    x, references = inputs(plan, 1)
    (truth,) = run("reference", plan, x, references)
    scale = max(np.abs(truth.fis).max(), np.abs(truth.attributions).max())
    whole = plan.strategy == "whole"
    for engine, one in engines(plan).items():
        if engine == "cones" and whole:
            continue
        (found,) = run("numba", one, x, references)
        for name_of in ("fis", "attributions", "self_effect"):
            np.testing.assert_allclose(
                getattr(found, name_of), getattr(truth, name_of), rtol=0, atol=1e-5 * scale
            )


def linear_headed() -> object:
    """Two convolutions, a pool and a smooth function, straight to the score."""
    return load_model(
        build(
            [
                node("Conv", "x a", "1", pads=[2, 2]),
                node("Relu", "1", "2"),
                node("MaxPool", "2", "3", kernel_shape=[2], strides=[2]),
                node("Conv", "3 b", "4", pads=[1, 1]),
                node("LeakyRelu", "4", "5", alpha=0.1),
                node("Flatten", "5", "6"),
                node("MatMul", "6 w", "y"),
            ],
            {"a": values(6, 4, 5), "b": values(5, 6, 3), "w": values(150, 1)},
            ["N", 4, 60],
        )
    )


@pytest.mark.parametrize("method", RECTIFIED)
def test_straight_to_the_score_only_the_near_part_is_computed(method):
    graph = linear_headed().graph
    plan = make_plan(graph, method=method, threads=1)
    assert (plan.strategy, plan.cones is not None) == ("cones", True)
    assert plan.cost.planned < plan.cost.naive / 2
    x = one_hot(1, 60)
    (truth,) = run("reference", plan, x, None)
    assert np.abs(truth.fis).max() > 0.1 * np.abs(truth.attributions).max()
    (found,) = run("numba", plan, x, None)
    assert_same(truth, dataclasses.replace(found), tolerance=1e-6)


def test_a_hidden_layer_takes_whole_passes_and_the_plan_says_why():
    plan = plan_for("basset_legacy.onnx", method="guided_backprop")
    assert plan.strategy == "whole"
    assert "guided_backprop is not linear in the gradient that" in plan.explain()
    plan = plan_for("basset_legacy.onnx", method="deeplift_revealcancel")
    assert "whole: RevealCancel passes on by the sign of each difference" in plan.explain()


def test_parts_pass_through_sums_scales_and_functions_whole():
    """Dense, function, scale and difference, function: by hand, for one unit.

    Layers without weights of their own hand on the parts that they are given, so that the second
    function sees what the first one set apart.
    """
    loaded = load_model(
        build(
            [
                node("Flatten", "x", "1"),
                node("MatMul", "1 w", "2"),
                node("Relu", "2", "3"),
                node("Mul", "3 minus", "4"),
                node("Tanh", "2", "5"),
                node("Sub", "4 5", "6"),
                node("Sigmoid", "6", "7"),
                node("MatMul", "7 one", "y"),
            ],
            {
                "w": np.float32([[2], [-1], [0.5], [0], [0], [-1.5], [0.25], [1]]),
                "minus": np.float32([-2]),
                "one": np.float32([[1]]),
            },
            ["N", 4, 2],
        )
    )
    w = np.array([2, -1, 0.5, 0, 0, -1.5, 0.25, 1]).reshape(4, 2)
    x, r = encoded(["AT"]), encoded(["CG"])  # the ReLU opens on the way from r to x
    d = (x - r)[0].astype(np.float64)

    def parts(f, base, p, n):
        """y+ and y-."""
        up = (f(base + p) - f(base) + f(base + p + n) - f(base + n)) / 2
        return up, f(base + p + n) - f(base) - up

    def relu(v):
        return max(v, 0.0)

    def sigmoid(v):
        return 1 / (1 + np.exp(-v))

    p, n = ((w * d)[sign * w * d > 0].sum() for sign in (1, -1))
    base = (w * r[0]).sum()
    (relu_p, relu_n), (tanh_p, tanh_n) = parts(relu, base, p, n), parts(np.tanh, base, p, n)
    # -2 relu - tanh: what rises falls, so the parts change places
    sum_p, sum_n = -2 * relu_n - tanh_n, -2 * relu_p - tanh_p
    up, down = parts(sigmoid, -2 * relu(base) - np.tanh(base), sum_p, sum_n)
    plus = (down / sum_n) * (-2 * relu_p - tanh_p) / p
    minus = (up / sum_p) * (-2 * relu_n - tanh_n) / n
    wanted = w * np.where(w * d > 0, plus, np.where(w * d < 0, minus, (plus + minus) / 2))
    found = multipliers(loaded, "revealcancel", x, r)[0].T
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_what_signs_reach_is_not_called_unreachable():
    """Two convolutions with nothing between: a sign at the lower one turns what comes down."""
    loaded = load_model(
        build(
            [
                node("Conv", "x a", "1", pads=[1, 1]),
                node("Conv", "1 b", "2", pads=[1, 1]),
                node("Relu", "2", "3"),
                node("Flatten", "3", "4"),
                node("MatMul", "4 w", "y"),
            ],
            {"a": values(6, 4, 3), "b": values(5, 6, 3), "w": values(100, 1)},
            ["N", 4, 20],
        )
    )
    plan = make_plan(loaded.graph, method="revealcancel", n_references=1, sources=[10], threads=1)
    free = dataclasses.replace(plan, reach=np.ones_like(plan.reach))
    x, references = inputs(plan, 3)
    for result in run("reference", free, x, references):
        seen = (np.abs(result.fis[0]) > 1e-12).any(axis=1)
        assert not (seen & ~plan.reach[0]).any()


@pytest.mark.parametrize("method", OTHER)
def test_gpu_backends_refuse_by_name(method):
    plan = plan_for("basset_legacy.onnx", method=method, sources=[0])
    for name in ("cupy", "native", "emulator"):
        with pytest.raises(BackendError) as caught:
            make_backend(name, plan)
        assert str(caught.value) == (
            f"backend={name!r} does not compute method={method!r}; use 'reference' or 'numba'"
        )
    assert make_backend("auto", plan).name == "numba"

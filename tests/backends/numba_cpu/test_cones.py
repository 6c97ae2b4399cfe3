"""Dense cones: the ways that the public tests do not take by themselves."""

import numpy as np
import pytest
from backends.running import engines, inputs, plan_for, run

from dfim_fast.backends.numba_cpu.cones import engine
from dfim_fast.backends.numba_cpu.walks import EventEngine

NAMES = ["basset_legacy.onnx", "gelu_tanh_legacy.onnx", "siamese_legacy.onnx"]


def largest(a, b):
    """The largest difference of two maps, relative to the largest |C|."""
    scale = np.abs(b.attributions).max()
    parts = ("fis", "self_effect", "attributions")
    return max(np.abs(getattr(a, p) - getattr(b, p)).max() for p in parts) / scale


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_own_gradients_give_what_the_shared_basis_gives(name, method, monkeypatch):
    """Where a head's gradients fill a large space each mutant brings its own."""
    plans = engines(plan_for(name, method=method, sources=[3, 4, 11, 20]))
    given = inputs(plans["cones"], 1)
    shared = run("numba", plans["cones"], *given)[0]
    monkeypatch.setattr(engine, "head_basis", lambda *_: None)
    own = run("numba", plans["cones"], *given)[0]
    # two orders of the same float32 sums
    assert largest(own, shared) < 5e-6
    assert np.array_equal(own.mutant_predictions, shared.mutant_predictions)


@pytest.mark.parametrize("name", NAMES)
def test_references_in_blocks_give_the_same_map(name, monkeypatch):
    plans = engines(plan_for(name, n_references=7, sources=[3, 4, 11, 20]))
    given = inputs(plans["cones"], 1)
    together = run("numba", plans["cones"], *given)[0]
    monkeypatch.setattr(engine, "BASIS_BYTES", 1)  # one reference at a time
    apart = run("numba", plans["cones"], *given)[0]
    assert largest(apart, together) < 5e-7  # sums in another grouping
    np.testing.assert_allclose(apart.standard_error, together.standard_error, atol=1e-6)


def test_windows_that_memory_cannot_keep_are_computed_again(monkeypatch):
    plan = engines(plan_for("basset_legacy.onnx"))["cones"]
    given = inputs(plan, 1)
    kept = run("numba", plan, *given)[0]
    monkeypatch.setattr(engine, "KEEP_BYTES", 0)
    again = run("numba", plan, *given)[0]
    assert np.array_equal(kept.fis, again.fis)
    assert np.array_equal(kept.mutant_predictions, again.mutant_predictions)


@pytest.mark.parametrize("name", NAMES)
def test_tile_size_changes_nothing(name, monkeypatch):
    plan = engines(plan_for(name))["cones"]
    given = inputs(plan, 1)
    wide = run("numba", plan, *given)[0]
    monkeypatch.setattr(engine, "TILE_RANGE", (1, 5))
    narrow = run("numba", plan, *given)[0]
    assert largest(narrow, wide) < 1e-6
    assert np.array_equal(narrow.mutant_predictions, wide.mutant_predictions)


def test_a_narrow_window_computes_narrow_rows():
    narrow = engines(plan_for("dilated_residual_legacy.onnx", window=2))["cones"]
    whole = engines(plan_for("dilated_residual_legacy.onnx"))["cones"]
    assert narrow.cones.width(0)[1] <= 5 < whole.cones.width(0)[1]


def test_more_references_than_memory_holds_go_by_cones():
    name = "basset_legacy.onnx"
    assert EventEngine.unsupported(plan_for(name, n_references=500)) is None
    tight = plan_for(name, n_references=500, memory_limit=10_000_000)
    assert "references would take" in EventEngine.unsupported(tight)

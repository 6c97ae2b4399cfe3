"""Chosen mutants at chosen targets: spans, every engine, groups of references kept apart."""

from dataclasses import replace

import numpy as np
import pytest
from backends.running import engines, inputs, plan_for
from graph.all_models import model

from dfim_fast.backends.base import Effects
from dfim_fast.backends.numba_cpu import backend as module
from dfim_fast.backends.select import make_backend
from dfim_fast.sequence.mutants import Mutants, single_nucleotide, spans
from dfim_fast.sequence.one_hot import encode

# A linear head, hidden layers, a residual trunk, overlapping pools, a smooth trunk, one joined in
# two branches, and one without windows.
MODELS = [
    "average_pool_count_pad_legacy.onnx",
    "basset_legacy.onnx",
    "dilated_residual_legacy.onnx",
    "max_pool_overlap_legacy.onnx",
    "gelu_tanh_legacy.onnx",
    "multi_branch_legacy.onnx",
    "dense_only_legacy.onnx",
]
BACKGROUND = np.array([0.27, 0.23, 0.23, 0.27], np.float32)


def motif_spans(length: int) -> Mutants:
    """Background over spans of several widths, at both ends and between."""
    places = [(0, 7), (length // 3, 10), (length // 3 + 5, 4), (length - 6, 6)]
    return spans([s for s, _ in places], [np.tile(BACKGROUND, (w, 1)) for _, w in places])


@pytest.fixture(autouse=True, params=["few", "many"])
def few(request, monkeypatch):
    """Hidden heads by whole passes, and by walks however few the mutants."""
    if request.param == "many":
        monkeypatch.setattr(module, "FEW", -1)


def run(plan, x, references, mutants, targets, backend="numba") -> list[Effects]:
    return list(make_backend(backend, plan).effects(x, references, mutants, targets))


@pytest.mark.parametrize("method", ["deeplift", "gradient"])
@pytest.mark.parametrize("name", MODELS)
def test_spans_equal_the_reference(name, method):
    plan = plan_for(name, n_references=7, method=method)
    x, references = inputs(plan, 2, seed=3)
    length = plan.graph.length
    mutants = [motif_spans(length)] * 2
    shared = np.arange(length // 4, length // 2)
    table = np.stack([np.roll(shared, m) for m in range(4)])
    table[1, 3] = -1
    truth = run(plan, x, references, mutants, [shared, table], "reference")
    for engine, other in engines(plan).items():
        for found, wanted in zip(
            run(other, x, references, mutants, [shared, table]), truth, strict=True
        ):
            scale = np.abs(wanted.attributions).max() + np.abs(wanted.lost).max()
            for field in ("lost", "own", "attributions"):
                # float32 against float64; no gate of these inputs is undecided
                np.testing.assert_allclose(
                    getattr(found, field), getattr(wanted, field), rtol=0, atol=1e-5 * scale,
                    err_msg=f"{engine} {field}",
                )  # fmt: skip
            np.testing.assert_allclose(
                found.mutant_predictions, wanted.mutant_predictions, rtol=0, atol=3e-5 * scale
            )
            np.testing.assert_array_equal(found.weights, wanted.weights)
    assert truth[0].lost.shape == (5 if method == "deeplift" else 1, 1, 4, len(shared))
    inside = (shared >= length // 3) & (shared < length // 3 + 10)
    assert (truth[0].lost[:, :, 1, inside] == 0).all()
    assert (truth[1].lost[:, :, 1, 3] == 0).all() and np.abs(truth[1].lost).max() > 0


def test_single_nucleotides_are_those_of_the_map():
    plan = plan_for("basset_legacy.onnx", n_references=4)
    x, references = inputs(plan, 1)
    (wanted,) = make_backend("numba", plan).maps(x, references)
    mutants = single_nucleotide(encode(x)[0], plan.sources)
    (found,) = run(plan, x, references, [mutants], [np.arange(plan.graph.length)])
    source, base = mutants.slot.T
    scale = np.abs(wanted.attributions).max()
    # the same references, summed in another order
    for value, name in ((found.mean(found.lost), "fis"), (found.mean(found.own), "self_effect")):
        np.testing.assert_allclose(
            value, getattr(wanted, name)[:, source, base], rtol=0, atol=2e-6 * scale
        )
    np.testing.assert_allclose(
        found.standard_error(found.lost), wanted.standard_error[:, source, base],
        rtol=0, atol=2e-6 * scale,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["basset_legacy.onnx", "average_pool_count_pad_legacy.onnx"])
def test_same_bits_for_threads_and_company(name):
    plan = plan_for(name)
    x, references = inputs(plan, 5)
    length = plan.graph.length
    mutants, targets = [motif_spans(length)] * 5, [np.arange(length)] * 5
    alone = [run(plan, x[i : i + 1], references[i : i + 1], mutants[:1], targets[:1])[0]
             for i in range(5)]  # fmt: skip
    for found, wanted in zip(
        run(replace(plan, threads=3), x, references, mutants, targets), alone, strict=True
    ):
        for field in ("lost", "own", "mutant_predictions", "attributions", "predictions"):
            np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))


@pytest.mark.parametrize("backend", ["reference", "numba"])
@pytest.mark.parametrize("name", ["basset_legacy.onnx", "gelu_tanh_legacy.onnx"])
def test_no_mutants_give_the_importance_alone(name, backend):
    plan = plan_for(name)
    x, references = inputs(plan, 1)
    (found,) = run(plan, x, references, [spans([], [])], [np.arange(3)], backend)
    assert found.lost.shape == (3, 1, 0, 3)
    ((wanted, _),) = make_backend(backend, plan).attributions(x, references, False)
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(
        found.mean(found.attributions), wanted.sum(-1), rtol=0, atol=1e-5 * scale
    )
    assert model(name).sequence_length == found.attributions.shape[-1]

"""The field's own models on real sequences: logits, gradients, sums and float32 maps.

They are no part of the repository; without them these tests are skipped.
"""

import gzip
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import onnx
import pytest
from backends.undecided import AGREE, compare
from oracles.onnx_truth import before_squash, finite_difference, run

import dfim_fast
from dfim_fast.backends.passes import Passes
from dfim_fast.backends.reference import ReferenceBackend
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.references import make_references

# model -> (axes of its input, tasks, sequences)
MODELS = {
    "embedded_motifs": ("NLC", 1, "embedded_motifs/sequences.fa.gz"),
    "tal_gata": ("N1CL", 3, "spi1_bqtl/sequences.fa"),
    "spi1_bqtl": ("NLC", 1, "spi1_bqtl/sequences.fa"),
    "cbf1": ("NCL", 1, None),
}
each_model = pytest.mark.parametrize("name", MODELS)


@cache
def loaded(shared_data: Path, name: str) -> dfim_fast.Model:
    return dfim_fast.load_model(shared_data / name / "model.onnx")


@cache
def scored(shared_data: Path, name: str) -> onnx.ModelProto:
    """The ONNX model of the logits."""
    return before_squash(shared_data / name / "model.onnx")


def sequences(shared_data: Path, name: str, n: int) -> np.ndarray:
    """The first n real sequences, one-hot; for Cbf1, whose inputs are all 10-mers, some of them."""
    file = MODELS[name][2]
    if file is None:
        codes = np.random.default_rng(0).integers(0, 4, (n, 10))
        return np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1)
    path = shared_data / file
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        found: list[str] = []
        for line in islice(lines, 100 * n):
            if line.startswith(">"):
                found.append("")
            else:
                found[-1] += line.strip()
    return dfim_fast.one_hot(found[:n])


def sources(length: int) -> list[int]:
    """A few positions: the ends, and the middle where peaks and motifs are."""
    return sorted({0, length // 3, length // 2, length // 2 + 1, length - 1})


@each_model
def test_logits_equal_onnxruntime(shared_data, name):
    layout, tasks, _ = MODELS[name]
    x = sequences(shared_data, name, 12)
    outputs = run(scored(shared_data, name), x, layout)
    truth = np.concatenate([o.reshape(12, -1) for o in outputs], axis=1)
    found = loaded(shared_data, name).predict(x)
    assert found.shape == (12, tasks)
    # float32 sums of up to a million products in different orders
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-5 * np.abs(truth).max())
    assert truth.std(axis=0).min() > 0.01


@each_model
def test_gradients_equal_finite_differences(shared_data, name):
    layout, tasks, _ = MODELS[name]
    graph = loaded(shared_data, name).graph
    rng = np.random.default_rng(1)
    x = sequences(shared_data, name, 2) * 0.9  # off the corners, where windows can be equal
    x = x + rng.uniform(0, 0.1, x.shape)
    direction = rng.normal(size=x.shape)
    passes = Passes(graph, tuple(range(tasks)))
    acts = passes.forward(x.swapaxes(1, 2))
    for k, task in enumerate(passes.tasks):
        g = passes.gradient(task, acts).swapaxes(1, 2)
        slope = finite_difference(scored(shared_data, name), x, direction, layout, output=k)
        size = np.sqrt((g**2).sum(axis=(1, 2))).max()
        np.testing.assert_allclose(
            (g * direction).sum(axis=(1, 2)), slope, rtol=0, atol=1e-5 * size
        )


@each_model
def test_contributions_sum_to_the_difference_from_the_references(shared_data, name):
    """In float64, originals and mutants, and the effect of each mutation split exactly."""
    x = sequences(shared_data, name, 1)
    graph = loaded(shared_data, name).graph
    references = make_references(x, "dinucleotide", 2)
    plan = make_plan(graph, n_references=2, sources=sources(graph.length)[:3], threads=1)
    (result,) = ReferenceBackend(plan).maps(x, references)
    assert result.delta_error < 1e-10
    effect = result.predictions[:, None, None] - result.mutant_predictions
    split = result.self_effect + result.fis.sum(axis=3)
    total = np.abs(result.attributions).sum()
    np.testing.assert_allclose(split, effect, rtol=0, atol=1e-10 * (1 + total))


@each_model
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"maxpool": "deeplift", "contribution": "observed"},
        {"method": "gradient"},
        {"method": "gradient_corrected"},
    ],
    ids=["deeplift", "deeplift-observed", "gradient", "corrected"],
)
def test_numba_agrees_with_float64(shared_data, name, settings):
    x = sequences(shared_data, name, 2)
    graph = loaded(shared_data, name).graph
    count = 0 if "method" in settings else 2
    references = make_references(x, "dinucleotide", 2) if count else None
    plan = make_plan(
        graph, n_references=count, sources=sources(graph.length), threads=1, **settings
    )
    found = compare(plan, x, references)
    assert found.good, found
    assert found.scores <= AGREE, found
    # in 1 kb there is always some close gate, but few that float32 decides otherwise
    assert found.other + found.steep <= 0.1 * found.mutants, found

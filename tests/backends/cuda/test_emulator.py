"""The kernels that a GPU runs, on the CPU, against float64."""

from dataclasses import replace

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from backends.running import (
    SETTING_NAMES,
    SETTINGS,
    assert_same,
    engines,
    few,
    inputs,
    plan_for,
    run,
)
from backends.undecided import AGREE, compare_all
from graph.all_models import model, structures

from dfim_fast.backends.cuda import head, staged
from dfim_fast.backends.cuda.far import pays
from dfim_fast.backends.select import make_backend
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.mutants import spans
from dfim_fast.sequence.one_hot import one_hot

pytestmark = needs_emulator


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_agreement_with_float64(name, settings):
    length = model(name).sequence_length
    tasks = list(range(min(2, len(model(name).task_names))))
    plan = plan_for(name, task=tasks, sources=few(length), **settings)
    found = compare_all({"": plan}, *inputs(plan, 1), backend="emulator")[""]
    assert found.good, found
    # logits can be small differences of larger numbers
    assert found.scores <= 3 * AGREE, found


@pytest.mark.parametrize(
    "name",
    ["basset_legacy.onnx", "max_pool_overlap_legacy.onnx", "dilated_residual_crop_legacy.onnx",
     "average_pool_count_pad_legacy.onnx", "siamese_legacy.onnx"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_windows_give_the_bits_of_whole_passes(name, method, monkeypatch):
    """Every kernel computes a row alike, whether or not its neighbours are computed too.

    Hidden heads by their own gradients here: a basis adds the same numbers in another order.
    """
    monkeypatch.setattr(staged, "pays", lambda plan, mutants: False)
    plan = plan_for(name, method=method, sources=few(model(name).sequence_length))
    whole = engines(plan)["whole"]
    assert plan.cones is not None and whole.cones is None
    x, references = inputs(plan, 1)
    (narrow,), (wide,) = (run("emulator", p, x, references) for p in (plan, whole))
    assert_same(narrow, wide)
    assert np.abs(narrow.fis).max() > 0 or method == "gradient"


@pytest.mark.parametrize(
    "name",
    ["basset_legacy.onnx", "max_pool_overlap_legacy.onnx", "two_outputs", "concat_channels",
     "gelu_default", "product_of_branches", "row_by_row", "concat_flats"],
)  # fmt: skip
@pytest.mark.parametrize("settings", SETTINGS[1:3], ids=SETTING_NAMES[1:3])
def test_hidden_heads_by_their_basis(name, settings):
    """With all mutants of a sequence, as long as there are no more units than mutants."""
    tasks = list(range(min(2, len(model(name).task_names))))
    plan = plan_for(name, n_references=2, task=tasks, **settings)
    assert pays(plan, plan.cost.mutants)
    found = compare_all({"": plan}, *inputs(plan, 1, seed=3), backend="emulator")[""]
    assert found.good, found


def test_bits_of_a_hidden_head_whatever_the_batches_of_units_and_mutants(monkeypatch):
    plan = plan_for("basset_legacy.onnx", n_references=2)
    x, references = inputs(plan, 1)
    (wanted,) = run("emulator", plan, x, references)
    batches = []
    basis = head.Head.basis

    def counted(self, units, columns, *rest):
        batches.append(len(columns))
        return basis(self, units, columns, *rest)

    monkeypatch.setattr(head.Head, "basis", counted)
    small = replace(plan, memory_limit=plan.memory_limit // 1024)
    (found,) = run("emulator", small, x, references)
    assert len(batches) > 4 and max(batches) > 1
    assert_same(found, wanted)


def test_restricted_targets_of_a_hidden_head():
    graph = model("basset_legacy.onnx").graph
    for extra in ({"window": 5}, {"targets": [2, graph.length - 3]}):
        plan = make_plan(graph, n_references=2, threads=1, **extra)
        assert pays(plan, plan.cost.mutants)
        found = compare_all({"": plan}, *inputs(plan, 1), backend="emulator")[""]
        assert found.good, found


def test_same_bits_in_any_company_and_memory():
    plan = plan_for("basset_legacy.onnx", n_references=4)
    x, references = inputs(plan, 3)
    together = run("emulator", plan, x, references)
    small = replace(plan, memory_limit=plan.memory_limit // 4096)
    for i, wanted in enumerate(together):
        for other in (plan, small):
            (found,) = run("emulator", other, x[i : i + 1], references[i : i + 1])
            assert_same(found, wanted)


@pytest.mark.parametrize(
    "name",
    ["basset_legacy.onnx", "two_outputs", "siamese_legacy.onnx", "global_max_legacy.onnx",
     "gelu_default"],
)  # fmt: skip
@pytest.mark.parametrize("settings", SETTINGS[1:3], ids=SETTING_NAMES[1:3])
def test_sequences_in_one_launch_have_the_bits_of_each_alone(name, settings):
    """Hidden heads, several tasks, branches, the fused walk; one sequence with N, one all of it."""
    tasks = list(range(min(2, len(model(name).task_names))))
    plan = plan_for(name, n_references=2, task=tasks, **settings)
    x, references = inputs(plan, 4, seed=6)
    x[1, :, ::3], x[2] = 0, 0
    if references is not None:
        references = references * x.max(axis=1)[:, None, None]
    assert make_backend("emulator", plan).batch >= len(x)
    together = run("emulator", plan, x, references)
    for i, found in enumerate(together):
        own = None if references is None else references[i : i + 1]
        (alone,) = run("emulator", plan, x[i : i + 1], own)
        assert_same(found, alone)
    backend = make_backend("emulator", plan)
    for hypothetical in (False, True):
        found = list(backend.attributions(x, references, hypothetical))
        for i, (importance, _) in enumerate(found):
            own = None if references is None else references[i : i + 1]
            ((alone, _),) = backend.attributions(x[i : i + 1], own, hypothetical)
            np.testing.assert_array_equal(importance, alone)


@pytest.mark.parametrize("name", ["basset_legacy.onnx", "global_max_legacy.onnx"])
def test_results_that_do_not_fit_leave_source_by_source(name):
    plan = plan_for(name, n_references=2)
    x, references = inputs(plan, 2)
    wanted = run("emulator", plan, x, references)
    small = replace(plan, memory_limit=64 * plan.targets.shape[1] * 8 * 5)
    backend = make_backend("emulator", small)
    assert backend.batch == 1 and 1 < backend.sources < len(plan.sources) // 2
    for found, own in zip(backend.maps(x, references), wanted, strict=True):
        assert_same(found, own)


def test_ambiguous_bases_and_ties():
    name = "max_pool_overlap_legacy.onnx"
    length = model(name).sequence_length
    sequences = ["A" * length, ("CG" * length)[:length], ("ACN" * length)[:length]]
    for settings in SETTINGS:
        plan = plan_for(name, sources=few(length), **settings)
        x = one_hot(sequences)
        references = inputs(plan, len(x))[1] if plan.n_references else None
        if references is not None:
            references = references * x.max(axis=1)[:, None, None]
        found = compare_all({"": plan}, x, references, backend="emulator")[""]
        assert found.good, found


@pytest.mark.parametrize("name", ["basset_legacy.onnx", "siamese_legacy.onnx"])
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_spans_at_any_targets(name, method):
    plan = plan_for(name, method=method, n_references=7)
    x, references = inputs(plan, 2)
    length = plan.graph.length
    flat = [np.full((3, 4), 0.25, np.float32), np.zeros((5, 4), np.float32),
            np.eye(4, dtype=np.float32)]  # fmt: skip
    mutants = [spans([2, length // 2, length - 4], flat)] * 2
    targets = [np.array([0, 3, -1, length - 1]), np.arange(length)]
    found, wanted = (
        list(make_backend(b, plan).effects(x, references, mutants, targets))
        for b in ("emulator", "reference")
    )
    for one, other in zip(found, wanted, strict=True):
        scale = np.abs(other.attributions).max()
        for part in ("lost", "own", "attributions"):
            a, b = getattr(one, part), getattr(other, part)
            np.testing.assert_allclose(a, b, rtol=0, atol=2 * AGREE * scale, err_msg=part)
        for part in ("mutant_predictions", "predictions"):
            a, b = getattr(one, part), getattr(other, part)
            np.testing.assert_allclose(a, b, rtol=0, atol=AGREE * max(1, np.abs(b).max()))
        np.testing.assert_array_equal(one.weights, other.weights)
        assert (one.delta_error is None) == (other.delta_error is None)


@pytest.mark.parametrize("hypothetical", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_attributions_and_predictions(settings, hypothetical):
    plan = plan_for("basset_legacy.onnx", **settings)
    x, references = inputs(plan, 3)
    backends = [make_backend(b, plan) for b in ("emulator", "reference")]
    found, wanted = (list(b.attributions(x, references, hypothetical)) for b in backends)
    for (a, error), (b, other) in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=AGREE * np.abs(b).max())
        assert (error is None) == (other is None) and (error is None or error < 1e-5)
    a, b = (backend.predictions(x) for backend in backends)
    np.testing.assert_allclose(a, b, rtol=0, atol=AGREE * np.abs(b).max())


def test_restricted_targets_and_several_tasks():
    name = "two_outputs_legacy.onnx"
    length = model(name).sequence_length
    graph = model(name).graph
    for extra in ({"window": 4}, {"targets": [1, length - 2]}):
        plan = make_plan(graph, n_references=2, threads=1, task=[0, 3], **extra)
        x, references = inputs(plan, 1)
        found = compare_all({"": plan}, x, references, backend="emulator")[""]
        assert found.good, found


def test_a_network_without_kernels_is_refused_by_name(monkeypatch):
    from dfim_fast.backends.cuda.layers.layer import LAYERS
    from dfim_fast.errors import BackendError
    from dfim_fast.ops.conv import Conv

    plan = plan_for("basset_legacy.onnx", sources=[0])
    monkeypatch.delitem(LAYERS, Conv)
    with pytest.raises(BackendError, match=r"node '.*' \(Conv\) has no kernels; use backend='num"):
        make_backend("emulator", plan)

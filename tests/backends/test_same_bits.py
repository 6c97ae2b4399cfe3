"""The same call gives the same bits, whatever runs beside it; parts of a map equal the map."""

import dataclasses

import numpy as np
import pytest
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
from graph.all_models import model

from dfim_fast.backends.select import make_backend
from dfim_fast.plan.plan import Plan

# One of each kind: deep with a hidden head, residual with a mean, both strands, overlapping pools,
# smooth activations, dense only, no cones, operators that work row by row, squeeze and excitation.
NAMES = [
    "basset_legacy.onnx",
    "dilated_residual_legacy.onnx",
    "siamese_legacy.onnx",
    "max_pool_overlap_legacy.onnx",
    "gelu_erf_legacy.onnx",
    "dense_only_legacy.onnx",
    "arithmetic_element",
    "row_by_row",
    "legnet_legacy.onnx",
]
each_model = pytest.mark.parametrize("name", NAMES)
each_setting = pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
PART = 1e-6  # of the largest |C|: float32 maps of other mutants or targets may sum in another order


def same_bits(plan: Plan, other: Plan, n: int = 2, backend: str = "numba") -> None:
    """Both plans give the same bits, by every engine."""
    x, references = inputs(plan, n)
    for a, b in zip(engines(plan).values(), engines(other).values(), strict=True):
        for first, second in zip(
            run(backend, a, x, references), run(backend, b, x, references), strict=True
        ):
            assert_same(first, second)


@each_model
@each_setting
def test_run_to_run_and_one_thread_or_two(name, settings):
    plan = plan_for(name, **settings)
    same_bits(plan, plan, n=1)
    same_bits(plan, dataclasses.replace(plan, threads=2), n=1)


@each_model
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_one_at_a_time_or_in_a_batch_in_any_order(name, backend):
    plan = plan_for(name, sources=few(model(name).sequence_length))
    x, references = inputs(plan, 3)
    for p in engines(plan).values() if backend == "numba" else [plan]:
        together = run(backend, p, x, references)
        backwards = run(backend, p, x[::-1], references[::-1])[::-1]
        for n in range(3):
            (alone,) = run(backend, p, x[n : n + 1], references[n : n + 1])
            assert_same(together[n], alone)
            assert_same(together[n], backwards[n])


@each_model
def test_predictions_one_at_a_time_or_in_a_batch(name):
    plan = plan_for(name, method="gradient", sources=[0])
    x, _ = inputs(plan, 150)  # more than a tile
    for backend in ("reference", "numba"):
        machine = make_backend(backend, plan)
        together = machine.predictions(x)
        assert together.shape == (150, 1)
        for n in (0, 63, 64, 149):
            np.testing.assert_array_equal(machine.predictions(x[n : n + 1])[0], together[n])


@each_model
def test_references_that_memory_cannot_keep_are_computed_again(name):
    plan = plan_for(name, n_references=6, sources=few(model(name).sequence_length))
    for memory in (plan.workspace, plan.workspace + 30_000):
        tight = plan_for(
            name, n_references=6, sources=few(model(name).sequence_length), memory_limit=memory
        )
        assert tight.tile == plan.tile
        same_bits(plan, tight)


@each_model
def test_a_tight_memory_limit_gives_the_same_bits_on_any_number_of_threads(name):
    """Too little memory for two threads' tiles: the tiles, or the threads, become fewer."""
    plan = plan_for(name, sources=few(model(name).sequence_length))
    memory = plan.workspace + plan.workspace // 3
    one, two = (
        plan_for(
            name,
            sources=few(model(name).sequence_length),
            memory_limit=memory,
            threads=threads,
        )
        for threads in (1, 2)
    )
    assert two.workspace <= memory
    same_bits(one, two)


@each_model
@each_setting
def test_some_sources_targets_or_a_window_are_slices_of_the_full_map(name, settings):
    length = model(name).sequence_length
    full = plan_for(name, **settings)
    x, references = inputs(full, 1)
    sources, targets, window = [0, 7, length - 2], [1, 2, 7, length - 1], 3
    for backend, tolerance in (("reference", 0.0), ("numba", PART)):
        (wide,) = run(backend, full, x, references)
        part = plan_for(name, sources=sources, targets=targets, **settings)
        (narrow,) = run(backend, part, x, references)
        cut = dataclasses.replace(
            wide,
            fis=wide.fis[:, sources][..., targets],
            standard_error=None
            if wide.standard_error is None
            else wide.standard_error[:, sources][..., targets],
            self_effect=wide.self_effect[:, sources],
            mutant_predictions=wide.mutant_predictions[:, sources],
            delta_error=narrow.delta_error,
        )
        assert_same(cut, narrow, tolerance)
        banded = plan_for(name, sources=sources, window=window, **settings)
        (band,) = run(backend, banded, x, references)
        assert band.fis.shape == (1, 3, 4, 2 * window + 1)
        for i, s in enumerate(sources):
            for w in range(-window, window + 1):
                found = band.fis[:, i, :, window + w]
                if not 0 <= s + w < length:
                    assert not found.any()
                    continue
                scale = np.abs(wide.attributions).max()
                np.testing.assert_allclose(
                    found, wide.fis[:, s, :, s + w], rtol=0, atol=tolerance * scale
                )


@pytest.mark.parametrize(
    "name",
    ["basset_legacy.onnx", "two_outputs_legacy.onnx", "dilated_residual_crop_legacy.onnx"],
)
@each_setting
def test_several_tasks_are_each_task_alone(name, settings):
    tasks = list(range(len(model(name).task_names)))[::-1]
    sources = few(model(name).sequence_length)
    together = plan_for(name, task=tasks, sources=sources, **settings)
    x, references = inputs(together, 1)
    for backend, tolerance in (("reference", 0.0), ("numba", PART)):
        (several,) = run(backend, together, x, references)
        for k, task in enumerate(tasks):
            (alone,) = run(
                backend, plan_for(name, task=task, sources=sources, **settings), x, references
            )
            picked = dataclasses.replace(
                several,
                **{
                    f.name: getattr(several, f.name)[k : k + 1]
                    for f in dataclasses.fields(several)
                    if isinstance(getattr(several, f.name), np.ndarray)
                },
                delta_error=alone.delta_error,
            )
            assert_same(picked, alone, tolerance)


def with_unknown(x: np.ndarray, references: np.ndarray | None, positions: list[int]):
    """The sequences with N at some positions, references zero there."""
    x = x.copy()
    x[:, :, positions] = 0
    if references is not None:
        references = references.copy()
        references[..., positions] = 0
    return x, references


@each_model
@each_setting
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_unknown_bases_are_no_sources_and_contribute_nothing(name, settings, backend):
    length = model(name).sequence_length
    unknown = [0, 5, 6, length - 1]
    plan = plan_for(name, sources=[5, 8, length - 1], **settings)
    x, references = with_unknown(*inputs(plan, 1), unknown)
    (result,) = run(backend, plan, x, references)
    assert not result.attributions[:, unknown].any()
    assert not result.fis[..., unknown].any()
    for i in (0, 2):  # sources at N
        assert not result.fis[:, i].any()
        assert not result.self_effect[:, i].any()
        np.testing.assert_array_equal(
            result.mutant_predictions[:, i], np.tile(result.predictions[:, None], 4)
        )
    assert result.self_effect[:, 1].any()


@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_a_sequence_of_unknown_bases(backend):
    for name in NAMES:
        plan = plan_for(name, n_references=2)
        x, references = inputs(plan, 1)
        (result,) = run(backend, plan, x * 0, references * 0)
        assert not result.fis.any() and not result.attributions.any()
        assert result.delta_error == 0


@each_model
@pytest.mark.parametrize("backend", ["reference", "numba"])
def test_standard_error_from_maps_of_each_group_of_references(name, backend):
    """Reference r belongs to group r % 5; groups count by their size."""
    sources, count = few(model(name).sequence_length), 7
    plan = plan_for(name, n_references=count, sources=sources)
    assert plan.groups == 5
    x, references = inputs(plan, 1)
    (result,) = run(backend, plan, x, references)
    groups = []
    for g in range(5):
        members = list(range(g, count, 5))
        own = plan_for(name, n_references=len(members), sources=sources)
        (part,) = run(backend, own, x, references[:, members])
        groups.append(part.fis.astype(np.float64))
    share = np.array([2, 2, 1, 1, 1]) / 7
    mean = np.tensordot(share, groups, 1)
    error = np.sqrt(np.tensordot(share, (np.array(groups) - mean) ** 2, 1) / 4)
    tolerance = (1e-12 if backend == "reference" else 5 * PART) * np.abs(result.attributions).max()
    np.testing.assert_allclose(result.fis, mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(result.standard_error, error, rtol=0, atol=tolerance)
    assert error.max() > 100 * tolerance


@pytest.mark.parametrize(("count", "groups"), [(1, 1), (2, 2), (4, 4), (5, 5), (20, 5)])
def test_few_references_make_few_groups(count, groups):
    plan = plan_for("siamese_legacy.onnx", n_references=count, sources=[3])
    assert plan.groups == groups
    (result,) = run("numba", plan, *inputs(plan, 1))
    assert (result.standard_error is None) == (count == 1)

"""What a plan decides and counts, before anything is computed."""

import dataclasses

import numpy as np
import pytest
from graph.all_models import model
from ops.operator_cases import build, node, values

from dfim_fast.errors import SettingsError
from dfim_fast.maps.model import load_model
from dfim_fast.plan import planner
from dfim_fast.plan.cost import Cost, count, pass_cost
from dfim_fast.plan.planner import make_plan, positions, target_table

GRAPH = model("dilated_residual_legacy.onnx").graph
LENGTH = 64


def small():
    """Conv 5 x 3, ReLU, dense to 4, ReLU, dense to 2; 9 positions."""
    return load_model(
        build(
            [
                node("Conv", "x a", "1"),
                node("Relu", "1", "2"),
                node("Flatten", "2", "3"),
                node("MatMul", "3 w", "4"),
                node("Relu", "4", "5"),
                node("MatMul", "5 v", "y"),
            ],
            {"a": values(5, 4, 3), "w": values(35, 4), "v": values(4, 2)},
            ["N", 4, 9],
        )
    ).graph


def test_multiply_adds_of_one_pass():
    conv, first, second = 7 * 5 * 3 * 4, 35 * 4, 4 * 2
    assert pass_cost(small(), (0,)) == pass_cost(small(), (0, 1)) == conv + first + second


def test_naive_cost_is_one_pass_per_mutant_task_and_reference():
    one = pass_cost(small(), (0,))
    plan = make_plan(small(), task=[0, 1], n_references=3, sources=[1, 2, 5])
    assert plan.cost.mutants == 9
    assert plan.cost.forward == one * 9 * 3
    assert plan.cost.backward == one * 9 * 2 * 3
    assert plan.cost.naive == plan.cost.forward + plan.cost.backward
    gradient = make_plan(small(), method="gradient")
    assert (gradient.cost.forward, gradient.cost.backward) == (one * 27, one * 27)


def test_cones_are_planned_where_they_save_work():
    plan = make_plan(GRAPH, n_references=3)
    assert plan.cones is not None
    assert 0 < plan.cost.planned < plan.cost.naive / 2
    assert plan.cost.planned > pass_cost(GRAPH, (0,))
    dense = make_plan(model("dense_only_legacy.onnx").graph, n_references=3)
    assert dense.cost.planned <= dense.cost.naive


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (7, "7"),
        (999, "999"),
        (1000, "1 k"),
        (50_400_000, "50.4 M"),
        (2.5e9, "2.5 G"),
        (1e12, "1 T"),
        (3e16, "30 P"),
    ],
)
def test_large_numbers_for_people(number, text):
    assert count(number) == text


def test_cost_is_its_parts():
    assert Cost(mutants=3, forward=10, backward=20, planned=5).naive == 30


def test_positions():
    np.testing.assert_array_equal(positions("sources", None, 4), [0, 1, 2, 3])
    np.testing.assert_array_equal(positions("sources", [3, 1], 4), [3, 1])  # order is kept
    np.testing.assert_array_equal(positions("sources", 2, 4), [2])
    np.testing.assert_array_equal(positions("sources", np.array([3], np.uint8), 4), [3])


WHOLE = "must be a list of at least one whole position, 0 to 3"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ([], f"sources {WHOLE}"),
        ([1.0], f"sources {WHOLE}"),
        ([[1, 2]], f"sources {WHOLE}"),
        ("12", f"sources {WHOLE}"),
        ([True, False], f"sources {WHOLE}"),
        ([2, 4], "sources holds position 4, outside the sequence; wanted 0 to 3"),
        ([-1], "sources holds position -1, outside the sequence; wanted 0 to 3"),
        ([1, 2, 1], "sources names a position twice; list each once"),
    ],
)
def test_positions_that_cannot_be(wanted, text):
    with pytest.raises(SettingsError) as caught:
        positions("sources", wanted, 4)
    assert str(caught.value) == text


def test_target_tables():
    sources, targets = np.array([0, 3]), np.array([1, 2, 3])
    np.testing.assert_array_equal(target_table(sources, targets, None, 5), [[1, 2, 3]] * 2)
    np.testing.assert_array_equal(
        target_table(sources, targets, 2, 5), [[-1, -1, -1, 1, 2], [1, 2, 3, -1, -1]]
    )
    np.testing.assert_array_equal(target_table(sources, targets, 0, 5), [[-1], [3]])


def test_reach_is_by_task():
    tasks = model("two_outputs_legacy.onnx")
    plan = make_plan(tasks.graph, task=[0, 3, 1], method="gradient")
    assert plan.reach.shape == (3, 44, 44)
    np.testing.assert_array_equal(plan.reach[0], plan.reach[2])
    assert plan.reach[1].sum() < plan.reach[0].sum()


def test_groups_and_additivity():
    assert [make_plan(GRAPH, n_references=n, sources=[0]).groups for n in (1, 3, 5, 20)] == [
        1,
        3,
        5,
        5,
    ]
    assert make_plan(GRAPH, n_references=2, sources=[0]).additive
    for settings in ({"maxpool": "deeplift"}, {"contribution": "observed"}, {"method": "gradient"}):
        assert not make_plan(GRAPH, n_references=2, sources=[0], **settings).additive


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"method": "integrated"},
            "method='integrated' is unknown; choose from deeplift, deeplift_revealcancel, "
            "revealcancel, gradient, gradient_corrected, guided_backprop, deconv",
        ),
        (
            {"contribution": "sum"},
            "contribution='sum' is unknown; choose from projected, observed",
        ),
        ({"maxpool": "mean"}, "maxpool='mean' is unknown; choose from shap, deeplift"),
        ({"epsilon": 0}, "epsilon=0 must be positive; the default is 1e-6"),
        ({"epsilon": float("nan")}, "epsilon=nan must be positive; the default is 1e-6"),
        ({"epsilon": "small"}, "epsilon='small' must be positive; the default is 1e-6"),
        ({"window": -1}, "window=-1: wanted a whole number, 0 or more"),
        (
            {"window": 64},
            "window=64 is wider than the sequence of 64 bases; leave it out for all targets, or "
            "use at most 63",
        ),
        (
            {"n_references": 10**9},
            "1000000000 references of a sequence take 1.02e+06 MB, more than the memory_limit of "
            "2e+03 MB; use fewer of them",
        ),
        ({"window": 1.5}, "window=1.5: wanted a whole number, 0 or more"),
        ({"threads": 0}, "threads=0: wanted a whole number, 1 or more"),
        ({"threads": "2"}, "threads='2': wanted a whole number, 1 or more"),
        ({"memory_limit": "2GB"}, "memory_limit='2GB': wanted a whole number, 1 or more"),
        ({"memory_limit": True}, "memory_limit=True: wanted a whole number, 1 or more"),
        (
            {"memory_limit": 20_000},
            "memory_limit of 0.02 MB is too small for this model; it needs at least 0.0627 MB: "
            "raise it",
        ),
        ({"task": 1}, "task 1 does not exist; this model has 1 (0 to 0): output"),
    ],
)
def test_settings_that_cannot_be(settings, text):
    with pytest.raises(SettingsError) as caught:
        make_plan(GRAPH, **settings)
    assert str(caught.value) == text


def test_threads_default_to_the_processors_of_this_process(monkeypatch):
    monkeypatch.setattr(planner, "processors", lambda: 3)
    assert make_plan(GRAPH, sources=[0]).threads == 3
    assert make_plan(GRAPH, sources=[0], threads=2).threads == 2


def test_tiles_depend_on_model_and_memory_alone():
    plans = [
        make_plan(GRAPH, sources=[0], threads=threads, memory_limit=memory)
        for memory in (None, 10_000_000, 1_000_000, 70_000)
        for threads in (1, 2, 16)
    ]
    for one, two, many in zip(*[iter(plans)] * 3, strict=True):
        assert one.tile == two.tile == many.tile
        assert one.threads == 1
        assert one.workspace <= two.workspace <= many.workspace <= many.memory_limit
    tiles = [p.tile for p in plans[::3]]
    assert tiles == sorted(tiles, reverse=True)
    assert tiles[-1] == 1
    assert plans[2].threads == 16 and plans[-1].threads == 1


def test_explain():
    plan = make_plan(GRAPH, n_references=3, sources=[3, 4], window=5, threads=2)
    lines = plan.explain().splitlines()
    assert lines[0] == "deeplift, tasks output, 3 references, max-pool rule shap"
    share = 100 * plan.reach.mean()
    assert lines[1] == (
        f"2 sources x up to 11 targets, 6 mutants a sequence; {share:.1f}% of the cells can "
        "interact"
    )
    layers = lines[2 : 2 + len(GRAPH.nodes)]
    assert layers[0].split()[:5] == ["0", "Input", "64", "x", "4"]
    assert layers[1].split()[:7] == ["1", "Conv", "8", "x", "9", "64", "x"]
    assert [int(line.split()[0]) for line in layers] == list(range(len(GRAPH.nodes)))
    assert lines[-2].startswith("multiply-adds a sequence: naive ")
    assert lines[-1].startswith(f"tiles of {plan.tile} mutants, 2 threads, workspace ")
    gradient = make_plan(GRAPH, method="gradient").explain()
    assert gradient.startswith("gradient, tasks output\n")


def test_a_plan_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_plan(GRAPH, sources=[0]).tile = 3


@pytest.mark.parametrize(
    ("name", "strategy", "reason"),
    [
        ("basset_legacy.onnx", "events", "zeros that ReLUs leave exact"),
        ("relu6_legacy.onnx", "cones", "'/1/Clip' leaves no exact zeros"),
        ("gated_legacy.onnx", "cones", "'/Tanh' leaves no exact zeros"),
        ("pad_value", "cones", "'node_pad_7' has no events"),
        ("convnext_legacy.onnx", "cones", "'/block/norm/LayerNormalization' leaves no exact zeros"),
        (
            "legnet_legacy.onnx",
            "whole",
            "'/inner/inner.6/Mul' holds positions after they were mixed",
        ),
        ("attention_pool_legacy.onnx", "whole", "'/Softmax' holds positions after they were mixed"),
    ],
)
def test_each_kind_of_network_has_its_engine(name, strategy, reason):
    plan = make_plan(model(name).graph, method="gradient")
    assert plan.strategy == strategy
    assert reason in plan.reason
    assert plan.strategy in plan.explain()

"""The float32 backend against float64, on every model, as SEMANTICS defines agreement."""

import numpy as np
import pytest
from backends.running import SETTING_NAMES, SETTINGS, engines, few, inputs, plan_for
from backends.undecided import AGREE, Agreement, compare_all
from graph.all_models import model, structures
from ops.operator_cases import build, ints, node, values

from dfim_fast.maps.model import load_model
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.one_hot import one_hot

COUNTED: list[Agreement] = []


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_agreement_with_float64(name, settings):
    length = model(name).sequence_length
    tasks = list(range(min(2, len(model(name).task_names))))
    plan = plan_for(name, task=tasks, sources=few(length), **settings)
    for engine, found in compare_all(engines(plan), *inputs(plan, 2)).items():
        COUNTED.append(found)
        assert found.good, (engine, found)
        # logits can be small differences of larger numbers
        assert found.scores <= 3 * AGREE, (engine, found)


@pytest.mark.parametrize(
    "name",
    [
        "basset_legacy.onnx",
        "siamese_legacy.onnx",
        "dilated_residual_legacy.onnx",
        "max_pool_overlap_legacy.onnx",
    ],
)
def test_agreement_of_a_whole_map(name):
    plan = plan_for(name, n_references=2)
    for engine, found in compare_all(engines(plan), *inputs(plan, 1, seed=8)).items():
        assert found.mutants == 3 * plan.graph.length
        COUNTED.append(found)
        assert found.good, (engine, found)
        assert found.scores <= AGREE, (engine, found)


def test_few_mutants_were_undecided():
    """Else the tests above would compare float32 with itself. Runs after them."""
    if len(COUNTED) < 100:
        pytest.skip("the tests above were not all run")
    close, other, steep, mutants = (
        sum(getattr(a, n) for a in COUNTED) for n in ("close", "other", "steep", "mutants")
    )
    assert mutants > 8000
    assert 0 < close < 0.1 * mutants, f"{close} of {mutants}"
    assert other + steep < 0.005 * mutants, f"{other} and {steep} of {mutants}"


def balanced():
    """Six gates that the original puts at zero: float32 may see them on either side."""
    x = one_hot(["ACGTTGCAACGGTCATTGCA"])
    w = np.random.default_rng(0).normal(size=(6, 4, 7)).astype(np.float32)
    at_zero = np.einsum("hck,ck->h", w.astype(np.float64), x[0][:, 6:13])
    nodes = [
        node("Conv", "x w b", "1"),
        node("Relu", "1", "2"),
        node("ReduceSum", "2 a", "3"),
        node("Flatten", "3", "4"),
        node("MatMul", "4 v", "y"),
    ]
    constants = {"w": w, "b": -at_zero.astype(np.float32), "a": ints(2), "v": values(6, 1)}
    return load_model(build(nodes, constants, ["N", 4, 20])), x


def test_undecided_gates_are_compared_at_the_backends_own_decisions():
    loaded, x = balanced()
    plan = make_plan(loaded.graph, method="gradient", threads=1)
    for engine, found in compare_all(engines(plan), x, None).items():
        assert found.close == found.mutants == 60
        assert found.plain > 1e-3  # float64's own decisions are others
        assert found.other > 0
        assert found.good, (engine, found)


def test_repeats_tie_in_pools_and_the_first_wins_in_both():
    """Windows of one base, and of two in turn, are equal to the bit wherever they stand."""
    name = "max_pool_overlap_legacy.onnx"
    length = model(name).sequence_length
    sequences = ["A" * length, ("CG" * length)[:length], ("ACG" * length)[:length]]
    for settings in SETTINGS:
        plan = plan_for(name, sources=few(length), **settings)
        x = one_hot(sequences)
        references = None
        if plan.n_references:
            _, references = inputs(plan, len(x))
        for engine, found in compare_all(engines(plan), x, references).items():
            assert found.close > 0
            assert found.good, (engine, found)

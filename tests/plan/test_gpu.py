"""When a GPU is taken to be worth it: by counted work, the start, and what has to be copied."""

from dataclasses import replace

import pytest
from backends.running import plan_for

from dfim_fast.plan import gpu


@pytest.fixture
def plan():
    return plan_for("basset_legacy.onnx", n_references=5)


def with_work(plan, planned):
    return replace(plan, cost=replace(plan.cost, planned=int(planned)))


def test_more_work_is_for_a_gpu_and_less_is_not(plan):
    small, large = with_work(plan, 1e5), with_work(plan, 1e12)
    assert gpu.pays(large, 1) and not gpu.pays(small, 1)
    # the start is shared by the sequences
    middle = with_work(plan, 2e9)
    assert gpu.pays(middle) and not gpu.pays(middle, 1)
    turn = gpu.START / (gpu.cpu_seconds(middle) - gpu.gpu_seconds(middle))
    assert not gpu.pays(middle, int(turn)) and gpu.pays(middle, int(turn) + 1)


def test_what_is_counted(plan):
    many = replace(plan, threads=1)
    events = gpu.cpu_seconds(replace(many, strategy="events"))
    dense = gpu.cpu_seconds(replace(many, strategy="whole"))
    planned = plan.cost.planned
    assert events == pytest.approx(gpu.EACH + planned / gpu.EVENTS)
    assert dense == pytest.approx(gpu.EACH + planned / gpu.DENSE)
    # by hand: nodes up and down twice over, five groups' errors beside the scores
    branches = plan_for("siamese_legacy.onnx", n_references=5)
    for other, rate in ((plan, gpu.WALK), (branches, gpu.LAYERS)):
        nodes = len(other.graph.needed(other.tasks))
        cells = 2 * 4 * other.graph.length**2
        wanted = 4 * nodes * gpu.LAUNCH + other.cost.planned / rate + 4 * cells / gpu.COPIED
        assert gpu.gpu_seconds(other) == pytest.approx(wanted)
    assert gpu.gpu_seconds(plan_for("global_max_legacy.onnx", method="gradient")) > 0


def test_a_result_that_takes_longer_to_copy_than_to_compute_stays_here(plan):
    fast = with_work(replace(plan, strategy="events", threads=1), 1e7)
    wide = replace(fast, targets=fast.targets.repeat(200, axis=1))
    assert gpu.gpu_seconds(wide) > gpu.cpu_seconds(wide) and not gpu.pays(wide)

"""On a GPU: cupy and native against float64, with each other bit by bit, and from run to run."""

import numpy as np
import pytest
from backends.running import SETTING_NAMES, SETTINGS, assert_same, few, inputs, plan_for, run
from backends.undecided import compare_all
from graph.all_models import model, structures

from dfim_fast.backends.select import why_not

WHY = {name: why_not(name) for name in ("cupy", "native")}
HERE = [name for name, why in WHY.items() if why is None]
if not HERE:
    pytest.skip("; ".join(filter(None, WHY.values())), allow_module_level=True)


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_agreement_with_float64(backend, name, settings):
    tasks = list(range(min(2, len(model(name).task_names))))
    plan = plan_for(name, task=tasks, sources=few(model(name).sequence_length), **settings)
    found = compare_all({"": plan}, *inputs(plan, 1), backend=backend)[""]
    assert found.good, found


@pytest.mark.parametrize(
    "name", ["basset_legacy.onnx", "siamese_legacy.onnx", "global_max_legacy.onnx"]
)
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_the_same_bits_from_every_build_and_run(name, settings):
    plan = plan_for(name, **settings)
    x, references = inputs(plan, 3)
    first, *others = (run(b, plan, x, references) for b in (*HERE, HERE[0]))
    for other in others:
        for one, two in zip(first, other, strict=True):
            assert_same(one, two)


@pytest.mark.parametrize("backend", HERE)
@pytest.mark.parametrize(("precision", "bound"), [("3xtf32", 1e-5), ("tf32", 0.1)])
def test_tensor_cores_hold_their_fragments_where_we_put_them(backend, precision, bound):
    plan = plan_for("gelu_erf_legacy.onnx", method="gradient")
    x, _ = inputs(plan, 1)
    (found,), (wanted,) = (run(b, plan, x, None) for b in (f"{backend}:{precision}", "reference"))
    scale = np.abs(wanted.fis).max()
    assert 0 < np.abs(found.fis - wanted.fis).max() < bound * scale

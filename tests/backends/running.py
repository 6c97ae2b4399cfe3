"""Plans and maps for tests, without the public functions' checks around them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from graph.all_models import model, one_hot

from dfim_fast.backends.base import SequenceMap
from dfim_fast.backends.select import make_backend
from dfim_fast.plan.cones import cones
from dfim_fast.plan.plan import Plan, compares
from dfim_fast.plan.planner import make_plan

# What is run on every model: method, pool rule, contribution.
SETTINGS = [
    {"method": "deeplift"},
    {"method": "deeplift", "maxpool": "deeplift", "contribution": "observed"},
    {"method": "gradient"},
    {"method": "gradient_corrected"},
]
SETTING_NAMES = ["deeplift", "deeplift-observed", "gradient", "corrected"]


def plan_for(name: str, n_references: int = 3, **settings: Any) -> Plan:
    """A one-thread plan; the number of references only where the method has some."""
    count = n_references if compares(settings.get("method", "deeplift")) else 0
    return make_plan(model(name).graph, **{"n_references": count, "threads": 1, **settings})


def engines(plan: Plan) -> dict[str, Plan]:
    """The plan by every engine that can carry it out, the planner's choice first."""
    found = {plan.strategy: plan}
    windows = cones(plan.graph, plan.tasks, plan.sources, plan.targets)
    if not isinstance(windows, str):
        found.setdefault("cones", dataclasses.replace(plan, strategy="cones", cones=windows))
    found.setdefault("whole", dataclasses.replace(plan, strategy="whole", cones=None))
    return found


def few(length: int) -> list[int]:
    """Sources at both ends and between."""
    return sorted({0, length // 3, length // 2, length - 1})


def inputs(plan: Plan, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
    """Random sequences (n, 4, L) and references (n, R, 4, L)."""
    length, count = plan.graph.length, plan.n_references
    references = one_hot(max(n * count, 1), length, seed + 100)
    return one_hot(n, length, seed), (references.reshape(n, count, 4, length) if count else None)


def run(
    backend: str, plan: Plan, x: np.ndarray, references: np.ndarray | None
) -> list[SequenceMap]:
    """All maps."""
    return list(make_backend(backend, plan).maps(x, references))


def arrays(result: SequenceMap) -> dict[str, np.ndarray]:
    """Everything numeric in a map, by name."""
    found = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    return {name: np.asarray(value) for name, value in found.items() if value is not None}


def assert_same(first: SequenceMap, second: SequenceMap, tolerance: float = 0.0) -> None:
    """The same arrays: to the bit, or to a share of the largest |C|."""
    a, b = arrays(first), arrays(second)
    assert a.keys() == b.keys()
    scale = max(np.abs(a["attributions"]).max(), np.abs(a["fis"]).max())
    for name, value in a.items():
        if tolerance and name != "delta_error":
            size = max(scale, np.abs(value).max(initial=0))
            np.testing.assert_allclose(b[name], value, rtol=0, atol=tolerance * size, err_msg=name)
        elif not tolerance:
            np.testing.assert_array_equal(b[name], value, err_msg=name)

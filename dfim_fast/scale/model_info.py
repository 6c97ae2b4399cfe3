"""What a model is, in lines for people."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence

import numpy as np

from dfim_fast.backends.select import BACKENDS, why_not
from dfim_fast.graph.cone import changed_rows, receptive_field
from dfim_fast.graph.graph import Graph
from dfim_fast.maps.model import Model
from dfim_fast.plan.plan import Plan

TASKS_SHOWN = 200


def about(model: Model, plans: Sequence[Plan]) -> list[str]:
    """Layers, reach, tasks, backends and counted work.

    Parameters
    ----------
    model : Model
    plans : sequence of Plan
        Of the maps that would be made, by fold.

    Returns
    -------
    list of str
    """
    names = model.task_names
    shown = [f"  {i:4d}  {name}" for i, name in enumerate(names[:TASKS_SHOWN])]
    if len(names) > TASKS_SHOWN:
        shown.append(f"  ... and {len(names) - TASKS_SHOWN} more")
    lines = [f"{model.name} ({model.hash})"]
    for name, plan in zip(model.names, plans, strict=True):
        of = f" of {name}" if len(plans) > 1 else ""
        graph = plan.graph
        lines += [
            "",
            f"Layers{of}: positions x channels, and how many positions one mutation in the middle "
            "changes",
            *_layers(graph),
            "",
            f"Reach{of}",
            f"  sequence length {graph.length}, receptive field "
            f"{receptive_field(graph, graph.tasks[0].node)} bp before positions are mixed",
            *_reach(plan),
            "",
            f"Work{of}",
            # its list of layers stands above already
            *(f"  {line}" for line in plan.explain().splitlines() if not line.startswith("  ")),
        ]
    folds = f", means over {len(plans)} folds" if len(plans) > 1 else ""
    return [
        *lines,
        "",
        f"Tasks, scored at the {model.head}{folds}",
        *shown,
        "",
        "Backends",
        *backends(),
    ]


def _layers(graph: Graph) -> Iterator[str]:
    start = np.zeros((1, graph.length), dtype=bool)
    start[0, graph.length // 2] = True
    changed = changed_rows(graph, tuple(range(len(graph.nodes))), start)
    for i, node in enumerate(graph.nodes):
        reads = "from " + ", ".join(map(str, node.inputs)) if node.inputs else ""
        yield (
            f"  {i:4d}  {node.op.describe():30s} {node.shape[0]:6d} x {node.shape[1]:<6d} "
            f"{int(changed[i].sum()):6d}  {reads}".rstrip()
        )


def _reach(plan: Plan) -> Iterator[str]:
    """How far interactions can go, task by task where tasks differ."""
    names = [plan.graph.tasks[t].name for t in plan.tasks]
    inside = (plan.targets >= 0) & (plan.targets != plan.sources[:, None])
    distance = np.abs(plan.targets - plan.sources[:, None])
    found: dict[str, list[str]] = {}
    for name, reached in zip(names, plan.reach, strict=True):
        farthest = int(distance[inside & reached].max(initial=0))
        share = (inside & reached).sum() / max(1, inside.sum())
        text = f"up to {farthest} bp; {share:.1%} of the source-target pairs can interact"
        found.setdefault(text, []).append(name)
    for text, tasks in found.items():
        own = f" ({', '.join(tasks)})" if len(found) > 1 else ""
        yield f"  interaction range{own}: {text}"


def backends() -> list[str]:
    """Which backends there are and which not, and the CUDA devices."""
    lines = []
    for name, entry in BACKENDS.items():
        why = why_not(name)
        state = "available" if why is None else f"not available: {why}"
        lines.append(f"  {name} ({entry.about}): {state}")
    return [*lines, f"  CUDA devices: {_devices()}"]


def _devices() -> str:
    if importlib.util.find_spec("dfim_fast._native") is None:
        return "not known, the native module was not built (no nvcc when dfim_fast was installed)"
    try:
        native = importlib.import_module("dfim_fast._native")
        found = native.devices()
    except (ImportError, RuntimeError) as error:
        return str(error)
    return "; ".join(
        f"{device['index']} {device['name']}, {device['total_memory'] / 2**30:.0f} GiB, "
        f"compute capability {'.'.join(map(str, device['compute_capability']))}"
        for device in found
    )

"""What depends on the network alone, made once for all calls: a small map takes no longer to make.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import numpy as np

from dfim_fast.backends.numba_cpu.events.program import EventProgram, compile_events
from dfim_fast.backends.numba_cpu.gelu import FastGelu
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.gelu import Gelu
from dfim_fast.plan.plan import Plan

KEPT = 8  # programs of one network


@dataclass
class _Kept:
    """Nothing here may hold the network itself, or neither would ever be let go."""

    single: Graph
    programs: dict[object, EventProgram] = field(default_factory=dict)


_networks: WeakKeyDictionary[Graph, _Kept] = WeakKeyDictionary()


def _of(graph: Graph) -> _Kept:
    if graph not in _networks:
        _networks[graph] = _Kept(with_own(graph.astype(np.float32)))
    return _networks[graph]


def with_own(graph: Graph) -> Graph:
    """The network with those operators that have a faster form here."""
    nodes = [replace(n, op=FastGelu()) if type(n.op) is Gelu else n for n in graph.nodes]
    return Graph(tuple(nodes), graph.tasks)


def single_precision(graph: Graph) -> Graph:
    """The network with float32 constants."""
    return _of(graph).single


def program_of(plan: Plan) -> EventProgram:
    """The event program of a plan."""
    kept = _of(plan.graph)
    method = "deeplift" if plan.n_references else plan.method
    key = plan.tasks, method, plan.rule, plan.contribution
    if key not in kept.programs:
        if len(kept.programs) >= KEPT:
            kept.programs.pop(next(iter(kept.programs)))
        kept.programs[key] = compile_events(
            kept.single, list(plan.tasks), method, plan.rule, plan.contribution
        )
    return kept.programs[key]

"""Hidden heads: the far part from a basis of units, so that only cones are walked for each mutant.

See csrc/kernels/far.cuh and ALGORITHM section 2. The head is passed down for every mutant, to the
units that read the trunk; what differs there from the original is combined from gradients of single
units, wherever the mutant's own cone does not reach.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.geometry import Windows, joined
from dfim_fast.backends.cuda.head import Head, Top, Units
from dfim_fast.backends.cuda.network import Acts, Network, Pairs
from dfim_fast.backends.cuda.views import View
from dfim_fast.graph.graph import Task
from dfim_fast.plan.cones import Hulls, entries, hull, marked
from dfim_fast.plan.plan import Plan

SHARE = 4  # of the budget that one batch of units may take: a quarter


def pays(plan: Plan, mutants: int) -> bool:
    """Whether there can be no more units than mutants; decided before any data is seen."""
    if plan.cones is None:
        return False
    nodes = plan.graph.nodes
    if all(nodes[i].op.linear for i in plan.cones.split.head):
        return False  # every mutant has the original's gradient there
    return sum(nodes[i].shape[1] for i in entries(plan.graph, plan.cones.split)) <= mutants


def near(plan: Plan, device: Device, nodes: tuple[int, ...]) -> tuple[Windows, Windows]:
    """Rows that the near part computes, and rows of gradients that it or the result reads."""
    assert plan.cones is not None
    graph, cones = plan.graph, plan.cones
    computed, held = (Windows(device, graph, nodes) for _ in range(2))
    rows: dict[int, np.ndarray] = {}
    for i in cones.split.trunk:
        hulls = cones.differing[i]
        if i == 0:
            hulls = joined(hulls, cones.changed[0])
        computed.narrow(i, hulls)
        rows[i] = computed.mask(i, len(plan.sources))
    for i in cones.split.trunk:
        needed = rows[i].copy()
        if i == 0:
            needed |= marked(plan.targets, graph.length)
        else:
            needed |= graph.nodes[i].op.spread([rows[j] for j in graph.nodes[i].inputs])
        held.narrow(i, Hulls(*hull(needed), graph.nodes[i].shape[0]))
    return computed, held


class FarPart:
    """The way down of many mutants through a hidden head.

    Parameters
    ----------
    network : Network
    plan : Plan
    budget : int
        Bytes of device memory for everything.
    """

    def __init__(self, network: Network, plan: Plan, budget: int) -> None:
        assert plan.cones is not None
        self.network, self.plan, self.device = network, plan, network.device
        self.graph, self.budget = network.graph, budget
        self.references = max(plan.n_references, 1)
        self.computed, self.held = near(plan, network.device, network.nodes)
        self.head = Head(network, plan.cones.split)

    def bytes_of(self) -> int:
        """Memory that one mutant's gradients take against all references."""
        width = self.held.width
        held = sum(width[i] * self.graph.nodes[i].shape[1] for i in self.head.trunk)
        head = sum(self.graph.nodes[i].shape[1] for i in self.head.nodes)
        return 4 * self.references * (held + 3 * head)

    def walk(
        self,
        task: Task,
        pairs: Pairs,
        sources: Buffer,
        mutants: list[slice],
        acts: Acts,
        original: Acts,
        references: Acts | None,
        down: dict[int, View],
    ) -> View:
        """Gradients or multipliers of mutants at the input, on all rows that are held.

        ``mutants`` says which are those of each sequence of the batch.
        """
        top = self.head.top(task, pairs, mutants, acts, references, down)
        _, first, trunk = self.head.below(task)
        views = {
            i: self.held.view(
                i,
                self.graph.nodes[i].shape[1],
                pairs.count,
                down[i].own,
                source=sources,
                owner=pairs.reference,
            )
            for i in trunk
        }
        self._combine(pairs, top, len(mutants), original, references, down, views, trunk)

        def room(i: int, channels: int, won: bool = False) -> View:
            return self.computed.inside(views[i], i, sources)

        nodes = sorted({*first, *trunk})
        walk = self.network.backward(top.own, nodes, trunk, pairs, acts, references, room)
        deque(walk, maxlen=0)
        return views[0]

    def _combine(
        self,
        pairs: Pairs,
        top: Top,
        sequences: int,
        original: Acts,
        references: Acts | None,
        down: dict[int, View],
        views: dict[int, View],
        trunk: list[int],
    ) -> None:
        """Fill the held rows of every node, a batch of units at a time, in the units' order."""
        units = Units(self.device, [top])
        coefficients = self.head.coefficients(top, units, pairs.count)
        many = sequences * self.references
        batch = max(1, self.budget // SHARE // (4 * many * self.graph.values(trunk)))
        all_of = range(sequences), range(self.references)
        for begin in range(0, max(units.total, 1), batch):
            part = range(begin, min(begin + batch, units.total))
            basis = self.head.basis(units, part, *all_of, original, references, trunk, trunk)
            for i in trunk:
                out = views[i]
                if not out.width:
                    continue
                self.device.launch(
                    "combine",
                    pairs.count * out.width,
                    out.pack(),
                    down[i].through(pairs.reference).pack(),
                    basis[i].address if len(part) else 0,
                    0 if coefficients is None else coefficients.address,
                    units.total,
                    begin,
                    len(part),
                    many,
                    begin == 0,
                    pairs.count,
                )

"""Hidden heads: the far part from a basis of units, so that only cones are walked for each mutant.

See csrc/kernels/far.cuh and ALGORITHM section 2. The head is passed down for every mutant, to the
units that read the trunk; what differs there from the original is combined from gradients of single
units, wherever the mutant's own cone does not reach.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.geometry import Windows, joined
from dfim_fast.backends.cuda.network import Acts, Network, Pairs
from dfim_fast.backends.cuda.views import View
from dfim_fast.graph.graph import Task
from dfim_fast.plan.cones import Cones, Hulls, hull, marked
from dfim_fast.plan.plan import Plan

PAIRS = 256  # that one warp looks through for units that differ
SHARE = 4  # of the budget that one batch of units may take: a quarter


def entries(graph_nodes: tuple, windows: Cones) -> tuple[int, ...]:
    """Nodes of the head that read the trunk."""
    trunk = {*windows.split.trunk}
    return tuple(i for i in windows.split.head if not trunk.isdisjoint(graph_nodes[i].inputs))


def pays(plan: Plan, mutants: int) -> bool:
    """Whether there can be no more units than mutants; decided before any data is seen."""
    if plan.cones is None:
        return False
    nodes = plan.graph.nodes
    if all(nodes[i].op.linear for i in plan.cones.split.head):
        return False  # every mutant has the original's gradient there
    return sum(nodes[i].shape[1] for i in entries(nodes, plan.cones)) <= mutants


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


@dataclass(frozen=True)
class Top:
    """Where the trunk's walk begins: the head's first units.

    Attributes
    ----------
    own : dict of View (pairs, 1, units)
        Gradients of mutants, by node.
    base : dict of View (references, 1, units)
        Of the original.
    units : dict of (Buffer (sequences, count) int32, int)
        Those that differ for some mutant of a sequence, in ascending order, -1 where the sequence
        has fewer than others; and the count.
    coefficients : Buffer (pairs, F) or None
        By how much; None where nothing differs.
    total : int
        F, all nodes' columns in order.
    """

    own: dict[int, View]
    base: dict[int, View]
    units: dict[int, tuple[Buffer, int]]
    coefficients: Buffer | None
    total: int


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
        self.head = plan.cones.split.head
        self.entries = entries(plan.graph.nodes, plan.cones)
        self.trunk = plan.cones.split.trunk

    def below(self, task: Task) -> tuple[list[int], list[int], list[int]]:
        """Nodes that a task depends on: of the head, those that begin the trunk's walk, trunk."""
        nodes = self.graph.ancestors(task.node)
        head = [i for i in nodes if i in self.head]
        return head, [i for i in head if i in self.entries], [i for i in nodes if i in self.trunk]

    def bytes_of(self) -> int:
        """Memory that one mutant's gradients take against all references."""
        width = self.held.width
        held = sum(width[i] * self.graph.nodes[i].shape[1] for i in self.trunk)
        head = sum(self.graph.nodes[i].shape[1] for i in self.head)
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
        top = self._top(task, pairs, mutants, acts, references, down)
        _, first, trunk = self.below(task)
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
        self._combine(pairs, top, len(mutants), original, references, down, views, first, trunk)

        def room(i: int, channels: int, won: bool = False) -> View:
            return self.computed.inside(views[i], i, sources)

        nodes = sorted({*first, *trunk})
        walk = self.network.backward(top.own, nodes, trunk, pairs, acts, references, room)
        deque(walk, maxlen=0)
        return views[0]

    def _top(
        self,
        task: Task,
        pairs: Pairs,
        mutants: list[slice],
        acts: Acts,
        references: Acts | None,
        down: dict[int, View],
    ) -> Top:
        """Down the head for every pair, and what differs from the original at its first units."""
        head, first, _ = self.below(task)

        def room(i: int, channels: int, won: bool = False) -> View:
            buffer = self.device.allocate(4 * pairs.count * channels)
            return View(1, channels, 1, buffer)

        walk = self.network.backward(
            self.network.seed(task), head, head, pairs, acts, references, room
        )
        own = {i: g for i, g in walk if i in first}
        base = {i: down[i].through(pairs.reference) for i in first}
        units = {i: self._differing(own[i], base[i], mutants) for i in first}
        total = sum(count for _, count in units.values())
        if not total:
            return Top(own, base, units, None, 0)
        coefficients = self.device.allocate(4 * pairs.count * total)
        column = 0
        for i in first:
            listed, count = units[i]
            self.device.launch(
                "differences",
                pairs.count if count else 0,
                coefficients.address,
                own[i].pack(),
                base[i].pack(),
                listed.address,
                count,
                column,
                total,
                self.references,
                pairs.count,
            )
            column += count
        return Top(own, base, units, coefficients, total)

    def _differing(self, own: View, base: View, mutants: list[slice]) -> tuple[Buffer, int]:
        """Units of each sequence whose gradient differs for some of its pairs; see Top."""
        begin: list[int] = []
        sequence: list[int] = []
        for number, part in enumerate(mutants):
            starts = range(part.start * self.references, part.stop * self.references, PAIRS)
            begin += starts
            sequence += [number] * len(starts)
        ends = np.array([mutants[n].stop * self.references for n in sequence])
        first = np.array(begin, np.int32)
        last = np.minimum(first + PAIRS, ends).astype(np.int32)
        flags = self.device.allocate(4 * len(first) * own.channels)
        ranges = self.device.upload(np.stack([first, last]))
        self.device.launch(
            "differs",
            len(first),
            flags.address,
            own.pack(),
            base.pack(),
            ranges.address,
            ranges.address + first.nbytes,
            len(first),
        )
        found = self.device.read(flags, (len(first), own.channels), np.int32).astype(bool)
        differ = np.zeros((len(mutants), own.channels), bool)
        np.logical_or.at(differ, sequence, found)
        count = int(differ.sum(axis=1).max())
        listed = np.full((len(mutants), count), -1, np.int32)
        for row, own_units in zip(listed, differ, strict=True):
            units = np.flatnonzero(own_units)
            row[: len(units)] = units
        return self.device.upload(listed), count

    def _combine(
        self,
        pairs: Pairs,
        top: Top,
        sequences: int,
        original: Acts,
        references: Acts | None,
        down: dict[int, View],
        views: dict[int, View],
        first: list[int],
        trunk: list[int],
    ) -> None:
        """Fill the held rows of every node, a batch of units at a time, in the units' order."""
        many = sequences * self.references
        batch = max(1, self.budget // SHARE // (4 * many * self.graph.values(trunk)))
        for begin in range(0, max(top.total, 1), batch):
            count = min(batch, top.total - begin)
            basis = self._basis(top, begin, count, sequences, original, references, first, trunk)
            for i in trunk:
                out = views[i]
                if not out.width:
                    continue
                self.device.launch(
                    "combine",
                    pairs.count * out.width,
                    out.pack(),
                    down[i].through(pairs.reference).pack(),
                    0 if basis is None else basis[i].address,
                    0 if top.coefficients is None else top.coefficients.address,
                    top.total,
                    begin,
                    count,
                    many,
                    begin == 0,
                    pairs.count,
                )

    def _basis(
        self,
        top: Top,
        begin: int,
        count: int,
        sequences: int,
        original: Acts,
        references: Acts | None,
        first: list[int],
        trunk: list[int],
    ) -> dict[int, Buffer] | None:
        """Gradients (count, sequences, references, L, C) of single units at the trunk's nodes."""
        if not count:
            return None
        many = sequences * self.references
        item = np.arange(count * many, dtype=np.int32) % many
        pairs = Pairs(
            len(item),
            self.device.upload(item // self.references),
            self.device.upload(item),
        )
        arriving, column = {}, 0
        for i in first:
            listed, own = top.units[i]
            channels = self.graph.nodes[i].shape[1]
            arriving[i] = View(1, channels, 1, self.device.allocate(4 * len(item) * channels))
            self.device.launch(
                "single_units",
                len(item),
                arriving[i].pack(),
                listed.address,
                own,
                begin - column,
                sequences,
                self.references,
                len(item),
            )
            column += own

        def room(i: int, channels: int, won: bool = False) -> View:
            rows = self.graph.nodes[i].shape[0]
            return View(rows, channels, rows, self.device.allocate(4 * len(item) * rows * channels))

        nodes = sorted({*first, *trunk})
        walk = self.network.backward(arriving, nodes, trunk, pairs, original, references, room)
        return {i: view.own for i, view in walk if i in trunk and view.own is not None}

"""All mutants of a batch by the fused walk, csrc/kernels/walk.cuh: a launch up, and one down.

Under a linear head rows of the map come out banded: a mutant's importance on its own rows, the
original's elsewhere. Under a hidden head all rows differ, and those that no walk reaches come from
the head's units (csrc/kernels/walk_far.cuh).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.head import Head, Units
from dfim_fast.backends.cuda.layers.convolution import tiles
from dfim_fast.backends.cuda.layers.layer import Value
from dfim_fast.backends.cuda.layout import Layout
from dfim_fast.backends.cuda.network import Acts, Network
from dfim_fast.backends.cuda.results import Rows
from dfim_fast.backends.cuda.staged import METHODS, Original, Part, StagedEngine
from dfim_fast.backends.cuda.views import View
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.walk import ALTERNATES, LANES, Chain, walkable

FULL = 1 << 12  # warps that keep a GPU busy: with fewer, each group of references gets its own
SHARE = 4  # of the budget that the gradients of units may take: a quarter


@dataclass(frozen=True)
class Tile:
    """Some positions, walked up.

    Attributes
    ----------
    part : Part
        Their mutants, three for each.
    memory, gamma : Buffer
        What the walk keeps; the mutants' bases.
    """

    part: Part
    memory: Buffer
    gamma: Buffer

    @property
    def positions(self) -> int:
        """How many there are."""
        return self.part.count // ALTERNATES


@dataclass(frozen=True)
class Batch:
    """What is walked down together.

    Attributes
    ----------
    references, sequences : range
        Of all references; of the sequences whose units there are.
    basis : dict of Buffer (units, sequences, references, L, C)
        Gradients of single units of a hidden head, by node.
    units : int
    """

    references: range
    sequences: range
    basis: dict[int, Buffer]
    units: int


class FusedWalk:
    """The walk of one plan.

    Parameters
    ----------
    network : Network
    plan : Plan
    chain : Chain
    budget : int
        Bytes of device memory to use.

    Attributes
    ----------
    nodes : set of int
        Where it reads what arrives on the original's way down.
    tile : int
        Positions that are walked together.
    """

    def __init__(self, network: Network, plan: Plan, chain: Chain, budget: int) -> None:
        self.network, self.plan, self.chain, self.budget = network, plan, chain, budget
        self.device: Device = network.device
        self.head = Head(network, chain.division) if chain.units else None
        self.references = max(plan.n_references, 1)
        self.groups = max(plan.groups, 1)
        self.layout = Layout(network, plan, chain)
        self.trunk = {0, *(stage.gate for stage in chain.stages)}
        self.trunk |= {stage.pool for stage in chain.stages if stage.pool is not None}
        self.nodes = self.trunk | {*(() if self.head is None else self.head.first)}
        self.tile = max(1, budget // 2 // self._bytes())

    def _bytes(self) -> int:
        """Memory that one position takes."""
        tasks = len(self.network.tasks)
        floats = self.layout.each + ALTERNATES * tasks * self.layout.width * self.groups
        if self.head is not None:
            graph = self.network.graph
            hidden = sum(graph.nodes[i].shape[1] for i in self.head.nodes)
            top = self.layout.top_width * graph.nodes[self.chain.stages[-1].top].shape[1]
            floats += ALTERNATES * (top + (2 + tasks) * self.references * hidden)
        return 4 * floats

    @classmethod
    def of(cls, network: Network, plan: Plan, budget: int) -> FusedWalk | None:
        """The walk of a plan, or None where it has to go layer by layer."""
        chain = walkable(plan.graph, plan.tasks, plan.cost.mutants)
        return None if isinstance(chain, str) else cls(network, plan, chain, budget)

    # -- mutants of a batch of sequences ---------------------------------------------------------

    def fill(self, engine: StagedEngine, rows: Rows) -> None:
        """Enter all single-nucleotide mutants, three for each position."""
        rows.gained = self.head is None
        tile, count = ALTERNATES * self.tile, len(rows.edits)
        for first in range(0, count, tile):
            some = range(first, min(first + tile, count))
            if self.head is None:
                self._linear(engine, rows, some)
            else:
                self._hidden(self.head, engine, rows, some)

    def _linear(self, engine: StagedEngine, rows: Rows, some: range) -> None:
        """Mutants under a linear head: gradients at the trunk's top are the original's."""
        tile, original = self._tile(engine, rows, some), rows.original
        every = Batch(range(self.references), range(1), {}, 0)
        for k in range(len(self.network.tasks)):
            tensors = self.layout.tensors(original, k, {})
            self._up(tile, original, tensors, None, rows.scores(k, some.start))
            out = self._room(tile, original.base[k])
            self._down(tile, out, original, k, tensors, None, every)
            rows.add(k, some.start, tile.part, out)

    def _hidden(self, head: Head, engine: StagedEngine, rows: Rows, some: range) -> None:
        """Mutants under a hidden head; half of them at a time where more units differ than there is
        memory for.
        """
        tile, original = self._tile(engine, rows, some), rows.original
        acts = self._passed(head, tile, original)
        pairs, _ = engine.pairs(tile.part)
        mutants = [tile.part.edits.span_of(b, b + 1) for b in range(original.count)]
        references, tasks = original.references, self.network.tasks
        tops = [
            head.top(task, pairs, mutants, acts, references, walk)
            for task, walk in zip(tasks, original.down, strict=True)
        ]
        units = Units(self.device, tops)
        owner = tile.part.edits.owner
        sequences = range(int(owner[0]), int(owner[-1]) + 1)
        step = self._fitting(units.total * len(sequences))
        if not step and tile.positions > 1:
            middle = some.start + tile.positions // 2 * ALTERNATES
            for half in (range(some.start, middle), range(middle, some.stop)):
                self._hidden(head, engine, rows, half)
            return
        coefficients = [head.coefficients(top, units, pairs.count) for top in tops]
        outs = [self._room(tile, view) for view in original.base]
        each = 4 * self.references * units.total * self.network.graph.length
        apart = self.device.allocate(each * len(sequences))
        for begin in range(0, self.references, max(step, 1)):
            batch = range(begin, min(begin + max(step, 1), self.references))
            basis = head.basis(
                units, range(units.total), sequences, batch, original.acts, references,
                head.trunk, self.trunk,
            )  # fmt: skip
            now = Batch(batch, sequences, basis, units.total)
            if basis:
                self._contract(apart, original, now)
            for k, (out, shares) in enumerate(zip(outs, coefficients, strict=True)):
                tensors = self.layout.tensors(original, k, basis)
                self._down(tile, out, original, k, tensors, shares, now)
        for k, (task, out) in enumerate(zip(tasks, outs, strict=True)):
            for b in sequences:
                here = apart.part(each * (b - sequences.start), each)
                self._far(tile, out, coefficients[k], here, units.total, mutants[b])
            engine.score(task, acts, tile.part.count, rows.scores(k, some.start))
            rows.add(k, some.start, tile.part, out)

    # -- what a tile needs ----------------------------------------------------------------------

    def _tile(self, engine: StagedEngine, rows: Rows, some: range) -> Tile:
        """Memory for some positions."""
        part = engine.part(rows.edits[some.start : some.stop])
        return Tile(
            part,
            self.device.allocate(4 * self.layout.each * (part.count // ALTERNATES)),
            self.device.upload(np.ascontiguousarray(part.edits.mutants.slot[:, 1], np.int32)),
        )

    def _room(self, tile: Tile, base: View) -> View:
        """Importance (M, width, G) of the mutants over that of their originals."""
        part = tile.part
        own = self.device.allocate(4 * part.count * self.layout.width * self.groups)
        start, width = self.layout.start, self.layout.width
        return View(base.rows, self.groups, width, own, base.own, start, part.source, part.owner)

    def _passed(self, head: Head, tile: Tile, original: Original) -> Acts:
        """Activations of the head, and the trunk's output that it reads."""
        top, part = self.chain.stages[-1].top, tile.part
        rows, channels = self.network.graph.nodes[top].shape
        start, width = self.layout.top_start, self.layout.top_width
        own = self.device.allocate(4 * part.count * width * channels)
        base = original.acts[top].y.own
        view = View(rows, channels, width, own, base, start, part.source, part.owner)
        self._up(tile, original, self.layout.tensors(original, 0, {}), view, None)
        return head.forward(part.count, {top: Value(view)})

    def _fitting(self, units: int) -> int:
        """References whose gradients of so many units there is memory for; may be none."""
        each = 4 * max(units, 1) * self.network.graph.values(self.chain.division.trunk)
        return int(min(self.references, self.budget // SHARE // each))

    # -- launches -------------------------------------------------------------------------------

    def _up(
        self,
        tile: Tile,
        original: Original,
        tensors: Buffer,
        top: View | None,
        gained: Buffer | None,
    ) -> None:
        """Walk up: into ``gained`` (M,) what scores gain, or into ``top`` what leaves the trunk."""
        sequence = original.acts[0].y.own
        assert sequence is not None
        self.device.launch(
            "walk_up",
            tile.positions,
            (View(0, 0, 0, None) if top is None else top).pack(),
            0 if gained is None else gained.address,
            tile.memory.address,
            self.layout.each,
            tensors.address,
            self.layout.stages.address,
            self.layout.spans.address,
            self.layout.slopes.address,
            len(self.chain.stages),
            self.layout.moving,
            self.layout.room,
            self.layout.conv(self.chain.stages[0]).bias.address,
            sequence.address,
            self.network.graph.length,
            tile.part.first.address,
            tile.gamma.address,
            tile.part.source.address,
            tile.part.owner.address,
            self.plan.n_references,
            tile.positions,
        )

    def _down(
        self,
        tile: Tile,
        out: View,
        original: Original,
        k: int,
        tensors: Buffer,
        coefficients: Buffer | None,
        batch: Batch,
    ) -> None:
        """Walk down against some references, into ``out``."""
        plan, against = self.plan, original.references
        sequence, gradients = original.acts[0].y.own, original.down[k][0].own
        reference = None if against is None else against[0].y.own
        assert sequence is not None and gradients is not None
        splits = self.groups if tile.positions < FULL else 1
        self.device.launch(
            "walk_down",
            tile.positions * splits,
            out.pack(),
            tile.memory.address,
            self.layout.each,
            tensors.address,
            self.layout.stages.address,
            self.layout.spans.address,
            self.layout.reads.address,
            self.layout.slopes.address,
            len(self.chain.stages),
            self.layout.moving,
            self.layout.room,
            0 if coefficients is None else coefficients.address,
            batch.basis[0].address if batch.basis else 0,
            batch.units,
            batch.sequences.start,
            len(batch.sequences),
            sequence.address,
            0 if reference is None else reference.address,
            gradients.address,
            tile.part.first.address,
            tile.gamma.address,
            tile.part.source.address,
            tile.part.owner.address,
            METHODS.index(plan.method),
            int(plan.contribution == "projected"),
            int(against is not None and plan.rule.maxpool == "shap"),
            plan.n_references,
            batch.references.start,
            len(batch.references),
            splits,
            plan.rule.epsilon,
            tile.positions,
        )

    def _contract(self, apart: Buffer, original: Original, batch: Batch) -> None:
        """Importance (sequences, references, units, L) of single units."""
        plan, against = self.plan, original.references
        length, count = self.network.graph.length, len(batch.sequences)
        x = original.acts[0].y.items(batch.sequences.start, count).own
        r = None
        if against is not None:
            first = batch.sequences.start * self.references
            r = against[0].y.items(first, count * self.references).own
        assert x is not None
        items = batch.units * count * len(batch.references)
        self.device.launch(
            "walk_units",
            items * -(-length // LANES),
            apart.address,
            batch.basis[0].address,
            x.address,
            0 if r is None else r.address,
            length,
            batch.units,
            count,
            METHODS.index(plan.method),
            int(plan.contribution == "projected"),
            plan.n_references,
            batch.references.start,
            len(batch.references),
            items,
        )

    def _far(
        self,
        tile: Tile,
        out: View,
        coefficients: Buffer | None,
        apart: Buffer,
        units: int,
        mutants: slice,
    ) -> None:
        """The rows of ``out`` that no walk reaches, of the mutants of one sequence."""
        count = mutants.stop - mutants.start
        self.device.launch(
            "walk_far",
            tiles(count, out.rows),
            out.pack(),
            0 if coefficients is None else coefficients.address,
            apart.address,
            self.layout.reads.address,
            tile.part.first.address,
            units,
            self.references,
            mutants.start,
            count,
        )

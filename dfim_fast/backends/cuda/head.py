"""A hidden head for many mutants at once: how they differ from their original at its first units.

See csrc/kernels/far.cuh and ALGORITHM section 2. What the head passes down for a mutant differs
from the original in a few units, and what a unit alone sends through the trunk is the same for all
mutants of a sequence.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.layers.layer import Value
from dfim_fast.backends.cuda.network import Acts, Network, Pairs
from dfim_fast.backends.cuda.views import View
from dfim_fast.graph.graph import Task
from dfim_fast.plan.cones import Split, entries

PAIRS = 256  # that one warp looks through for units that differ


@dataclass(frozen=True)
class Top:
    """What arrives at the head's first units, by node.

    Attributes
    ----------
    own : dict of View (pairs, 1, units)
        Gradients of mutants.
    base : dict of View (references, 1, units)
        Of the originals, looked up by pairs.
    differ : dict of ndarray (sequences, units) of bool
        Units that differ for some mutant of a sequence.
    """

    own: dict[int, View]
    base: dict[int, View]
    differ: dict[int, np.ndarray]


class Units:
    """Units of a batch of sequences, in columns: those of one node after those of another.

    Parameters
    ----------
    device : Device
    tops : sequence of Top
        Units that differ in any of them.

    Attributes
    ----------
    of : dict of (Buffer (sequences, count) int32, int)
        Their numbers, by node, in ascending order, -1 where a sequence has fewer than others; and
        the count.
    total : int
        All columns.
    """

    def __init__(self, device: Device, tops: Sequence[Top]) -> None:
        self.of: dict[int, tuple[Buffer, int]] = {}
        for i in sorted({i for top in tops for i in top.differ}):
            differ = np.logical_or.reduce([top.differ[i] for top in tops if i in top.differ])
            count = int(differ.sum(axis=1).max())
            listed = np.full((len(differ), count), -1, np.int32)
            for row, own in zip(listed, differ, strict=True):
                units = np.flatnonzero(own)
                row[: len(units)] = units
            self.of[i] = device.upload(listed), count
        self.total = sum(count for _, count in self.of.values())


class Head:
    """The head of a network.

    Parameters
    ----------
    network : Network
    division : Split

    Attributes
    ----------
    nodes, first : tuple of int
        All of the head, and those that read the trunk.
    """

    def __init__(self, network: Network, division: Split) -> None:
        self.network, self.device, self.graph = network, network.device, network.graph
        self.nodes, self.first = division.head, entries(network.graph, division)
        self.trunk = division.trunk
        self.references = max(network.plan.n_references, 1)

    def below(self, task: Task) -> tuple[list[int], list[int], list[int]]:
        """Nodes that a task depends on: of the head, those that read the trunk, of the trunk."""
        nodes = self.graph.ancestors(task.node)
        head = [i for i in nodes if i in self.nodes]
        return head, [i for i in head if i in self.first], [i for i in nodes if i in self.trunk]

    def _row(self, items: int, channels: int) -> View:
        """Memory for one row of each item."""
        return View(1, channels, 1, self.device.allocate(4 * items * channels))

    def forward(self, items: int, acts: Acts) -> Acts:
        """Pass the trunk's output, in ``acts``, through the head."""
        acts = dict(acts)
        for i in self.nodes:
            node = self.graph.nodes[i]
            acts[i] = Value(self._row(items, node.shape[1]))
            self.network.layers[i].forward(items, acts[i], [acts[j].y for j in node.inputs])
        return acts

    def top(
        self,
        task: Task,
        pairs: Pairs,
        mutants: Sequence[slice],
        acts: Acts,
        references: Acts | None,
        down: dict[int, View],
    ) -> Top:
        """Down the head for every pair; ``mutants`` says which are those of each sequence."""
        head, first, _ = self.below(task)
        walk = self.network.backward(
            self.network.seed(task),
            head,
            head,
            pairs,
            acts,
            references,
            lambda i, channels, won=False: self._row(pairs.count, channels),
        )
        own = {i: g for i, g in walk if i in first}
        base = {i: down[i].through(pairs.reference) for i in first}
        return Top(own, base, {i: self._differing(own[i], base[i], mutants) for i in first})

    def _differing(self, own: View, base: View, mutants: Sequence[slice]) -> np.ndarray:
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
        return differ

    def coefficients(self, top: Top, units: Units, pairs: int) -> Buffer | None:
        """By how much units differ (pairs, columns); None where none does."""
        if not units.total:
            return None
        found, column = self.device.allocate(4 * pairs * units.total), 0
        if units.of.keys() != top.own.keys():
            self.device.clear(found)  # some begin the heads of other tasks
        for i, (listed, count) in units.of.items():
            if i in top.own:
                self.device.launch(
                    "differences",
                    pairs if count else 0,
                    found.address,
                    top.own[i].pack(),
                    top.base[i].pack(),
                    listed.address,
                    count,
                    column,
                    units.total,
                    self.references,
                    pairs,
                )
            column += count
        return found

    def basis(
        self,
        units: Units,
        columns: range,
        sequences: range,
        batch: range,
        original: Acts,
        references: Acts | None,
        trunk: Sequence[int],
        keep: Container[int],
    ) -> dict[int, Buffer]:
        """Gradients (columns, sequences, references, L, C) of single units at nodes of the trunk.

        Parameters
        ----------
        columns, sequences, batch : range
            Of the units, of the batch's sequences, and of references.
        trunk : sequence of int
            Nodes to pass.
        keep : container of int
            Nodes of which to return something.
        """
        if not len(columns):
            return {}
        each = len(sequences) * len(batch)
        item = np.arange(len(columns) * each, dtype=np.int32) % each
        window = item // len(batch) + sequences.start
        reference = window * self.references + item % len(batch) + batch.start
        pairs = Pairs(len(item), *(self.device.upload(a) for a in (window, reference)))
        arriving, column = {}, 0
        for i, (listed, count) in units.of.items():
            arriving[i] = self._row(len(item), self.graph.nodes[i].shape[1])
            self.device.launch(
                "single_units",
                len(item),
                arriving[i].pack(),
                listed.address + 4 * count * sequences.start,
                count,
                columns.start - column,
                len(sequences),
                len(batch),
                len(item),
            )
            column += count

        def room(i: int, channels: int, won: bool = False) -> View:
            rows = self.graph.nodes[i].shape[0]
            return View(rows, channels, rows, self.device.allocate(4 * len(item) * rows * channels))

        nodes = sorted({*units.of, *trunk})
        walk = self.network.backward(arriving, nodes, trunk, pairs, original, references, room)
        return {i: view.own for i, view in walk if i in keep and view.own is not None}

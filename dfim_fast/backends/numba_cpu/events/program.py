"""The engine's front: a graph compiled to a table once, then one sequence after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.case import (
    CENTRED,
    OBSERVED,
    PROJECTED,
    TIMES_INPUT,
    Mutated,
)
from dfim_fast.backends.numba_cpu.events.head import Acts, Head
from dfim_fast.backends.numba_cpu.events.hidden import BYTES
from dfim_fast.backends.numba_cpu.events.layout import SLACK, Builder, Net, aligned, whole_vectors
from dfim_fast.backends.numba_cpu.events.memory import Memories
from dfim_fast.backends.numba_cpu.events.replay import mark_kept, slot_floats
from dfim_fast.backends.numba_cpu.events.rows import Rows
from dfim_fast.backends.numba_cpu.events.run import Into, Run
from dfim_fast.backends.numba_cpu.events.steps import enter_steps
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Array, Rule

KEPT_BYTES = 256 << 20  # most that mutants' ways up may take; without, they are walked again


class EventProgram:
    """A graph, its tasks and its rule, ready to run. Made by ``compile_events``."""

    def __init__(
        self, graph: Graph, tasks: list[int], method: str, rule: Rule, contribution: str
    ) -> None:
        self.graph, self.tasks, self.method, self.rule = graph, list(tasks), method, rule
        self.builder = Builder(graph, self.tasks)
        self.head = Head(self.builder)
        self.net = Net(self.builder)
        self.memories = Memories()
        self.slots: dict[int, int] = {}  # by width
        if method == "deeplift":
            self.how = PROJECTED if contribution == "projected" else OBSERVED
            self.kind = col.SHAP if rule.maxpool == "shap" else col.DEEPLIFT
        else:
            self.how = CENTRED if method == "gradient_corrected" else TIMES_INPUT
            self.kind = col.GRADIENT
        enter_steps(self.net.table, self.net.index, self.kind)
        mark_kept(self.net.table, self.kind)
        self.tops = (
            [self.top_blob(self.head.tops(k)) for k in range(len(self.tasks))]
            if (self.head.linear)
            else []
        )

    def basis_bytes(self, references: int) -> int:
        """The most that the bases of a hidden head take for one sequence."""
        if self.head.linear:
            return 0
        tasks, builder = len(self.tasks), self.builder
        each = 4 * (
            whole_vectors(self.head.most) * builder.stored + tasks * builder.floats)
        return min(BYTES, each * max(references, 1))

    def slot(self, width: int) -> int:
        """Floats that a mutant's way up may take, see ``replay``."""
        if width not in self.slots:
            self.slots[width] = slot_floats(self.net.table, self.net.index, width)
        return self.slots[width]

    def kept_bytes(self, mutants: int, width: int = 1) -> int:
        """What the ways up of so many mutants may take; 0 where none is kept."""
        size = 0 if self.head.linear else mutants * self.slot(width) * 4
        return size if size <= KEPT_BYTES else 0

    def top_blob(self, tops: Acts) -> Array:
        """Gradients at the cut nodes, laid out as the table says."""
        blob = aligned(self.builder.tops + SLACK)
        for n, g in tops.items():
            row = self.net.table[self.builder.place[n]]
            rows, channels, pitch = row[[col.ROWS, col.CHANNELS, col.PITCH]]
            start = row[col.TOP]
            blob[start : start + rows * pitch].reshape(rows, pitch)[:, :channels] = g[0]
        return blob

    def cut_values(self, blobs: list[Array]) -> Acts:
        """Activations (B, L, C) of the nodes that the head reads."""
        found = {}
        for n in self.builder.cut:
            row = self.net.table[self.builder.place[n]]
            rows, channels, pitch = row[[col.ROWS, col.CHANNELS, col.PITCH]]
            start = row[col.BASE]
            found[n] = np.stack(
                [b[start : start + rows * pitch].reshape(rows, pitch)[:, :channels] for b in blobs]
            )
        return found

    def reading(self, x: Array, references: Array) -> Array:
        """What the multipliers of each reference are dotted with, (R, L, 4)."""
        if self.how == TIMES_INPUT:
            return x[None]
        if self.how == CENTRED:
            return (x - x.sum(1, keepdims=True) / 4)[None].astype(np.float32)
        return x[None] - references if self.how == PROJECTED else x[None] * (1 - references)

    def run(
        self,
        x: Array,
        references: Array | None,
        start: Array,
        width: Array,
        columns: Array,
        targets: Array | None = None,
        threads: int = 1,
        place: Array | None = None,
        places: int | None = None,
        into: Into | None = None,
    ) -> Rows:
        """Interaction rows of one sequence.

        Parameters
        ----------
        x : ndarray (L, 4) float32
        references : ndarray (R, L, 4) float32 or None
        start, width : ndarray (M,) int
        columns : ndarray (M, widest, 4) float32
            What stands in each mutant's span.
        targets : ndarray (M, W) or (W,) int, optional
            Positions to read, -1 for none; all L if not given.
        threads : int
        place : ndarray (M,) int, optional
            Row of each mutant in the results, which then have ``places`` rows; the others hold no
            change and the original's prediction.
        places : int, optional
        into : tuple of ndarray (K, M or places, W) float32 (or None for the second), optional
            Zeros that become the results' ``fis`` and ``standard_error``; every task's part is
            contiguous.
        """
        x = np.ascontiguousarray(x, np.float32)
        against = (
            np.zeros((0, *x.shape), np.float32)
            if self.kind == col.GRADIENT
            else (np.ascontiguousarray(references, np.float32))
        )
        mutated = Mutated(
            np.ascontiguousarray(start, np.int64),
            np.ascontiguousarray(width, np.int64),
            np.ascontiguousarray(columns, np.float32),
            np.arange(len(start)) if place is None else np.ascontiguousarray(place, np.int64),
            columns.shape[1],
        )
        wanted = (
            np.zeros((0, 0), np.int32)
            if targets is None
            else np.ascontiguousarray(np.atleast_2d(targets), np.int32)
        )
        memory = self.memories.take(self.builder, len(against), threads)
        with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
            run = Run(self, memory, x, against, mutated, wanted, into, pool, threads)
            rows = run.rows(len(start) if places is None else places)
        self.memories.give_back(len(against), threads, memory)
        return rows


def compile_events(
    graph: Graph, tasks: list[int], method: str, rule: Rule, contribution: str = "projected"
) -> EventProgram:
    """A program for a float32 graph that ``unsupported`` does not object to."""
    return EventProgram(graph, tasks, method, rule, contribution)

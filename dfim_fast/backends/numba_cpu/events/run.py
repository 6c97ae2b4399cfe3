"""One sequence through the engine."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.arriving import ROWS_OF_U
from dfim_fast.backends.numba_cpu.events.case import (
    PROJECTED,
    Case,
    Found,
    Mutated,
    Part,
    Sums,
    Upstream,
)
from dfim_fast.backends.numba_cpu.events.full import full_backward, full_forward, full_quotients
from dfim_fast.backends.numba_cpu.events.hidden import hidden_rows
from dfim_fast.backends.numba_cpu.events.layout import aligned, whole_vectors
from dfim_fast.backends.numba_cpu.events.memory import Memory, piece_of
from dfim_fast.backends.numba_cpu.events.rows import Rows
from dfim_fast.backends.numba_cpu.events.walk import walk
from dfim_fast.backends.rows import relative_error
from dfim_fast.ops.base import Array

if TYPE_CHECKING:
    from dfim_fast.backends.numba_cpu.events.program import EventProgram

GROUPS = 5  # of references, for the standard error
Into = tuple[Array, Array | None]  # where interactions and their standard errors go, both zero


class Run:
    """One sequence."""

    def __init__(
        self,
        program: EventProgram,
        memory: Memory,
        x: Array,
        references: Array,
        mutated: Mutated,
        targets: Array,
        into: Into | None,
        pool: ThreadPoolExecutor | None,
        threads: int,
    ) -> None:
        self.program, self.memory, self.pool, self.threads = program, memory, pool, threads
        self.x, self.references, self.mutated, self.targets = x, references, mutated, targets
        self.into = into
        self.fis = self.own = np.zeros((0, 0, 0, 0), np.float32)  # see Sums; for hidden heads
        self.slots, self.slot = 0, 0  # see replay; for hidden heads
        self.net, self.head = program.net, program.head
        self.tasks, self.count = len(program.tasks), max(1, len(references))
        sizes = np.bincount(np.arange(self.count) % GROUPS, minlength=min(self.count, GROUPS))
        self.sizes, self.groups = sizes, len(sizes)
        self.additive = (
            len(references) > 0 and program.how == PROJECTED and program.kind == col.SHAP
        )

    def spread_out(self, function: Callable[[int, int], None], items: list[int]) -> None:
        """Call ``function(item, thread)`` for all items, over the threads."""

        def part(t: int) -> None:
            for item in items[t :: self.threads]:
                function(item, t)

        if self.pool is None or len(items) == 1:
            for item in items:
                function(item, 0)
        else:
            list(self.pool.map(part, range(self.threads)))

    def rows(self, places: int) -> Rows:
        """All of it, results with so many rows."""
        memory, program = self.memory, self.program
        inputs = [self.x, *self.references]

        def one(i: int, t: int) -> None:
            work = memory.works[t]
            kept = work.header.copy()
            work.header[[f.NEW, f.ACTS]] = memory.acts[i].ctypes.data
            work.header[f.WINNER] = memory.winners[i].ctypes.data
            full_forward(self.net.address, inputs[i].ctypes.data, work.address)
            work.header[:] = kept

        self.spread_out(one, list(range(len(inputs))))
        self.acts = self.head.forward(program.cut_values(memory.acts))
        scores = self.head.scores(self.acts)
        self.prepare(scores, places)
        if len(self.references):
            self.spread_out(self.quotients, list(range(self.count)))
        if self.head.linear:
            self.linear_rows()
        else:
            hidden_rows(self)
        return self.result(scores)

    def prepare(self, scores: Array, many: int) -> None:
        """Case and empty results."""
        memory, program = self.memory, self.program
        length = len(self.x)
        width = self.targets.shape[1] if len(self.targets) else length
        group = np.arange(self.count) % GROUPS
        # gradients have one pass and no reference; what stands for it is not read
        own = slice(1, None) if len(self.references) else slice(0, 1)
        blobs, winners = memory.acts[own], memory.winners[own]
        quotients = memory.quotients or blobs
        original, first = memory.acts[0].ctypes.data, memory.winners[0].ctypes.data
        for work in (w for crew in memory.crews for w in crew.works):
            work.take_bases(memory.acts[0])
            work.header[f.ACTS], work.header[f.WINNERS] = original, first
            work.header[f.RULE] = program.kind
            work.set_epsilon(program.rule.epsilon)
        self.case = Case(
            np.array([b.ctypes.data for b in blobs], np.int64),
            np.array([b.ctypes.data for b in winners], np.int64),
            np.array([b.ctypes.data for b in quotients], np.int64),
            self.references if len(self.references) else self.x[None],
            np.ascontiguousarray(program.reading(self.x, self.references)),
            length,
            self.count,
            self.groups,
            program.how,
            group,
            (1 / self.sizes[group]).astype(np.float32),
            (self.sizes / self.sizes.sum()).astype(np.float32),
            np.zeros((self.tasks, self.groups, length), np.float32),
            np.zeros((self.tasks, whole_vectors(length)), np.float32),
            self.additive and not len(self.targets),
            self.targets,
            *self.targets.shape,
        )
        shape = (self.tasks, many, width)
        if self.into is None:
            spread = np.zeros(shape, np.float32) if self.groups > 1 else None
            self.into = np.zeros(shape, np.float32), spread
        rows = [[] if a is None else [task.ctypes.data for task in a] for a in self.into]
        self.found = Found(
            np.array(rows[0], np.int64),
            np.array(rows[1], np.int64),
            width,
            many,
            np.zeros((self.tasks, many), np.float32),
            np.repeat(scores[:, :1].astype(np.float32), many, axis=1),
            np.zeros((self.tasks, many)),
            np.zeros((self.tasks, many)),
        )

    def quotients(self, r: int, t: int) -> None:
        """The original's multipliers against reference r."""
        work = self.memory.works[t]
        self.case.face(work.header, r)
        full_quotients(self.net.address, work.address)

    def arrive(self, top: Array, blob: Array, r: int, t: int) -> None:
        """Take a gradient from the top of the original's trunk to every node, into ``blob``."""
        work = self.memory.works[t]
        kept = work.header.copy()
        work.header[f.DIFFERENCE] = blob.ctypes.data
        self.case.face(work.header, r)
        work.header[f.PLAIN] = 1
        full_backward(
            self.net.address, top.ctypes.data, work.address, self.program.builder.floats)
        work.header[:] = kept

    def linear_rows(self) -> None:
        """The head is linear: u is the original's gradient, and maps are banded."""
        memory, program, case = self.memory, self.program, self.case
        pairs = [(k, r) for k in range(self.tasks) for r in range(self.count)]
        blobs = memory.upstreams(len(pairs))
        own = np.zeros((len(pairs), len(self.x)), np.float32)

        def arrive(i: int, t: int) -> None:
            k, r = pairs[i]
            self.arrive(program.tops[k], blobs[i], r, t)
            row = self.net.table[0]
            rows, pitch = row[col.ROWS], row[col.PITCH]
            g = blobs[i][row[col.BASE] : row[col.BASE] + rows * pitch].reshape(rows, pitch)[:, :4]
            own[i] = (g * case.reading[r]).sum(1)

        self.spread_out(arrive, list(range(len(pairs))))
        for (k, r), c in zip(pairs, own, strict=True):
            case.original[k, case.group[r]] += case.share[r] * c
        values = np.array([b.ctypes.data for b in blobs], np.int64).reshape(self.tasks, self.count)
        none = np.zeros_like(values)
        tops = np.array([b.ctypes.data for b in program.tops], np.int64)
        upstream = Upstream(values, none, none, none, none, none, ROWS_OF_U, True, tops)
        many = len(self.mutated.start)
        piece = piece_of(many, self.threads)

        row, group = whole_vectors(len(self.x)), memory.group
        self.settle()

        def go(first: int, t: int) -> None:
            part = Part(first, min(first + piece, many), 0, self.tasks, 0, self.count, True, 0)
            far = aligned(self.groups * group * row)
            own = np.zeros(group * self.groups * self.mutated.widest, np.float32)
            self.walk(part, upstream, Sums(far, own, group, row), t)

        self.spread_out(go, list(range(0, many, piece)))

    def walk(self, part: Part, upstream: Upstream, sums: Sums, t: int) -> None:
        """Walk a part on thread t."""
        walk(
            self.net.address,
            self.case.address,
            self.mutated.address,
            part.address,
            upstream.address,
            sums.address,
            self.found.address,
            self.memory.crews[t].address,
            self.memory.group,
            self.slots,
            self.slot,
        )

    def settle(self) -> None:
        """The original's importance is complete: take its mean."""
        case, mean = self.case, self.case.mean[:, : len(self.x)]
        if self.groups == 1:
            mean[:] = case.original[:, 0]
        else:
            np.einsum("g,kgl->kl", case.weight, case.original, out=mean)

    def result(self, scores: Array) -> Rows:
        """Rows, with the error of summation-to-delta."""
        case, found = self.case, self.found
        importance = case.mean[:, : len(self.x)].copy()
        expected = error = None
        if len(self.references):
            expected = scores[:, 1:].mean(1)
            if self.additive:
                off = importance.sum(1, dtype=np.float64)[:, None]
                size = np.abs(importance).sum(1, dtype=np.float64)[:, None]
                y = scores[:, :1]
                if case.balanced:
                    off = np.concatenate([off, off + found.balance], 1)
                    size = np.concatenate([size, np.maximum(size + found.size, 0)], 1)
                    y = np.concatenate([y, found.score], 1)
                off = np.abs(off - (y - expected[:, None]))
                error = relative_error(off, size, y, float(np.finfo(np.float32).eps))
        assert self.into is not None
        return Rows(
            *self.into,
            found.self_effect,
            found.score,
            importance,
            scores[:, 0].astype(np.float32),
            expected,
            error,
        )

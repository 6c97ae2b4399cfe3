"""The engine's front: a graph compiled to a table once, then one sequence after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.arriving import ROWS_OF_U
from dfim_fast.backends.numba_cpu.events.full import full_backward, full_forward
from dfim_fast.backends.numba_cpu.events.head import Acts, Head
from dfim_fast.backends.numba_cpu.events.layout import SLACK, Builder, Net, aligned
from dfim_fast.backends.numba_cpu.events.walk import (
    CENTRED,
    OBSERVED,
    PROJECTED,
    TIMES_INPUT,
    Case,
    Found,
    Mutated,
    Upstream,
    walk,
)
from dfim_fast.backends.numba_cpu.events.work import Work
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Array, Rule

GROUPS = 5  # of references, for the standard error


@dataclass
class Rows:
    """What ``EventProgram.run`` returns. K tasks, M mutants, W targets, L positions.

    Attributes
    ----------
    fis : ndarray (K, M, W) float32
        Original minus mutant importance; 0 inside the mutated span and where the target is -1.
    standard_error : ndarray (K, M, W) float32 or None
        Over groups of references; None with fewer than two.
    self_effect : ndarray (K, M) float32
        The same, summed over the mutated span.
    mutant_predictions : ndarray (K, M) float32
    attributions : ndarray (K, L) float32
        Importance of the original.
    predictions : ndarray (K,) float32
    reference_predictions : ndarray (K,) float32 or None
        Mean over the references.
    delta_error : float or None
        Largest summation-to-delta error over original and mutants, relative to the sum of |C|.
    """

    fis: Array
    standard_error: Array | None
    self_effect: Array
    mutant_predictions: Array
    attributions: Array
    predictions: Array
    reference_predictions: Array | None
    delta_error: float | None


class Memory:
    """Blobs of one run: activations of the sequence and its references, and one Work per thread."""

    def __init__(self, builder: Builder, references: int, threads: int) -> None:
        self.builder = builder
        self.acts = [aligned(builder.floats + SLACK) for _ in range(1 + references)]
        self.winners = [aligned(builder.winners + SLACK) for _ in range(1 + references)]
        self.upstream: list[Array] = []
        self.works = [Work(builder) for _ in range(threads)]

    def upstreams(self, count: int) -> list[Array]:
        """Blobs for what arrives at every node."""
        while len(self.upstream) < count:
            self.upstream.append(aligned(self.builder.floats + SLACK))
        return self.upstream[:count]


class EventProgram:
    """A graph, its tasks and its rule, ready to run. Made by ``compile_events``."""

    def __init__(self, graph: Graph, tasks: list[int], method: str, rule: Rule,
                 contribution: str) -> None:
        self.graph, self.tasks, self.method, self.rule = graph, list(tasks), method, rule
        self.builder = Builder(graph, self.tasks)
        self.head = Head(self.builder)
        self.net = Net(self.builder)
        if method == "deeplift":
            self.how = PROJECTED if contribution == "projected" else OBSERVED
            self.kind = col.SHAP if rule.maxpool == "shap" else col.DEEPLIFT
        else:
            self.how = CENTRED if method == "gradient_corrected" else TIMES_INPUT
            self.kind = col.GRADIENT
        self.tops = [self.top_blob(self.head.tops(k)) for k in range(len(self.tasks))] if (
            self.head.linear) else []
        self.idle: list[tuple[int, int, Memory]] = []

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
            found[n] = np.stack([
                b[start : start + rows * pitch].reshape(rows, pitch)[:, :channels] for b in blobs])
        return found

    def reading(self, x: Array, references: Array) -> Array:
        """What the multipliers of each reference are dotted with, (R, L, 4)."""
        if self.how == TIMES_INPUT:
            return x[None]
        if self.how == CENTRED:
            return (x - x.sum(1, keepdims=True) / 4)[None].astype(np.float32)
        return x[None] - references if self.how == PROJECTED else x[None] * (1 - references)

    def run(self, x: Array, references: Array | None, start: Array, width: Array, columns: Array,
            targets: Array | None = None, threads: int = 1) -> Rows:
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
        """
        x = np.ascontiguousarray(x, np.float32)
        against = np.zeros((0, *x.shape), np.float32) if self.kind == col.GRADIENT else (
            np.ascontiguousarray(references, np.float32))
        mutated = Mutated(np.ascontiguousarray(start, np.int64),
                          np.ascontiguousarray(width, np.int64),
                          np.ascontiguousarray(columns, np.float32))
        wanted = np.zeros((0, 0), np.int32) if targets is None else np.ascontiguousarray(
            np.atleast_2d(targets), np.int32)
        memory = self.take_memory(len(against), threads)
        with ThreadPoolExecutor(threads) as pool:
            rows = _Run(self, memory, x, against, mutated, wanted, pool, threads).rows()
        self.idle.append((len(against), threads, memory))
        return rows

    def take_memory(self, references: int, threads: int) -> Memory:
        """Memory of an earlier run of the same shape, or new."""
        for i, (r, t, _) in enumerate(self.idle):
            if (r, t) == (references, threads):
                return self.idle.pop(i)[2]
        return Memory(self.builder, references, threads)


class _Run:
    """One sequence."""

    def __init__(self, program: EventProgram, memory: Memory, x: Array, references: Array,
                 mutated: Mutated, targets: Array, pool: ThreadPoolExecutor, threads: int) -> None:
        self.program, self.memory, self.pool, self.threads = program, memory, pool, threads
        self.x, self.references, self.mutated, self.targets = x, references, mutated, targets
        self.net, self.head = program.net, program.head
        self.tasks, self.count = len(program.tasks), max(1, len(references))
        sizes = np.bincount(np.arange(self.count) % GROUPS, minlength=min(self.count, GROUPS))
        self.sizes, self.groups = sizes, len(sizes)

    def spread_out(self, function: object, items: list) -> None:
        """Call ``function(item, thread)`` for all items, over the threads."""
        def part(t: int) -> None:
            for item in items[t :: self.threads]:
                function(item, t)  # type: ignore[operator]
        if self.threads == 1:
            part(0)
        else:
            list(self.pool.map(part, range(self.threads)))

    def rows(self) -> Rows:
        """All of it."""
        memory, program = self.memory, self.program
        inputs = [self.x, *self.references]

        def one(i: int, t: int) -> None:
            work = memory.works[t]
            kept = work.header.copy()
            work.header[[f.NEW, f.ACTS]] = memory.acts[i].ctypes.data
            work.header[f.WINNER] = memory.winners[i].ctypes.data
            full_forward(self.net.address, inputs[i], work.address)
            work.header[:] = kept

        self.spread_out(one, list(range(len(inputs))))
        acts = self.head.forward(program.cut_values(memory.acts))
        scores = self.head.scores(acts)
        self.prepare(scores)
        self.linear_rows()
        return self.result(scores)

    def prepare(self, scores: Array) -> None:
        """Case and empty results."""
        memory, program = self.memory, self.program
        length, many = len(self.x), len(self.mutated.start)
        width = self.targets.shape[1] if len(self.targets) else length
        group = np.arange(self.count) % GROUPS
        none = memory.acts[:1], memory.winners[:1]
        blobs, winners = (memory.acts[1:], memory.winners[1:]) if len(self.references) else none
        for work in memory.works:
            work.header[f.ACTS] = memory.acts[0].ctypes.data
            work.header[f.WINNERS] = memory.winners[0].ctypes.data
            work.header[f.RULE] = program.kind
            work.set_epsilon(program.rule.epsilon)
        self.case = Case(
            np.array([b.ctypes.data for b in blobs], np.int64),
            np.array([b.ctypes.data for b in winners], np.int64),
            self.references if len(self.references) else self.x[None],
            np.ascontiguousarray(program.reading(self.x, self.references)), program.how,
            group,
            (1 / self.sizes[group]).astype(np.float32),
            (self.sizes / self.sizes.sum()).astype(np.float32),
            np.zeros((self.tasks, self.groups, length), np.float32),
        )
        spread = (self.tasks, many, width) if self.groups > 1 else (0, 0, 0)
        self.found = Found(
            np.zeros((self.tasks, many, width), np.float32), np.zeros(spread, np.float32),
            np.zeros((self.tasks, many), np.float32),
            np.repeat(scores[:, :1].astype(np.float32), many, axis=1),
            np.zeros((self.tasks, many)), np.zeros((self.tasks, many)),
        )

    def linear_rows(self) -> None:
        """The head is linear: u is the original's gradient, and maps are banded."""
        memory, program, case = self.memory, self.program, self.case
        pairs = [(k, r) for k in range(self.tasks) for r in range(self.count)]
        blobs = memory.upstreams(len(pairs))
        own = np.zeros((len(pairs), len(self.x)), np.float32)

        def arrive(i: int, t: int) -> None:
            k, r = pairs[i]
            work = memory.works[t]
            kept = work.header.copy()
            work.header[f.DIFFERENCE] = blobs[i].ctypes.data
            work.header[f.REFERENCE] = case.references[r]
            work.header[f.REFERENCE_WINNERS] = case.reference_winners[r]
            work.header[f.PLAIN] = 1
            full_backward(self.net.address, program.tops[k].ctypes.data, work.address,
                          program.builder.floats)
            work.header[:] = kept
            row = self.net.table[0]
            rows, pitch = row[col.ROWS], row[col.PITCH]
            g = blobs[i][row[col.BASE] : row[col.BASE] + rows * pitch].reshape(rows, pitch)[:, :4]
            own[i] = (g * case.reading[r]).sum(1)

        self.spread_out(arrive, list(range(len(pairs))))
        for (k, r), c in zip(pairs, own, strict=True):
            case.original[k, case.group[r]] += case.share[r] * c
        values = np.array([b.ctypes.data for b in blobs], np.int64).reshape(self.tasks, self.count)
        empty = np.zeros((0, 0, 0, 0), np.float32)
        upstream = Upstream(ROWS_OF_U, 16, values, np.zeros_like(values), empty, empty)
        tops = np.array([b.ctypes.data for b in program.tops], np.int64)
        many = len(self.mutated.start)
        piece = max(1, min(64, -(-many // (4 * self.threads))))

        def go(first: int, t: int) -> None:
            scratch = np.zeros((self.groups, len(self.x)), np.float32)
            own = np.zeros((self.groups, self.mutated.columns.shape[1]), np.float32)
            walk(self.net.address, case, self.mutated, first, min(first + piece, many), 0, upstream,
                 tops, self.targets, scratch, own, self.found, memory.works[t].address)

        self.spread_out(go, list(range(0, many, piece)))

    def result(self, scores: Array) -> Rows:
        """Rows, with the error of summation-to-delta."""
        case, found = self.case, self.found
        importance = np.einsum("g,kgl->kl", case.weight, case.original)
        expected = error = None
        if len(self.references):
            expected = scores[:, 1:].mean(1)
            if self.program.how == PROJECTED and self.program.kind == col.SHAP:
                total = importance.sum(1, dtype=np.float64)[:, None]
                size = np.abs(importance).sum(1, dtype=np.float64)[:, None]
                off = np.concatenate([total, total + found.balance], 1)
                y = np.concatenate([scores[:, :1], found.score], 1)
                off = np.abs(off - (y - expected[:, None]))
                off = np.maximum(off - 64 * np.finfo(np.float32).eps * np.abs(y), 0)
                size = np.concatenate([size, np.maximum(size + found.size, 0)], 1)
                error = float(np.max(np.divide(off, size, out=off, where=size > 0), initial=0.0))
        return Rows(found.fis, found.spread if self.groups > 1 else None, found.self_effect,
                    found.score, importance, scores[:, 0].astype(np.float32), expected, error)


def compile_events(graph: Graph, tasks: list[int], method: str, rule: Rule,
                   contribution: str = "projected") -> EventProgram:
    """A program for a float32 graph that ``unsupported`` does not object to."""
    return EventProgram(graph, tasks, method, rule, contribution)

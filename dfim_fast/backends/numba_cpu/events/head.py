"""The layers above the trunk, in NumPy: small matrices, all mutants at once.

The head's *inputs* are the outputs of the first operators that mix positions (or single rows that
the trunk hands over), so each mutant brings one short vector. What a mutant changes in the
gradient at those inputs is written in a basis: the units whose multiplier differs in at least one
mutant, each pushed down through the original's head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.gates import (
    differing,
    pick_columns,
    picks,
    quotients,
    slopes,
    weighted_changes,
)
from dfim_fast.backends.numba_cpu.events.layout import Builder, whole_vectors
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Array, Operator, Rule
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.flatten import Flatten
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.relu import Relu

Acts = dict[int, Array]
Room = Callable[[tuple[int, ...], int], Array]  # shape of an array, and its longest last axis


@dataclass(frozen=True)
class Entry:
    """One input of the head: a head node, or a trunk node of one row; where its values lie."""

    node: int
    offset: int
    width: int


@dataclass(frozen=True)
class Basis:
    """Gradients at the head's inputs, and the mutants written in them.

    Attributes
    ----------
    vectors : dict of ndarray (F, 1, width)
        By entry node; the first K are the tasks' own, of the original.
    size : int
        F.
    coefficients : ndarray (K, M, F in whole vectors)
    """

    vectors: Acts
    size: int
    coefficients: Array


class Head:
    """Forward and backward through the head.

    Parameters
    ----------
    builder : Builder
        Its table gets the weights that lead from the trunk to the head's inputs.
    """

    def __init__(self, builder: Builder) -> None:
        self.graph, self.nodes = builder.graph, builder.head
        self.tasks = [builder.graph.tasks[t] for t in builder.tasks]
        self.cut = builder.cut
        hidden = [n for n in self.nodes if not self.op(n).linear]
        self.linear = not hidden
        self.units = sum(self.graph.nodes[n].shape[1] for n in hidden)
        self.entries: list[Entry] = []
        self.width = 0
        if not self.linear:
            self.enter(builder)

    def op(self, n: int) -> Operator:
        """The operator of a graph node."""
        return self.graph.nodes[n].op

    def enter(self, builder: Builder) -> None:
        """Find the inputs and give their weights to the table."""
        lists: dict[int, list[int]] = {n: [] for n in self.cut}
        below = set(self.cut)
        direct = {t.node for t in self.tasks if t.node in below}
        for n in self.nodes:
            read = [j for j in self.graph.nodes[n].inputs if j in below]
            if not read:
                continue
            op = self.op(n)
            if not isinstance(op, (Dense, AveragePool, Flatten)):
                direct.update(read)
                continue
            rows, channels = self.graph.nodes[read[0]].shape
            if isinstance(op, AveragePool):
                index, inside = op.window.indices(rows)
                factor = np.zeros(rows)
                np.add.at(factor, index[0], inside[0] * float(op.factor[0, 0]))
                weight, kind, width = builder.put(factor), col.SUM, channels
            else:
                matrix = (
                    op.weight
                    if isinstance(op, Dense)
                    else op.forward([np.eye(rows * channels).reshape(-1, rows, channels)])[:, 0]
                )
                width = matrix.shape[1]
                padded = np.zeros((len(matrix), -(-width // 16) * 16), np.float32)
                padded[:, :width] = matrix
                weight, kind = builder.put(padded), col.MATRIX
            lists[read[0]] += [kind, self.add(n, width), weight, -(-width // 16) * 16]
        for n in sorted(direct):
            rows, channels = self.graph.nodes[n].shape
            lists[n] += [
                col.SUM,
                self.add(n, channels),
                builder.put(np.ones(rows)),
                -(-channels // 16) * 16,
            ]
        for n, entries in lists.items():
            builder.table[builder.place[n], col.HEADS] = builder.put_index(
                [len(entries) // 4, *entries]
            )

    def add(self, node: int, width: int) -> int:
        """Register an input; returns where it begins."""
        self.entries.append(Entry(node, self.width, width))
        self.width += -(-width // 16) * 16
        return self.entries[-1].offset

    def forward(self, acts: Acts) -> Acts:
        """Fill in all head nodes that ``acts`` does not hold yet."""
        acts = dict(acts)
        for n in self.nodes:
            if n not in acts:
                acts[n] = self.op(n).forward([acts[j] for j in self.graph.nodes[n].inputs])
        return acts

    def scores(self, acts: Acts) -> Array:
        """The tasks' values (K, B)."""
        return np.stack([acts[t.node][:, t.position, t.channel] for t in self.tasks])

    def inputs(self, acts: Acts) -> Array:
        """The head's inputs of every sequence in ``acts``, (B, width)."""
        count = len(next(iter(acts.values())))
        found = np.zeros((count, self.width), np.float32)
        for e in self.entries:
            found[:, e.offset : e.offset + e.width] = acts[e.node][:, 0]
        return found

    def from_inputs(self, inputs: Array) -> Acts:
        """All head nodes above given inputs (M, width)."""
        above = {e.node: inputs[:, None, e.offset : e.offset + e.width] for e in self.entries}
        for n in self.nodes:
            if n not in above:
                above[n] = self.op(n).forward([above[j] for j in self.graph.nodes[n].inputs])
        return above

    def tops(self, k: int) -> Acts:
        """Gradient (1, L, C) of task k at the cut nodes; the head is linear."""
        task = self.tasks[k]
        arriving = {task.node: self.seed(task.node, k)}
        for n in reversed(self.nodes):
            if n in arriving:
                g, sources = arriving.pop(n), self.graph.nodes[n].inputs
                xs = [np.zeros((1, *self.graph.nodes[j].shape), np.float32) for j in sources]
                collect(arriving, sources, self.op(n).gradient(g, xs, g))
        return arriving

    def seed(self, node: int, k: int) -> Array:
        """One where task k is read."""
        seed = np.zeros((1, *self.graph.nodes[node].shape), np.float32)
        seed[0, self.tasks[k].position, self.tasks[k].channel] = 1
        return seed

    def multipliers(self, acts: Acts, reference: Acts | None, rule: Rule) -> Acts:
        """Of every node that is not linear: slopes, or quotients against a reference."""
        found = {}
        for n in self.nodes:
            op = self.op(n)
            if op.linear:
                continue
            x = acts[self.graph.nodes[n].inputs[0]]
            r = None if reference is None else reference[self.graph.nodes[n].inputs[0]]
            if isinstance(op, (Relu, LeakyRelu)):
                found[n] = self.piecewise(op, x, r, rule)
            elif r is None:
                found[n] = op.slope(x)  # type: ignore[attr-defined]
            else:
                found[n] = op.quotient(x, r, rule.epsilon)  # type: ignore[attr-defined]
            found[n] = np.broadcast_to(found[n], x.shape).astype(np.float32, copy=False)
        return found

    @staticmethod
    def piecewise(op: Operator, x: Array, r: Array | None, rule: Rule) -> Array:
        """Multipliers of ReLU and LeakyReLU, in one pass."""
        alpha = op.alpha if isinstance(op, LeakyRelu) else np.zeros((1, 1))
        below = np.ascontiguousarray(np.broadcast_to(alpha, (1, x.shape[2]))[0], np.float32)
        flat, out = (
            np.ascontiguousarray(x[:, 0], np.float32),
            np.empty((len(x), x.shape[2]), np.float32),
        )
        if r is None:
            slopes(flat, below, out)
        else:
            quotients(flat, np.ascontiguousarray(r[0, 0], np.float32), below, rule.epsilon, out)
        return out[:, None]

    def basis(
        self, acts: Acts, mutants: Acts, reference: Acts | None, rule: Rule, room: Room
    ) -> Basis:
        """The basis for all mutants, and their coefficients in memory that ``room`` gives."""
        old = self.multipliers(acts, reference, rule)
        new = self.multipliers(mutants, reference, rule)
        count = len(next(iter(mutants.values())))
        flips, place, size = {}, {}, len(self.tasks)
        for n in reversed(self.nodes):
            if n in old:
                found = np.zeros(old[n].shape[2], np.bool_)
                differing(new[n][:, 0], old[n][0, 0], found)
                flips[n] = np.flatnonzero(found)
                place[n] = slice(size, size + len(flips[n]))
                size = place[n].stop
        lanes = whole_vectors(size)
        shape = len(self.tasks), count, lanes
        coefficients = room(shape, len(self.tasks) + self.units)
        coefficients[:] = 0
        stop = {e.node for e in self.entries}
        for k in range(len(self.tasks)):
            arriving = {self.tasks[k].node: self.seed(self.tasks[k].node, k)}
            for n in reversed(self.nodes):
                if n in stop or n not in arriving:
                    continue
                g, sources = arriving.pop(n), self.graph.nodes[n].inputs
                if n in new:
                    weighted_changes(
                        new[n][:, 0], old[n][0, 0], np.require(g[:, 0], np.float32, ["C", "W"]),
                        flips[n], coefficients[k], place[n].start,
                    )  # fmt: skip
                    if not stop.issuperset(sources):
                        collect(arriving, sources, [g * new[n]])
                else:
                    collect(arriving, sources, self.linear_back(n, g))
        return Basis(self.push(old, flips, place, size), size, coefficients)

    def own(self, acts: Acts, reference: Acts | None, rule: Rule, k: int) -> Acts:
        """Gradient (B, 1, width) of task k at the head's inputs, for each sequence in ``acts``."""
        multipliers = self.multipliers(acts, reference, rule)
        count = len(next(iter(acts.values())))
        arriving = {self.tasks[k].node: np.repeat(self.seed(self.tasks[k].node, k), count, 0)}
        stop = {e.node for e in self.entries}
        for n in reversed(self.nodes):
            if n in stop or n not in arriving:
                continue
            g, sources = arriving.pop(n), self.graph.nodes[n].inputs
            collect(
                arriving,
                sources,
                [g * multipliers[n]] if n in multipliers else self.linear_back(n, g),
            )
        return arriving

    def linear_back(self, n: int, g: Array) -> list[Array]:
        """Gradient of a linear head node; only the shapes of its inputs matter."""
        shapes = [self.graph.nodes[j].shape for j in self.graph.nodes[n].inputs]
        xs = [np.broadcast_to(np.float32(0), (len(g), *s)) for s in shapes]
        return self.op(n).gradient(g, xs, g)

    def push(self, old: Acts, flips: dict[int, Array], place: dict[int, slice], size: int) -> Acts:
        """All basis vectors at once, from where they start down to the head's inputs."""
        arriving: Acts = {}
        for k, task in enumerate(self.tasks):
            g = np.zeros((size, *self.graph.nodes[task.node].shape), np.float32)
            g[k] = self.seed(task.node, k)[0]
            collect(arriving, (task.node,), [g])
        stop = {e.node for e in self.entries}
        for n in reversed(self.nodes):
            if n in stop or n not in arriving:
                continue
            g, sources = arriving.pop(n), self.graph.nodes[n].inputs
            if n in old:
                g = g * old[n]
                g[np.arange(place[n].start, place[n].stop), 0, flips[n]] = 1
                collect(arriving, sources, [g])
            else:
                collect(arriving, sources, self.linear_back(n, g))
        return arriving

    def lay(self, vectors: Acts, place: Callable[[int, int], Array]) -> None:
        """From the head's inputs (F, 1, width) to the cut nodes.

        ``place(n, F)`` is where the values of cut node n belong, (L * C, F or more).
        """
        written: set[int] = set()
        for e in self.entries:
            if e.node not in vectors:
                continue
            v, op = vectors[e.node], self.op(e.node)
            n = e.node if e.node in self.cut else self.graph.nodes[e.node].inputs[0]
            out = place(n, len(v))
            if n != e.node and isinstance(op, Dense) and n not in written:
                lay_columns(op.weight, v[:, 0], out)
            else:
                g = v if n == e.node else self.linear_back(e.node, v)[0]
                g, out = g.reshape(len(v), -1).T, out[:, : len(v)]
                out[:] = out + g if n in written else g
            written.add(n)


def lay_columns(weight: Array, v: Array, out: Array) -> None:
    """weight (N, H) @ v.T (H, F) into ``out``; basis vectors that are single units only pick."""
    unit, scale = np.empty(len(v), np.int64), np.empty(len(v), np.float32)
    first = picks(np.require(v, np.float32, ["C", "W"]), unit, scale)
    if first:
        np.matmul(weight, v[:first].T, out=out[:, :first])
    if first < len(v):
        pick_columns(weight, unit, scale, out, first)


def collect(arriving: Acts, nodes: tuple[int, ...], gradients: list[Array]) -> None:
    """Add gradients to what already arrives at the nodes."""
    for n, g in zip(nodes, gradients, strict=True):
        arriving[n] = arriving[n] + g if n in arriving else g

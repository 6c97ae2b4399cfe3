"""The layers above the trunk, in NumPy: small matrices, all mutants at once.

The head's *inputs* are the outputs of the first operators that mix positions (or single rows that
the trunk hands over), so each mutant brings one short vector. Between its *hidden* nodes, those
that are not linear, gradients pass by the operators' own formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.gates import activated, gates_of, pick_columns, picks
from dfim_fast.backends.numba_cpu.events.layout import Builder, aligned, whole_vectors
from dfim_fast.ops.affine import Affine
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
class Hidden:
    """A node that is not linear.

    Attributes
    ----------
    node, source : int
    width, vectors : int
        Units, and vectors of 16 that hold them.
    below : ndarray or None
        Slopes of a piecewise linear node where its input is not above zero, in whole vectors.
    """

    node: int
    source: int
    width: int
    vectors: int
    below: Array | None


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
        # from the top down
        self.hidden = [self.learn(n) for n in reversed(self.nodes) if not self.op(n).linear]
        self.linear = not self.hidden
        self.most = len(self.tasks) + sum(h.width for h in self.hidden)  # vectors of a basis
        self.entries: list[Entry] = []
        self.width = 0
        if not self.linear:
            self.enter(builder)

    def op(self, n: int) -> Operator:
        """The operator of a graph node."""
        return self.graph.nodes[n].op

    def learn(self, n: int) -> Hidden:
        """What is to be known of a node that is not linear."""
        node, below = self.graph.nodes[n], None
        vectors = whole_vectors(node.shape[1]) // 16
        if isinstance(node.op, (Relu, LeakyRelu)):
            below = aligned(vectors * 16)
            below[: node.shape[1]] = node.op.alpha if isinstance(node.op, LeakyRelu) else 0
        return Hidden(n, node.inputs[0], node.shape[1], vectors, below)

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
                padded = np.zeros((len(matrix), whole_vectors(width)), np.float32)
                padded[:, :width] = matrix
                weight, kind = builder.put(padded), col.MATRIX
            lists[read[0]] += [kind, self.add(n, width), weight, whole_vectors(width)]
        for n in sorted(direct):
            rows, channels = self.graph.nodes[n].shape
            lists[n] += [
                col.SUM,
                self.add(n, channels),
                builder.put(np.ones(rows)),
                whole_vectors(channels),
            ]
        for n, entries in lists.items():
            builder.table[builder.place[n], col.HEADS] = builder.put_index(
                [len(entries) // 4, *entries]
            )

    def add(self, node: int, width: int) -> int:
        """Register an input; returns where it begins."""
        self.entries.append(Entry(node, self.width, width))
        self.width += whole_vectors(width)
        return self.entries[-1].offset

    def forward(self, acts: Acts) -> Acts:
        """Fill in all head nodes that ``acts`` does not hold yet."""
        acts = dict(acts)
        for n in self.nodes:
            if n not in acts:
                acts[n] = self.op(n).forward([acts[j] for j in self.graph.nodes[n].inputs])
        for h in self.hidden:
            acts[h.source] = whole_rows(acts[h.source])
        return acts

    def scores(self, acts: Acts) -> Array:
        """The tasks' values (K, B)."""
        return np.stack([acts[t.node][:, t.position, t.channel] for t in self.tasks])

    def inputs(self, acts: Acts) -> Array:
        """The head's inputs of the first sequence in ``acts``, (width,)."""
        found = np.zeros(self.width, np.float32)
        for e in self.entries:
            found[e.offset : e.offset + e.width] = acts[e.node][0, 0]
        return found

    def from_inputs(self, inputs: Array, room: Room) -> Acts:
        """All head nodes above given inputs (M, width), in memory that ``room`` gives."""
        above = {e.node: inputs[:, None, e.offset : e.offset + e.width] for e in self.entries}
        for n in self.nodes:
            if n not in above:
                above[n] = self.values(n, [above[j] for j in self.graph.nodes[n].inputs], room)
        for h in self.hidden:
            above[h.source] = whole_rows(above[h.source])
        return above

    def values(self, n: int, xs: list[Array], room: Room) -> Array:
        """Forward through one node."""
        op, x, (rows, channels) = self.op(n), xs[0], self.graph.nodes[n].shape
        gates = next((h.below for h in self.hidden if h.node == n), None)
        if rows > 1 or (gates is None and not isinstance(op, (Dense, Affine))):
            return op.forward(xs)
        pitch = whole_vectors(channels)
        out = room((len(x), pitch), pitch)
        found = out[:, :channels]
        if gates is not None:
            x = whole_rows(x)
            activated(
                x.ctypes.data,
                x.strides[0],
                len(x),
                pitch // 16,
                gates.ctypes.data,
                out.ctypes.data,
            )
        elif isinstance(op, Dense):
            np.matmul(x.reshape(len(x), x.shape[1] * x.shape[2]), op.weight, out=found)
            found += op.bias
        else:
            assert isinstance(op, Affine)
            np.multiply(x[:, 0], op.scale, out=found)
            found += op.shift
        return found[:, None]

    def tops(self, k: int) -> Acts:
        """Gradient (1, L, C) of task k at the cut nodes; the head is linear."""
        task = self.tasks[k]
        arriving = {task.node: self.seed(task.node, k)}
        for n in reversed(self.nodes):
            if n in arriving:
                g = arriving.pop(n)
                collect(arriving, zip(self.graph.nodes[n].inputs, self.back(n, g), strict=True))
        return arriving

    def seed(self, node: int, k: int) -> Array:
        """One where task k is read."""
        seed = np.zeros((1, *self.graph.nodes[node].shape), np.float32)
        seed[0, self.tasks[k].position, self.tasks[k].channel] = 1
        return seed

    @cached_property
    def stop(self) -> frozenset[int]:
        """Nodes at which a way down ends for now: inputs of the head, and hidden nodes."""
        return frozenset([e.node for e in self.entries] + [h.node for h in self.hidden])

    @cached_property
    def starts(self) -> list[Acts]:
        """Of each task, what arrives at nodes of ``stop`` through linear operators only."""
        found = []
        for k, task in enumerate(self.tasks):
            arriving = self.down(task.node, self.seed(task.node, k))
            found.append({n: whole_rows(g) for n, g in arriving.items()})
        return found

    @cached_property
    def leading(self) -> frozenset[int]:
        """Hidden nodes with other hidden nodes below them."""
        hidden = {h.node for h in self.hidden}
        return frozenset(
            h.node
            for h in self.hidden
            if hidden & set(self.down(h.source, np.zeros((1, 1, h.width), np.float32)))
        )

    def down(self, n: int, g: Array) -> Acts:
        """From node n through linear operators to the nodes of ``stop``."""
        if n in self.stop:
            return {n: g}
        arriving = {n: g}
        for j in reversed(self.nodes):
            if j in arriving and j not in self.stop:
                g = arriving.pop(j)
                collect(arriving, zip(self.graph.nodes[j].inputs, self.back(j, g), strict=True))
        return arriving

    def back(self, n: int, g: Array) -> list[Array]:
        """Gradient of a linear head node."""
        return self.op(n).gradient(g, self.shapes[n], g)

    @cached_property
    def shapes(self) -> dict[int, list[Array]]:
        """Of each node, arrays of the shapes of its inputs: all that linear operators look at."""
        zero, nodes = np.float32(0), self.graph.nodes
        return {
            n: [np.broadcast_to(zero, (1, *nodes[j].shape)) for j in nodes[n].inputs]
            for n in self.nodes
        }

    def gates(self, h: Hidden, acts: Acts, reference: Acts | None, rule: Rule, out: Array) -> None:
        """Multipliers of a hidden node into ``out`` (B, units in whole vectors).

        Slopes, or quotients against the one sequence of ``reference``.
        """
        x = acts[h.source]
        r = None if reference is None else reference[h.source]
        if h.below is not None:
            gates_of(
                x.ctypes.data,
                x.strides[0],
                len(x),
                h.vectors,
                0 if r is None else r.ctypes.data,
                h.below.ctypes.data,
                rule.epsilon,
                out.ctypes.data,
            )
        elif r is None:
            out[:, : h.width] = self.op(h.node).slope(x)[:, 0]  # type: ignore[attr-defined]
        else:
            quotient = self.op(h.node).quotient  # type: ignore[attr-defined]
            out[:, : h.width] = quotient(x, r, rule.epsilon)[:, 0]

    def own(self, acts: Acts, reference: Acts | None, rule: Rule, k: int) -> Acts:
        """Gradient (B, 1, width) of task k at the head's inputs, for each sequence in ``acts``."""
        count = len(next(iter(acts.values())))
        arriving = dict(self.starts[k])
        for h in self.hidden:
            if h.node in arriving:
                new = aligned(count * h.vectors * 16).reshape(count, 1, -1)
                self.gates(h, acts, reference, rule, new[:, 0])
                g = arriving.pop(h.node) * new[:, :, : h.width]
                collect(arriving, self.down(h.source, g).items())
        return {n: np.broadcast_to(g, (count, *g.shape[1:])) for n, g in arriving.items()}

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
                g = v if n == e.node else self.back(e.node, v)[0]
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
        pick_columns(
            weight.ctypes.data,
            *weight.strides,
            len(weight),
            unit[first:].ctypes.data,
            scale[first:].ctypes.data,
            len(v) - first,
            out.ctypes.data + first * 4,
            out.strides[0],
        )


def collect(arriving: Acts, gradients: Iterable[tuple[int, Array]]) -> None:
    """Add gradients to what already arrives at the nodes."""
    for n, g in gradients:
        arriving[n] = arriving[n] + g if n in arriving else g


def whole_rows(x: Array) -> Array:
    """The same rows (B, 1, H), each of them where whole vectors can be read."""
    if x.strides[0] % 64 == 0 and x.strides[2] == 4 and x.ctypes.data % 64 == 0:
        return x
    pitch = whole_vectors(x.shape[2])
    rows = aligned(len(x) * pitch).reshape(len(x), 1, pitch)[:, :, : x.shape[2]]
    rows[:] = x
    return rows

"""From a graph to an instruction table: what is trunk, what is head, where weights lie."""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.finish import WIDE
from dfim_fast.graph.graph import Graph, GraphNode
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Elementwise
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.flatten import Flatten
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.source import Input
from dfim_fast.ops.take import Take

MARGIN = 8  # taps of zeros around weights that eight positions read at once
SLACK = 64  # floats behind every blob that whole vectors may touch


class Net:
    """What compiled functions are given: the address of a header of addresses (see ``fields``)."""

    def __init__(self, builder: Builder) -> None:
        self.table, self.index, self.weight = builder.finish()
        arrays = (self.table, self.index, self.weight)
        self.header = np.array(
            [*(a.ctypes.data for a in arrays), len(self.table), builder.rows], np.int64
        )
        self.address = int(self.header.ctypes.data)


def aligned(count: int) -> np.ndarray:
    """Zeroed float32 memory that starts at a whole cache line."""
    raw = np.zeros(count * 4 + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * 4].view(np.float32)


def whole_vectors(size: int) -> int:
    """Floats in the whole vectors that hold so many."""
    return -(-size // 16) * 16


def padded(weight: np.ndarray, inputs: int, outputs: int) -> np.ndarray:
    """Weights (taps, in, out) with zeros for the channels that only padding has."""
    whole = np.zeros((len(weight), inputs, outputs), np.float32)
    whole[:, : weight.shape[1], : weight.shape[2]] = weight
    return whole


def split(graph: Graph, tasks: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Trunk nodes, head nodes and the trunk nodes that the head or a task reads.

    The head begins where an operator mixes all positions, or reads a single one.
    """
    wanted = graph.needed(tasks)
    head: list[int] = []
    for i in wanted:
        node = graph.nodes[i]
        before = [graph.nodes[j] for j in node.inputs]
        mixes = isinstance(node.op, (Dense, Flatten)) or (
            isinstance(node.op, AveragePool) and node.shape[0] == 1
        )
        if i and (
            mixes or any(j in head for j in node.inputs) or all(b.shape[0] == 1 for b in before)
        ):
            head.append(i)
    trunk = [i for i in wanted if i not in head]
    read = {j for i in head for j in graph.nodes[i].inputs}
    read |= {graph.tasks[t].node for t in tasks}
    return trunk, head, [i for i in trunk if i in read]


def unsupported(graph: Graph, tasks: list[int]) -> str | None:
    """Why the event engine cannot run these tasks; None where it can."""
    trunk, head, _ = split(graph, tasks)
    for i in trunk:
        why = _trunk_reason(graph, graph.nodes[i])
        if why:
            return f"node {graph.nodes[i].name!r} ({type(graph.nodes[i].op).__name__}): {why}"
    for i in head:
        node = graph.nodes[i]
        wide = [j for j in node.inputs if j in trunk and graph.nodes[j].shape[0] > 1]
        if wide and not isinstance(node.op, (Dense, AveragePool, Flatten)):
            return (
                f"node {node.name!r} ({type(node.op).__name__}): joins single values to positions"
            )
        if not node.op.linear and not isinstance(node.op, Elementwise):
            return f"node {node.name!r} ({type(node.op).__name__}): not elementwise in the head"
        if not node.op.linear and node.shape[0] > 1:
            return f"node {node.name!r} ({type(node.op).__name__}): several rows in the head"
    return None


def _trunk_reason(graph: Graph, node: GraphNode) -> str | None:
    op = node.op
    shapes = [graph.nodes[j].shape for j in node.inputs]
    if isinstance(op, (Input, Conv, Relu, LeakyRelu, MaxPool, AveragePool, Concat)):
        return None
    if isinstance(op, Affine):
        return None if shapes[0] == node.shape else "repeats its input"
    if isinstance(op, Add):
        return None if all(s == node.shape for s in shapes) else "repeats one of its inputs"
    if isinstance(op, Take):
        if op.axis == 2:
            return None
        steps = np.unique(np.diff(op.index))
        return None if len(steps) < 2 and 0 not in steps else "picks positions in no regular step"
    return "no events: not piecewise linear"


class Builder:
    """Collects the table and the blobs."""

    def __init__(self, graph: Graph, tasks: list[int]) -> None:
        self.graph, self.tasks = graph, tasks
        self.trunk, self.head, self.cut = split(graph, tasks)
        self.place = {n: i for i, n in enumerate(self.trunk)}
        self.table = np.zeros((len(self.trunk), col.WIDTH), np.int64)
        self.index: list[int] = []
        self.blob: list[np.ndarray] = []
        self.blob_size = 0
        self.readers: dict[int, list[int]] = {n: [] for n in self.trunk}
        for n in self.trunk:
            for j in graph.nodes[n].inputs:
                self.readers[j].append(n)
        base = flags = winner = top = 0
        self.index.append(0)  # an empty list of head layers
        for i, n in enumerate(self.trunk):
            node, row = graph.nodes[n], self.table[i]
            rows, channels = node.shape
            pitch = whole_vectors(channels)
            if (
                i == 0
                and n not in self.cut
                and all(
                    isinstance(op := graph.nodes[r].op, Conv) and op.window.dilation == 1
                    for r in self.readers[n]
                )
            ):
                pitch = 4
            row[[col.ROWS, col.CHANNELS, col.PITCH]] = rows, channels, pitch
            row[[col.BASE, col.FLAGS]] = base, flags
            row[col.FUSED] = -1
            row[col.TOP] = -1
            if n in self.cut:
                row[col.TOP] = top
                top += rows * pitch
            base += whole_vectors(rows * pitch + SLACK)
            flags += rows
            if isinstance(node.op, MaxPool):
                row[col.WINNER] = winner
                winner += rows * pitch
        self.winners, self.tops = winner, top
        self.floats, self.rows = base, flags
        for i, n in enumerate(self.trunk):
            self.fill(i, graph.nodes[n])
            if self.of_bases(i):
                self.table[i, col.CHAIN] |= col.BASE_ROWS
        self.chains()
        # what arrives at a convolution under an activation is never listed (see basis.py)
        sizes = self.table[:, col.ROWS] * self.table[:, col.CHANNELS]
        sizes[self.table[:, col.FUSED] >= 0] = 0
        self.table[:, col.ENTRY] = np.cumsum(sizes) - sizes
        self.entries = int(sizes.sum())
        passes = np.array([self.passes_on(n) for n in self.trunk])
        sizes[passes] = 0
        self.table[:, col.STORE] = np.where(passes, -1, np.cumsum(sizes) - sizes)
        self.stored = int(sizes.sum())

    def passes_on(self, n: int) -> bool:
        """Whether entries of node n are read once, by an operator that only scales or moves."""
        if n in self.cut or len(self.readers[n]) != 1:
            return False
        op = self.graph.nodes[self.readers[n][0]].op
        if isinstance(op, (MaxPool, AveragePool)):  # and its windows are apart
            return op.window.stride > (op.window.kernel - 1) * op.window.dilation
        if isinstance(op, Take):
            return op.axis == 1
        return isinstance(op, (Relu, LeakyRelu, Affine, Add, Concat))

    def chains(self) -> None:
        """Mark convolutions whose only reader is an activation, and what hangs together with that.

        GATE: the activation; on the way down it makes the entries that the convolution reads, so
        that this one is marked FROM_ABOVE. Where the activation in turn is read by one other
        convolution only:


        UP: forward, the activation's rows, and the entries that the upper convolution reads, are
        made with those of the lower one; so both of them are marked FROM_BELOW. DOWN: backward,
        what the upper one sends goes through the activation at once; that is marked FROM_ABOVE.
        Each row is made in one piece, as wide as registers allow, from one run of entries: no
        stride on the way down, no dilation.
        """
        ops = [self.graph.nodes[n].op for n in self.trunk]
        for i in range(len(ops) - 1):
            low, gate = self.table[i : i + 2]
            if low[col.FUSED] == i + 1 and gate[col.SCALE_PITCH] == 0:
                low[col.CHAIN] |= col.FROM_ABOVE
                gate[col.CHAIN] |= col.GATE
        for i in range(len(ops) - 2):
            low, gate, high = self.table[i : i + 3]
            if (
                gate[col.CHAIN] & col.GATE
                and isinstance(ops[i + 2], Conv)
                and high[col.SOURCE] == i + 1
                and self.readers[self.trunk[i + 1]] == [self.trunk[i + 2]]
                and self.trunk[i + 1] not in self.cut
                and low[col.PITCH] <= 16 * WIDE
            ):
                if high[col.STRIDE] == high[col.DILATION] == 1:
                    high[col.CHAIN] |= col.DOWN
                    gate[col.CHAIN] |= col.FROM_ABOVE
                if low[col.DILATION] == 1:
                    low[col.CHAIN] |= col.UP
                    gate[col.CHAIN] |= col.FROM_BELOW
                    high[col.CHAIN] |= col.FROM_BELOW

    def put(self, array: np.ndarray) -> int:
        """Append floats to the weight blob at a cache line; returns their offset."""
        flat = np.asarray(array, np.float32).ravel()
        size = whole_vectors(flat.size + 16)
        padded = np.zeros(size, np.float32)
        padded[: flat.size] = flat
        self.blob.append(padded)
        self.blob_size += size
        return self.blob_size - size

    def put_index(self, values: Any) -> int:
        """Append integers to the index blob; returns their offset."""
        start = len(self.index)
        self.index += [int(v) for v in values]
        return start

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Table, index blob and weight blob."""
        weight = aligned(self.blob_size + SLACK)
        weight[: self.blob_size] = np.concatenate([*self.blob, np.zeros(0, np.float32)])
        return self.table, np.array([*self.index, 0], np.int64), weight

    def fill(self, i: int, node: GraphNode) -> None:
        """One row of the table."""
        row, op = self.table[i], node.op
        sources = [self.place[j] for j in node.inputs]
        row[col.COUNT] = len(sources)
        row[col.SOURCES] = self.put_index(sources)
        row[col.SOURCE] = sources[0] if sources else -1
        pitch = int(row[col.PITCH])
        window = getattr(op, "window", None)
        if window is not None:
            row[[col.KERNEL, col.STRIDE, col.DILATION, col.PAD]] = (
                window.kernel,
                window.stride,
                window.dilation,
                window.pad,
            )
        if isinstance(op, Conv):
            self.convolution(row, op, sources[0], pitch)
        elif isinstance(op, (Relu, LeakyRelu)):
            row[col.OP] = col.ACTIVATION
            alpha = op.alpha if isinstance(op, LeakyRelu) else np.zeros((1, 1))
            row[col.SCALE], row[col.SCALE_PITCH] = self.rows_of(alpha, node)
            before = node.inputs[0]
            if (
                isinstance(self.graph.nodes[before].op, Conv)
                and self.readers[before] == [self.trunk[i]]
                and before not in self.cut
            ):
                self.table[sources[0], col.FUSED] = i
        elif isinstance(op, MaxPool):
            row[col.OP] = col.MAX_POOL
        elif isinstance(op, AveragePool):
            row[col.OP] = col.AVERAGE_POOL
            row[col.SCALE] = self.put(np.broadcast_to(op.factor, (node.shape[0], 1)))
        elif isinstance(op, Affine):
            row[col.OP] = col.AFFINE
            row[col.SCALE], row[col.SCALE_PITCH] = self.rows_of(op.scale, node)
            row[col.SHIFT], row[col.SHIFT_PITCH] = self.rows_of(op.shift, node)
        elif isinstance(op, Add):
            row[col.OP] = col.ADD
            row[col.INDEX] = self.put_index(op.signs)
        elif isinstance(op, Concat):
            row[col.OP] = col.CONCAT_ROWS if op.axis == 1 else col.CONCAT_CHANNELS
            sizes = [self.graph.nodes[j].shape[op.axis - 1] for j in node.inputs]
            row[col.INDEX] = self.put_index(np.cumsum([0, *sizes]))
        elif isinstance(op, Take) and op.axis == 1:
            row[col.OP] = col.TAKE_ROWS
            row[col.FIRST] = op.index[0]
            row[col.STEP] = op.index[1] - op.index[0] if len(op.index) > 1 else 1
        elif isinstance(op, Take):
            row[col.OP] = col.TAKE_CHANNELS
            row[col.INDEX] = self.put_index(op.index)

    def rows_of(self, constant: np.ndarray, node: GraphNode) -> tuple[int, int]:
        """A constant (rows or 1, channels or 1) as padded rows: offset and pitch (0 if shared)."""
        channels = node.shape[1]
        pitch = whole_vectors(channels)
        full = np.zeros((constant.shape[0], pitch), np.float32)
        full[:, :channels] = constant
        return self.put(full), pitch if constant.shape[0] > 1 else 0

    def convolution(self, row: np.ndarray, op: Conv, source: int, pitch: int) -> None:
        """Weights in both directions."""
        w = op.window
        row[col.OP] = col.CONV
        row[col.AFRESH] = self.of_bases(source)
        taps, size, outs = op.weight.shape
        inputs = size * op.groups
        dense = np.zeros((taps, inputs, outs), np.float32)
        for g in range(op.groups):
            into = slice(g * outs // op.groups, (g + 1) * outs // op.groups)
            dense[:, g * size : (g + 1) * size, into] = op.weight[:, :, into]
        bias = np.zeros(pitch, np.float32)
        bias[:outs] = op.bias
        row[col.BIAS] = self.put(bias)
        below = int(self.table[source, col.PITCH])
        row[col.FORWARD_STEP] = w.dilation // gcd(w.stride, w.dilation)
        found = self.blocks(padded(dense, below, pitch), outs)
        row[col.FORWARD] = self.put_index([len(found) // 3, *found])
        if below >= 16:
            transposed = padded(dense.transpose(0, 2, 1), pitch, below)
            table: list[int] = []
            for phase in range(w.stride):
                picked = [j for j in range(taps) if (j * w.dilation - phase) % w.stride == 0][::-1]
                found = self.blocks(transposed[picked], inputs)
                table += [len(picked), picked[0] if picked else 0, *found]
            row[col.BACK] = self.put_index([len(found) // 3, *table])
        else:
            around = np.zeros((outs, taps + 2 * MARGIN, 4), np.float32)
            around[:, MARGIN : MARGIN + taps] = dense.transpose(2, 0, 1)
            row[col.BASES_BLOCK] = around.shape[1] * 4
            row[col.BASES] = self.put(around) + MARGIN * 4
        # where rows of the bases are shorter than a vector, zeros follow the last tap
        length = taps * below if below >= 16 else whole_vectors(taps * below + 12)
        back = np.zeros((outs, length), np.float32)
        taken = back[:, : taps * below].reshape(outs, taps, below)
        taken[:, :, :inputs] = dense.transpose(2, 0, 1)
        row[col.BACKWARD], row[col.BACKWARD_BLOCK] = self.put(back), length

    def blocks(self, weight: np.ndarray, channels: int) -> list[int]:
        """Weights (taps, in, out) cut along the last axis: first vector, half vectors, offset.

        As few blocks as registers allow, of about the same width. The last ends with the half
        vector that holds the last of the ``channels``.
        """
        found: list[int] = []
        vectors = np.arange(weight.shape[2] // 16)
        for part in np.array_split(vectors, -(-len(vectors) // WIDE)):
            first, count = int(part[0]), len(part)
            halves = min(2 * count, -(-(channels - first * 16) // 8))
            found += [first, halves, self.put(weight[:, :, first * 16 : (first + count) * 16])]
        return found

    def of_bases(self, place: int) -> bool:
        """Whether a node only rearranges the sequence."""
        op = self.graph.nodes[self.trunk[place]].op
        if isinstance(op, Input):
            return True
        return isinstance(op, (Take, Concat)) and all(
            self.of_bases(self.place[j]) for j in self.graph.nodes[self.trunk[place]].inputs
        )

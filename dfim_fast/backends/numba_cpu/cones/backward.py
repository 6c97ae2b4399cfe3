"""The near part: how a mutant's gradient differs from the original's, on windows.

With u what the original's slopes bring down from the mutant's own gradient at the top, and dv the
difference of what the mutant's slopes bring: an operator of slope s (mutant: s') passes
``s' dv + (s' - s) u``. dv is zero at the trunk's top and is kept on windows D.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.cones import kernels
from dfim_fast.backends.numba_cpu.cones.forward import (
    Piece,
    Windows,
    input_rows,
    rows_of,
    values,
)
from dfim_fast.backends.numba_cpu.cones.head import Basis
from dfim_fast.backends.numba_cpu.convolution import conv_back_rows
from dfim_fast.backends.passes import Acts
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Array, Elementwise, Rule
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.pad import Pad
from dfim_fast.ops.take import Take


def empty(start: Array, width: int, channels: int) -> Piece:
    """A window of zeros."""
    return Piece(start, np.zeros((len(start), width, channels), np.float32))


def moved(piece: Piece, start: Array, width: int, step: int = 1) -> Array:
    """The piece on another window (M, width, C), zeros elsewhere; rows ``step`` apart."""
    out = np.zeros((len(start), width, piece.data.shape[2]), np.float32)
    kernels.place(piece.data, piece.start, out, start, step)
    return out


class Backward:
    """Near parts through a trunk.

    Parameters
    ----------
    graph : Graph
    trunk : tuple of int
    rule : Rule
    """

    def __init__(self, graph: Graph, trunk: tuple[int, ...], rule: Rule) -> None:
        self.graph, self.trunk, self.rule = graph, trunk, rule

    def run(
        self,
        acts: Acts,
        reference: Acts | None,
        changes: dict[int, Piece],
        basis: Basis,
        rows: slice,
        windows: Windows,
    ) -> Piece:
        """The near part at the input.

        Parameters
        ----------
        acts, reference : dict of ndarray (1, L, C)
        changes : dict of Piece
            The forward cone of these mutants.
        basis : Basis
            With a vector array for every trunk node that is not linear.
        rows : slice
            These mutants among the basis' coefficients.
        windows : dict
            D of every trunk node.
        """
        near = {i: empty(*windows[i], self.graph.nodes[i].shape[1]) for i in self.trunk}
        for i in reversed(self.trunk):
            if i:
                self.step(i, acts, reference, changes, basis, rows, near)
                del near[i]
        return near[0]

    def original(self, i: int, basis: Basis, rows: slice, start: Array, width: int) -> Array:
        """u (M, width, C) at node i: the coefficients times the basis, zero beyond the ends."""
        vectors = basis.vectors.get(i)
        length, channels = self.graph.nodes[i].shape
        if vectors is None:
            return np.zeros((len(start), width, channels), np.float32)
        if len(vectors) == 1:
            return rows_of(vectors[0], start, width)
        low = max(int(start.min()), 0)
        high = min(int(start.max()) + width, length)
        part = vectors.reshape(len(vectors), -1)[:, low * channels : high * channels]
        mixed = (basis.coefficients[rows, : len(vectors)] @ part).reshape(len(start), -1, channels)
        return moved(Piece(np.full(len(start), low), mixed), start, width)

    def step(
        self,
        i: int,
        acts: Acts,
        reference: Acts | None,
        changes: dict[int, Piece],
        basis: Basis,
        rows: slice,
        near: dict[int, Piece],
    ) -> None:
        """Carry the near part at node i down to its inputs."""
        node, above = self.graph.nodes[i], near[i]
        op, below = node.op, [near[j] for j in node.inputs]
        if op.linear and not above.data.any():
            return  # nothing differs yet: the trunk's top
        target = below[0]
        start, width = target.start, target.width
        if isinstance(op, Conv):
            w = op.window
            first = start + w.pad - (w.kernel - 1) * w.dilation
            g = moved(above, first, width + (w.kernel - 1) * w.dilation, w.stride)
            target.data += conv_back_rows(op, g, width)
        elif isinstance(op, Elementwise) and self.rule.gates == "gradient":
            u = self.original(i, basis, rows, start, width)
            j = node.inputs[0]
            self.elementwise(
                op,
                basis.slopes.get(i),
                acts[j],
                None if reference is None else reference[j],
                start,
                values(acts[j][0], changes[j], start, width),
                moved(above, start, width),
                u,
                target.data,
            )
        elif isinstance(op, MaxPool):
            self.max_pool(i, op, acts, reference, changes, basis, rows, above, target)
        elif isinstance(op, AveragePool):
            w = op.window
            g = above.data * rows_of(op.factor, above.start, above.width)
            for k in range(w.kernel):
                kernels.place(g, above.start, target.data, start + w.pad - k * w.dilation, w.stride)
        elif isinstance(op, Concat) and op.axis == 1:
            offset = 0
            for j, b in zip(node.inputs, below, strict=True):
                kernels.place(above.data, above.start - offset, b.data, b.start, 1)
                offset += self.graph.nodes[j].shape[0]
        elif isinstance(op, Pad) and op.axis == 1:
            kernels.place(above.data, above.start - op.start, target.data, start, 1)
        elif isinstance(op, Take) and op.axis == 1:
            kernels.send_rows(above.data, above.start, op.index, target.data, start)
        else:
            assert op.rowwise
            at, parts = self.rows(i, acts, reference, changes, basis, rows, above)
            for part, b in zip(parts, below, strict=True):
                kernels.place(np.ascontiguousarray(part, np.float32), at, b.data, b.start, 1)

    def touched(self, i: int, above: Piece, changed: Piece) -> tuple[Array, int]:
        """Start (M,) and width of the output rows that change or receive a difference."""
        start = np.minimum(above.start, changed.start)
        ends = np.maximum(above.start + above.width, changed.start + changed.width)
        width = int((ends - start).max())
        return np.clip(np.minimum(start, self.graph.nodes[i].shape[0] - width), 0, None), width

    def rows(
        self,
        i: int,
        acts: Acts,
        reference: Acts | None,
        changes: dict[int, Piece],
        basis: Basis,
        rows: slice,
        above: Piece,
    ) -> tuple[Array, list[Array]]:
        """Below an operator that works row by row, on windows as if they were sequences.

        Returns
        -------
        start : ndarray (M,)
        parts : list of ndarray (M, n, C)
            For each input, what passes down now less what passed down in the original.
        """
        node = self.graph.nodes[i]
        op, inputs = node.op, node.inputs
        if op.linear:
            shapes = [(*above.data.shape[:2], self.graph.nodes[j].shape[1]) for j in inputs]
            nothing = [np.broadcast_to(np.float32(0), shape) for shape in shapes]
            return above.start, op.gradient(above.data, nothing, above.data)
        start, width = self.touched(i, above, changes[i])
        u = self.original(i, basis, rows, start, width)

        def down(xs: list[Array], y: Array, g: Array) -> list[Array]:
            if isinstance(op, Elementwise) and self.rule.gates != "gradient":
                return [getattr(op, self.rule.gates)(g, xs[0])]
            if reference is None:
                return op.gradient(g, xs, y)
            rs = [rows_of(reference[j][0], start, width) for j in inputs]
            return op.rescale(g, xs, rs, y, rows_of(reference[i][0], start, width), self.rule)

        old = [rows_of(acts[j][0], start, width) for j in inputs]
        new = [values(acts[j][0], changes[j], start, width) for j in inputs]
        y = rows_of(acts[i][0], start, width)
        now = down(
            new, values(acts[i][0], changes[i], start, width), u + moved(above, start, width)
        )
        return start, [a - b for a, b in zip(now, down(old, y, u), strict=True)]

    def elementwise(
        self,
        op: Elementwise,
        slopes: Array | None,
        x: Array,
        r: Array | None,
        start: Array,
        new_x: Array,
        dv: Array,
        u: Array,
        out: Array,
    ) -> None:
        """out += s' dv + (s' - s) u on a window; new_x: the mutants' values there.

        ``slopes`` (L, C): the original's s, where it is not as easily had as a ReLU's.
        """
        epsilon = self.rule.epsilon
        if slopes is None:
            if r is None:
                kernels.relu_near(x[0], start, new_x, dv, u, out)
            else:
                kernels.relu_near_rescale(x[0], r[0], start, new_x, dv, u, np.float32(epsilon), out)
            return
        old_x = rows_of(x[0], start, new_x.shape[1])
        old = rows_of(slopes, start, new_x.shape[1])
        if r is None:
            new = op.slope(new_x)
        else:
            against = rows_of(r[0], start, new_x.shape[1])
            new = op.quotient(new_x, against, epsilon).astype(np.float32, copy=False)
        out += new * dv + np.where(new_x == old_x, np.float32(0), new - old) * u

    def max_pool(
        self,
        i: int,
        op: MaxPool,
        acts: Acts,
        reference: Acts | None,
        changes: dict[int, Piece],
        basis: Basis,
        rows: slice,
        above: Piece,
        target: Piece,
    ) -> None:
        """Below a max pool: all windows that hold a change or receive a difference."""
        j, w = self.graph.nodes[i].inputs[0], op.window
        start, width = self.touched(i, above, changes[i])
        first, count = input_rows(w, start, width)
        dv = moved(above, start, width)
        u = self.original(i, basis, rows, start, width)
        old = rows_of(acts[j][0], first, count, -np.inf)
        new = values(acts[j][0], changes[j], first, count, -np.inf)
        out = np.zeros((len(start), count, new.shape[2]), np.float32)
        if reference is None or self.rule.maxpool == "deeplift":
            kernels.pool_near(new, old, w.kernel, w.stride, w.dilation, u, dv, out)
        else:
            against = rows_of(reference[j][0], first, count, -np.inf)
            epsilon = np.float32(self.rule.epsilon)
            lost = np.zeros_like(out)
            kernels.pool_shares(new, against, w.kernel, w.stride, w.dilation, u + dv, epsilon, out)
            kernels.pool_shares(old, against, w.kernel, w.stride, w.dilation, u, epsilon, lost)
            out -= lost
        kernels.place(out, first, target.data, target.start, 1)

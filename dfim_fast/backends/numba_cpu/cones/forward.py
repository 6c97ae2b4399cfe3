"""The forward cone: what a mutant's tensors hold on the windows that it changes.

Windows hold values, not differences: each number comes out of the same arithmetic as the
original's, so that what did not change is equal to the bit, and real ties stay ties.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.numba_cpu.cones import kernels
from dfim_fast.backends.numba_cpu.convolution import conv_rows
from dfim_fast.backends.passes import Acts
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.pad import Pad
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.take import Take
from dfim_fast.ops.window import Window

Windows = dict[int, tuple[Array, int]]  # node -> start (M,) and common width


@dataclass
class Piece:
    """A window of one tensor for M mutants: data (M, n, C), row start[m] + i in data[m, i]."""

    start: Array
    data: Array

    @property
    def width(self) -> int:
        """Rows n."""
        return self.data.shape[1]


def rows_of(base: Array, start: Array, width: int, fill: float = 0.0) -> Array:
    """Rows start..start+width of a tensor (L, C) for each mutant; ``fill`` beyond its ends."""
    out = np.empty((len(start), width, base.shape[1]), np.float32)
    kernels.rows_of(base, start, np.float32(fill), out)
    return out


def values(base: Array, piece: Piece, start: Array, width: int, fill: float = 0.0) -> Array:
    """The mutants' rows start..start+width: the piece where it reaches, else the original."""
    out = rows_of(base, start, width, fill)
    kernels.overlay(piece.data, piece.start, out, start)
    return out


def input_rows(window: Window, start: Array, width: int) -> tuple[Array, int]:
    """Input rows that ``width`` outputs from ``start`` on read: their start and number."""
    return (
        start * window.stride - window.pad,
        (width - 1) * window.stride + (window.kernel - 1) * window.dilation + 1,
    )


class Forward:
    """Windows of change through a trunk.

    Parameters
    ----------
    graph : Graph
        In float32.
    trunk : tuple of int
    """

    def __init__(self, graph: Graph, trunk: tuple[int, ...]) -> None:
        self.graph, self.trunk = graph, trunk

    def run(self, acts: Acts, change: Piece, windows: Windows) -> dict[int, Piece]:
        """The windows of every trunk node, given the mutated columns."""
        pieces = {0: change}
        for i in self.trunk:
            if i:
                start, width = windows[i]
                pieces[i] = Piece(start, self.step(i, acts, pieces, start, width))
        return pieces

    def step(self, i: int, acts: Acts, pieces: dict[int, Piece], start: Array, width: int) -> Array:
        """One node on its window (M, width, C)."""
        node = self.graph.nodes[i]
        op = node.op

        def read(start: Array, width: int, fill: float = 0.0, which: int = 0) -> Array:
            j = node.inputs[which]
            return values(acts[j][0], pieces[j], start, width, fill)

        if isinstance(op, Conv):
            x = read(*input_rows(op.window, start, width))
            return conv_rows(op, x, width) + op.bias
        if isinstance(op, Relu):
            x = read(start, width)
            kernels.relu(x)
            return x
        if isinstance(op, Elementwise):
            return op.value(read(start, width))
        if isinstance(op, MaxPool):
            w = op.window
            x = read(*input_rows(w, start, width), -np.inf)
            out = np.empty((len(start), width, x.shape[2]), np.float32)
            kernels.pool(x, w.kernel, w.stride, w.dilation, out)
            return out
        if isinstance(op, AveragePool):
            w = op.window
            x = read(*input_rows(w, start, width))
            out = x[:, w.tap(0)][:, :width].copy()
            for j in range(1, w.kernel):
                at = j * w.dilation
                out += x[:, at : at + (width - 1) * w.stride + 1 : w.stride]
            return out * rows_of(op.factor, start, width)
        if isinstance(op, Pad) and op.axis == 1:
            out = rows_of(acts[i][0], start, width)  # the constants, and what does not change
            j = node.inputs[0]
            kernels.overlay(pieces[j].data, pieces[j].start + op.start, out, start)
            return out
        if isinstance(op, Concat) and op.axis == 1:
            out = rows_of(acts[i][0], start, width)
            offset = 0
            for j in node.inputs:
                kernels.overlay(pieces[j].data, pieces[j].start + offset, out, start)
                offset += self.graph.nodes[j].shape[0]
            return out
        if isinstance(op, Take) and op.axis == 1:
            j = node.inputs[0]
            picked = op.index[np.clip(start[:, None] + np.arange(width), 0, len(op.index) - 1)]
            at = picked - pieces[j].start[:, None]
            inside = (at >= 0) & (at < pieces[j].width)
            own = np.take_along_axis(
                pieces[j].data, np.clip(at, 0, pieces[j].width - 1)[:, :, None], axis=1
            )
            return np.where(inside[:, :, None], own, acts[j][0][picked])
        return op.forward([read(start, width, 0.0, k) for k in range(len(node.inputs))])

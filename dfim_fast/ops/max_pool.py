"""Max pooling over positions or channels, and the two DeepLIFT rules for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Rule, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.pooling import over_positions, pool_window, spatial_axes
from dfim_fast.ops.registry import reads
from dfim_fast.ops.window import Window

POOL = "the pooled difference, to the winners of x and r"


def winners(x: Array, window: Window) -> Array:
    """Input row (B, L', C) that each pooled value comes from; the first of equal ones."""
    index, inside = window.indices(x.shape[1])
    entries = np.where(inside[:, :, None], x[:, index], -np.inf)  # (B, L', kernel, C)
    best = entries.argmax(axis=2)
    return np.take_along_axis(
        np.broadcast_to(index[None, :, :, None], entries.shape), best[:, :, None], 2
    )[:, :, 0]


def send(g: Array, rows: Array, length: int) -> Array:
    """Add g (B, L', C) to the input rows (B, L', C) it belongs to -> (B, L, C)."""
    g, rows = np.broadcast_arrays(g, rows)
    out = np.zeros((len(g), length, g.shape[2]), g.dtype)
    batch, channel = np.ogrid[: len(g), : g.shape[2]]
    for i in range(g.shape[1]):  # output by output: windows may overlap, the order is fixed
        out[batch, rows[:, i], channel] += g[:, i]
    return out


def share(
    m: Array, x: Array, r: Array, y: Array, yr: Array, wx: Array, wr: Array, rule: Rule
) -> Array:
    """DeepLIFT multipliers below a max pool.

    With M = max(y, y0): ``m * (M - y0)`` goes to the winner of x and ``m * (y - M)`` to the winner
    of r; the sum that arrives at a position is divided by x - r there, and where that is below
    epsilon the plain gradient at x stands instead. Rule "deeplift": all of m to the winner of x.
    """
    plain = send(m, wx, x.shape[1])
    if rule.maxpool == "deeplift":
        return plain
    top = np.maximum(y, yr)
    arriving = send(m * (top - yr), wx, x.shape[1]) + send(m * (y - top), wr, x.shape[1])
    d = x - r
    near = np.abs(d) < rule.epsilon
    return np.where(near, plain, arriving / np.where(near, np.ones_like(d), d))


@dataclass(frozen=True, eq=False)
class MaxPool(Operator):
    """y[i, c] = max over the window of x[., c]; ties go to the first position."""

    in_words: ClassVar[str] = POOL
    window: Window

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.window.out_length, inputs[0][1]

    def forward(self, xs: Sequence[Array]) -> Array:
        x = self.window.padded(xs[0], -np.inf)
        y = x[:, self.window.tap(0)].copy()
        for j in range(1, self.window.kernel):
            np.maximum(y, x[:, self.window.tap(j)], out=y)
        return y

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [send(g, winners(xs[0], self.window), xs[0].shape[1])]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        x, r = xs[0], rs[0]
        wx, wr = winners(x, self.window), winners(r, self.window)
        return [share(m, x, r, y, yr, wx, wr, rule)]

    def spread(self, masks: Sequence[Array]) -> Array:
        return self.window.spread(masks[0])

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [self.window.collect(mask, lengths[0])]

    def describe(self) -> str:
        return f"MaxPool {self.window.kernel} stride {self.window.stride}"


@dataclass(frozen=True, eq=False)
class ChannelMax(Operator):
    """y[i] = max over channels of x[i, .]; ties go to the first channel."""

    in_words: ClassVar[str] = POOL

    @property
    def rowwise(self) -> bool:
        return True

    def _window(self, x: Array) -> Window:
        return Window(x.shape[2], x.shape[2], 1, 0, 1)

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0][0], 1

    def forward(self, xs: Sequence[Array]) -> Array:
        return xs[0].max(axis=2, keepdims=True)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        x = xs[0].swapaxes(1, 2)
        return [send(g.swapaxes(1, 2), winners(x, self._window(xs[0])), x.shape[1]).swapaxes(1, 2)]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        window = self._window(xs[0])
        m, x, r, y, yr = (a.swapaxes(1, 2) for a in (m, xs[0], rs[0], y, yr))
        return [share(m, x, r, y, yr, winners(x, window), winners(r, window), rule).swapaxes(1, 2)]


@reads("MaxPool")
def read_max_pool(node: Node) -> Tensor:
    """Padding is never chosen; ceil_mode and dilations as ONNX defines them."""
    t = node.tensor(0)
    window, along = pool_window(node, t)
    return t if window is None else node.add(MaxPool(window), t, axes=spatial_axes(t, along))


@reads("GlobalMaxPool")
def read_global_max_pool(node: Node) -> Tensor:
    """The maximum over all positions."""
    t = node.tensor(0)
    over_positions(t, *range(2, len(t.axes)))
    return node.add(MaxPool(Window(t.shape[0], t.shape[0], 1, 0, 1)), t)

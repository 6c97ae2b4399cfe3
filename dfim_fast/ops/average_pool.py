"""Average pooling and sums over positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.pooling import over_positions, pool_window, spatial_axes
from dfim_fast.ops.registry import reads
from dfim_fast.ops.window import Window


@dataclass(frozen=True, eq=False)
class AveragePool(Operator):
    """y[i] = factor[i] * sum over the window of x.

    Attributes
    ----------
    window : Window
    factor : ndarray (L', 1)
        One over the number of entries that count; 1 for a plain sum.
    """

    linear: ClassVar[bool] = True
    window: Window
    factor: Array

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.window.out_length, inputs[0][1]

    def forward(self, xs: Sequence[Array]) -> Array:
        x = self.window.padded(xs[0])
        y = x[:, self.window.tap(0)].copy()
        for j in range(1, self.window.kernel):
            y += x[:, self.window.tap(j)]
        return y * self.factor

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        length, channels = xs[0].shape[1:]
        w, share = self.window, g * self.factor
        dx = np.zeros((len(g), w.pad + length + w.right_pad(length), channels), g.dtype)
        for j in range(w.kernel):
            dx[:, w.tap(j)] += share
        return [dx[:, w.pad : w.pad + length]]

    def spread(self, masks: Sequence[Array]) -> Array:
        return self.window.spread(masks[0])

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [self.window.collect(mask, lengths[0])]

    def multiply_adds(self, *inputs: Shape) -> int:
        return self.window.out_length * self.window.kernel * inputs[0][1]

    def describe(self) -> str:
        return f"AveragePool {self.window.kernel} stride {self.window.stride}"


def over_all(node: Node, t: Tensor, mean: bool) -> Tensor:
    """Append the sum or mean over all positions."""
    rows = t.shape[0]
    factor = np.full((1, 1), 1.0 / rows if mean else 1.0)
    return node.add(AveragePool(Window(rows, rows, 1, 0, 1), factor), t)


@reads("AveragePool")
def read_average_pool(node: Node) -> Tensor:
    """Padding counts or not, as count_include_pad says."""
    t = node.tensor(0)
    window, along = pool_window(node, t)
    if window is None:
        return t
    _, inside = window.indices(t.shape[0])
    if node.attr("count_include_pad", 0):
        # positions that ceil_mode added beyond the declared padding never count
        pads = node.attr("pads", [0, 0])
        right = int(pads[-1]) if len(pads) == 2 else int(pads[len(pads) // 2 + along - 2])
        if node.attr("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            right = window.right_pad(t.shape[0])
        raw = (
            np.arange(window.out_length)[:, None] * window.stride
            - window.pad
            + np.arange(window.kernel)[None] * window.dilation
        )
        inside = raw < t.shape[0] + right
    factor = 1.0 / inside.sum(1, keepdims=True)
    return node.add(AveragePool(window, factor), t, axes=spatial_axes(t, along))


@reads("GlobalAveragePool")
def read_global_average_pool(node: Node) -> Tensor:
    """The mean over all positions."""
    t = node.tensor(0)
    over_positions(t, *range(2, len(t.axes)))
    return over_all(node, t, mean=True)

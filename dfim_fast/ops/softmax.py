"""Softmax and LogSoftmax, inside the network or at an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from dfim_fast.ops.base import Array, Operator, Rule, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.log_sum_exp import LogSumExp, growth
from dfim_fast.ops.node import Node
from dfim_fast.ops.normalize import axes_of, mixed
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Softmax(Operator):
    """y = exp(x) / sum(exp(x)) over ``axes``; at an output its input is scored.

    Rescale takes it apart into exp, sum, reciprocal and product, each by its own rule (see
    multiply.py). With d = x - r and E = (exp(x) - exp(r)) / d, the sums s and s0, every part of it
    can be said by the results y and y0 alone, so that no exponential overflows and a shift of the
    logits changes nothing:

        A = E / s = y (1 - exp(-d)) / d,   B = E / s0 = y0 (exp(d) - 1) / d,
        m_x = (m (A + B) - B sum(m y) - A sum(m y0)) / 2.

    Attributes
    ----------
    axes : tuple of int
        1: positions, 2: channels. Over channels alone it is local in position.
    """

    squashes: ClassVar[bool] = True
    axes: tuple[int, ...]

    @property
    def rowwise(self) -> bool:
        return self.axes == (2,)

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def _sum(self, x: Array) -> Array:
        return x.sum(axis=self.axes, keepdims=True)

    def forward(self, xs: Sequence[Array]) -> Array:
        return softmax(np.ascontiguousarray(xs[0]), axis=self.axes)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [y * (g - self._sum(g * y))]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        wide = np.float64
        d = xs[0].astype(wide) - rs[0]
        a, b = y * growth(-d), yr * growth(d)
        down = m * (a + b) - b * self._sum(m * y.astype(wide)) - a * self._sum(m * yr.astype(wide))
        return [(down / 2).astype(m.dtype)]

    def spread(self, masks: Sequence[Array]) -> Array:
        return masks[0] if 1 not in self.axes else mixed(masks[0])

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [self.spread([mask])]

    def multiply_adds(self, *inputs: Shape) -> int:
        rows, channels = inputs[0]
        return rows * channels


@dataclass(frozen=True, eq=False)
class LogSoftmax(Softmax):
    """y = x - log(sum(exp(x))) over ``axes``, by the rules of LogSumExp."""

    def forward(self, xs: Sequence[Array]) -> Array:
        return xs[0] - LogSumExp(self.axes).forward(xs)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        (below,) = LogSumExp(self.axes).gradient(self._sum(g), xs, y)
        return [g - below]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        (below,) = LogSumExp(self.axes).rescale(self._sum(m), xs, rs, y, yr, rule)
        return [m - below]


@reads("Softmax", "LogSoftmax")
def read_softmax(node: Node) -> Tensor:
    """Over one axis; before opset 13 over all axes from ``axis`` on."""
    t = node.tensor(0)
    new = node.opset >= 13
    first = t.axis(int(node.attr("axis", -1 if new else 1)))
    axes = axes_of(t, [t.axes[first]] if new else t.axes[first:])
    return node.add(Softmax(axes) if node.op_type == "Softmax" else LogSoftmax(axes), t)

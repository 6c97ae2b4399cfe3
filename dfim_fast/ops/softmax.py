"""Softmax and LogSoftmax, inside the network or at an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from dfim_fast.ops.base import Array, Rule, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.log_sum_exp import LOGARITHM, LogSumExp, growth
from dfim_fast.ops.node import Node
from dfim_fast.ops.over_axes import OverAxes, axes_of
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class LogSoftmax(OverAxes):
    """y = x - log(sum(exp(x))) over ``axes``, by the rules of LogSumExp; scored at its input."""

    squashes: ClassVar[bool] = True
    in_words: ClassVar[str] = LOGARITHM

    def _sum(self, x: Array) -> Array:
        return x.sum(axis=self.axes, keepdims=True)

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

    def multiply_adds(self, *inputs: Shape) -> int:
        rows, channels = inputs[0]
        return rows * channels


@dataclass(frozen=True, eq=False)
class Softmax(LogSoftmax):
    """y = exp(x) / sum(exp(x)) over ``axes``.

    Rescale takes it apart as exp(LogSoftmax(x)). Taken as a quotient of exponentials, logits that
    all rise by c would change no y and yet have multipliers larger by some exp(c); here they have
    what the gradient gives them, and every factor lies between y and y0.
    """

    def forward(self, xs: Sequence[Array]) -> Array:
        return softmax(np.ascontiguousarray(xs[0]), axis=self.axes)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [y * (g - self._sum(g * y))]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        logs = LogSoftmax(self.axes)
        wide, wide_r = xs[0].astype(np.float64), rs[0].astype(np.float64)
        u, v = logs.forward([wide]), logs.forward([wide_r])
        inner = m * np.exp(v) * growth(u - v)
        (down,) = logs.rescale(inner, [wide], [wide_r], u, v, rule)
        return [down.astype(m.dtype)]


@reads("Softmax", "LogSoftmax")
def read_softmax(node: Node) -> Tensor:
    """Over one axis; before opset 13 over all axes from ``axis`` on."""
    t = node.tensor(0)
    new = node.opset >= 13
    first = t.axis(int(node.attr("axis", -1 if new else 1)))
    axes = axes_of(t, [t.axes[first]] if new else t.axes[first:])
    return node.add(Softmax(axes) if node.op_type == "Softmax" else LogSoftmax(axes), t)

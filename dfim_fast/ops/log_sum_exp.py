"""The logarithm of a sum of exponentials: total log counts of a profile of log rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from dfim_fast.ops.base import Array, Operator, Rule, Shape

LOGARITHM = "as exp, sum and log, each by its rule"
LARGEST = 700.0  # exp of it is still a float64


@dataclass(frozen=True, eq=False)
class LogSumExp(Operator):
    """y = log(sum of exp(x)), over some axes.

    Attributes
    ----------
    axes : tuple of int
        1: positions, 2: channels.
    """

    in_words: ClassVar[str] = LOGARITHM
    axes: tuple[int, ...]

    @property
    def rowwise(self) -> bool:
        return self.axes == (2,)

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = inputs[0]
        return 1 if 1 in self.axes else rows, 1 if 2 in self.axes else channels

    def forward(self, xs: Sequence[Array]) -> Array:
        x = np.ascontiguousarray(xs[0])
        top = x.max(axis=self.axes, keepdims=True)
        return top + np.log(np.exp(x - top).sum(axis=self.axes, keepdims=True))

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [g * softmax(xs[0], axis=self.axes)]

    def rescale(
        self,
        m: Array,
        xs: Sequence[Array],
        rs: Sequence[Array],
        y: Array,
        yr: Array,
        rule: Rule,
    ) -> list[Array]:
        """Rescale of exp, the sum and log: one quotient for the sum S times one for each term.

        ``(log S - log S_r) / (S - S_r) * (exp(x) - exp(r)) / (x - r)``; a common shift of x and r
        cancels, so that nothing overflows.
        """
        x, r = xs[0].astype(np.float64, copy=False), rs[0].astype(np.float64, copy=False)
        total_r = self.forward([r])
        change = self.forward([x]) - total_r
        d = x - r
        near = np.abs(d) < rule.epsilon
        term = np.where(near, np.exp(x - total_r), np.exp(r - total_r) * growth(d))
        share = np.where(
            near.all(self.axes, keepdims=True), softmax(x, axis=self.axes), term / growth(change)
        )
        return [(m * share).astype(m.dtype, copy=False)]

    def spread(self, masks: Sequence[Array]) -> Array:
        return np.asarray(masks[0].any(1, keepdims=True)) if 1 in self.axes else masks[0]

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [mask.repeat(lengths[0], 1) if 1 in self.axes else mask]


def growth(d: Array) -> Array:
    """(exp(d) - 1) / d, which is 1 at 0; finite, where d is beyond what exp can say."""
    d = np.clip(d, -LARGEST, LARGEST)
    return np.divide(np.expm1(d), d, out=np.ones_like(d), where=d != 0)

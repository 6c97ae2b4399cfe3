"""The scalar that the field reads off a base-resolution output: its softmax-weighted logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from dfim_fast.ops.base import Array, Operator, Rule, Shape


@dataclass(frozen=True, eq=False)
class Profile(Operator):
    """y = sum_i p_i (x_i - mean of x), p = softmax(x): how peaked a profile of logits is.

    p weighs the logits and is no part of what is explained: it is held constant at the sequence's
    own value, for gradients and multipliers alike, so what arrives at x_i is ``p_i - 1/n``. A
    mutant is weighed by its own p.

    Attributes
    ----------
    axes : tuple of int
        (1, 2): one softmax over positions and channels together; (1,): one for each channel.
    """

    held: ClassVar[bool] = True
    in_words: ClassVar[str] = "the gradient, its weights held"
    axes: tuple[int, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        return 1, 1 if 2 in self.axes else inputs[0][1]

    def forward(self, xs: Sequence[Array]) -> Array:
        x = xs[0]
        centred = x - x.mean(axis=self.axes, keepdims=True)
        return (softmax(x, axis=self.axes) * centred).sum(axis=self.axes, keepdims=True)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        p = softmax(xs[0], axis=self.axes)
        return [g * (p - p.mean(axis=self.axes, keepdims=True))]

    def rescale(
        self,
        m: Array,
        xs: Sequence[Array],
        rs: Sequence[Array],
        y: Array,
        yr: Array,
        rule: Rule,
    ) -> list[Array]:
        return self.gradient(m, xs, y)

    def spread(self, masks: Sequence[Array]) -> Array:
        return np.asarray(masks[0].any(1, keepdims=True))

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [mask.repeat(lengths[0], 1)]

"""Maximum and minimum of branches, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import numpy as np

from dfim_fast.ops.add import aligned
from dfim_fast.ops.base import Array, Joint, Rule, unbroadcast
from dfim_fast.ops.clip import clip
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.max_pool import POOL
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads


@dataclass(frozen=True, eq=False)
class Maximum(Joint):
    """y = max(a, b), or min(a, b) = -max(-a, -b) for sign -1; of equal values the first wins.

    Rescale takes the branches as a pool of two (see max_pool.py): with M the larger of y and y0,
    ``m * (M - y0)`` goes to the winner of x and ``m * (y - M)`` to the winner of r, each divided
    by its own x - r; where that is below epsilon the gradient at x stands.
    """

    in_words: ClassVar[str] = POOL
    sign: float = 1.0

    def forward(self, xs: Sequence[Array]) -> Array:
        return reduce(np.maximum if self.sign > 0 else np.minimum, xs)

    def _first_wins(self, xs: Sequence[Array]) -> Array:
        return xs[0] >= xs[1] if self.sign > 0 else xs[0] <= xs[1]

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        first = self._first_wins(xs)
        shares = (np.where(first, g, 0), np.where(first, 0, g))
        return [unbroadcast(s, x.shape[1:]) for s, x in zip(shares, xs, strict=True)]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        if rule.maxpool == "deeplift":
            return self.gradient(m, xs, y)
        first, before = self._first_wins(xs), self._first_wins(rs)
        top = self.forward([y, yr])
        to_x, to_r = m * (top - yr), m * (y - top)
        down = []
        for x, r, won, lost in zip(xs, rs, (first, ~first), (before, ~before), strict=True):
            d = x - r
            near = np.abs(d) < rule.epsilon
            arriving = np.where(won, to_x, 0) + np.where(lost, to_r, 0)
            shared = arriving / np.where(near, np.ones_like(d), d)
            down.append(unbroadcast(np.where(near, np.where(won, m, 0), shared), x.shape[1:]))
        return down

    def describe(self) -> str:
        return "Maximum" if self.sign > 0 else "Minimum"


@reads("Max", "Min")
def read_maximum(node: Node) -> Tensor:
    """Of branches, two by two, and of constants, which clip."""
    largest = node.op_type == "Max"
    tensors = [v for v in node.inputs if isinstance(v, Tensor)]
    t = tensors[0] if tensors else node.tensor(0)
    for other in tensors[1:]:
        pair, axes = aligned(node, t, other)
        t = node.add(Maximum(1.0 if largest else -1.0), *pair, axes=axes)
    for bound in (v for v in node.inputs if not isinstance(v, Tensor)):
        if bound is None:
            raise Unsupported("an input is left out")
        low, high = (bound, np.inf) if largest else (-np.inf, bound)
        t = clip(node, t, np.asarray(low), np.asarray(high))
    return t

"""One function of one tensor that a graph spells out in several branches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from dfim_fast.ops.base import Array, Elementwise, Joint, Operator

Path = tuple[Operator, ...]  # elementwise, one after the other


@dataclass(frozen=True, eq=False)
class Composite(Elementwise):
    """y = join(path_1(x), ..., path_n(x)), entry by entry.

    Taken as one function: Rescale divides its whole difference by x - r, as it does for functions
    with a name, where the rules of the parts would share the difference out by way of the branches.

    Attributes
    ----------
    join : Joint
        What brings the branches together: Multiply, Where, Maximum, Add.
    paths : tuple of tuple of Operator
        Elementwise and Affine operators whose constants are the same at all positions.
    """

    join: Joint
    paths: tuple[Path, ...]

    def value(self, x: Array) -> Array:
        ends = []
        for path in self.paths:
            end = x
            for op in path:
                end = op.forward([end])
            ends.append(end)
        return self.join.forward(ends)

    def slope(self, x: Array) -> Array:
        one = np.ones_like(x)
        ends, slopes = [], []
        for path in self.paths:
            end, slope = x, one
            for op in path:
                below = end
                end = op.forward([below])
                slope = slope * op.gradient(one, [below], end)[0]
            ends.append(end)
            slopes.append(slope)
        arriving = self.join.gradient(one, ends, self.join.forward(ends))
        # a branch that is not taken may overflow: nothing arrives there, and nothing passes
        return sum_of([np.where(g == 0, g, g * s) for g, s in zip(arriving, slopes, strict=True)])

    def astype(self, dtype: type) -> Self:
        paths = tuple(tuple(op.astype(dtype) for op in path) for path in self.paths)
        return dataclasses.replace(self, join=self.join.astype(dtype), paths=paths)

    def describe(self) -> str:
        inner = [op.join if isinstance(op, Composite) else op for p in self.paths for op in p]
        names = dict.fromkeys(type(op).__name__ for op in inner)
        return f"{self.join.describe()} of " + ", ".join(names or ["itself"])


def sum_of(parts: Sequence[Array]) -> Array:
    """The sum of arrays, from the left."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total

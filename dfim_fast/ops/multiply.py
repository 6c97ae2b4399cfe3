"""Product of two branches that both depend on the input: gates, squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dfim_fast.ops.add import aligned
from dfim_fast.ops.base import Array, Joint, Rule, unbroadcast
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node


@dataclass(frozen=True, eq=False)
class Multiply(Joint):
    """y = a * b, broadcast over axes of size one.

    Rescale gives each factor the mean of the other over x and r, which is exact:
    ``a b - a0 b0 = (a - a0) (b + b0) / 2 + (b - b0) (a + a0) / 2``. No quotient, so nothing is
    near zero. A division is the product with a Reciprocal.
    """

    in_words: ClassVar[str] = "the mean of the other factor over x and r"

    def forward(self, xs: Sequence[Array]) -> Array:
        return xs[0] * xs[1]

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        a, b = xs
        return [unbroadcast(g * b, a.shape[1:]), unbroadcast(g * a, b.shape[1:])]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        return self.gradient(m, [(x + r) / 2 for x, r in zip(xs, rs, strict=True)], y)


def multiply(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Append a * b."""
    tensors, axes = aligned(node, a, b)
    return node.add(Multiply(), *tensors, axes=axes)

"""Where: one of two branches, entry by entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.add import add_branches, aligned
from dfim_fast.ops.affine import affine
from dfim_fast.ops.base import Array, Joint, Rule, unbroadcast
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Where(Joint):
    """y = a where c is not 0, else b, for inputs c (0 or 1, as a Step makes it), a and b.

    Rescale takes it as c * a + (1 - c) * b, with the rule for products (see multiply.py): a has the
    mean of c over x and r, b the rest, and c the mean of a - b where it differs.
    """

    in_words: ClassVar[str] = "as condition * a + (1 - condition) * b"

    def forward(self, xs: Sequence[Array]) -> Array:
        c, a, b = xs
        return np.where(c != 0, a, b)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        c, a, b = (x.shape[1:] for x in xs)
        chosen = xs[0] != 0
        return [
            unbroadcast(np.zeros_like(g * xs[0]), c),
            unbroadcast(np.where(chosen, g, 0), a),
            unbroadcast(np.where(chosen, 0, g), b),
        ]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        c, a, b = ((x + r) / 2 for x, r in zip(xs, rs, strict=True))
        down = (np.where(xs[0] == rs[0], 0, m * (a - b)), m * c, m * (1 - c))
        return [unbroadcast(d, x.shape[1:]) for d, x in zip(down, xs, strict=True)]


@reads("Where")
def read_where(node: Node) -> Tensor:
    """A constant condition makes a weighted sum; others are comparisons of branches."""
    condition, *values = node.inputs
    branches: list[Tensor] = []
    if isinstance(condition, np.ndarray):
        constant = np.zeros(())
        for i, value in enumerate(values, 1):
            share = (condition if i == 1 else ~condition).astype(np.float64)
            if isinstance(value, Tensor):
                branches.append(affine(node, value, share, None))
            else:
                constant = constant + share * node.constant(i, "a branch")
        if len(branches) == 2:
            return add_branches(node, branches[0], branches[1], 1.0)
        return affine(node, branches[0], None, constant)
    c = node.tensor(0)
    for i, value in enumerate(values, 1):
        if isinstance(value, Tensor):
            branches.append(value)
        else:  # a constant branch: nothing of the condition, plus the constant
            nothing = np.zeros((1,) * len(c.axes))
            branches.append(affine(node, c, nothing, node.constant(i, "a branch")))
    tensors, axes = aligned(node, c, *branches)
    return node.add(Where(), *tensors, axes=axes)

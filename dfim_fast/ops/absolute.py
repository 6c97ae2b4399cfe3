"""Absolute value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Abs(Elementwise):
    """y = |x|; derivative 0 at 0."""

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def slope(self, x: Array) -> Array:
        return np.sign(x)


@reads("Abs")
def read_abs(node: Node) -> Tensor:
    """|x|."""
    return node.add(Abs(), node.tensor(0))

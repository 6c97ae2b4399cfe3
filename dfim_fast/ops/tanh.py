"""Hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Tanh(Elementwise):
    """y = tanh(x)."""

    def value(self, x: Array) -> Array:
        return np.tanh(x)

    def slope(self, x: Array) -> Array:
        return 1 - np.tanh(x) ** 2


@reads("Tanh")
def read_tanh(node: Node) -> Tensor:
    """tanh(x)."""
    return node.add(Tanh(), node.tensor(0))

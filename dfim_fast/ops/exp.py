"""Exponential."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Exp(Elementwise):
    """y = exp(x)."""

    def value(self, x: Array) -> Array:
        return np.exp(x)

    def slope(self, x: Array) -> Array:
        return np.exp(x)


@reads("Exp")
def read_exp(node: Node) -> Tensor:
    """exp(x)."""
    return node.add(Exp(), node.tensor(0))

"""ELU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Elu(Elementwise):
    """y = x where x > 0, else alpha * (exp(x) - 1)."""

    alpha: float

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, x.dtype.type(self.alpha) * np.expm1(np.minimum(x, 0)))

    def slope(self, x: Array) -> Array:
        one = np.ones((), x.dtype)
        return np.where(x > 0, one, x.dtype.type(self.alpha) * np.exp(np.minimum(x, 0)))


@reads("Elu")
def read_elu(node: Node) -> Tensor:
    """alpha defaults to 1."""
    return node.add(Elu(float(node.attr("alpha", 1.0))), node.tensor(0))

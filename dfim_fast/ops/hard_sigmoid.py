"""HardSigmoid and HardSwish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class HardSigmoid(Elementwise):
    """y = min(max(alpha * x + beta, 0), 1); derivative 0 at both bounds."""

    alpha: float
    beta: float

    def value(self, x: Array) -> Array:
        return np.clip(self.alpha * x + self.beta, 0, 1)

    def slope(self, x: Array) -> Array:
        y = self.alpha * x + self.beta
        return np.where((y > 0) & (y < 1), x.dtype.type(self.alpha), x.dtype.type(0))


@dataclass(frozen=True, eq=False)
class HardSwish(Elementwise):
    """y = x * min(max(x / 6 + 1/2, 0), 1); derivative 0 at -3 and 1 at 3."""

    def value(self, x: Array) -> Array:
        return x * np.clip(x / 6 + 0.5, 0, 1)

    def slope(self, x: Array) -> Array:
        inside = (x > -3) & (x < 3)
        return np.where(inside, x / 3 + 0.5, (x > 0).astype(x.dtype))


@reads("HardSigmoid")
def read_hard_sigmoid(node: Node) -> Tensor:
    """alpha defaults to 0.2, beta to 0.5."""
    alpha, beta = float(node.attr("alpha", 0.2)), float(node.attr("beta", 0.5))
    return node.add(HardSigmoid(alpha, beta), node.tensor(0))


@reads("HardSwish")
def read_hard_swish(node: Node) -> Tensor:
    """x * HardSigmoid(x, 1/6, 1/2)."""
    return node.add(HardSwish(), node.tensor(0))

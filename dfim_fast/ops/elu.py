"""ELU and its relatives SELU and CELU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads

# What ONNX defines as the defaults of Selu, which its file format rounds to float32.
SELU_ALPHA, SELU_SCALE = 1.67326319217681884765625, 1.05070102214813232421875


@dataclass(frozen=True, eq=False)
class Elu(Elementwise):
    """y = scale * x where x > 0, else scale * alpha * (exp(rate * x) - 1)."""

    alpha: float
    scale: float = 1.0
    rate: float = 1.0

    def value(self, x: Array) -> Array:
        below = self.alpha * np.expm1(self.rate * np.minimum(x, 0))
        return self.scale * np.where(x > 0, x, below)

    def slope(self, x: Array) -> Array:
        below = self.alpha * self.rate * np.exp(self.rate * np.minimum(x, 0))
        return self.scale * np.where(x > 0, np.ones((), x.dtype), below)


@reads("Elu")
def read_elu(node: Node) -> Tensor:
    """alpha defaults to 1."""
    return node.add(Elu(float(node.attr("alpha", 1.0))), node.tensor(0))


@reads("Selu")
def read_selu(node: Node) -> Tensor:
    """gamma * Elu(x, alpha)."""
    alpha, scale = node.attr("alpha", SELU_ALPHA), node.attr("gamma", SELU_SCALE)
    return node.add(Elu(float(alpha), scale=float(scale)), node.tensor(0))


@reads("Celu")
def read_celu(node: Node) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1)); alpha above zero."""
    alpha = float(node.attr("alpha", 1.0))
    if alpha <= 0:
        raise Unsupported(f"alpha={alpha:g} is not positive")
    return node.add(Elu(alpha, rate=1 / alpha), node.tensor(0))

"""SiLU, which ONNX calls Swish."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import expit

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Silu(Elementwise):
    """y = x / (1 + exp(-alpha * x))."""

    alpha: float = 1.0

    def value(self, x: Array) -> Array:
        return x * expit(self.alpha * x)

    def slope(self, x: Array) -> Array:
        u = self.alpha * x
        return expit(u) * (1 + u * expit(-u))


@reads("Swish")
def read_swish(node: Node) -> Tensor:
    """x * Sigmoid(alpha * x); alpha defaults to 1."""
    return node.add(Silu(float(node.attr("alpha", 1.0))), node.tensor(0))

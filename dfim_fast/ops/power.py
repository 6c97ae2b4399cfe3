"""Powers with a constant exponent: Pow, Sqrt, Reciprocal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads


@dataclass(frozen=True, eq=False)
class Power(Elementwise):
    """y = x ** exponent."""

    exponent: float

    def value(self, x: Array) -> Array:
        return x**self.exponent

    def slope(self, x: Array) -> Array:
        return self.exponent * x ** (self.exponent - 1)

    def describe(self) -> str:
        return f"Power {self.exponent:g}"


@dataclass(frozen=True, eq=False)
class Sqrt(Elementwise):
    """y = sqrt(x)."""

    def value(self, x: Array) -> Array:
        return np.sqrt(x)

    def slope(self, x: Array) -> Array:
        return 0.5 / np.sqrt(x)


@dataclass(frozen=True, eq=False)
class Reciprocal(Elementwise):
    """y = 1 / x."""

    def value(self, x: Array) -> Array:
        return 1 / x

    def slope(self, x: Array) -> Array:
        return -1 / (x * x)


def power(node: Node, t: Tensor, exponent: float) -> Tensor:
    """Append x ** exponent by the operator that says it best."""
    named = {0.5: Sqrt(), -1.0: Reciprocal()}
    return t if exponent == 1 else node.add(named.get(exponent, Power(exponent)), t)


@reads("Pow")
def read_pow(node: Node) -> Tensor:
    """x to a constant, the same for all entries."""
    exponent = np.asarray(node.constant(1, "the exponent"), np.float64)
    if exponent.size != 1:
        raise Unsupported(f"exponents of shape {exponent.shape}; one for all entries is supported")
    return power(node, node.tensor(0), float(exponent.item()))


@reads("Sqrt")
def read_sqrt(node: Node) -> Tensor:
    """sqrt(x)."""
    return power(node, node.tensor(0), 0.5)


@reads("Reciprocal")
def read_reciprocal(node: Node) -> Tensor:
    """1 / x."""
    return power(node, node.tensor(0), -1.0)

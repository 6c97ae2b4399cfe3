"""Mish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Mish(Elementwise):
    """y = x * tanh(log(1 + exp(x)))."""

    def _gate(self, x: Array) -> Array:
        return np.tanh(np.logaddexp(x, np.zeros((), x.dtype)))

    def value(self, x: Array) -> Array:
        return x * self._gate(x)

    def slope(self, x: Array) -> Array:
        t = self._gate(x)
        return t + x * (1 - t * t) * expit(x)


@reads("Mish")
def read_mish(node: Node) -> Tensor:
    """x * tanh(Softplus(x))."""
    return node.add(Mish(), node.tensor(0))

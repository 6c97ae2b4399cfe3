"""Softplus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Softplus(Elementwise):
    """y = log(1 + exp(beta * x)) / beta."""

    beta: float = 1.0

    def value(self, x: Array) -> Array:
        return np.logaddexp(self.beta * x, np.zeros((), x.dtype)) / self.beta

    def slope(self, x: Array) -> Array:
        return expit(self.beta * x)


@reads("Softplus")
def read_softplus(node: Node) -> Tensor:
    """log(1 + exp(x))."""
    return node.add(Softplus(), node.tensor(0))

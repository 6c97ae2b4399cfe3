"""The error function."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from scipy.special import erf

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Erf(Elementwise):
    """y = 2 / sqrt(pi) * integral of exp(-u^2) from 0 to x."""

    def value(self, x: Array) -> Array:
        return erf(x)

    def slope(self, x: Array) -> Array:
        return 2 / sqrt(pi) * np.exp(-x * x)


@reads("Erf")
def read_erf(node: Node) -> Tensor:
    """erf(x)."""
    return node.add(Erf(), node.tensor(0))

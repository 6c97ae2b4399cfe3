"""Natural logarithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Log(Elementwise):
    """y = log(x)."""

    def value(self, x: Array) -> Array:
        return np.log(x)

    def slope(self, x: Array) -> Array:
        return 1 / x


@reads("Log")
def read_log(node: Node) -> Tensor:
    """log(x)."""
    return node.add(Log(), node.tensor(0))

"""ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Relu(Elementwise):
    """y = max(x, 0); derivative 0 at 0."""

    piecewise_linear: ClassVar[bool] = True

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0)

    def slope(self, x: Array) -> Array:
        return (x > 0).astype(x.dtype)


@reads("Relu")
def read_relu(node: Node) -> Tensor:
    """max(x, 0)."""
    return node.add(Relu(), node.tensor(0))

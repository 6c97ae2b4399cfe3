"""LeakyReLU, and PReLU with slopes per channel or per element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor, align_constant
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads


@dataclass(frozen=True, eq=False)
class LeakyRelu(Elementwise):
    """y = x where x > 0, else alpha * x; derivative alpha at 0.

    Attributes
    ----------
    alpha : ndarray (L or 1, C or 1)
    """

    piecewise_linear: ClassVar[bool] = True
    alpha: Array

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, x * self.alpha)

    def slope(self, x: Array) -> Array:
        return np.where(x > 0, np.ones_like(self.alpha), self.alpha)


@reads("LeakyRelu")
def read_leaky_relu(node: Node) -> Tensor:
    """One slope for all."""
    return node.add(LeakyRelu(np.full((1, 1), float(node.attr("alpha", 0.01)))), node.tensor(0))


@reads("PRelu")
def read_prelu(node: Node) -> Tensor:
    """Slopes broadcast against x."""
    t = node.tensor(0)
    slopes = node.constant(1, "the slope")
    alpha, axes = align_constant(t, slopes)
    if np.broadcast_shapes(alpha.shape, t.shape) != t.shape:
        raise Unsupported(f"slopes of shape {slopes.shape} do not fit {t.describe()}")
    return node.add(LeakyRelu(alpha), t, axes=axes)

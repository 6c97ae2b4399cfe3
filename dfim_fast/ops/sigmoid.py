"""Sigmoid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from scipy.special import expit

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Sigmoid(Elementwise):
    """y = 1 / (1 + exp(-x))."""

    squashes: ClassVar[bool] = True

    def value(self, x: Array) -> Array:
        return expit(x)

    def slope(self, x: Array) -> Array:
        return expit(x) * expit(-x)


@reads("Sigmoid")
def read_sigmoid(node: Node) -> Tensor:
    """The logistic function."""
    return node.add(Sigmoid(), node.tensor(0))

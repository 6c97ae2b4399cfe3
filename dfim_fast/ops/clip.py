"""Clip: ReLU6, Hardtanh, and what Max and Min with constants come to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor, align_constant
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.relu import Relu


@dataclass(frozen=True, eq=False)
class Clip(Elementwise):
    """y = min(max(x, low), high); derivative 0 at both bounds.

    Attributes
    ----------
    low, high : ndarray (L or 1, C or 1)
        Infinite where there is no bound.
    """

    low: Array
    high: Array

    def value(self, x: Array) -> Array:
        return np.minimum(np.maximum(x, self.low), self.high)

    def slope(self, x: Array) -> Array:
        return ((x > self.low) & (x < self.high)).astype(x.dtype)


def clip(node: Node, t: Tensor, low: Array, high: Array) -> Tensor:
    """Append a clip between constants in ONNX's own shape; ReLU where that is what it is."""
    (bottom, axes), (top, _) = align_constant(t, low), align_constant(t, high)
    for bound, given in ((bottom, low), (top, high)):
        if np.broadcast_shapes(bound.shape, t.shape) != t.shape:
            raise Unsupported(f"bounds of shape {np.shape(given)} do not fit {t.describe()}")
    rectifies = (bottom == 0).all() and np.isposinf(top).all()
    return node.add(Relu() if rectifies else Clip(bottom, top), t, axes=axes)


@reads("Clip")
def read_clip(node: Node) -> Tensor:
    """Either bound may be left out."""
    low = node.constant(1, "the lower bound", node.attr("min", -np.inf))
    high = node.constant(2, "the upper bound", node.attr("max", np.inf))
    return clip(node, node.tensor(0), low, high)

"""Comparisons, read as steps of height one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.add import add_branches
from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor, align_constant
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads

MIRRORED = {
    "Greater": "Less",
    "Less": "Greater",
    "GreaterOrEqual": "LessOrEqual",
    "LessOrEqual": "GreaterOrEqual",
}


@dataclass(frozen=True, eq=False)
class Step(Elementwise):
    """y = 1 where the comparison holds, else 0; its derivative is 0 everywhere.

    Attributes
    ----------
    kind : str
        An ONNX comparison, a key of MIRRORED.
    threshold : ndarray (L or 1, C or 1)
        What x is compared with.
    """

    kind: str
    threshold: Array

    def value(self, x: Array) -> Array:
        compare = {
            "Greater": np.greater,
            "Less": np.less,
            "GreaterOrEqual": np.greater_equal,
            "LessOrEqual": np.less_equal,
        }[self.kind]
        return compare(x, self.threshold).astype(x.dtype)

    def slope(self, x: Array) -> Array:
        return np.zeros_like(x)


@reads("Greater", "Less", "GreaterOrEqual", "LessOrEqual")
def read_comparison(node: Node) -> Tensor:
    """With a constant, or between two branches; the result is 1 or 0."""
    a, b = node.inputs
    kind = node.op_type
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return node.add(Step(kind, np.zeros((1, 1))), add_branches(node, a, b, -1.0))
    if isinstance(a, Tensor):
        t, given = a, node.constant(1, "the threshold")
    else:
        t, given, kind = node.tensor(1), node.constant(0, "the threshold"), MIRRORED[kind]
    threshold, axes = align_constant(t, given)
    if np.broadcast_shapes(threshold.shape, t.shape) != t.shape:
        raise Unsupported(f"thresholds of shape {given.shape} do not fit {t.describe()}")
    return node.add(Step(kind, threshold), t, axes=axes)

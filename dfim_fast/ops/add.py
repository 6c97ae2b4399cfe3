"""Sum or difference of branches that all depend on the input (residual connections)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape, unbroadcast
from dfim_fast.ops.flatten import flatten_mixed
from dfim_fast.ops.layout import Axes, Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported


@dataclass(frozen=True, eq=False)
class Add(Operator):
    """y = sum of signs[i] * x_i, broadcast over axes of size one."""

    linear: ClassVar[bool] = True
    signs: tuple[float, ...]

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = np.broadcast_shapes(*inputs)
        return rows, channels

    def forward(self, xs: Sequence[Array]) -> Array:
        y = xs[0] if self.signs[0] == 1 else -xs[0]
        for sign, x in zip(self.signs[1:], xs[1:], strict=True):
            y = y + x if sign == 1 else y - x
        return y

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [
            unbroadcast(g if sign == 1 else -g, x.shape[1:])
            for sign, x in zip(self.signs, xs, strict=True)
        ]

    def multiply_adds(self, *inputs: Shape) -> int:
        rows, channels = self.output_shape(*inputs)
        return rows * channels * (len(inputs) - 1)


def common_axes(a: Tensor, b: Tensor) -> Axes | None:
    """ONNX axes of a result of a and b broadcast together; None where they do not line up."""
    rank = max(len(a.axes), len(b.axes))
    left = ("",) * (rank - len(a.axes)) + a.axes
    right = ("",) * (rank - len(b.axes)) + b.axes
    axes = []
    for i, j in zip(left, right, strict=True):
        x = "".join(f for f in i if f == "N" or a.size(f) > 1)
        y = "".join(f for f in j if f == "N" or b.size(f) > 1)
        if x and y and x != y:
            return None
        axes.append(i if x else j if y else i or j)
    letters = "".join(axes)
    return tuple(axes) if len(set(letters)) == len(letters) else None


def add_branches(node: Node, a: Tensor, b: Tensor, sign: float) -> Tensor:
    """Append a + sign * b."""
    axes = common_axes(a, b)
    if axes is None:
        a, b = flatten_mixed(node, a), flatten_mixed(node, b)
        axes = common_axes(a, b)
    if axes is None:
        raise Unsupported(f"combines {a.describe()} with {b.describe()}, whose axes do not match")
    return node.add(Add((1.0, sign)), a, b, axes=axes)

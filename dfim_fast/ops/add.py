"""Sum or difference of branches that all depend on the input (residual connections)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from dfim_fast.ops.base import Array, Joint, unbroadcast
from dfim_fast.ops.flatten import flatten_mixed
from dfim_fast.ops.layout import Axes, Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported


@dataclass(frozen=True, eq=False)
class Add(Joint):
    """y = sum of signs[i] * x_i, broadcast over axes of size one."""

    linear: ClassVar[bool] = True
    signs: tuple[float, ...]

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

    def absolute(self) -> Add:
        return Add((1.0,) * len(self.signs))


def common_axes(*tensors: Tensor) -> Axes | None:
    """ONNX axes of tensors broadcast together; None where they do not line up."""
    rank = max(len(t.axes) for t in tensors)
    axes = []
    for words in zip(*(("",) * (rank - len(t.axes)) + t.axes for t in tensors), strict=True):
        varying = [
            (word, held)
            for word, t in zip(words, tensors, strict=True)
            if (held := "".join(f for f in word if f == "N" or t.size(f) > 1))
        ]
        if len({held for _, held in varying}) > 1:
            return None
        axes.append(varying[0][0] if varying else next(filter(None, words), ""))
    letters = "".join(axes)
    return tuple(axes) if len(set(letters)) == len(letters) else None


def aligned(node: Node, *tensors: Tensor) -> tuple[tuple[Tensor, ...], Axes]:
    """Branches that are broadcast together, flattened where that is what brings them in line."""
    axes = common_axes(*tensors)
    if axes is None:
        tensors = tuple(flatten_mixed(node, t) for t in tensors)
        axes = common_axes(*tensors)
    if axes is None:
        shown = " with ".join(t.describe() for t in tensors)
        raise Unsupported(f"combines {shown}, whose axes do not match")
    return tensors, axes


def add_branches(node: Node, a: Tensor, b: Tensor, sign: float) -> Tensor:
    """Append a + sign * b."""
    tensors, axes = aligned(node, a, b)
    return node.add(Add((1.0, sign)), *tensors, axes=axes)

"""Rows or channels picked by constant indices: Slice (crops, reversal), Gather, Split and Tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.flatten import flatten_mixed
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads


@dataclass(frozen=True, eq=False)
class Take(Operator):
    """y[i] = x[index[i]] along one axis.

    Attributes
    ----------
    axis : int
        1: positions, 2: channels.
    index : ndarray of int
    """

    linear: ClassVar[bool] = True
    axis: int
    index: Array

    @property
    def rowwise(self) -> bool:
        return self.axis == 2

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = inputs[0]
        return (len(self.index), channels) if self.axis == 1 else (rows, len(self.index))

    def forward(self, xs: Sequence[Array]) -> Array:
        return np.take(xs[0], self.index, axis=self.axis)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        dx = np.zeros((len(g), *xs[0].shape[1:]), g.dtype)
        where: Any = (slice(None),) * self.axis + (self.index,)
        if len(np.unique(self.index)) == len(self.index):
            dx[where] = g
        else:
            np.add.at(dx, where, g)
        return [dx]

    def spread(self, masks: Sequence[Array]) -> Array:
        return masks[0][:, self.index] if self.axis == 1 else masks[0]

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        if self.axis == 2:
            return [mask]
        out = np.zeros((len(mask), lengths[0]), bool)
        for i, row in enumerate(self.index):
            out[:, row] |= mask[:, i]
        return [out]


def take(node: Node, t: Tensor, axis: int, index: Array) -> Tensor:
    """Append a selection along an ONNX axis."""
    t = flatten_mixed(node, t) if len(t.axes[axis]) > 1 else t
    factors = "".join(f for f in t.axes[axis] if t.size(f) > 1) or t.axes[axis][:1]
    if np.array_equal(index, np.arange(t.size(t.axes[axis]))):
        return t
    if not len(index):
        raise Unsupported(f"selects nothing along axis {axis} of {t.describe()}")
    if factors not in ("L", "C"):
        raise Unsupported(f"selects along axis {axis} of {t.describe()}")
    return node.add(Take(1 if factors == "L" else 2, index.astype(np.int64)), t)


@reads("Slice")
def read_slice(node: Node) -> Tensor:
    """Any starts, ends and steps, negative ones too."""
    t = node.tensor(0)
    starts, ends = node.ints("starts", 1), node.ints("ends", 2)
    if starts is None or ends is None:
        raise Unsupported("starts and ends are not constants")
    axes = node.ints("axes", 3) or list(range(len(starts)))
    steps = node.ints("steps", 4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = t.axis(axis)
        size = t.dims[axis]
        # ONNX's starts, ends and steps mean what Python's do, ends beyond the first entry too
        t = take(node, t, axis, np.arange(size)[start:end:step])
    return t


@reads("Gather")
def read_gather(node: Node) -> Tensor:
    """Constant indices along positions or channels."""
    t = node.tensor(0)
    axis = t.axis(int(node.attr("axis", 0)))
    index = node.constant(1, "the indices")
    if index.ndim > 1:
        raise Unsupported(f"indices of rank {index.ndim}")
    size = t.dims[axis]
    picked = np.where(index < 0, index + size, index)
    if (picked < 0).any() or (picked >= size).any():
        raise Unsupported(f"an index is outside axis {axis} of {t.describe()}")
    t = take(node, t, axis, np.atleast_1d(picked))
    if index.ndim == 0:
        t = t.with_axes(tuple(a for i, a in enumerate(t.axes) if i != axis))
    return t


@reads("Split")
def read_split(node: Node) -> list[Tensor]:
    """Parts of given sizes, or equal ones, the last of which may be smaller."""
    t = node.tensor(0)
    axis = t.axis(int(node.attr("axis", 0)))
    size, sizes = t.dims[axis], node.ints("split", 1)
    if sizes is None:
        each = -(-size // int(node.attr("num_outputs", node.outputs)))
        sizes = [min(each, size - first) for first in range(0, size, each)]
    if sum(sizes) != size:
        raise Unsupported(f"parts of {sizes} entries on axis {axis} of {t.describe()}")
    parts = np.split(np.arange(size), np.cumsum(sizes)[:-1])
    return [take(node, t, axis, index) for index in parts]

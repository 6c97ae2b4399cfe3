"""Branches side by side, along channels or positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.flatten import flatten_mixed
from dfim_fast.ops.layout import Tensor, align_constant
from dfim_fast.ops.node import Node
from dfim_fast.ops.pad import pad
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.window import Window


@dataclass(frozen=True, eq=False)
class Concat(Operator):
    """y = the inputs, one after the other.

    Attributes
    ----------
    axis : int
        1: positions, 2: channels.
    """

    linear: ClassVar[bool] = True
    axis: int

    @property
    def rowwise(self) -> bool:
        return self.axis == 2

    def output_shape(self, *inputs: Shape) -> Shape:
        total = sum(s[self.axis - 1] for s in inputs)
        return (total, inputs[0][1]) if self.axis == 1 else (inputs[0][0], total)

    def forward(self, xs: Sequence[Array]) -> Array:
        return np.concatenate(xs, axis=self.axis)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        ends = np.cumsum([x.shape[self.axis] for x in xs])[:-1]
        return np.split(g, ends, axis=self.axis)

    def spread(self, masks: Sequence[Array]) -> Array:
        return np.concatenate(masks, axis=1) if self.axis == 1 else np.logical_or.reduce(masks)

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        if self.axis == 2:
            return [mask] * len(lengths)
        return np.split(mask, np.cumsum(lengths)[:-1], axis=1)


@reads("Concat")
def read_concat(node: Node) -> Tensor:
    """Inputs agree on the other axes; constants may be more channels, or positions."""
    tensors = [v for v in node.inputs if isinstance(v, Tensor)]
    axis = tensors[0].axis(int(node.attr("axis")))
    if any(len(t.axes[axis]) > 1 for t in tensors):
        tensors = [flatten_mixed(node, t) for t in tensors]
    first = tensors[0]
    letters = {t.axes[axis] for t in tensors if t.size(t.axes[axis]) > 1}
    if len(letters) > 1:
        raise Unsupported("joins positions to channels")
    elsewhere = {
        f for t in tensors for i, a in enumerate(t.axes) if i != axis for f in a if t.size(f) > 1
    }
    factor = letters.pop() if letters else ("C" if "C" not in elsewhere else "L")
    if factor not in ("L", "C"):
        raise Unsupported(f"joins along axis {axis} of {first.describe()}")
    which = 0 if factor == "L" else 1
    if len({t.shape[1 - which] for t in tensors}) > 1:
        raise Unsupported("joins tensors of " + ", ".join(t.describe() for t in tensors))
    axes = tuple(
        factor if i == axis else ("" if a == factor else a) for i, a in enumerate(first.axes)
    )
    if len(tensors) == len(node.inputs):
        return node.add(Concat(1 + which), *tensors, axes=axes)
    if factor == "L":
        padded = beyond_constants(node, tensors, axis)
        return node.add(Concat(1), *padded, axes=axes) if len(padded) > 1 else padded[0]
    t = node.add(Concat(2), *tensors, axes=axes) if len(tensors) > 1 else first.with_axes(axes)
    return beside_constants(node, t, axis)


def beside_constants(node: Node, t: Tensor, axis: int) -> Tensor:
    """Put constant channels before, between and behind those of t, the data inputs joined.

    A convolution of width one moves the channels of t and has the constants as its bias, so that
    what runs convolutions runs this.
    """
    places: list[int] = []  # of the channels of t among those of the result
    shifts: list[Array] = []
    for value in node.inputs:
        before = sum(s.shape[1] for s in shifts)
        if isinstance(value, Tensor):
            shift = np.zeros((1, value.size(value.axes[axis])))
            places += range(before, before + shift.shape[1])
        else:
            array = np.asarray(value)
            like = Tensor(t.node, (t.shape[0], array.shape[axis]), t.axes, t.batch)
            shift, _ = align_constant(like, array)
            if (shift == shift[:1]).all():
                shift = shift[:1]
            shift = np.broadcast_to(shift, (len(shift), like.shape[1]))
        shifts.append(shift)
    rows = max(len(s) for s in shifts)
    joined = np.concatenate([np.broadcast_to(s, (rows, s.shape[1])) for s in shifts], axis=1)
    weight = np.eye(joined.shape[1])[None, places]
    uniform = joined[0] if rows == 1 else np.zeros(joined.shape[1])
    t = node.add(Conv(weight, uniform, Window(1, 1, 1, 0, t.shape[0])), t)
    return t if rows == 1 else node.add(Affine(np.ones((1, 1)), joined), t)


def beyond_constants(node: Node, tensors: list[Tensor], axis: int) -> list[Tensor]:
    """The data inputs, ``tensors``, with the constant positions that stand beside them."""
    data = iter(tensors)
    sides: list[tuple[list[Array], list[Array]]] = [([], [])]
    first = True
    for i, value in enumerate(node.inputs):
        if not isinstance(value, Tensor):
            sides[-1][0 if first else 1].append(node.constant(i, "a part"))
        elif first:
            first = False
        else:
            sides.append(([], []))
    none = np.zeros([int(i != axis) for i in range(len(tensors[0].axes))])
    return [
        pad(node, t, axis, *(np.concatenate(part, axis) if part else none for part in both))
        if any(both)
        else t
        for t, both in zip(data, sides, strict=True)
    ]

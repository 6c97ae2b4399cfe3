"""Constants before and after the data: Pad, and Concat with constants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.flatten import flatten_mixed
from dfim_fast.ops.layout import Tensor, align_constant, growing
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.take import take

MODES = ("constant", "reflect", "edge", "wrap")


@dataclass(frozen=True, eq=False)
class Pad(Operator):
    """y = before, x, after, one after the other along one axis.

    Attributes
    ----------
    axis : int
        1: positions, 2: channels.
    before, after : ndarray (n, C or 1) along positions, (L or 1, n) along channels
    """

    linear: ClassVar[bool] = True
    axis: int
    before: Array
    after: Array

    @property
    def rowwise(self) -> bool:
        return self.axis == 2

    @property
    def start(self) -> int:
        """Entries before the data."""
        return self.before.shape[self.axis - 1]

    @property
    def zero(self) -> bool:
        """Whether all constants are zero."""
        return not self.before.any() and not self.after.any()

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = inputs[0]
        added = self.start + self.after.shape[self.axis - 1]
        return (rows + added, channels) if self.axis == 1 else (rows, channels + added)

    def forward(self, xs: Sequence[Array]) -> Array:
        x = xs[0]
        y = np.empty((len(x), *self.output_shape(x.shape[1:])), x.dtype)
        parts = np.split(y, [self.start, self.start + x.shape[self.axis]], axis=self.axis)
        for part, value in zip(parts, (self.before, x, self.after), strict=True):
            part[:] = value
        return y

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        inside = slice(self.start, self.start + xs[0].shape[self.axis])
        return [g[:, inside] if self.axis == 1 else g[:, :, inside]]

    def absolute(self) -> Pad:
        return Pad(self.axis, np.zeros_like(self.before), np.zeros_like(self.after))

    def spread(self, masks: Sequence[Array]) -> Array:
        if self.axis == 2:
            return masks[0]
        return np.pad(masks[0], ((0, 0), (self.start, len(self.after))))

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [mask if self.axis == 2 else mask[:, self.start : self.start + lengths[0]]]


def pad(node: Node, t: Tensor, index: int, before: Array, after: Array) -> Tensor:
    """Append constants around ONNX axis ``index``, in the axes that the result has."""
    letter, axes = growing(t, index)
    axis = 1 if letter == "L" else 2
    parts = []
    for part in (before, after):
        size = part.shape[index]
        shape = (size, t.shape[1]) if axis == 1 else (t.shape[0], size)
        parts.append(align_constant(Tensor(t.node, shape, axes, t.batch), part)[0])
    return node.add(Pad(axis, *parts), t, axes=axes)


@reads("Pad")
def read_pad(node: Node) -> Tensor:
    """A constant, by reflection, the edge's value or around; negative numbers crop."""
    t = node.tensor(0)
    mode = node.attr("mode", "constant")
    if mode not in MODES:
        raise Unsupported(f"mode={mode!r} is unknown; wanted one of " + ", ".join(MODES))
    pads = node.ints("pads", 1)
    if pads is None:
        raise Unsupported("its numbers are not constants")
    wanted = node.ints("axes", 3) or list(range(len(t.axes)))
    value = np.asarray(node.constant(2, "the value", node.attr("value", 0.0)), np.float64)
    for index, *ends in zip(wanted, pads[: len(wanted)], pads[len(wanted) :], strict=True):
        index, size = t.axis(index), t.dims[t.axis(index)]
        kept = np.arange(size)[max(0, -ends[0]) : size - max(0, -ends[1])]
        added = [max(0, n) for n in ends]
        if mode != "constant":
            kept = np.pad(kept, added, mode=mode)
        t = take(node, t, index, kept)
        if mode == "constant" and any(added):
            shapes = ([n if i == index else 1 for i in range(len(t.axes))] for n in added)
            t = pad(
                node, flatten_mixed(node, t), index, *(np.full(s, value.item()) for s in shapes)
            )
    return t

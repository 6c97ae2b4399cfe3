"""Concat, Pad, Take, Flatten and Unflatten: entries go elsewhere, and back the same way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value, lowers
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.base import Shape
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.flatten import Flatten, Unflatten
from dfim_fast.ops.pad import Pad
from dfim_fast.ops.take import Take


class Map:
    """Which input entries each output entry along one axis is the sum of, and the way back.

    Parameters
    ----------
    index : ndarray (n_out,) of int
        The input entry of each output entry, -1 for none.
    n_in : int
    """

    def __init__(self, layer: Layer, index: np.ndarray, n_in: int) -> None:
        out = np.flatnonzero(index >= 0)
        begin = np.concatenate([[0], np.cumsum(index >= 0)])
        self.up = (layer.indices(begin), layer.indices(index[out]))
        order = np.argsort(index[out], kind="stable")
        begin = np.concatenate([[0], np.cumsum(np.bincount(index[out], minlength=n_in))])
        self.down = (layer.indices(begin), layer.indices(out[order]))


Ends = tuple[Buffer, Buffer]
NONE = (0, 0)  # an axis along which nothing moves


class MoveLayer(Layer):
    """Subclasses say where the entries of each input come from, along one axis."""

    def __init__(self, device: Device, op: Take | Concat | Pad, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        sizes = [shape[op.axis - 1] for shape in inputs]
        maps = zip(self.places(), sizes, strict=True)
        self.maps = [Map(self, index, size) for index, size in maps]

    def places(self) -> list[np.ndarray]:
        """For each input, its entry at every output entry, -1 for none."""
        raise AssertionError(f"{type(self).__name__} does not say where entries go")

    def _along(self, ends: Ends) -> tuple[Buffer | int, ...]:
        return (*ends, *NONE) if self.op.axis == 1 else (*NONE, *ends)

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        for j, x in enumerate(xs):
            self.run("gather", items, value.y, x, *self._along(self.maps[j].up), j > 0)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        self.run("gather", at.items, dx, at.g, *self._along(self.maps[j].down), add)


@lowers(Take)
class TakeLayer(MoveLayer):
    """Crops, reversals, selections, repeats."""

    def places(self) -> list[np.ndarray]:
        return [self.op.index]


@lowers(Concat)
class ConcatLayer(MoveLayer):
    """Each input into a stretch of its own."""

    def places(self) -> list[np.ndarray]:
        sizes = [shape[self.op.axis - 1] for shape in self.inputs]
        total = np.arange(sum(sizes))
        ends = np.cumsum(sizes)
        return [
            np.where((total >= end - n) & (total < end), total - (end - n), -1)
            for end, n in zip(ends, sizes, strict=True)
        ]


@lowers(Pad)
class PadLayer(MoveLayer):
    """The data between constants."""

    def __init__(self, device: Device, op: Pad, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        empty = np.zeros((1, *inputs[0]), np.float32)
        (self.surround,) = self.constants(op.forward([empty])[0])

    def places(self) -> list[np.ndarray]:
        size = self.inputs[0][self.op.axis - 1]
        after = self.op.after.shape[self.op.axis - 1]
        return [np.pad(np.arange(size), (self.op.start, after), constant_values=-1)]

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        self.run("fill", items, value.y, self.surround)
        self.run("gather", items, value.y, xs[0], *self._along(self.maps[0].up), True)


@lowers(Flatten)
class FlattenLayer(Layer):
    """Positions and channels in one row."""

    op: Flatten

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        self.run("flatten", items, value.y, xs[0], self.op.order == "CL", False)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        self.run("unflatten", at.items, dx, at.g, self.op.order == "CL", add)


@lowers(Unflatten)
class UnflattenLayer(Layer):
    """The way back, position fastest."""

    op: Unflatten

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        self.run("unflatten", items, value.y, xs[0], True, False)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        self.run("flatten", at.items, dx, at.g, True, add)

"""Conv, Dense and AveragePool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfim_fast.backends.cuda.device import Device
from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value, lowers
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Shape
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.window import Window

TILE_ROWS, TILE_COLUMNS = 8, 64  # as csrc/kernels/tile.cuh has them; a test compares the two


def sizes(window: Window) -> tuple[int, int, int, int]:
    """A window as the kernels take it."""
    return window.kernel, window.stride, window.dilation, window.pad


def tiles(rows: int, columns: int) -> int:
    """Tiles of csrc/kernels/tile.cuh that cover so many rows and columns."""
    return -(-rows // TILE_ROWS) * -(-columns // TILE_COLUMNS)


@lowers(Conv)
class ConvLayer(Layer):
    """Weights are kept twice: lanes read along output channels, and on the way down along input."""

    op: Conv

    def __init__(self, device: Device, op: Conv, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        self.weight, self.bias, self.back = self.constants(
            op.weight, op.bias, op.weight.swapaxes(1, 2)
        )

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        y, window = value.y, sizes(self.op.window)
        how = (xs[0], self.weight, self.bias, *window)
        if self.op.groups == 1:
            warps = items * tiles(y.computed, y.channels)
            self.multiply("conv_forward", warps, items, y, *how)
        else:
            self.run("grouped_forward", items, y, *how, self.op.groups)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        how = (at.g, self.back, *sizes(self.op.window))
        if self.op.groups == 1:
            warps = at.items * tiles(dx.computed, dx.channels)
            self.multiply("conv_backward", warps, at.items, dx, *how, add=(add,))
        else:
            self.run("grouped_backward", at.items, dx, *how, self.op.groups, add)


@lowers(Dense)
class DenseLayer(Layer):
    """Weights are kept twice, as those of a convolution."""

    op: Dense

    def __init__(self, device: Device, op: Dense, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        self.weight, self.bias, self.back = self.constants(op.weight, op.bias, op.weight.T)

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        y = value.y
        warps = tiles(items, y.channels)
        self.multiply("dense_forward", warps, items, y, xs[0], self.weight, self.bias)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        if dx.rows == 1 and dx.computed == 1:
            warps = tiles(at.items, dx.channels)
            how = (at.g, self.back)
            self.multiply("features_backward", warps, at.items, dx, *how, add=(add,))
        else:
            self.run("dense_backward", at.items, dx, at.g, self.back, add)


@lowers(AveragePool)
class AverageLayer(Layer):
    """One factor for each output row."""

    op: AveragePool

    def __init__(self, device: Device, op: AveragePool, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        (self.factor,) = self.constants(np.broadcast_to(op.factor, (op.window.out_length, 1)))

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        self.run("average_forward", items, value.y, xs[0], self.factor, *sizes(self.op.window))

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        self.run("average_backward", at.items, dx, at.g, self.factor, *sizes(self.op.window), add)

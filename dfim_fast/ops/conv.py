"""Convolution over positions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.window import Window


@dataclass(frozen=True, eq=False)
class Conv(Operator):
    """y[i] = bias + sum_j x[i * stride - pad + j * dilation] @ weight[j].

    Attributes
    ----------
    weight : ndarray (kernel, C_in / groups, C_out)
    bias : ndarray (C_out,)
    window : Window
    groups : int
        Input and output channels split into that many independent blocks.
    """

    linear: ClassVar[bool] = True
    weight: Array
    bias: Array
    window: Window
    groups: int = 1

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.window.out_length, self.weight.shape[2]

    def blocks(self) -> list[tuple[slice, slice]]:
        """Input and output channels of each group."""
        cin, cout = self.weight.shape[1], self.weight.shape[2] // self.groups
        return [
            (slice(g * cin, (g + 1) * cin), slice(g * cout, (g + 1) * cout))
            for g in range(self.groups)
        ]

    def forward(self, xs: Sequence[Array]) -> Array:
        x = self.window.padded(xs[0])
        y = np.empty((len(x), *self.output_shape()), x.dtype)
        y[:] = self.bias
        for j in range(self.window.kernel):
            rows = x[:, self.window.tap(j)]
            for i, o in self.blocks():
                y[:, :, o] += rows[:, :, i] @ self.weight[j][:, o]
        return y

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        length, channels = xs[0].shape[1:]
        w = self.window
        dx = np.zeros((len(g), w.pad + length + w.right_pad(length), channels), g.dtype)
        for j in range(w.kernel):
            for i, o in self.blocks():
                dx[:, w.tap(j), i] += g[:, :, o] @ self.weight[j][:, o].T
        return [dx[:, w.pad : w.pad + length]]

    def absolute(self) -> Conv:
        return dataclasses.replace(
            self, weight=np.abs(self.weight), bias=np.zeros_like(self.bias)
        )

    def spread(self, masks: Sequence[Array]) -> Array:
        return self.window.spread(masks[0])

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [self.window.collect(mask, lengths[0])]

    def multiply_adds(self, *inputs: Shape) -> int:
        return self.window.out_length * self.weight.size

    def describe(self) -> str:
        w = self.window
        text = f"Conv {self.weight.shape[2]} x {w.kernel}"
        for name, value in (
            ("stride", w.stride),
            ("dilation", w.dilation),
            ("groups", self.groups),
        ):
            text += f" {name} {value}" if value != 1 else ""
        return text


@reads("Conv")
def read_conv(node: Node) -> Tensor:
    """1-D, or 2-D whose second spatial axis is as high as the kernel or of size one."""
    t = node.tensor(0)
    weight = np.asarray(node.constant(1, "the kernel"), np.float64)
    rank = weight.ndim - 2
    if len(t.axes) != weight.ndim or rank not in (1, 2):
        raise Unsupported(
            f"a kernel of shape {weight.shape} on an input of shape {t.describe()}; "
            "only 1-D and 2-D convolutions are supported"
        )
    groups = int(node.attr("group", 1))
    strides = node.attr("strides", [1] * rank)
    dilations = node.attr("dilations", [1] * rank)
    pads = node.attr("pads", [0] * 2 * rank)
    channel, spatial = t.axes[1], t.axes[2:]
    if sorted("".join(a for i, a in enumerate(t.axes) if t.dims[i] > 1 and "N" not in a)) not in (
        ["C"],
        ["L"],
        ["C", "L"],
        [],
    ) or any(len(a) > 1 and t.size(a) > 1 and min(t.shape) > 1 for a in t.axes):
        raise Unsupported(f"its input {t.describe()} has positions and channels on one axis")
    # with a single position any axis of size one may be it; one that is called L comes first
    along = min(
        (i for i, a in enumerate(spatial) if "C" not in a or t.size(a) == 1),
        key=lambda i: (t.size(spatial[i]) == 1, "L" not in spatial[i]),
        default=None,
    )
    if along is None or ("L" in channel and t.size(channel) > 1):
        raise Unsupported(
            f"its channel axis holds positions {t.describe()}; transpose the input to (N, C, L)"
        )
    auto_pad = node.attr("auto_pad", "NOTSET")
    if rank == 2:
        across = 1 - along
        height, kernel_height = t.size(spatial[across]), weight.shape[2 + across]
        padded = pads[across] + pads[across + 2] if auto_pad == "NOTSET" else 0
        if "C" in spatial[across] and height > 1:
            # the one-hot rows are the image's height: they are the channels of a 1-D convolution
            if (
                weight.shape[1] != 1
                or groups != 1
                or kernel_height != height
                or padded
                or (auto_pad.startswith("SAME") and height > 1)
            ):
                raise Unsupported(
                    f"a 2-D kernel of height {kernel_height} on {t.describe()}; the height must be "
                    f"{height}, without padding"
                )
            weight = weight[:, 0] if across == 0 else weight[:, 0].swapaxes(1, 2)
        else:
            top = _row_on_data(kernel_height, height, pads, across, strides, dilations, auto_pad)
            weight = np.take(weight, top, axis=2 + across)
    weight = weight.reshape(*weight.shape[:2], weight.shape[-1] if rank == 1 else -1)
    channels = t.shape[1]
    if weight.shape[1] * groups != channels or weight.shape[0] % groups:
        raise Unsupported(
            f"group={groups} with a kernel of shape {weight.shape} does not fit {channels} channels"
        )
    window = Window.read(
        t.shape[0],
        weight.shape[2],
        int(strides[along]),
        int(dilations[along]),
        (int(pads[along]), int(pads[along + rank])),
        auto_pad,
    )
    bias = node.constant(2, "the bias", np.zeros(weight.shape[0]))
    op = Conv(
        np.ascontiguousarray(weight.transpose(2, 1, 0)),
        np.asarray(bias, np.float64),
        window,
        groups,
    )
    axes = ["N", "C", *("" for _ in spatial)]
    axes[2 + along] = "L"
    return node.add(op, t, axes=tuple(axes))


def _row_on_data(
    kernel: int,
    height: int,
    pads: list[int],
    across: int,
    strides: list[int],
    dilations: list[int],
    auto_pad: str,
) -> int:
    """The row of a 2-D kernel that meets the data of an axis of size one."""
    if height != 1:
        raise Unsupported(f"a 2-D convolution over an axis of {height} that is not the channels")
    window = Window.read(
        1,
        kernel,
        int(strides[across]),
        int(dilations[across]),
        (int(pads[across]), int(pads[across + 2])),
        auto_pad,
    )
    if window.out_length != 1:
        raise Unsupported("padding makes its height larger than 1")
    row, off = divmod(window.pad, window.dilation)
    if off or row >= kernel:
        raise Unsupported(f"no row of its kernel of height {kernel} meets the data")
    return row

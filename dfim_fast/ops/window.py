"""Sliding windows over positions: the indexing that convolutions and pools share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array
from dfim_fast.ops.registry import Unsupported


@dataclass(frozen=True)
class Window:
    """Output i reads the inputs ``i * stride - pad + j * dilation`` for j in 0..kernel-1.

    Attributes
    ----------
    kernel, stride, dilation : int
    pad : int
        Positions added on the left.
    out_length : int
        Number of outputs; with the right-hand padding and ceil_mode already decided.
    """

    kernel: int
    stride: int
    dilation: int
    pad: int
    out_length: int

    @classmethod
    def read(
        cls,
        length: int,
        kernel: int,
        stride: int,
        dilation: int,
        pads: tuple[int, int],
        auto_pad: str = "NOTSET",
        ceil_mode: bool = False,
    ) -> Window:
        """Resolve ONNX's pads, auto_pad and ceil_mode for an input of ``length`` positions."""
        span = (kernel - 1) * dilation + 1
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            out = -(-length // stride)
            total = max(0, (out - 1) * stride + span - length)
            small, large = total // 2, total - total // 2
            return cls(kernel, stride, dilation, small if auto_pad == "SAME_UPPER" else large, out)
        if auto_pad not in ("NOTSET", "VALID"):
            raise Unsupported(f"auto_pad={auto_pad!r} is unknown")
        left, right = pads if auto_pad == "NOTSET" else (0, 0)
        room = length + left + right - span
        if room < 0:
            raise Unsupported(
                f"its window spans {span} positions but the padded input has only "
                f"{length + left + right}; use a longer sequence_length"
            )
        out = (-(-room // stride) if ceil_mode else room // stride) + 1
        if ceil_mode and (out - 1) * stride >= length + left:
            out -= 1  # a window that would start in the right-hand padding is dropped
        return cls(kernel, stride, dilation, left, out)

    def right_pad(self, length: int) -> int:
        """Positions needed right of the input so that every window is whole (never negative)."""
        last = (self.out_length - 1) * self.stride - self.pad + (self.kernel - 1) * self.dilation
        return max(0, last - length + 1)

    def indices(self, length: int) -> tuple[Array, Array]:
        """Input index (L', kernel) of every window entry, clipped, and which are inside."""
        index = (
            np.arange(self.out_length)[:, None] * self.stride
            - self.pad
            + np.arange(self.kernel)[None, :] * self.dilation
        )
        inside = (index >= 0) & (index < length)
        return np.clip(index, 0, length - 1), inside

    def tap(self, j: int) -> slice:
        """The padded input positions that tap j of every window reads."""
        start = j * self.dilation
        return slice(start, start + (self.out_length - 1) * self.stride + 1, self.stride)

    def padded(self, x: Array, fill: float = 0.0) -> Array:
        """x (B, L, C) with ``fill`` around it, so that ``tap`` addresses it."""
        right = self.right_pad(x.shape[1])
        if not self.pad and not right:
            return x
        return np.pad(x, ((0, 0), (self.pad, right), (0, 0)), constant_values=fill)

    def spread(self, mask: Array) -> Array:
        """Output rows (S, L') whose window holds a marked input row (S, L)."""
        padded = self.padded(mask[:, :, None], False)[:, :, 0]
        out = np.zeros((len(mask), self.out_length), bool)
        for j in range(self.kernel):
            out |= padded[:, self.tap(j)]
        return out

    def collect(self, mask: Array, length: int) -> Array:
        """Input rows (S, L) that some marked output row (S, L') reads."""
        size = self.pad + length + self.right_pad(length)
        padded = np.zeros((len(mask), size), bool)
        for j in range(self.kernel):
            padded[:, self.tap(j)] |= mask
        return padded[:, self.pad : self.pad + length]

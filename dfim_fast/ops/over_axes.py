"""What operators share in which each entry reads all entries along some axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.registry import Unsupported


@dataclass(frozen=True, eq=False)
class OverAxes(Operator):
    """Base of operators that keep the shape and mix along axes.

    Attributes
    ----------
    axes : tuple of int
        1: positions, 2: channels. Over channels alone it is local in position.
    """

    axes: tuple[int, ...]

    @property
    def rowwise(self) -> bool:
        return self.axes == (2,)

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def spread(self, masks: Sequence[Array]) -> Array:
        mask = masks[0]
        if 1 not in self.axes:
            return mask
        return np.broadcast_to(mask.any(axis=1, keepdims=True), mask.shape)

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [self.spread([mask])]


def axes_of(t: Tensor, words: Sequence[str]) -> tuple[int, ...]:
    """Axes of (B, L, C) that some ONNX axes hold."""
    letters = "".join(words)
    if "N" in letters:
        raise Unsupported(f"normalises over the batch axis of {t.describe()}")
    found = tuple(axis for axis, f in ((1, "L"), (2, "C")) if f in letters)
    if not found:
        raise Unsupported(f"normalises an axis of {t.describe()} that has a single entry")
    return found

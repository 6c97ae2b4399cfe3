"""Positions and channels laid out as one row of features, where an operator needs them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node


@dataclass(frozen=True, eq=False)
class Flatten(Operator):
    """(L, C) -> (1, L*C).

    Attributes
    ----------
    order : {"LC", "CL"}
        ``"LC"``: channel fastest; ``"CL"``: position fastest.
    """

    linear: ClassVar[bool] = True
    order: str

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = inputs[0]
        return 1, rows * channels

    def forward(self, xs: Sequence[Array]) -> Array:
        x = xs[0] if self.order == "LC" else xs[0].transpose(0, 2, 1)
        return x.reshape(len(x), 1, x.shape[1] * x.shape[2])

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        rows, channels = xs[0].shape[1:]
        if self.order == "LC":
            return [g.reshape(len(g), rows, channels)]
        return [g.reshape(len(g), channels, rows).transpose(0, 2, 1)]

    def spread(self, masks: Sequence[Array]) -> Array:
        return np.asarray(masks[0].any(1, keepdims=True))

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [mask.repeat(lengths[0], 1)]


@dataclass(frozen=True, eq=False)
class Unflatten(Operator):
    """(1, L*C) -> (L, C), position fastest: a row of features read as channels and positions."""

    linear: ClassVar[bool] = True
    rows: int

    def output_shape(self, *inputs: Shape) -> Shape:
        return self.rows, inputs[0][1] // self.rows

    def forward(self, xs: Sequence[Array]) -> Array:
        return xs[0].reshape(len(xs[0]), xs[0].shape[2] // self.rows, self.rows).transpose(0, 2, 1)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [g.transpose(0, 2, 1).reshape(len(g), 1, g.shape[1] * g.shape[2])]

    def spread(self, masks: Sequence[Array]) -> Array:
        return masks[0].repeat(self.rows, 1)


def unflatten(node: Node, t: Tensor, target: list[int]) -> Tensor | None:
    """Features reshaped to (channels, positions); None where the reshape is another one."""
    if t.shape[0] != 1 or [a for a in t.axes if t.size(a) > 1 and a != "N"] != ["C"]:
        return None
    dims = [t.dims[i] if d == 0 and i < len(t.dims) else d for i, d in enumerate(target)]
    if -1 in dims:
        rest = -np.prod(dims)
        dims[dims.index(-1)] = int(np.prod(t.dims) // rest) if rest > 0 else 0
    large = [i for i, d in enumerate(dims) if d > 1 and i > 0]
    if dims[:1] != [t.batch] or len(large) != 2 or np.prod(dims[1:]) != t.shape[1]:
        return None
    names = {0: "N", large[0]: "C", large[1]: "L"}
    axes = tuple(names.get(i, "") for i in range(len(dims)))
    return node.add(Unflatten(dims[large[1]]), t, axes=axes)


def flatten_mixed(node: Node, t: Tensor) -> Tensor:
    """t, or where one of its ONNX axes mixes positions and channels, its flattened copy."""
    for factors in t.axes:
        if len(factors) == 2 and "N" not in factors and min(t.shape) > 1:
            flat = node.add(Flatten(factors), t)
            return flat.with_axes(tuple("C" if a == factors else a for a in t.axes))
    return t

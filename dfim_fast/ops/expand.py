"""Repeats: Expand and Tile."""

from __future__ import annotations

import numpy as np

from dfim_fast.ops.affine import affine
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.take import take


def repeated(node: Node, t: Tensor, sizes: list[int]) -> Tensor:
    """Repeat ONNX axes of size one up to ``sizes``; a product with ones says the same."""
    t = t.with_axes(("",) * (len(sizes) - len(t.axes)) + t.axes)
    grown = [1 if n == have else n for n, have in zip(sizes, t.dims, strict=True)]
    return t if set(grown) <= {1} else affine(node, t, np.ones(grown), None)


@reads("Expand")
def read_expand(node: Node) -> Tensor:
    """Axes of size one repeated, and axes inserted in front."""
    t = node.tensor(0)
    shape = [int(n) for n in np.atleast_1d(node.constant(1, "the shape"))]
    rank = max(len(shape), len(t.axes))
    have = [1] * (rank - len(t.axes)) + list(t.dims)
    wanted = [1] * (rank - len(shape)) + shape
    return repeated(node, t, [h if w == 1 else w for h, w in zip(have, wanted, strict=True)])


@reads("Tile")
def read_tile(node: Node) -> Tensor:
    """Positions or channels repeated end to end."""
    t = node.tensor(0)
    repeats = [int(n) for n in node.constant(1, "the repeats")]
    if len(repeats) != len(t.axes):
        raise Unsupported(f"{len(repeats)} repeats for {t.describe()}")
    for axis, times in enumerate(repeats):
        size = t.dims[axis]
        if size == 1:
            t = repeated(node, t, [times if i == axis else n for i, n in enumerate(t.dims)])
        elif times != 1:
            t = take(node, t, axis, np.tile(np.arange(size), times))
    return t

"""LayerNormalization and InstanceNormalization: statistics of the sequence itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.affine import affine
from dfim_fast.ops.base import Array, Rule, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.over_axes import OverAxes, axes_of
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Normalize(OverAxes):
    """y = c / s with c = x - mean(x), s = sqrt(mean(c^2) + epsilon), means over ``axes``.

    Rescale takes it apart into mean, square, square root, reciprocal and product, each by its own
    rule (see multiply.py, power.py). Written out, with bars for means over x and r, and n entries,

        m_c = m (1/s + 1/s0)/2 + k C sum(m C) / n,   C = (c + c0)/2,
        k = 2 (1/s - 1/s0) / (s^2 - s0^2) = -2 / (s s0 (s + s0)),

    and m_x = m_c - mean(m_c). No quotient of differences is left: nothing is near zero, nothing
    cancels, and at x = r it is the gradient.

    Attributes
    ----------
    epsilon : float
    """

    in_words: ClassVar[str] = "as mean, square, root and product, each by its rule"
    epsilon: float

    def _mean(self, x: Array) -> Array:
        return x.mean(axis=self.axes, keepdims=True, dtype=np.float64).astype(x.dtype)

    def _parts(self, x: Array) -> tuple[Array, Array]:
        """c and 1 / s."""
        x = np.ascontiguousarray(x)  # sums of rows in one order, whatever made x
        c = x - self._mean(x)
        return c, 1 / np.sqrt(self._mean(c * c) + x.dtype.type(self.epsilon))

    def forward(self, xs: Sequence[Array]) -> Array:
        c, inverse = self._parts(xs[0])
        return c * inverse

    def _back(self, g: Array, c: Array, i: Array, j: Array) -> Array:
        """m_x from m, the mean C, and 1/s and 1/s0."""
        down = g * ((i + j) / 2) - 2 * (i * j) ** 2 / (i + j) * c * self._mean(g * c)
        return down - self._mean(down)

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        c, i = self._parts(xs[0])
        return [self._back(g, c, i, i)]

    def rescale(
        self, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
    ) -> list[Array]:
        (c, i), (c0, j) = self._parts(xs[0]), self._parts(rs[0])
        return [self._back(m, (c + c0) / 2, i, j)]

    def multiply_adds(self, *inputs: Shape) -> int:
        rows, channels = inputs[0]
        return 3 * rows * channels

    def describe(self) -> str:
        return "Normalize " + " and ".join(("positions", "channels")[a - 1] for a in self.axes)


@reads("LayerNormalization")
def read_layer_normalization(node: Node) -> Tensor:
    """Over the axes from ``axis`` on, then times the scale, plus the bias."""
    t = node.tensor(0)
    axes = axes_of(t, t.axes[t.axis(int(node.attr("axis", -1))) :])
    normal = node.add(Normalize(axes, float(node.attr("epsilon", 1e-5))), t)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    shift = None if bias is None else node.constant(2, "the bias")
    return affine(node, normal, node.constant(1, "the scale"), shift)


@reads("InstanceNormalization")
def read_instance_normalization(node: Node) -> Tensor:
    """Each channel over its positions, then times its scale, plus its bias."""
    t = node.tensor(0)
    axes = axes_of(t, t.axes[2:])
    normal = node.add(Normalize(axes, float(node.attr("epsilon", 1e-5))), t)
    shape = tuple(-1 if i == 1 else 1 for i in range(len(t.axes)))
    scale, bias = (node.constant(i, what).reshape(shape) for i, what in ((1, "scale"), (2, "B")))
    return affine(node, normal, scale, bias)

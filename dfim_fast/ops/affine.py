"""y = x * scale + shift with constants: Add, Sub, Mul, Div, Neg, BatchNormalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.add import add_branches
from dfim_fast.ops.base import Array, Operator, Shape, unbroadcast
from dfim_fast.ops.layout import Tensor, align_constant
from dfim_fast.ops.multiply import multiply
from dfim_fast.ops.node import Node
from dfim_fast.ops.power import power
from dfim_fast.ops.registry import Unsupported, reads


@dataclass(frozen=True, eq=False)
class Affine(Operator):
    """y = x * scale + shift.

    Attributes
    ----------
    scale, shift : ndarray (L or 1, C or 1)
        Broadcast against the input; where the input has size one they may repeat it.
    """

    linear: ClassVar[bool] = True
    scale: Array
    shift: Array

    @property
    def rowwise(self) -> bool:
        return True

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = np.broadcast_shapes(inputs[0], self.scale.shape, self.shift.shape)
        return rows, channels

    def forward(self, xs: Sequence[Array]) -> Array:
        return xs[0] * self.scale + self.shift

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [unbroadcast(g * self.scale, xs[0].shape[1:])]

    def absolute(self) -> Affine:
        return Affine(np.abs(self.scale), np.zeros_like(self.shift))

    def _read(self) -> Array:
        """Rows (L or 1) that are not multiplied with zeros only."""
        return np.asarray((self.scale != 0).any(axis=1))

    def spread(self, masks: Sequence[Array]) -> Array:
        rows = max(self.scale.shape[0], self.shift.shape[0], masks[0].shape[1])
        return np.broadcast_to(masks[0], (len(masks[0]), rows)) & self._read()

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return super().collect(mask & self._read(), lengths)

    def multiply_adds(self, *inputs: Shape) -> int:
        rows, channels = self.output_shape(*inputs)
        return rows * channels


def affine(node: Node, t: Tensor, scale: Array | None, shift: Array | None) -> Tensor:
    """Append x * scale + shift, both constants in ONNX's own shape."""
    one, axes = (np.ones((1, 1)), t.axes) if scale is None else align_constant(t, scale)
    zero = np.zeros((1, 1))
    if shift is not None:
        zero, axes = align_constant(t, shift)
    return node.add(Affine(one, zero), t, axes=axes)


@reads("Add", "Sub")
def read_add(node: Node) -> Tensor:
    """a + b or a - b, of which either may be constant."""
    a, b = node.inputs
    sign = -1.0 if node.op_type == "Sub" else 1.0
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return add_branches(node, a, b, sign)
    if isinstance(a, Tensor):
        return affine(node, a, None, sign * node.constant(1, "the summand"))
    t = node.tensor(1)
    negate = None if sign > 0 else np.full((1,) * len(t.axes), -1.0)
    return affine(node, t, negate, node.constant(0, "the summand"))


@reads("Mul")
def read_mul(node: Node) -> Tensor:
    """a * b, of which either may be constant."""
    a, b = node.inputs
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return multiply(node, a, b)
    t, other = (node.tensor(0), 1) if isinstance(a, Tensor) else (node.tensor(1), 0)
    return affine(node, t, node.constant(other, "the factor"), None)


@reads("Div")
def read_div(node: Node) -> Tensor:
    """a / b, of which either may be constant; by a branch: times its Reciprocal."""
    a, b = node.inputs
    if isinstance(b, Tensor):
        inverse = power(node, b, -1.0)
        if isinstance(a, Tensor):
            return multiply(node, a, inverse)
        return affine(node, inverse, node.constant(0, "the dividend"), None)
    divisor = np.asarray(node.constant(1, "the divisor"), np.float64)
    if (divisor == 0).any():
        raise Unsupported("division by zero")
    return affine(node, node.tensor(0), 1.0 / divisor, None)


@reads("Neg")
def read_neg(node: Node) -> Tensor:
    """-x."""
    t = node.tensor(0)
    return affine(node, t, np.full((1,) * len(t.axes), -1.0), None)


@reads("BatchNormalization")
def read_batch_normalization(node: Node) -> Tensor:
    """gamma * (x - mean) / sqrt(var + epsilon) + beta on axis 1, with the stored statistics."""
    if node.attr("training_mode", 0):
        raise Unsupported("is in training mode; export the model after model.eval()")
    t = node.tensor(0)
    gamma, beta, mean, var = (
        np.asarray(node.constant(i, name), np.float64)
        for i, name in enumerate(("scale", "B", "mean", "var"), 1)
    )
    scale = gamma / np.sqrt(var + node.attr("epsilon", 1e-5))
    shape = tuple(-1 if i == 1 else 1 for i in range(len(t.axes)))
    return affine(node, t, scale.reshape(shape), (beta - mean * scale).reshape(shape))

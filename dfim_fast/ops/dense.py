"""Fully connected layers: Gemm, and MatMul with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.window import Window


@dataclass(frozen=True, eq=False)
class Dense(Operator):
    """y = x.flat @ weight + bias, over all positions and channels at once.

    Attributes
    ----------
    weight : ndarray (L * C, H)
        Rows in the order position, channel (channel fastest).
    bias : ndarray (H,)
    """

    linear: ClassVar[bool] = True
    weight: Array
    bias: Array

    def output_shape(self, *inputs: Shape) -> Shape:
        return 1, self.weight.shape[1]

    def forward(self, xs: Sequence[Array]) -> Array:
        x = xs[0]
        return (x.reshape(len(x), len(self.weight)) @ self.weight + self.bias)[:, None, :]

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [(g[:, 0] @ self.weight.T).reshape(len(g), *xs[0].shape[1:])]

    def absolute(self) -> Dense:
        return Dense(np.abs(self.weight), np.zeros_like(self.bias))

    def spread(self, masks: Sequence[Array]) -> Array:
        return np.asarray(masks[0].any(1, keepdims=True))

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        return [mask.repeat(lengths[0], 1)]

    def multiply_adds(self, *inputs: Shape) -> int:
        return self.weight.size

    def describe(self) -> str:
        return f"Dense {self.weight.shape[0]} -> {self.weight.shape[1]}"


def dense(node: Node, t: Tensor, weight: Array, bias: Array) -> Tensor:
    """Append ``x @ weight + bias`` over the last ONNX axis of t."""
    last = t.axes[-1]
    if "N" in last or len(t.axes) < 2:
        raise Unsupported(f"multiplies the batch axis of {t.describe()}")
    if weight.ndim != 2 or t.size(last) != weight.shape[0]:
        raise Unsupported(f"a matrix of shape {weight.shape} does not fit {t.describe()}")
    bias = np.asarray(np.broadcast_to(bias, (weight.shape[1],)), np.float64)
    rows, channels = t.shape
    if all(t.size(a) == 1 for a in t.axes[:-1] if "N" not in a):
        if last == "CL":
            weight = weight.reshape(channels, rows, -1).transpose(1, 0, 2).reshape(weight.shape)
        axes = tuple("N" if "N" in a else "" for a in t.axes[:-1])
        return node.add(Dense(np.ascontiguousarray(weight), bias), t, axes=(*axes, "C"))
    if last == "C":
        op = Conv(weight[None], bias, Window(1, 1, 1, 0, rows))
        return node.add(op, t)
    raise Unsupported(f"mixes the positions of {t.describe()} separately for each channel")


@reads("Gemm")
def read_gemm(node: Node) -> Tensor:
    """alpha * x @ W + beta * b."""
    t = node.tensor(0)
    if node.attr("transA", 0):
        raise Unsupported("transA=1 multiplies the batch axis")
    weight = np.asarray(node.constant(1, "the matrix"), np.float64)
    weight = (weight.T if node.attr("transB", 0) else weight) * node.attr("alpha", 1.0)
    bias = np.asarray(node.constant(2, "the bias", 0.0), np.float64) * node.attr("beta", 1.0)
    if bias.size not in (1, weight.shape[1]):
        raise Unsupported(f"a bias of shape {bias.shape} for {weight.shape[1]} outputs")
    return dense(node, t, weight, bias.reshape(-1))


@reads("MatMul")
def read_matmul(node: Node) -> Tensor:
    """x @ W with a constant W."""
    if isinstance(node.inputs[0], np.ndarray):
        raise Unsupported("multiplies a constant from the left; only x @ constant is supported")
    if isinstance(node.inputs[1], Tensor):
        raise Unsupported("the product of two branches that both depend on the input")
    weight = np.asarray(node.constant(1, "the matrix"), np.float64)
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim == 1:
        t = dense(node, node.tensor(0), weight[:, None], np.zeros(1))
        return t.with_axes(t.axes[:-1])
    return dense(node, node.tensor(0), weight, np.zeros(1))

"""Softmax and LogSoftmax at an output, where the scores are read at their input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from scipy.special import softmax

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import reads


@dataclass(frozen=True, eq=False)
class Softmax(Operator):
    """y = exp(x) / sum(exp(x)); only at an output, because it mixes what it normalises."""

    squashes: ClassVar[bool] = True
    output_only: ClassVar[bool] = True
    axis: int

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def forward(self, xs: Sequence[Array]) -> Array:
        return softmax(xs[0], axis=self.axis)


@reads("Softmax", "LogSoftmax")
def read_softmax(node: Node) -> Tensor:
    """Kept only so that the importer can score its input."""
    t = node.tensor(0)
    default = -1 if node.opset >= 13 else 1
    return node.add(Softmax(1 if "L" in t.axes[t.axis(node.attr("axis", default))] else 2), t)

"""What a reader sees of one ONNX node: attributes, inputs and the means to add operators."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from dfim_fast.ops.base import Array, Operator, Shape
from dfim_fast.ops.layout import Axes, Tensor
from dfim_fast.ops.registry import Unsupported

Value = Tensor | Array | None


class Builder(Protocol):
    """The part of the importer that adds operators to the graph."""

    def add(self, name: str, op: Operator, inputs: tuple[int, ...], shapes: list[Shape]) -> int:
        """Append a node and return its index."""


class Node:
    """One ONNX node under import.

    Attributes
    ----------
    name, op_type : str
    inputs : list of Tensor, ndarray or None
        Tensors depend on the sequence, arrays are constants, None is an omitted input.
    opset : int
    outputs : int
        How many it has.
    """

    def __init__(
        self,
        builder: Builder,
        name: str,
        op_type: str,
        inputs: list[Value],
        attributes: dict[str, Any],
        opset: int,
        outputs: int = 1,
    ) -> None:
        self.builder, self.name, self.op_type = builder, name, op_type
        self.inputs, self.attributes = inputs, attributes
        self.opset, self.outputs = opset, outputs

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute, strings decoded."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def tensor(self, index: int = 0) -> Tensor:
        """An input that has to depend on the sequence."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, Tensor):
            raise Unsupported(f"input {index} does not depend on the sequence")
        return value

    def constant(self, index: int, what: str, default: Any = None) -> Array:
        """An input that has to be a constant."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None and default is not None:
            return np.asarray(default)
        if not isinstance(value, np.ndarray):
            raise Unsupported(f"{what} (input {index}) is not a constant")
        return value

    def ints(self, name: str, index: int) -> list[int] | None:
        """A list of integers that is an attribute in old opsets and an input in new ones."""
        if name in self.attributes:
            return [int(v) for v in np.atleast_1d(self.attributes[name])]
        if index < len(self.inputs) and self.inputs[index] is not None:
            return [int(v) for v in np.atleast_1d(self.constant(index, name))]
        return None

    def add(self, op: Operator, *inputs: Tensor, axes: Axes | None = None) -> Tensor:
        """Append an operator; the result carries the axes of the first input unless given."""
        shapes = [t.shape for t in inputs]
        index = self.builder.add(self.name, op, tuple(t.node for t in inputs), shapes)
        first = inputs[0]
        return Tensor(
            index, op.output_shape(*shapes), first.axes if axes is None else axes, first.batch
        )

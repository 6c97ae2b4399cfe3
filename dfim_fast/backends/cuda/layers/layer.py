"""What a lowered operator is, and which class lowers which operator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.base import Rule, Shape


@dataclass(frozen=True)
class Value:
    """A node's output for many items.

    Attributes
    ----------
    y : View
    won : View or None
        Of a pool: the place that each value comes from.
    """

    y: View
    won: View | None = None


@dataclass(frozen=True)
class Arriving:
    """What arrives at a node on the way down, and what it is passed on with.

    Attributes
    ----------
    items : int
    g : View
        Gradient or multiplier of the output.
    xs, value : tuple of View, and Value
        Inputs and output.
    rs, reference : the same of the references, or None for gradients
    rule : Rule
    """

    items: int
    g: View
    xs: tuple[View, ...]
    value: Value
    rs: tuple[View, ...] | None
    reference: Value | None
    rule: Rule


class Layer(ABC):
    """One node's operator on a device.

    Parameters
    ----------
    device : Device
    op : Operator
        In float32.
    inputs : sequence of (int, int)
        Shapes of what it reads.

    Attributes
    ----------
    products : int
        On tensor cores, of parts of each number: 1 or 3 (csrc/kernels/tensor.cuh); 0 for float32.
    """

    products = 0

    pools = False  # whether its Value has winners

    def __init__(self, device: Device, op: Any, inputs: Sequence[Shape]) -> None:
        self.device, self.op, self.inputs = device, op, list(inputs)

    @staticmethod
    def unsupported(op: Any) -> str | None:
        """Why an operator of this kind cannot be lowered, or None."""
        return None

    @abstractmethod
    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        """Compute every item's own rows of the output."""

    @abstractmethod
    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        """Every item's own rows of the gradient at input j; added to what is there, or written."""

    def constants(self, *arrays: np.ndarray) -> list[Buffer]:
        """Device copies in float32."""
        return [self.device.upload(np.ascontiguousarray(a, np.float32)) for a in arrays]

    def indices(self, array: Any) -> Buffer:
        """Device copy in int32."""
        return self.device.upload(np.ascontiguousarray(array, np.int32))

    def run(self, kernel: str, items: int, out: View, *arguments: Any) -> None:
        """Launch a kernel that has one warp for each own row of ``out``, its first argument."""
        self.launch(kernel, items * out.computed, items, out, *arguments)

    def multiply(self, kernel: str, warps: int, items: int, *arguments: Any, add: Any = ()) -> None:
        """Launch a kernel of products: the one of that name, or its twin on tensor cores."""
        if self.products:
            kernel, arguments = f"{kernel}_tf32", (*arguments, self.products)
        self.launch(kernel, warps, items, *arguments, *add)

    def launch(self, kernel: str, warps: int, items: int, *arguments: Any) -> None:
        """Launch a kernel whose last argument is ``items``."""
        packed = [a.pack() if isinstance(a, View) else a for a in arguments]
        packed = [a.address if isinstance(a, Buffer) else a for a in packed]
        self.device.launch(kernel, warps, *packed, items)


LAYERS: dict[type, type[Layer]] = {}


def lowers(*operators: type) -> Callable[[type[Layer]], type[Layer]]:
    """Register a Layer for operators; duplicates are refused."""

    def register(layer: type[Layer]) -> type[Layer]:
        for op in operators:
            if op in LAYERS:
                raise ValueError(f"two layers for the operator {op.__name__}")
            LAYERS[op] = layer
        return layer

    return register

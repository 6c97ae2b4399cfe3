"""Several tensors entry by entry, and constants with one: Add, Multiply, Where, Maximum, Affine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfim_fast.backends.cuda.device import Device
from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value, lowers
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Shape
from dfim_fast.ops.maximum import Maximum
from dfim_fast.ops.multiply import Multiply
from dfim_fast.ops.where import Where

# The numbers of joints, as csrc/kernels/joint.cuh has them; a test compares the two.
JOINTS = ("ADD", "MULTIPLY", "WHERE", "MAXIMUM")
KINDS = {Add: "ADD", Multiply: "MULTIPLY", Where: "WHERE", Maximum: "MAXIMUM"}


@lowers(*KINDS)
class JointLayer(Layer):
    """Two or three inputs, any of which may be repeated along an axis."""

    def __init__(self, device: Device, op: Any, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        self.kind = JOINTS.index(KINDS[type(op)])
        first, second = (1.0, getattr(op, "sign", 1.0))
        if isinstance(op, Add):
            first, second = op.signs
        self.signs = (float(first), float(second))

    @staticmethod
    def unsupported(op: Any) -> str | None:
        if isinstance(op, Add) and len(op.signs) != 2:
            return f"adds {len(op.signs)} branches at once; two are supported"
        return None

    def _three(self, xs: Sequence[View]) -> tuple[View, ...]:
        return (*xs, xs[0])[:3]

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        self.run("joint_forward", items, value.y, *self._three(xs), self.kind, *self.signs)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        plain = at.rs is None or at.rule.maxpool == "deeplift"
        views = (*self._three(at.xs), *self._three(at.rs or at.xs))
        how = (self.kind, *self.signs, j, plain, at.rule.epsilon)
        self.run("joint_backward", at.items, dx, at.g, *views, *how, add)


@lowers(Affine)
class AffineLayer(Layer):
    """Constants of their own for each entry, channel, position, or one for all."""

    op: Affine

    def __init__(self, device: Device, op: Affine, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        self.scale, self.shift = self.constants(op.scale, op.shift)

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        scale = (self.scale, *self.op.scale.shape)
        self.run("affine_forward", items, value.y, xs[0], *scale, self.shift, *self.op.shift.shape)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        self.run("affine_backward", at.items, dx, at.g, self.scale, *self.op.scale.shape, add)

"""Functions of one tensor, entry by entry, as short programs in float64.

Every smooth function is evaluated in float64 and rounded once: quotients of near values keep their
digits, and the last-bit differences between CUDA's and the host's mathematics almost never show.
A program is a list of steps on a stack of (value, derivative) pairs; a single function is one step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.device import Device
from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value, lowers
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.absolute import Abs
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Operator, Shape
from dfim_fast.ops.clip import Clip
from dfim_fast.ops.composite import Composite
from dfim_fast.ops.elu import Elu
from dfim_fast.ops.erf import Erf
from dfim_fast.ops.exp import Exp
from dfim_fast.ops.gelu import Gelu, TanhGelu
from dfim_fast.ops.hard_sigmoid import HardSigmoid, HardSwish
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.log import Log
from dfim_fast.ops.maximum import Maximum
from dfim_fast.ops.mish import Mish
from dfim_fast.ops.multiply import Multiply
from dfim_fast.ops.power import Power, Reciprocal, Sqrt
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.sigmoid import Sigmoid
from dfim_fast.ops.silu import Silu
from dfim_fast.ops.softplus import Softplus
from dfim_fast.ops.step import Step
from dfim_fast.ops.tanh import Tanh

# The numbers of steps, as csrc/kernels/functions.cuh has them; a test compares the two.
STEPS = (
    "RELU LEAKY_RELU CLIP GREATER LESS GREATER_OR_EQUAL LESS_OR_EQUAL ABS ELU ERF EXP GELU "
    "TANH_GELU HARD_SIGMOID HARD_SWISH LOG MISH POWER SQRT RECIPROCAL SIGMOID SILU SOFTPLUS TANH "
    "AFFINE COPY JOIN_ADD JOIN_MULTIPLY JOIN_WHERE JOIN_MAXIMUM JOIN_MINIMUM"
).split()
STACK = 8  # values; csrc/kernels/functions.cuh reserves as many
INT_COLUMNS = (
    4  # of a step: its number, where its constants begin, their strides over rows, columns
)

# operator -> number of its step, and its constants
FUNCTIONS: dict[type, tuple[str, Callable[[Any], Sequence[Any]]]] = {
    Relu: ("RELU", lambda op: ()),
    LeakyRelu: ("LEAKY_RELU", lambda op: (op.alpha,)),
    Clip: ("CLIP", lambda op: (op.low, op.high)),
    Abs: ("ABS", lambda op: ()),
    Elu: ("ELU", lambda op: (op.alpha, op.scale, op.rate)),
    Erf: ("ERF", lambda op: ()),
    Exp: ("EXP", lambda op: ()),
    Gelu: ("GELU", lambda op: ()),
    TanhGelu: ("TANH_GELU", lambda op: ()),
    HardSigmoid: ("HARD_SIGMOID", lambda op: (op.alpha, op.beta)),
    HardSwish: ("HARD_SWISH", lambda op: ()),
    Log: ("LOG", lambda op: ()),
    Mish: ("MISH", lambda op: ()),
    Power: ("POWER", lambda op: (op.exponent,)),
    Sqrt: ("SQRT", lambda op: ()),
    Reciprocal: ("RECIPROCAL", lambda op: ()),
    Sigmoid: ("SIGMOID", lambda op: ()),
    Silu: ("SILU", lambda op: (op.alpha,)),
    Softplus: ("SOFTPLUS", lambda op: (op.beta,)),
    Tanh: ("TANH", lambda op: ()),
    Affine: ("AFFINE", lambda op: (op.scale, op.shift)),
}
COMPARISONS = {
    "Greater": "GREATER",
    "Less": "LESS",
    "GreaterOrEqual": "GREATER_OR_EQUAL",
    "LessOrEqual": "LESS_OR_EQUAL",
}


class Program:
    """Steps and their constants, collected from an operator (see csrc/kernels/functions.cuh).

    Attributes
    ----------
    steps : list of (int, int, int, int)
    constants : list of float
    depth : int
        Values that stand on the stack at most.
    """

    def __init__(self, op: Operator) -> None:
        self.steps: list[tuple[int, int, int, int]] = []
        self.constants: list[float] = []
        self.depth = 1
        self._add(op, 1)

    def _step(self, name: str, *constants: Any) -> None:
        arrays = np.broadcast_arrays(*(np.atleast_2d(np.float64(c)) for c in constants))
        rows, channels = arrays[0].shape if arrays else (1, 1)
        count = len(arrays)
        strides = (channels * count if rows > 1 else 0, count if channels > 1 else 0)
        self.steps.append((STEPS.index(name), len(self.constants), *strides))
        if arrays:
            self.constants += np.stack(arrays, axis=2).ravel().tolist()

    def _add(self, op: Operator, depth: int) -> None:
        self.depth = max(self.depth, depth)
        if isinstance(op, Composite):
            for number, path in enumerate(op.paths):
                self.steps.append((STEPS.index("COPY"), number, 0, 0))
                for inner in path:
                    self._add(inner, depth + number + 1)
            self.depth = max(self.depth, depth + len(op.paths))
            self._join(op.join)
        elif isinstance(op, Step):
            self._step(COMPARISONS[op.kind], op.threshold)
        else:
            name, constants = FUNCTIONS[type(op)]
            self._step(name, *constants(op))

    def _join(self, op: Operator) -> None:
        if isinstance(op, Add):
            self._step("JOIN_ADD", *op.signs)
        elif isinstance(op, Maximum):
            self._step("JOIN_MAXIMUM" if op.sign > 0 else "JOIN_MINIMUM")
        else:
            self._step("JOIN_MULTIPLY" if isinstance(op, Multiply) else "JOIN_WHERE")


@lowers(*(op for op in FUNCTIONS if op is not Affine), Step, Composite)
class GateLayer(Layer):
    """Any function of one entry."""

    def __init__(self, device: Device, op: Any, inputs: Sequence[Shape]) -> None:
        super().__init__(device, op, inputs)
        program = Program(op)
        self.steps = len(program.steps)
        self.code = self.indices(program.steps)
        self.table = device.upload(np.array(program.constants or [0.0], np.float64))

    @staticmethod
    def unsupported(op: Any) -> str | None:
        depth = Program(op).depth
        return f"needs {depth} values at once, {STACK} are held" if depth > STACK else None

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        self.run("gate_forward", items, value.y, xs[0], self.code, self.table, self.steps)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        x, against = at.xs[0], at.rs is not None
        r = at.rs[0] if at.rs is not None else x
        program = (self.code, self.table, self.steps)
        kink, epsilon = self.op.piecewise_linear, at.rule.epsilon
        self.run("gate_backward", at.items, dx, at.g, x, r, *program, kink, against, epsilon, add)

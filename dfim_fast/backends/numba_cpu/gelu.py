"""GELU in single precision: one exponential serves value and derivative, in whole vectors.

The normal distribution function is ``Phi(-|x|) = exp(-x^2 / 2) t Q(t) / 2`` with
``t = 1 / (1 + |x| / sqrt(8))``. Q was fitted to ``exp(a^2) erfc(a) / t``, a = |x| / sqrt(2), at 400
Chebyshev points of 0 <= a <= 10 by least squares of the relative error, which is below 6e-8; the
rounding of float32 leaves 4e-7 (``tests/backends/numba_cpu/test_gelu.py``). NumPy's formula, which
calls erf for each number, takes ten times as long and loses all digits left of -5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dfim_fast.jit import entry, kernel
from dfim_fast.ops.base import Array
from dfim_fast.ops.gelu import Gelu

Q = tuple(
    np.float32(q)
    for q in (
        0.28208235, 0.28245384, 0.24247938, 0.20536043, -0.03339902, 0.28851515, -0.49682957,
        0.28944609, -0.06010871,
    )
)  # fmt: skip
DENSITY = np.float32(1 / np.sqrt(2 * np.pi))
INVERSE_ROOT_8 = np.float32(1 / np.sqrt(8))
LOG2_E = np.float32(np.log2(np.e))
LN_2 = np.float32(0.693359375)  # of few bits, so that its multiples are exact, and the rest
LN_2_REST = np.float32(np.log(2) - 0.693359375)
TAYLOR = tuple(np.float32(1 / f) for f in (1, 1, 2, 6, 24, 120, 720, 5040))
FAR = np.float32(174)  # x^2 / 2 <= 87: the exponential is still a normal number


@intrinsic
def power_of_two(_: Any, n: Any) -> Any:
    """2**n for -126 <= n <= 127, by its bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        whole = ir.IntType(32)
        bits = builder.shl(builder.add(args[0], whole(127)), whole(23))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.int32), generate


@kernel
def polynomial(x: Any, coefficients: Any) -> Any:
    """Of ascending powers, by Horner's rule."""
    y = coefficients[-1]
    for i in range(len(coefficients) - 2, -1, -1):
        y = y * x + coefficients[i]
    return y


@kernel
def bell(x: Any) -> Any:
    """exp(-x^2 / 2)."""
    y = min(x * x, FAR) * np.float32(-0.5)
    n = np.int32(y * LOG2_E - np.float32(0.5))
    whole = np.float32(n)
    r = (y - whole * LN_2) - whole * LN_2_REST
    return polynomial(r, TAYLOR) * power_of_two(n)


@kernel
def distribution(x: Any, e: Any) -> Any:
    """Phi(x), given exp(-x^2 / 2)."""
    t = np.float32(1) / (np.float32(1) + abs(x) * INVERSE_ROOT_8)
    tail = np.float32(0.5) * e * t * polynomial(t, Q)
    return tail if x < 0 else np.float32(1) - tail


@entry
def values(x: np.ndarray, y: np.ndarray) -> None:
    """y = x Phi(x), flat arrays."""
    for i in range(x.size):
        y[i] = x[i] * distribution(x[i], bell(x[i]))


@entry
def slopes(x: np.ndarray, y: np.ndarray) -> None:
    """y = Phi(x) + x phi(x), flat arrays."""
    for i in range(x.size):
        e = bell(x[i])
        y[i] = distribution(x[i], e) + x[i] * e * DENSITY


@dataclass(frozen=True, eq=False)
class FastGelu(Gelu):
    """The operator for float32; quotients, which ask in float64, are the formula's own."""

    def value(self, x: Array) -> Array:
        return each(values, x) if x.dtype == np.float32 else super().value(x)

    def slope(self, x: Array) -> Array:
        return each(slopes, x) if x.dtype == np.float32 else super().slope(x)


def each(function: Any, x: Array) -> Array:
    """A function of flat arrays for all entries of x."""
    x = np.require(x, None, ["C", "W"])
    y = np.empty_like(x)
    function(x.reshape(-1), y.reshape(-1))
    return y

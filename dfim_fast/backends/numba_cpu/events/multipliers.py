"""Multipliers of the two kinds of gates, original's and mutant's alike.

Formulas are those of ``ops``: derivatives at kinks 0 (or the slope below zero), quotients
``(f(x) - f(r)) / (x - r)`` with the derivative at x where the two are closer than epsilon, and
DeepLIFT's two rules for max pools.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events.simd import (
    absolute,
    divide,
    greater,
    less,
    load,
    multiply,
    select,
    splat,
    subtract,
)
from dfim_fast.jit import kernel


@kernel
def slope_at(x: int, slope: int) -> Any:
    """Derivative of 16 values."""
    return select(greater(load(x), splat(np.float32(0))), splat(np.float32(1)), load(slope))


@kernel
def quotient_at(x: int, r: int, slope: int, epsilon: float) -> Any:
    """Rescale multipliers of 16 values: the slope itself where both lie on one side of zero."""
    zero, one = splat(np.float32(0)), splat(np.float32(1))
    a, b, below = load(x), load(r), load(slope)
    above = greater(a, zero)
    across = above ^ greater(b, zero)
    q = select(above, one, below)
    if across != 0:
        fa = select(above, a, multiply(a, below))
        fb = select(above ^ across, b, multiply(b, below))
        d = subtract(a, b)
        across &= ~less(absolute(d), splat(np.float32(epsilon)))
        q = select(across, divide(subtract(fa, fb), d), q)
    return q


@kernel
def shares(y: float, y0: float, r_at_x: float, x_at_r: float, epsilon: float) -> tuple[Any, Any]:
    """What one window passes to the winner of x and to the winner of r, per unit that arrives.

    y, y0: pooled values of x and r; r_at_x: r where x won; x_at_r: x where r won.
    """
    top = max(y, y0)
    d = y - r_at_x
    to_x = np.float32(1) if abs(d) < epsilon else (top - y0) / d
    d = x_at_r - y0
    to_r = np.float32(0) if abs(d) < epsilon else (y - top) / d
    return to_x, to_r

"""Multipliers of piecewise-linear head units, for all mutants in one pass."""

from __future__ import annotations

import numpy as np

from dfim_fast.jit import entry


@entry
def slopes(x: np.ndarray, below: np.ndarray, out: np.ndarray) -> None:
    """Derivative of y = x where x > 0, else below * x, for x (M, H), below (H,)."""
    for m in range(len(x)):
        for h in range(x.shape[1]):
            out[m, h] = np.float32(1) if x[m, h] > 0 else below[h]


@entry
def quotients(
    x: np.ndarray, r: np.ndarray, below: np.ndarray, epsilon: float, out: np.ndarray
) -> None:
    """(f(x) - f(r)) / (x - r), the derivative at x where the two are closer than epsilon.

    x (M, H) against one reference r (H,). Where both lie on one side of zero it is the slope
    itself, free of rounding: such a unit is the same for all mutants.
    """
    near, one = np.float32(epsilon), np.float32(1)
    for m in range(len(x)):
        for h in range(x.shape[1]):
            a, b = x[m, h], r[h]
            slope = one if a > 0 else below[h]
            fa, fb = a * slope, b * (one if b > 0 else below[h])
            d = a - b
            close = abs(d) < near or (a > 0) == (b > 0)
            q = (fa - fb) / (one if close else d)
            out[m, h] = slope if close else q

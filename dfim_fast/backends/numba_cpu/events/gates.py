"""Multipliers of piecewise-linear head units, and what comes of them, for all mutants at once."""

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


@entry
def differing(new: np.ndarray, old: np.ndarray, found: np.ndarray) -> None:
    """Which columns of new (M, H) differ from old (H,) in any row, into ``found`` (H,), zeros."""
    for m in range(len(new)):
        for h in range(new.shape[1]):
            found[h] |= new[m, h] != old[h]


@entry
def weighted_changes(
    new: np.ndarray, old: np.ndarray, g: np.ndarray, picked: np.ndarray, out: np.ndarray, first: int
) -> None:
    """(new - old) * g at the picked columns, into out (M, F) from column ``first`` on.

    new (M, H), old (H,), g (M or 1, H).
    """
    for m in range(len(new)):
        row = m if len(g) > 1 else 0
        for j in range(len(picked)):
            h = picked[j]
            out[m, first + j] = (new[m, h] - old[h]) * g[row, h]


@entry
def picks(v: np.ndarray, unit: np.ndarray, scale: np.ndarray) -> int:
    """From which row of v (F, H) on all hold one number at most: where, and which, for each row."""
    first = 0
    for i in range(len(v)):
        count = 0
        unit[i], scale[i] = 0, 0
        for h in range(v.shape[1]):
            if v[i, h] != 0:
                count += 1
                unit[i], scale[i] = h, v[i, h]
        if count > 1:
            first = i + 1
    return first


@entry
def pick_columns(
    weight: np.ndarray, unit: np.ndarray, scale: np.ndarray, out: np.ndarray, first: int
) -> None:
    """Columns unit[i] of weight (N, H) times scale[i], into out (N, F), from ``first`` on."""
    for n in range(len(weight)):
        for i in range(first, len(unit)):
            out[n, i] = weight[n, unit[i]] * scale[i]

"""Max pooling's two DeepLIFT rules as SEMANTICS states them, one number at a time."""

from __future__ import annotations

import numpy as np


def slow_pool(
    m: np.ndarray,
    x: np.ndarray,
    r: np.ndarray,
    windows: list[list[int]],
    epsilon: float,
    rule: str,
) -> np.ndarray:
    """Multipliers (L,) below a max pool of one channel.

    Parameters
    ----------
    m : ndarray (L',)
        Multipliers above.
    x, r : ndarray (L,)
        The pool's input for the sequence and the reference.
    windows : list of list of int
        Positions that each output reads, in order.
    epsilon : float
    rule : {"shap", "deeplift"}
    """
    shared, plain = np.zeros(len(x)), np.zeros(len(x))
    for g, window in zip(m, windows, strict=True):
        first_x = first_r = window[0]
        for p in window:
            if x[p] > x[first_x]:
                first_x = p
            if r[p] > r[first_r]:
                first_r = p
        y, y0 = x[first_x], r[first_r]
        top = max(y, y0)
        shared[first_x] += g * (top - y0)
        shared[first_r] += g * (y - top)
        plain[first_x] += g
    if rule == "deeplift":
        return plain
    return np.array(
        [
            plain[p] if abs(x[p] - r[p]) < epsilon else shared[p] / (x[p] - r[p])
            for p in range(len(x))
        ]
    )


def windows_of(
    length: int, out_length: int, kernel: int, stride: int, dilation: int, pad: int
) -> list[list[int]]:
    """The positions inside the sequence that each output reads."""
    return [
        [
            p
            for p in range(i * stride - pad, i * stride - pad + kernel * dilation, dilation)
            if 0 <= p < length
        ]
        for i in range(out_length)
    ]

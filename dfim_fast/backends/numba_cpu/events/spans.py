"""Lists of disjoint intervals of rows, one list per node."""

from __future__ import annotations

import numpy as np
from numba import njit

from dfim_fast.backends.numba_cpu.events.columns import SPANS


@njit(nogil=True, cache=True)
def add_span(spans: np.ndarray, counts: np.ndarray, n: int, low: int, high: int) -> None:
    """Add rows low..high to list n, merged with what it touches.

    A full list swallows its nearest neighbour: rows in between are looked at in vain, no more.
    """
    if high < low:
        return
    count = counts[n]
    i = 0
    while i < count:
        a, b = spans[n, 2 * i], spans[n, 2 * i + 1]
        if a <= high + 1 and low <= b + 1:
            low, high = min(low, a), max(high, b)
            count -= 1
            spans[n, 2 * i], spans[n, 2 * i + 1] = spans[n, 2 * count], spans[n, 2 * count + 1]
            i = 0
        else:
            i += 1
    if count == SPANS:
        best, gap = 0, np.int64(1) << 40
        for j in range(count):
            apart = max(spans[n, 2 * j] - high, low - spans[n, 2 * j + 1])
            if apart < gap:
                best, gap = j, apart
        low = min(low, spans[n, 2 * best])
        high = max(high, spans[n, 2 * best + 1])
        count -= 1
        spans[n, 2 * best], spans[n, 2 * best + 1] = spans[n, 2 * count], spans[n, 2 * count + 1]
        counts[n] = count
        add_span(spans, counts, n, low, high)
        return
    spans[n, 2 * count], spans[n, 2 * count + 1] = low, high
    counts[n] = count + 1


@njit(nogil=True, cache=True)
def read_rows(low: int, high: int, kernel: int, stride: int, dilation: int, pad: int,
              rows: int) -> tuple[int, int]:
    """Outputs of a window that read the inputs low..high."""
    first = -((pad + low - (kernel - 1) * dilation) // -stride)
    last = (high + pad) // stride
    return max(first, 0), min(last, rows - 1)


@njit(nogil=True, cache=True)
def rows_read(low: int, high: int, kernel: int, stride: int, dilation: int, pad: int,
              rows: int) -> tuple[int, int]:
    """Inputs that the outputs low..high of a window read."""
    first = low * stride - pad
    last = high * stride - pad + (kernel - 1) * dilation
    return max(first, 0), min(last, rows - 1)

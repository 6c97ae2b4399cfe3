"""Lists of disjoint intervals of rows, one list per node."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events.access import LIST, span
from dfim_fast.backends.numba_cpu.events.columns import SPANS
from dfim_fast.backends.numba_cpu.events.simd import get, put
from dfim_fast.jit import kernel


@kernel
def add_span(spans: int, counts: int, n: int, low: int, high: int) -> None:
    """Add rows low..high to list n, merged with what it touches.

    A full list swallows its nearest neighbour: rows in between are looked at in vain, no more.
    """
    if high < low:
        return
    count = get(counts, n)
    while True:
        i = 0
        while i < count:
            a, b = span(spans, n, 2 * i), span(spans, n, 2 * i + 1)
            if a <= high + 1 and low <= b + 1:
                low, high = min(low, a), max(high, b)
                count -= 1
                put(spans, n * LIST + 2 * i, span(spans, n, 2 * count))
                put(spans, n * LIST + 2 * i + 1, span(spans, n, 2 * count + 1))
                i = 0
            else:
                i += 1
        if count < SPANS:
            break
        best, gap = 0, np.int64(1) << 40
        for j in range(count):
            apart = max(span(spans, n, 2 * j) - high, low - span(spans, n, 2 * j + 1))
            if apart < gap:
                best, gap = j, apart
        low = min(low, span(spans, n, 2 * best))
        high = max(high, span(spans, n, 2 * best + 1))
    put(spans, n * LIST + 2 * count, low)
    put(spans, n * LIST + 2 * count + 1, high)
    put(counts, n, count + 1)


@kernel
def read_rows(
    low: int, high: int, kernel_size: int, stride: int, dilation: int, pad: int, rows: int
) -> tuple[int, int]:
    """Outputs of a window that read the inputs low..high."""
    start, stop = low + pad - (kernel_size - 1) * dilation, high + pad
    if stride > 1:
        start, stop = -(-start // stride), stop // stride
    return max(start, 0), min(stop, rows - 1)


@kernel
def rows_read(
    low: int, high: int, kernel_size: int, stride: int, dilation: int, pad: int, rows: int
) -> tuple[int, int]:
    """Inputs that the outputs low..high of a window read."""
    first = low * stride - pad
    last = high * stride - pad + (kernel_size - 1) * dilation
    return max(first, 0), min(last, rows - 1)

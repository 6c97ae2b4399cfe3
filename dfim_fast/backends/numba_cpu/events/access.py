"""Reading the table and the interval lists through plain addresses."""

from __future__ import annotations

from dfim_fast.backends.numba_cpu.events.columns import SPANS, WIDTH
from dfim_fast.backends.numba_cpu.events.fields import INDEX, TABLE
from dfim_fast.backends.numba_cpu.events.simd import get
from dfim_fast.jit import kernel

LIST = 2 * SPANS  # integers per interval list


@kernel
def node(net: int, n: int) -> int:
    """Address of a node's row of the table."""
    return get(net, TABLE) + n * (WIDTH * 8)


@kernel
def index(net: int, i: int) -> int:
    """An entry of the index blob."""
    return get(get(net, INDEX), i)


@kernel
def span(spans: int, n: int, i: int) -> int:
    """Bound i (first, last, first, last, ...) of the intervals of list n."""
    return get(spans, n * LIST + i)

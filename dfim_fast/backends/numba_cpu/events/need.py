"""Which rows the targets can hear of: restricted targets need no more of the way down.

Row i of a node matters where some path leads from a target's position to it. The rows of each node
that do are kept as one interval, which the walk's intervals are cut to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import case as c
from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node
from dfim_fast.backends.numba_cpu.events.simd import get, get_short, put
from dfim_fast.backends.numba_cpu.events.spans import read_rows
from dfim_fast.jit import kernel


@kernel
def rows_from(net: int, n: int, k: int, low: int, high: int) -> tuple[int, int]:
    """Rows of node n that read rows low..high of its k-th input."""
    t = node(net, n)
    op = get(t, col.OP)
    if op == col.CONV or op == col.MAX_POOL or op == col.AVERAGE_POOL:
        return read_rows(
            low, high, get(t, col.KERNEL), get(t, col.STRIDE), get(t, col.DILATION),
            get(t, col.PAD), get(t, col.ROWS),
        )  # fmt: skip
    if op == col.CONCAT_ROWS:
        at = index(net, get(t, col.INDEX) + k)
        return low + at, high + at
    if op == col.TAKE_ROWS:
        step, a, b = get(t, col.STEP), low - get(t, col.FIRST), high - get(t, col.FIRST)
        first = -(a // -step) if step > 0 else -(b // -step)
        last = b // step if step > 0 else a // step
        return max(first, 0), min(last, get(t, col.ROWS) - 1)
    return low, high


@kernel
def ask_for(net: int, work: int, low: int, high: int) -> None:
    """Note the rows of all nodes that positions low..high can hear of."""
    need = get(work, f.NEED)
    put(need, 0, low)
    put(need, 1, high)
    for n in range(1, get(net, f.NODES)):
        t = node(net, n)
        first: Any = np.int64(1) << 40
        last: Any = np.int64(-1)
        for k in range(get(t, col.COUNT)):
            s = index(net, get(t, col.SOURCES) + k)
            if get(need, 2 * s) <= get(need, 2 * s + 1):
                a, b = rows_from(net, n, k, get(need, 2 * s), get(need, 2 * s + 1))
                if a <= b:
                    first, last = min(first, a), max(last, b)
        put(need, 2 * n, first)
        put(need, 2 * n + 1, last)


@kernel
def ask_for_targets(
    net: int, works: int, group: int, case: int, mutated: int, m: int
) -> None:
    """Note what the targets of some mutants of one span can hear of, and the span itself."""
    rows, width = get(case, c.TARGET_ROWS), get(case, c.TARGET_WIDTH)
    low: Any = get(get(mutated, c.START), m)
    high: Any = low + get(get(mutated, c.WIDTH), m) - 1
    first, count = (m * width, group * width) if rows > 1 else (np.int64(0), width)
    for i in range(first, first + count):
        target = get_short(get(case, c.TARGETS), i)
        if target >= 0:
            low, high = min(low, target), max(high, target)
    for g in range(group):
        put(get(works, g), f.NARROW, rows > 0)
        if rows > 0:
            ask_for(net, get(works, g), low, high)


@kernel
def needed(work: int, n: int, low: int, high: int) -> tuple[int, int]:
    """Rows low..high of node n, cut to those that a target can hear of."""
    if get(work, f.NARROW) == 0 or get(work, f.PLAIN):
        return low, high
    need = get(work, f.NEED)
    return max(low, get(need, 2 * n)), min(high, get(need, 2 * n + 1))

"""What a mutant's way up has found, kept for its way down.

A head with hidden layers has to see all mutants before the first of them can go down the trunk.
What the way down reads of the way up is therefore written to a slot of each mutant's own: the
intervals of every node, a flag for each of their rows, and the changed rows themselves, of those
nodes that are asked again (``KEPT``): what activations read, and the winners of max pools.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import LIST, node
from dfim_fast.backends.numba_cpu.events.simd import (
    flag,
    get,
    load,
    load_scalar,
    put,
    set_flag,
    store,
    store_scalar,
)
from dfim_fast.jit import kernel


@kernel
def copy_floats(source: int, target: int, count: int) -> None:
    """As whole vectors; short rows float by float."""
    if count < 16:
        for c in range(0, count * 4, 4):
            store_scalar(target + c, load_scalar(source + c))
    else:
        for c in range(0, count * 4, 64):
            store(target + c, load(source + c))


@kernel
def keep(net: int, work: int, slot: int) -> None:
    """Write what the mutant has changed to ``slot``."""
    shared = get(work, f.RULE) == col.SHAP
    changed, spans = get(work, f.CHANGED), get(work, f.SPANS)
    at = slot
    for n in range(1, get(net, f.NODES)):
        t = node(net, n)
        count, pitch = get(get(work, f.COUNTS), n), get(t, col.PITCH)
        values = get(t, col.KEPT) == col.ALWAYS or (get(t, col.KEPT) == col.SHARED and shared)
        put(at, 0, count)
        at += 8
        for q in range(count):
            low, high = get(spans, n * LIST + 2 * q), get(spans, n * LIST + 2 * q + 1)
            put(at, 0, low)
            put(at, 1, high)
            at += 16
            for i in range(low, high + 1):
                some = flag(changed, get(t, col.FLAGS) + i)
                put(at, 0, some)
                at += 8
                if some == 0:
                    continue
                if values:
                    copy_floats(get(work, f.NEW) + (get(t, col.BASE) + i * pitch) * 4, at, pitch)
                    at += pitch * 4
                if get(t, col.OP) == col.MAX_POOL:
                    row = get(work, f.WINNER) + (get(t, col.WINNER) + i * pitch) * 4
                    copy_floats(row, at, pitch)
                    at += pitch * 4


@kernel
def replay(net: int, work: int, slot: int) -> None:
    """Put back what ``keep`` has written, in place of the way up."""
    shared = get(work, f.RULE) == col.SHAP
    changed, spans = get(work, f.CHANGED), get(work, f.SPANS)
    at = slot
    for n in range(1, get(net, f.NODES)):
        t = node(net, n)
        count, pitch = get(at, 0), get(t, col.PITCH)
        values = get(t, col.KEPT) == col.ALWAYS or (get(t, col.KEPT) == col.SHARED and shared)
        put(get(work, f.COUNTS), n, count)
        at += 8
        for q in range(count):
            low, high = get(at, 0), get(at, 1)
            put(spans, n * LIST + 2 * q, low)
            put(spans, n * LIST + 2 * q + 1, high)
            at += 16
            for i in range(low, high + 1):
                some = get(at, 0)
                at += 8
                if some == 0:
                    continue
                set_flag(changed, get(t, col.FLAGS) + i, 1)
                if values:
                    copy_floats(at, get(work, f.NEW) + (get(t, col.BASE) + i * pitch) * 4, pitch)
                    at += pitch * 4
                if get(t, col.OP) == col.MAX_POOL:
                    row = get(work, f.WINNER) + (get(t, col.WINNER) + i * pitch) * 4
                    copy_floats(at, row, pitch)
                    at += pitch * 4


def slot_floats(table: np.ndarray, index: np.ndarray, width: int, shared: bool) -> int:
    """The most that a mutant of ``width`` positions needs, in floats (whole vectors).

    ``shared``: whether pools are shared, so that the walk down reads more.
    """
    rows, spans = np.zeros((2, len(table)), np.int64)
    total = 0
    for n, t in enumerate(table):
        below = index[t[col.SOURCES] : t[col.SOURCES] + t[col.COUNT]]
        rows[n], spans[n] = (rows[below].sum(), spans[below].sum()) if n else (width, 1)
        if t[col.OP] in (col.CONV, col.MAX_POOL, col.AVERAGE_POOL):
            reach = (t[col.KERNEL] - 1) * t[col.DILATION]
            rows[n] = (rows[n] + spans[n] * reach) // t[col.STRIDE] + spans[n]
        # a full list also holds rows between its intervals
        rows[n] = t[col.ROWS] if spans[n] > col.SPANS else min(rows[n], t[col.ROWS])
        spans[n] = min(spans[n], col.SPANS)
        blobs = t[col.KEPT] == col.ALWAYS or (t[col.KEPT] == col.SHARED and shared)
        blobs = int(blobs) + (t[col.OP] == col.MAX_POOL)
        total += 2 + 4 * spans[n] + rows[n] * (2 + blobs * t[col.PITCH])
    return -(-int(total) // 16) * 16

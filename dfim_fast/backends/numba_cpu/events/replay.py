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
from dfim_fast.backends.numba_cpu.events.layout import whole_vectors
from dfim_fast.backends.numba_cpu.events.lists import copy_row
from dfim_fast.backends.numba_cpu.events.simd import flag, get, put, set_flag
from dfim_fast.jit import kernel

KEEP, REPLAY = np.int64(0), np.int64(1)  # ways of ``carry``: to the slot, and back


@kernel
def number(place: int, i: int, slot: int, way: int) -> int:
    """The i-th integer of an array to the slot, or from it; returns it."""
    if way == KEEP:
        put(slot, 0, get(place, i))
    else:
        put(place, i, get(slot, 0))
    return get(slot, 0)


@kernel
def row(place: int, slot: int, pitch: int, way: int) -> None:
    """A row likewise."""
    if way == KEEP:
        copy_row(place, slot, pitch)
    else:
        copy_row(slot, place, pitch)


@kernel
def carry(net: int, work: int, slot: int, way: int) -> None:
    """Write what the mutant has changed to ``slot``; or put it back, in place of the way up."""
    changed, spans, counts = get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS)
    at = slot
    for n in range(1, get(net, f.NODES)):
        t = node(net, n)
        pitch = get(t, col.PITCH)
        count = number(counts, n, at, way)
        at += 8
        for q in range(count):
            low = number(spans, n * LIST + 2 * q, at, way)
            high = number(spans, n * LIST + 2 * q + 1, at + 8, way)
            at += 16
            for i in range(low, high + 1):
                place = get(t, col.FLAGS) + i
                if way == KEEP:
                    put(at, 0, flag(changed, place))
                else:
                    set_flag(changed, place, get(at, 0))
                at += 8
                if flag(changed, place) == 0:
                    continue
                if get(t, col.KEPT):
                    row(get(work, f.NEW) + (get(t, col.BASE) + i * pitch) * 4, at, pitch, way)
                    at += pitch * 4
                if get(t, col.OP) == col.MAX_POOL:
                    row(get(work, f.WINNER) + (get(t, col.WINNER) + i * pitch) * 4, at, pitch, way)
                    at += pitch * 4


def mark_kept(table: np.ndarray, rule: int) -> None:
    """Mark the nodes whose rows the way down reads again."""
    ops, source = table[:, col.OP], table[:, col.SOURCE]
    table[source[ops == col.ACTIVATION], col.KEPT] = 1
    if rule == col.SHAP:  # pools are shared by value
        table[ops == col.MAX_POOL, col.KEPT] = 1
        table[source[ops == col.MAX_POOL], col.KEPT] = 1


def slot_floats(table: np.ndarray, index: np.ndarray, width: int) -> int:
    """The most that a mutant of ``width`` positions needs, in floats (whole vectors)."""
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
        blobs = t[col.KEPT] + (t[col.OP] == col.MAX_POOL)
        total += 2 + 4 * spans[n] + rows[n] * (2 + blobs * t[col.PITCH])
    return whole_vectors(int(total))

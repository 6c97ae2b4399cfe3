"""Entries (row, channel) of a node that differ from zero in any mutant of a group.

An entry is listed by its place ``row * pitch + channel`` in the node's part of a blob, in
ascending order; where each row's entries begin is kept, so that a window of rows is one run of the
list. All mutants of a group have the same interval lists (those depend on where a mutant is, not
on what it changes).

A list is an address of five integers; a thread has two of them, so that one can be read while the
next is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import LIST, node, span
from dfim_fast.backends.numba_cpu.events.simd import (
    differ,
    flag,
    get,
    lanes_set,
    load,
    load_scalar,
    put,
    splat,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import rows_read
from dfim_fast.jit import kernel

CODES, STARTS, FIRST, END, COUNT = 0, 1, 2, 3, 4  # entries; where rows begin; rows first..end - 1


@kernel
def clear(row: int, pitch: int) -> None:
    """Zero one row of whole vectors."""
    zero = splat(np.float32(0))
    for v in range(pitch >> 4):
        store(row + v * 64, zero)


@kernel
def copy_row(source: int, target: int, pitch: int) -> None:
    """One row, of whole vectors or of the four bases."""
    if pitch < 16:
        for c in range(0, pitch * 4, 4):
            store_scalar(target + c, load_scalar(source + c))
    else:
        for c in range(0, pitch * 4, 64):
            store(target + c, load(source + c))


@kernel
def in_order(spans: int, counts: int, n: int) -> None:
    """Sort the intervals of list n."""
    for i in range(1, get(counts, n)):
        j = i
        while j > 0 and span(spans, n, 2 * j) < span(spans, n, 2 * j - 2):
            for k in range(2):
                a, b = n * LIST + 2 * j + k, n * LIST + 2 * j - 2 + k
                high = get(spans, a)
                put(spans, a, get(spans, b))
                put(spans, b, high)
            j -= 1


@kernel
def append(entries: int, bits: int, first: int, left: int) -> None:
    """List the lanes in ``bits`` of the vector that begins at entry ``first``."""
    if left < 16:
        bits &= (1 << left) - 1  # padding may hold anything
    count = get(entries, COUNT)
    put(entries, COUNT, count + lanes_set(get(entries, CODES) + count * 4, first, bits))


@kernel
def append_row(
    works: int, group: int, field: int, base: int, i: int, pitch: int, channels: int, entries: int
) -> None:
    """List the entries of row i that are not zero in any mutant's blob ``field``."""
    zero, lead = splat(np.float32(0)), get(works, 0)
    for at in range(i * pitch, (i + 1) * pitch, 16):
        offset = (base + at) * 4
        bits = differ(load(get(lead, field) + offset), zero)
        for g in range(1, group):
            bits |= differ(load(get(get(works, g), field) + offset), zero)
        append(entries, bits, at, channels - (at - i * pitch))


@kernel
def open_list(entries: int, spans: int, counts: int, n: int) -> None:
    """An empty list for the rows in the intervals of node n, which are put in order."""
    in_order(spans, counts, n)
    first = span(spans, n, 0) if get(counts, n) else np.int64(0)
    put(entries, FIRST, first)
    put(entries, END, first)
    put(entries, COUNT, 0)


@kernel
def open_row(entries: int, i: int) -> None:
    """Row i comes next; rows since the last have no entries."""
    start, count = get(entries, STARTS), get(entries, COUNT)
    for r in range(get(entries, END), i + 1):
        put(start, r, count)
    put(entries, END, i + 1)


@kernel
def close_list(entries: int) -> None:
    """No more rows."""
    put(get(entries, STARTS), get(entries, END), get(entries, COUNT))


@kernel
def begin(entries: int, row: int) -> int:
    """The first entry of this row or a later one."""
    inside = min(max(row, get(entries, FIRST)), get(entries, END))
    return get(get(entries, STARTS), inside)


@kernel
def swap(work: int) -> None:
    """Read the list that was written last, write the other."""
    written = get(work, f.NEXT_LIST)
    put(work, f.NEXT_LIST, get(work, f.LIST))
    put(work, f.LIST, written)


@kernel
def any_flag(works: int, group: int, field: int, row: int) -> int:
    """Whether any mutant of the group has this row flagged."""
    found: Any = np.int64(0)
    for g in range(group):
        found |= flag(get(get(works, g), field), row)
    return found


@kernel
def list_changes(net: int, works: int, group: int, n: int) -> None:
    """List what the mutants change at node n, by how much into ``DELTA``."""
    t, lead = node(net, n), get(works, 0)
    pitch, channels = get(t, col.PITCH), get(t, col.CHANNELS)
    base, flags = get(t, col.BASE), get(t, col.FLAGS)
    entries, spans, counts = get(lead, f.LIST), get(lead, f.SPANS), get(lead, f.COUNTS)
    open_list(entries, spans, counts, n)
    for q in range(get(counts, n)):
        for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
            open_row(entries, i)
            if any_flag(works, group, f.CHANGED, flags + i) == 0:
                continue
            at = (base + i * pitch) * 4
            for g in range(group):
                work = get(works, g)
                changed = flag(get(work, f.CHANGED), flags + i)
                old = get(lead, f.ACTS) + at
                new = get(work, f.NEW) + at if changed else old
                delta = get(work, f.DELTA) + i * pitch * 4
                for v in range(0, pitch * 4, 64):
                    store(delta + v, subtract(load(new + v), load(old + v)))
            append_row(works, group, f.DELTA, np.int64(0), i, pitch, channels, entries)
    close_list(entries)


@kernel
def list_moved(net: int, works: int, group: int, n: int) -> None:
    """List what arrives at node n, in ``DIFFERENCE``."""
    t, lead = node(net, n), get(works, 0)
    pitch, channels = get(t, col.PITCH), get(t, col.CHANNELS)
    base, flags = get(t, col.BASE), get(t, col.FLAGS)
    entries, spans, counts = get(lead, f.LIST), get(lead, f.BACK_SPANS), get(lead, f.BACK_COUNTS)
    open_list(entries, spans, counts, n)
    for q in range(get(counts, n)):
        for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
            open_row(entries, i)
            if any_flag(works, group, f.MOVED, flags + i) == 0:
                continue
            for g in range(group):
                work = get(works, g)
                if flag(get(work, f.MOVED), flags + i) == 0:
                    clear(get(work, f.DIFFERENCE) + (base + i * pitch) * 4, pitch)
            append_row(works, group, f.DIFFERENCE, base, i, pitch, channels, entries)
    close_list(entries)


@kernel
def list_all(net: int, work: int, n: int) -> None:
    """List every entry of node n of a whole pass that is not zero."""
    t = node(net, n)
    pitch, channels = get(t, col.PITCH), get(t, col.CHANNELS)
    entries = get(work, f.LIST)
    open_list(entries, get(work, f.SPANS), get(work, f.COUNTS), n)
    put(entries, FIRST, 0)
    put(entries, END, 0)
    for i in range(get(t, col.ROWS)):
        open_row(entries, i)
        append_row(
            work + f.SELF * 8, np.int64(1), f.NEW, get(t, col.BASE), i, pitch, channels, entries)
    close_list(entries)


@kernel
def list_windows(net: int, works: int, group: int, n: int) -> None:
    """List every entry that the changed rows of convolution n read, in any mutant's bases.

    ``NEW`` holds all bases of a mutant, not the changed ones only.
    """
    t, lead = node(net, n), get(works, 0)
    below = node(net, get(t, col.SOURCE))
    entries, spans, counts = get(lead, f.LIST), get(lead, f.SPANS), get(lead, f.COUNTS)
    open_list(entries, spans, counts, n)
    for q in range(get(counts, n)):
        low, high = rows_read(
            span(spans, n, 2 * q), span(spans, n, 2 * q + 1), get(t, col.KERNEL),
            get(t, col.STRIDE), get(t, col.DILATION), get(t, col.PAD), get(below, col.ROWS),
        )  # fmt: skip
        if q == 0:
            put(entries, FIRST, low)
            put(entries, END, low)
        for i in range(max(low, get(entries, END)), high + 1):
            open_row(entries, i)
            append_row(
                works, group, f.NEW, get(below, col.BASE), i, get(below, col.PITCH),
                get(below, col.CHANNELS), entries,
            )  # fmt: skip
    close_list(entries)


@kernel
def restore(net: int, work: int) -> None:
    """Give the changed rows of the bases in ``NEW`` the original's values again."""
    for n in range(get(net, f.NODES)):
        t = node(net, n)
        if get(t, col.CHAIN) & col.BASE_ROWS == 0:
            continue
        pitch, spans = get(t, col.PITCH), get(work, f.SPANS)
        for q in range(get(get(work, f.COUNTS), n)):
            for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
                at = (get(t, col.BASE) + i * pitch) * 4
                copy_row(get(work, f.ACTS) + at, get(work, f.NEW) + at, pitch)

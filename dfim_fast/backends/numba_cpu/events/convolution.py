"""Convolutions forward: of the bases themselves, of what changed below, and of everything.

An output row is summed from the entries in its window, in ascending order of input row and
channel, whatever else is computed: equal windows get bit-equal sums.

Where a convolution has one activation and that one convolution above it (a *chain*), the rows of
all three are made together: what the activation changes goes straight into the upper convolution's
list of entries.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.finish import (
    ABOVE,
    ACTS,
    CODE,
    DELTAS,
    FUNCTIONS,
    GROUP,
    NEW,
    PLACE,
    SLOPE,
    SUMS,
    TARGETS,
)
from dfim_fast.backends.numba_cpu.events.lists import (
    CODES,
    COUNT,
    append,
    begin,
    clear,
    close_list,
    list_all,
    list_changes,
    list_windows,
    open_list,
    open_row,
    swap,
)
from dfim_fast.backends.numba_cpu.events.pull import MORE, VALUES, WRITE, pull, vectors_of
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    get,
    load,
    put,
    set_flag,
    splat,
    store,
)
from dfim_fast.jit import kernel


@kernel
def open_frame(works: int, group: int, deltas: int, offset: int) -> int:
    """What all rows of a convolution share: entries, and deltas ``offset`` floats behind a field.

    A group of two takes its first mutant twice.
    """
    lead = get(works, 0)
    frame = get(lead, f.FRAME)
    put(frame, CODE, get(get(lead, f.LIST), CODES))
    put(frame, PLACE, get(lead, f.PLACES))
    put(frame, SUMS, get(lead, f.SUMS))
    put(frame, FUNCTIONS, get(lead, f.FUNCTIONS))
    for g in range(GROUP):
        put(frame, DELTAS + g, get(member(works, group, g), deltas) + offset * 4)
    return frame


@kernel
def member(works: int, group: int, g: int) -> int:
    """The g-th mutant of a group, the first one where there are fewer."""
    return get(works, g if g < group else 0)


@kernel
def pull_window(
    works: int, group: int, frame: int, weight: int, halves: int, pitch: int, row: int, taps: int,
    step: int,
) -> int:  # fmt: skip
    """Sum the listed entries of a window into ``SUMS``; returns whether there are any.

    Tap j reads row ``row + j * step``; ``weight`` holds (taps, pitch) entries of whole vectors.
    """
    listed, none = get(get(works, 0), f.LIST), np.int64(0)
    mutants, each = 1 if group == 1 else GROUP, pitch * vectors_of(halves) * 64
    if step == 1:
        start, stop = begin(listed, row), begin(listed, row + taps)
        if start < stop:
            pull(WRITE, mutants, halves, frame, start, stop, weight - row * each, none, none)
        return start < stop
    found = False
    for j in range(taps):
        r = row + j * step
        start, stop, at = begin(listed, r), begin(listed, r + 1), weight + (j - r) * each
        if start < stop:
            kind = MORE if found else WRITE
            pull(kind, mutants, halves, frame, start, stop, at, none, none)
            found = True
    return found


@kernel
def add_row(work: int, t: int, i: int, v: int, vectors: int, base: int, sums: int) -> None:
    """z' = base + sum, for some vectors of row i of the convolution at t."""
    at = (get(t, col.BASE) + i * get(t, col.PITCH) + v * 16) * 4
    old, new = get(work, f.ACTS) + at, get(work, f.NEW) + at
    any_set = np.int64(0)
    for k in range(0, vectors * 64, 64):
        z = add(load(base + k), load(sums + k))
        any_set |= differ(z, load(old + k))
        store(new + k, z)
    if any_set:
        set_flag(get(work, f.CHANGED), get(t, col.FLAGS) + i, 1)


@kernel
def convolution(net: int, works: int, group: int, n: int) -> None:
    """z' = z + sum over changed entries of their difference times their weights.

    AFRESH, of the bases themselves: z' = bias + sum over all entries of the window, as the
    original's rows were made, so that equal k-mers keep bit-equal values and stay ties.
    """
    t, lead = node(net, n), get(works, 0)
    s, afresh = get(t, col.SOURCE), get(t, col.AFRESH)
    if afresh:
        list_windows(net, works, group, n)
        frame = open_frame(works, group, f.NEW, get(node(net, s), col.BASE))
    elif get(t, col.CHAIN) & col.FROM_BELOW:
        frame = open_frame(works, group, f.NEW, get(node(net, s), col.BASE))
    else:
        list_changes(net, works, group, s)
        frame = open_frame(works, group, f.DELTA, np.int64(0))
    if get(t, col.CHAIN) & col.UP:
        chained_rows(net, works, group, n, frame)
        return
    if get(get(lead, f.LIST), COUNT) == 0 and afresh == 0:
        return
    spans, counts, sums = get(lead, f.SPANS), get(lead, f.COUNTS), get(lead, f.SUMS)
    below, pitch = get(node(net, s), col.PITCH), get(t, col.PITCH)
    stride, pad = get(t, col.STRIDE), get(t, col.PAD)
    old, bias = get(lead, f.ACTS) + get(t, col.BASE) * 4, get(net, f.WEIGHT) + get(t, col.BIAS) * 4
    for b in range(index(net, get(t, col.FORWARD))):
        entry = get(t, col.FORWARD) + 1 + 3 * b
        v, halves = index(net, entry), index(net, entry + 1)
        vectors = vectors_of(halves)
        weight = get(net, f.WEIGHT) + index(net, entry + 2) * 4
        for q in range(get(counts, n)):
            for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
                found = pull_window(
                    works, group, frame, weight, halves, below, i * stride - pad,
                    get(t, col.KERNEL), get(t, col.DILATION),
                )  # fmt: skip
                if not found:
                    if afresh == 0:
                        continue
                    clear(sums, group * vectors * 16)
                base = (bias if afresh else old + i * pitch * 4) + v * 64
                for g in range(group):
                    add_row(get(works, g), t, i, v, vectors, base, sums + g * vectors * 64)


@kernel
def chained_rows(net: int, works: int, group: int, n: int, frame: int) -> None:
    """Rows of convolution n, what its activation changes, and the entries of that.

    The activation's rows hold changes, not values: only the next convolution reads them.
    """
    t, lead = node(net, n), get(works, 0)
    above, afresh = node(net, get(t, col.FUSED)), get(t, col.AFRESH)
    z, y = get(t, col.BASE) * 4, get(above, col.BASE) * 4
    put(frame, SLOPE, get(net, f.WEIGHT) + get(above, col.SCALE) * 4)
    put(frame, ACTS, get(lead, f.ACTS) + z)
    put(frame, ABOVE, get(lead, f.ACTS) + y)
    for g in range(GROUP):
        blob = get(member(works, group, g), f.NEW)
        put(frame, NEW + g, blob + z)
        put(frame, TARGETS + g, blob + y)
    entry = get(t, col.FORWARD) + 1
    halves, weight = index(net, entry + 1), get(net, f.WEIGHT) + index(net, entry + 2) * 4
    vectors = vectors_of(halves)
    below, pitch = get(node(net, get(t, col.SOURCE)), col.PITCH), get(t, col.PITCH)
    each, mutants = below * vectors * 64, 1 if group == 1 else GROUP
    stride, pad, taps = get(t, col.STRIDE), get(t, col.PAD), get(t, col.KERNEL)
    bias = get(net, f.WEIGHT) + get(t, col.BIAS) * 4
    listed, spans, counts = get(lead, f.NEXT_LIST), get(lead, f.SPANS), get(lead, f.COUNTS)
    open_list(listed, spans, counts, n)
    for q in range(get(counts, n)):
        for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
            open_row(listed, i)
            row, offset = i * stride - pad, i * pitch * 4
            start, stop = begin(get(lead, f.LIST), row), begin(get(lead, f.LIST), row + taps)
            if start >= stop and afresh == 0:
                continue
            base = bias if afresh else get(frame, ACTS) + offset
            at = weight - row * each
            pull(VALUES, mutants, halves, frame, start, stop, at, offset, base)
            for g in range(group):
                if get(get(frame, SUMS), g):
                    set_flag(get(get(works, g), f.CHANGED), get(t, col.FLAGS) + i, 1)
            append_found(listed, get(frame, SUMS), vectors, i * pitch, get(t, col.CHANNELS))
    close_list(listed)
    swap(lead)


@kernel
def append_found(listed: int, results: int, vectors: int, first: int, channels: int) -> None:
    """List the entries that the loop found in a row, which begins at entry ``first``."""
    for v in range(vectors):
        append(listed, get(results, GROUP + v), first + v * 16, channels - v * 16)


@kernel
def convolution_whole(net: int, work: int, n: int) -> None:
    """z = bias + every non-zero entry times its weights."""
    t = node(net, n)
    below = node(net, get(t, col.SOURCE))
    list_all(net, work, get(t, col.SOURCE))
    alone = work + f.SELF * 8
    frame = open_frame(alone, np.int64(1), f.NEW, get(below, col.BASE))
    sums, zero = get(work, f.SUMS), splat(np.float32(0))
    for b in range(index(net, get(t, col.FORWARD))):
        entry = get(t, col.FORWARD) + 1 + 3 * b
        v, halves = index(net, entry), index(net, entry + 1)
        vectors = vectors_of(halves)
        weight = get(net, f.WEIGHT) + index(net, entry + 2) * 4
        bias = get(net, f.WEIGHT) + (get(t, col.BIAS) + v * 16) * 4
        for i in range(get(t, col.ROWS)):
            found = pull_window(
                alone, np.int64(1), frame, weight, halves, get(below, col.PITCH),
                i * get(t, col.STRIDE) - get(t, col.PAD), get(t, col.KERNEL), get(t, col.DILATION),
            )  # fmt: skip
            z = get(work, f.NEW) + (get(t, col.BASE) + i * get(t, col.PITCH) + v * 16) * 4
            for k in range(0, vectors * 64, 64):
                store(z + k, add(load(bias + k), load(sums + k) if found else zero))

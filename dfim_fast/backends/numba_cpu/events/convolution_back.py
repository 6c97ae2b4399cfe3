"""Convolutions on the way down: non-zero entries times the transposed weights."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.convolution import (
    open_frame,
    pull_window,
)
from dfim_fast.backends.numba_cpu.events.finish import (
    GROUP,
    SUMS,
)
from dfim_fast.backends.numba_cpu.events.gating import (
    changed_rows,
    gather_spans,
    list_gated,
    open_gate,
    spread_gate,
)
from dfim_fast.backends.numba_cpu.events.lists import (
    CODES,
    COUNT,
    END,
    FIRST,
    begin,
    clear,
    close_list,
    list_moved,
    open_list,
    open_row,
    swap,
)
from dfim_fast.backends.numba_cpu.events.need import needed
from dfim_fast.backends.numba_cpu.events.pull import QUOTIENTS, SLOPES, pull, pull_bases, vectors_of
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    flag,
    get,
    get_short,
    load,
    load_scalar,
    put_short,
    set_flag,
    splat,
    store,
    store_scalar,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
from dfim_fast.jit import kernel


@kernel
def add_back(work: int, t: int, r: int, v: int, vectors: int, sums: int) -> None:
    """Add what arrived to some vectors of row r of the node at t."""
    moved, flags = get(work, f.MOVED), get(t, col.FLAGS) + r
    row = get(work, f.DIFFERENCE) + (get(t, col.BASE) + r * get(t, col.PITCH)) * 4
    if flag(moved, flags) == 0:
        if vectors * 16 == get(t, col.PITCH):
            any_set, zero = np.int64(0), splat(np.float32(0))
            for k in range(0, vectors * 64, 64):
                any_set |= differ(load(sums + k), zero)
                store(row + k, load(sums + k))
            if any_set:
                set_flag(moved, flags, 1)
            return
        clear(row, get(t, col.PITCH))
        set_flag(moved, flags, 1)
    for k in range(0, vectors * 64, 64):
        at = row + v * 64 + k
        store(at, add(load(at), load(sums + k)))


@kernel
def spread_spans(net: int, work: int, n: int) -> None:
    """The rows that a convolution's rows read, and so those of what a chain makes with them."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    spans, counts = get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS)
    for q in range(get(counts, n)):
        low, high = rows_read(
            span(spans, n, 2 * q), span(spans, n, 2 * q + 1), get(t, col.KERNEL),
            get(t, col.STRIDE), get(t, col.DILATION), get(t, col.PAD), get(below, col.ROWS),
        )
        low, high = needed(work, s, low, high)
        if high < low:
            continue
        if get(below, col.PITCH) < 16:  # whole blocks of positions
            high = min(low + ((high - low) | 7), get(below, col.ROWS) - 1)
        add_span(spans, counts, s, low, high)
    if get(work, f.PLAIN) == 0 and get(t, col.CHAIN) & col.DOWN:
        gather_spans(net, work, s)
        spread_gate(net, work, s)


@kernel
def chained_rows_back(net: int, works: int, group: int, n: int, frame: int) -> None:
    """Rows below convolution n and its activation: dv_below = q' dv + (q' - q) u; their entries."""
    t, lead = node(net, n), get(works, 0)
    a = get(t, col.SOURCE)
    s = get(node(net, a), col.SOURCE)
    below, kind = node(net, s), SLOPES if get(lead, f.RULE) == col.GRADIENT else QUOTIENTS
    open_gate(net, works, group, a, frame)
    entry = get(t, col.BACK) + 3
    halves, weight = index(net, entry + 1), get(net, f.WEIGHT) + index(net, entry + 2) * 4
    vectors = vectors_of(halves)
    each, mutants = get(t, col.PITCH) * vectors * 64, 1 if group == 1 else GROUP
    taps, pitch, results = get(t, col.KERNEL), get(below, col.PITCH), get(frame, SUMS)
    spans, counts = get(lead, f.BACK_SPANS), get(lead, f.BACK_COUNTS)
    open_list(get(lead, f.NEXT_LIST), spans, counts, s)
    for q in range(get(counts, s)):
        for r in range(span(spans, s, 2 * q), span(spans, s, 2 * q + 1) + 1):
            open_row(get(lead, f.NEXT_LIST), r)
            row = r + get(t, col.PAD) - taps + 1
            start, stop = begin(get(lead, f.LIST), row), begin(get(lead, f.LIST), row + taps)
            changed = changed_rows(works, group, get(below, col.FLAGS) + r)
            if start >= stop and changed == 0:
                continue
            at, offset = weight - row * each, r * pitch * 4
            clear(results, mutants * vectors * 16)
            pull(kind, mutants, halves, frame, start, stop, at, offset, changed)
            list_gated(net, works, group, a, r, np.int64(0), vectors, results)
    close_list(get(lead, f.NEXT_LIST))
    swap(lead)


@kernel
def add_bases(work: int, t: int, low: int, high: int, sums: int) -> None:
    """Add what arrived to positions low..high of the sequence, at most eight."""
    moved, flags = get(work, f.MOVED), get(t, col.FLAGS)
    row = get(work, f.DIFFERENCE) + (get(t, col.BASE) + low * 4) * 4
    fresh = True
    for p in range(low, high + 1):
        fresh &= flag(moved, flags + p) == 0
    if fresh and high == low + 7:
        store(row, load(sums))
        store(row + 64, load(sums + 64))
        for p in range(low, high + 1):
            set_flag(moved, flags + p, 1)
        return
    for p in range(low, high + 1):
        old = flag(moved, flags + p) != 0
        for k in range((p - low) * 16, (p - low) * 16 + 16, 4):
            x = load_scalar(sums + k)
            store_scalar(row + k, load_scalar(row + k) + x if old else x)
        set_flag(moved, flags + p, 1)


@kernel
def bases_back(net: int, works: int, group: int, n: int, frame: int) -> None:
    """The same down to the sequence: eight positions, whose four bases lie side by side, at once.

    Weights are (channels out, taps, 4) with zeros on both sides, read from where the first of the
    eight positions meets the entry's row.
    """
    t, lead = node(net, n), get(works, 0)
    below = node(net, get(t, col.SOURCE))
    stride, pad, taps = get(t, col.STRIDE), get(t, col.PAD), get(t, col.KERNEL)
    listed, place, pitch = get(lead, f.LIST), get(lead, f.PLACES), get(t, col.PITCH)
    code = get(listed, CODES)
    for i in range(get(listed, FIRST), get(listed, END)):
        for e in range(begin(listed, i), begin(listed, i + 1)):
            channel = get_short(code, e) - i * pitch
            put_short(place + e * 4, channel * get(t, col.BASES_BLOCK) * 4 - i * stride * 16)
    mutants = 1 if group == 1 else GROUP
    weight, sums = get(net, f.WEIGHT) + get(t, col.BASES) * 4, get(lead, f.SUMS)
    spans = get(lead, f.BACK_SPANS)
    for q in range(get(get(lead, f.BACK_COUNTS), get(t, col.SOURCE))):
        low = span(spans, get(t, col.SOURCE), 2 * q)
        high = span(spans, get(t, col.SOURCE), 2 * q + 1)
        for p in range(low, high + 1, 8):
            start = begin(listed, -((taps - 1 - p - pad) // stride))
            stop = begin(listed, (p + 7 + pad) // stride + 1)
            if start >= stop:
                continue
            pull_bases(mutants, frame, start, stop, weight + (p + pad) * 16)
            for g in range(group):
                add_bases(get(works, g), below, p, min(p + 7, high), sums + g * 128)


@kernel
def convolution_back(net: int, works: int, group: int, n: int) -> None:
    """Non-zero entries times the transposed weights."""
    t, lead = node(net, n), get(works, 0)
    s = get(t, col.SOURCE)
    below = node(net, s)
    stride, pad = get(t, col.STRIDE), get(t, col.PAD)
    for g in range(group):
        spread_spans(net, get(works, g), n)
    if get(lead, f.PLAIN) or get(t, col.CHAIN) & col.FROM_ABOVE == 0:
        list_moved(net, works, group, n)
    frame = open_frame(works, group, f.DIFFERENCE, get(t, col.BASE))
    if get(below, col.PITCH) < 16:
        bases_back(net, works, group, n, frame)
        return
    if get(lead, f.PLAIN) == 0 and get(t, col.CHAIN) & col.DOWN:
        chained_rows_back(net, works, group, n, frame)
        return
    if get(get(lead, f.LIST), COUNT) == 0:
        return
    spans, counts, sums = get(lead, f.BACK_SPANS), get(lead, f.BACK_COUNTS), get(lead, f.SUMS)
    blocks, table = index(net, get(t, col.BACK)), get(t, col.BACK) + 1
    for b in range(blocks):
        for q in range(get(counts, s)):
            for r in range(span(spans, s, 2 * q), span(spans, s, 2 * q + 1) + 1):
                phase = table
                if stride > 1:
                    phase += (r + pad) % stride * (2 + 3 * blocks)
                reached = r + pad - index(net, phase + 1) * get(t, col.DILATION)
                if stride > 1:
                    reached //= stride
                entry = phase + 2 + 3 * b
                v, halves = index(net, entry), index(net, entry + 1)
                vectors = vectors_of(halves)
                if pull_window(
                    works, group, frame, get(net, f.WEIGHT) + index(net, entry + 2) * 4, halves,
                    get(t, col.PITCH), reached, index(net, phase), get(t, col.FORWARD_STEP),
                ):  # fmt: skip
                    for g in range(group):
                        add_back(get(works, g), below, r, v, vectors, sums + g * vectors * 64)

"""Convolutions forward: of the bases themselves, of what changed below, and of everything."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.changed import row_of
from dfim_fast.backends.numba_cpu.events.scatter import (
    RECORD,
    changes,
    entries,
    gather,
    note_row,
    open_rows,
    scatter,
)
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    flag,
    get,
    load,
    put,
    set_flag,
    store,
)
from dfim_fast.backends.numba_cpu.events.spans import rows_read
from dfim_fast.jit import kernel


@kernel
def note_input(net: int, work: int, t: int, rows: int, start: int, i: int) -> None:
    """Record where the entries of input row i land, t being the convolution's row of the table."""
    stride, i = get(t, col.STRIDE), i + get(t, col.PAD)
    phase = get(t, col.PHASES)
    if stride > 1:
        phase += 3 * (i % stride)
    first = i - index(net, phase + 1) * get(t, col.DILATION)
    if stride > 1:
        first //= stride
    note_row(
        work, rows, start, first, index(net, phase), get(net, f.WEIGHT) + index(net, phase + 2) * 4
    )


@kernel
def convolution_entries(net: int, work: int, n: int) -> None:
    """Record what changed below, and make room for what it changes."""
    acts, new, changed = get(work, f.ACTS), get(work, f.NEW), get(work, f.CHANGED)
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    spans = get(work, f.SPANS)
    rows = count = np.int64(0)
    for q in range(get(get(work, f.COUNTS), s)):
        for i in range(span(spans, s, 2 * q), span(spans, s, 2 * q + 1) + 1):
            if flag(changed, get(below, col.FLAGS) + i):
                o = (get(below, col.BASE) + i * get(below, col.PITCH)) * 4
                start = count
                count = changes(
                    new + o,
                    acts + o,
                    get(below, col.CHANNELS),
                    get(work, f.CHANNEL),
                    get(work, f.VALUE),
                    start,
                )
                if count > start:
                    note_input(net, work, t, rows, start, i)
                    rows += 1
    open_rows(
        work,
        rows,
        count,
        new + get(t, col.BASE) * 4,
        get(t, col.PITCH),
        changed,
        get(t, col.FLAGS),
        np.int64(0),
        get(t, col.ROWS) - 1,
        get(t, col.FORWARD_STEP),
    )


@kernel
def convolution(net: int, works: int, group: int, n: int) -> None:
    """z' = z + sum over changed entries of their difference times their weights."""
    t = node(net, n)
    pitch = get(t, col.PITCH)
    for g in range(group):
        convolution_entries(net, get(works, g), n)
    scatter(
        works,
        group,
        pitch,
        np.int64(0),
        get(t, col.ROWS) - 1,
        get(t, col.FORWARD_STEP),
        get(t, col.FORWARD_STRETCH),
    )
    for g in range(group):
        work = get(works, g)
        acts, new, spans = get(work, f.ACTS), get(work, f.NEW), get(work, f.SPANS)
        for q in range(get(get(work, f.COUNTS), n)):
            for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
                if flag(get(work, f.CHANGED), get(t, col.FLAGS) + i):
                    o = (get(t, col.BASE) + i * pitch) * 4
                    for a in range(o, o + pitch * 4, 64):
                        store(new + a, add(load(acts + a), load(new + a)))


@kernel
def convolution_afresh(net: int, work: int, n: int) -> None:
    """z' = bias + the taps' weights, in the order that the original's rows were summed in.

    So equal k-mers keep bit-equal values, in the mutant as in the original, and stay ties.
    """
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    stride, pitch = get(t, col.STRIDE), get(t, col.PITCH)
    target, weight = get(work, f.NEW) + get(t, col.BASE) * 4, get(net, f.WEIGHT)
    records, channel, value = get(work, f.RECORDS), get(work, f.CHANNEL), get(work, f.VALUE)
    for q in range(get(get(work, f.COUNTS), n)):
        low = span(get(work, f.SPANS), n, 2 * q)
        high = span(get(work, f.SPANS), n, 2 * q + 1)
        start, stop = rows_read(
            low,
            high,
            get(t, col.KERNEL),
            stride,
            get(t, col.DILATION),
            get(t, col.PAD),
            get(below, col.ROWS),
        )
        count = np.int64(0)
        for i in range(start, stop + 1):
            put(records, (i - start) * RECORD, count)
            count = entries(
                row_of(net, work, s, i), get(below, col.CHANNELS), channel, value, count
            )
        put(records, (stop + 1 - start) * RECORD, count)
        for i in range(low, high + 1):
            gather(
                target + i * pitch * 4,
                weight + get(t, col.BIAS) * 4,
                weight + get(t, col.TAPS) * 4,
                pitch,
                get(below, col.CHANNELS),
                i * stride - get(t, col.PAD),
                get(t, col.DILATION),
                get(t, col.KERNEL),
                start,
                stop,
                records,
                channel,
                value,
            )
            set_flag(get(work, f.CHANGED), get(t, col.FLAGS) + i, 1)


@kernel
def convolution_whole(net: int, work: int, n: int) -> None:
    """z = bias + every non-zero entry times its weights."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    pitch = get(t, col.PITCH)
    target, bias = (
        get(work, f.NEW) + get(t, col.BASE) * 4,
        get(net, f.WEIGHT) + get(t, col.BIAS) * 4,
    )
    for i in range(get(t, col.ROWS)):
        for v in range(pitch >> 4):
            store(target + i * pitch * 4 + v * 64, load(bias + v * 64))
    rows = count = np.int64(0)
    for i in range(get(below, col.ROWS)):
        before = count
        count = entries(
            row_of(net, work, s, i),
            get(below, col.CHANNELS),
            get(work, f.CHANNEL),
            get(work, f.VALUE),
            before,
        )
        if count > before:
            note_input(net, work, t, rows, before, i)
            rows += 1
    open_rows(
        work,
        rows,
        count,
        target,
        pitch,
        get(work, f.CHANGED),
        get(t, col.FLAGS),
        np.int64(0),
        get(t, col.ROWS) - 1,
        get(t, col.FORWARD_STEP),
    )
    scatter(
        work + f.SELF * 8,
        np.int64(1),
        pitch,
        np.int64(0),
        get(t, col.ROWS) - 1,
        get(t, col.FORWARD_STEP),
        get(t, col.FORWARD_STRETCH),
    )

"""What a mutant changes in the gradient (or the multipliers) that reach the sequence.

``difference`` holds dv = J'^T g' - J^T g', zero at the top of the trunk. Linear operators pass it
on; at a gate ``dv_below = q' dv + (q' - q) u`` with u the value that arrives in the original's
trunk. With ``plain`` set the same walk propagates what stands in ``difference`` through the
original's own gates: that is how u itself is made.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.arriving import arriving_row
from dfim_fast.backends.numba_cpu.events.multipliers import quotient_at, slope_at
from dfim_fast.backends.numba_cpu.events.pool_back import max_pool_back, max_pool_share, touch
from dfim_fast.backends.numba_cpu.events.scatter import entries, note_row, open_rows, scatter
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    flag,
    fma,
    get,
    load,
    load_scalar,
    multiply,
    put,
    set_flag,
    splat,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
from dfim_fast.jit import kernel


@kernel
def convolution_back_entries(net: int, work: int, n: int) -> None:
    """Record the non-zero entries, and make room for where they go."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    spans, difference, moved = get(work, f.BACK_SPANS), get(work, f.DIFFERENCE), get(work, f.MOVED)
    stride, pad, kernel_size = get(t, col.STRIDE), get(t, col.PAD), get(t, col.KERNEL)
    weight = get(net, f.WEIGHT) + get(t, col.BACKWARD) * 4
    rows = count = np.int64(0)
    for q in range(get(get(work, f.BACK_COUNTS), n)):
        a, b = span(spans, n, 2 * q), span(spans, n, 2 * q + 1)
        low, high = rows_read(
            a, b, kernel_size, stride, get(t, col.DILATION), pad, get(below, col.ROWS)
        )
        add_span(spans, get(work, f.BACK_COUNTS), s, low, high)
        for i in range(a, b + 1):
            if flag(moved, get(t, col.FLAGS) + i):
                start = count
                count = entries(
                    difference + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4,
                    get(t, col.CHANNELS),
                    get(work, f.CHANNEL),
                    get(work, f.VALUE),
                    start,
                )
                if count > start:
                    note_row(work, rows, start, i * stride - pad, kernel_size, weight)
                    rows += 1
    open_rows(
        work,
        rows,
        count,
        difference + get(below, col.BASE) * 4,
        get(below, col.PITCH),
        moved,
        get(below, col.FLAGS),
        np.int64(0),
        get(below, col.ROWS) - 1,
        get(t, col.DILATION),
    )


@kernel
def convolution_back(net: int, works: int, group: int, n: int) -> None:
    """Non-zero entries times the transposed weights."""
    t = node(net, n)
    below = node(net, get(t, col.SOURCE))
    for g in range(group):
        convolution_back_entries(net, get(works, g), n)
    scatter(
        works,
        group,
        get(below, col.PITCH),
        np.int64(0),
        get(below, col.ROWS) - 1,
        get(t, col.DILATION),
        get(t, col.BACKWARD_STRETCH),
    )


@kernel
def gather_spans(net: int, work: int, n: int) -> None:
    """Into ``both``: rows of node n that have moved, or (not plain) changed."""
    plain = get(work, f.PLAIN)
    put(get(work, f.BOTH_COUNT), 0, 0)
    for q in range(get(get(work, f.BACK_COUNTS), n)):
        add_span(
            get(work, f.BOTH),
            get(work, f.BOTH_COUNT),
            0,
            span(get(work, f.BACK_SPANS), n, 2 * q),
            span(get(work, f.BACK_SPANS), n, 2 * q + 1),
        )
    if not plain:
        s = n if get(node(net, n), col.OP) == col.MAX_POOL else get(node(net, n), col.SOURCE)
        for q in range(get(get(work, f.COUNTS), s)):
            add_span(
                get(work, f.BOTH),
                get(work, f.BOTH_COUNT),
                0,
                span(get(work, f.SPANS), s, 2 * q),
                span(get(work, f.SPANS), s, 2 * q + 1),
            )


@kernel
def activation_back(net: int, work: int, n: int) -> None:
    """dv_below = q' dv + (q' - q) u."""
    acts = get(work, f.ACTS)
    reference = get(work, f.REFERENCE)
    rule = get(work, f.RULE)
    plain, epsilon = get(work, f.PLAIN), load_scalar(work + f.EPSILON * 8)
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    pitch = get(t, col.PITCH)
    zero = splat(np.float32(0))
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        a, b = span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1)
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, a, b)
        for i in range(a, b + 1):
            moved = flag(get(work, f.MOVED), get(t, col.FLAGS) + i) != 0
            changed = not plain and flag(get(work, f.CHANGED), get(below, col.FLAGS) + i) != 0
            if not moved and not changed:
                continue
            o = (get(t, col.BASE) + i * pitch) * 4
            p = (get(below, col.BASE) + i * pitch) * 4
            slope = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
            fresh = flag(get(work, f.MOVED), get(below, col.FLAGS) + i) == 0
            any_set = np.int64(0)
            for v in range(pitch >> 4):
                k = v * 64
                if rule == col.GRADIENT:
                    old = slope_at(acts + p + k, slope + k)
                else:
                    old = load(get(work, f.QUOTIENTS) + o + k)
                out = zero
                if changed:
                    if rule == col.GRADIENT:
                        new = slope_at(get(work, f.NEW) + p + k, slope + k)
                    else:
                        new = quotient_at(
                            get(work, f.NEW) + p + k, reference + p + k, slope + k, epsilon
                        )
                    bits = differ(new, old)
                    if moved:
                        out = multiply(new, load(get(work, f.DIFFERENCE) + o + k))
                    if bits != 0:
                        at = arriving_row(net, work, n, i, v, bits)
                        out = fma(subtract(new, old), load(at), out)
                else:
                    out = multiply(old, load(get(work, f.DIFFERENCE) + o + k))
                if fresh:
                    any_set |= differ(out, zero)
                    store(get(work, f.DIFFERENCE) + p + k, out)
                else:
                    store(
                        get(work, f.DIFFERENCE) + p + k,
                        add(load(get(work, f.DIFFERENCE) + p + k), out),
                    )
            if fresh and any_set != 0:
                set_flag(get(work, f.MOVED), get(below, col.FLAGS) + i, 1)


@kernel
def average_pool_back(net: int, work: int, n: int) -> None:
    """factor * dv to every row of the window."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    rows, pitch = get(node(net, s), col.ROWS), get(t, col.PITCH)
    for q in range(get(get(work, f.BACK_COUNTS), n)):
        a, b = span(get(work, f.BACK_SPANS), n, 2 * q), span(get(work, f.BACK_SPANS), n, 2 * q + 1)
        low, high = rows_read(
            a,
            b,
            get(t, col.KERNEL),
            get(t, col.STRIDE),
            get(t, col.DILATION),
            get(t, col.PAD),
            rows,
        )
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
        for i in range(a, b + 1):
            if flag(get(work, f.MOVED), get(t, col.FLAGS) + i) == 0:
                continue
            factor = splat(load_scalar(get(net, f.WEIGHT) + (get(t, col.SCALE) + i) * 4))
            source = get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * pitch) * 4
            for j in range(get(t, col.KERNEL)):
                r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
                if r < 0 or r >= rows:
                    continue
                row = touch(net, work, s, r)
                for v in range(pitch >> 4):
                    store(row + v * 64, fma(load(source + v * 64), factor, load(row + v * 64)))


@kernel
def send_row(net: int, work: int, n: int, i: int, k: int) -> None:
    """One row of Affine, Add, Concat or Take to its k-th input."""
    t = node(net, n)
    s = index(net, get(t, col.SOURCES) + k)
    op = get(t, col.OP)
    source = get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4
    r = i
    if op == col.CONCAT_ROWS:
        r = i - index(net, get(t, col.INDEX) + k)
    elif op == col.TAKE_ROWS:
        r = get(t, col.FIRST) + get(t, col.STEP) * i
    row = touch(net, work, s, r)
    if op == col.CONCAT_CHANNELS:
        at = index(net, get(t, col.INDEX) + k)
        for c in range(get(node(net, s), col.CHANNELS)):
            o = row + c * 4
            store_scalar(o, load_scalar(o) + load_scalar(source + (at + c) * 4))
        return
    if op == col.TAKE_CHANNELS:
        for c in range(get(t, col.CHANNELS)):
            o = row + index(net, get(t, col.INDEX) + c) * 4
            store_scalar(o, load_scalar(o) + load_scalar(source + c * 4))
        return
    scale = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
    for v in range(get(t, col.PITCH) >> 4):
        g, y = load(source + v * 64), load(row + v * 64)
        if op == col.AFFINE:
            y = fma(g, load(scale + v * 64), y)
        elif op == col.ADD and index(net, get(t, col.INDEX) + k) < 0:
            y = subtract(y, g)
        else:
            y = add(y, g)
        store(row + v * 64, y)


@kernel
def rearranged_back(net: int, work: int, n: int) -> None:
    """Operators that only scale, add or move rows."""
    t = node(net, n)
    op = get(t, col.OP)
    for k in range(get(t, col.COUNT)):
        s = index(net, get(t, col.SOURCES) + k)
        rows = get(node(net, s), col.ROWS)
        for q in range(get(get(work, f.BACK_COUNTS), n)):
            a, b = (
                span(get(work, f.BACK_SPANS), n, 2 * q),
                span(get(work, f.BACK_SPANS), n, 2 * q + 1),
            )
            low, high = a, b
            if op == col.CONCAT_ROWS:
                at = index(net, get(t, col.INDEX) + k)
                a, b = max(a, at), min(b, at + rows - 1)
                low, high = a - at, b - at
            elif op == col.TAKE_ROWS:
                low, high = (
                    get(t, col.FIRST) + get(t, col.STEP) * a,
                    get(t, col.FIRST) + get(t, col.STEP) * b,
                )
                low, high = min(low, high), max(low, high)
            add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
            for i in range(a, b + 1):
                if flag(get(work, f.MOVED), get(t, col.FLAGS) + i):
                    send_row(net, work, n, i, k)


@kernel
def backward(net: int, works: int, group: int) -> None:
    """All nodes of a group of mutants, from the top of the trunk down to the sequence."""
    for n in range(get(net, f.NODES) - 1, 0, -1):
        op = get(node(net, n), col.OP)
        if op == col.CONV:
            convolution_back(net, works, group, n)
            continue
        for g in range(group):
            work = get(works, g)
            if op == col.ACTIVATION or op == col.MAX_POOL:
                gather_spans(net, work, n)
                if op == col.ACTIVATION:
                    activation_back(net, work, n)
                elif get(work, f.RULE) == col.SHAP:
                    max_pool_share(net, work, n)
                else:
                    max_pool_back(net, work, n)
            elif op == col.AVERAGE_POOL:
                average_pool_back(net, work, n)
            else:
                rearranged_back(net, work, n)


@kernel
def forget(net: int, flags: int, spans: int, counts: int) -> None:
    """Clear the flags of all rows in the lists, and the lists."""
    for n in range(get(net, f.NODES)):
        start = get(node(net, n), col.FLAGS)
        for q in range(get(counts, n)):
            for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
                set_flag(flags, start + i, 0)
        put(counts, n, 0)

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
from dfim_fast.backends.numba_cpu.events.convolution_back import convolution_back
from dfim_fast.backends.numba_cpu.events.gating import (
    gate_rows,
    gather_spans,
    spread_gate,
)
from dfim_fast.backends.numba_cpu.events.pool_back import touch
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    call,
    flag,
    fma,
    get,
    load,
    load_scalar,
    put,
    set_flag,
    splat,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
from dfim_fast.jit import by_address, kernel


@by_address("void(int64, int64, int64)")
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


@by_address("void(int64, int64, int64)")
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


@by_address("void(int64, int64, int64)")
def backward(net: int, works: int, group: int) -> None:
    """All nodes of a group of mutants, from the top of the trunk down to the sequence."""
    for n in range(get(net, f.NODES) - 1, 0, -1):
        op = get(node(net, n), col.OP)
        if op == col.CONV:
            convolution_back(net, works, group, n)
            continue
        chain = np.int64(0) if get(get(works, 0), f.PLAIN) else get(node(net, n), col.CHAIN)
        if chain & col.FROM_ABOVE:
            continue
        for g in range(group):
            work = get(works, g)
            if op == col.ACTIVATION or op == col.MAX_POOL:
                gather_spans(net, work, n)
                if chain & col.GATE:
                    spread_gate(net, work, n)
                    continue
            call(get(node(net, n), col.DOWN_CODE), net, work, n)
        if chain & col.GATE:
            gate_rows(net, works, group, n)


@kernel
def forget(net: int, flags: int, spans: int, counts: int) -> None:
    """Clear the flags of all rows in the lists, and the lists."""
    for n in range(get(net, f.NODES)):
        start = get(node(net, n), col.FLAGS)
        for q in range(get(counts, n)):
            for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
                set_flag(flags, start + i, 0)
        put(counts, n, 0)

"""The mutant's activations, where they differ from the original's.

After a node's turn, the rows flagged in ``changed`` hold its new values; all others are the
original's. Every function walks one node.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.changed import row_of, same_spans, set_row, window_spans
from dfim_fast.backends.numba_cpu.events.convolution import convolution
from dfim_fast.backends.numba_cpu.events.pour import (
    changes,
    pour,
)
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    call,
    flag,
    fma,
    get,
    greater,
    load,
    load_scalar,
    multiply,
    select,
    set_flag,
    splat,
    store,
    store_scalar,
    subtract,
    total,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.jit import by_address, kernel


@kernel
def activation_row(source: int, target: int, slope: int, vectors: int) -> None:
    """y = x where x > 0, else slope * x."""
    zero = splat(np.float32(0))
    for v in range(vectors):
        x = load(source + v * 64)
        store(target + v * 64, select(greater(x, zero), x, multiply(x, load(slope + v * 64))))


@kernel
def affine_row(source: int, target: int, scale: int, shift: int, vectors: int) -> None:
    """y = x * scale + shift."""
    for v in range(vectors):
        store(
            target + v * 64, fma(load(source + v * 64), load(scale + v * 64), load(shift + v * 64))
        )


@kernel
def pool_row(net: int, work: int, n: int, i: int, target: int, winner: int) -> None:
    """y = max over the window, the first of equal ones; its input row goes to ``winner``."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    rows = get(node(net, s), col.ROWS)
    for v in range(get(t, col.PITCH) >> 4):
        best, at = splat(np.float32(-np.inf)), splat(np.float32(0))
        for j in range(get(t, col.KERNEL)):
            r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
            if r < 0 or r >= rows:
                continue
            x = load(row_of(net, work, s, r) + v * 64)
            above = greater(x, best)
            best, at = select(above, x, best), select(above, splat(np.float32(r)), at)
        store(target + v * 64, best)
        store(winner + v * 64, at)


@kernel
def average_row(net: int, work: int, n: int, i: int, target: int) -> None:
    """y = factor * sum over the window, summed afresh so that equal windows stay equal."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    rows = get(node(net, s), col.ROWS)
    factor = splat(load_scalar(get(net, f.WEIGHT) + (get(t, col.SCALE) + i) * 4))
    for v in range(get(t, col.PITCH) >> 4):
        y = splat(np.float32(0))
        for j in range(get(t, col.KERNEL)):
            r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
            if 0 <= r < rows:
                y = add(y, load(row_of(net, work, s, r) + v * 64))
        store(target + v * 64, multiply(y, factor))


@by_address("void(int64, int64, int64)")
def pool(net: int, work: int, n: int) -> None:
    """Pooled rows whose window holds a changed row."""
    t = node(net, n)
    below = node(net, get(t, col.SOURCE))
    for q in range(get(get(work, f.COUNTS), n)):
        for i in range(
            span(get(work, f.SPANS), n, 2 * q), span(get(work, f.SPANS), n, 2 * q + 1) + 1
        ):
            touched = False
            for j in range(get(t, col.KERNEL)):
                r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
                if 0 <= r < get(below, col.ROWS) and flag(
                    get(work, f.CHANGED), get(below, col.FLAGS) + r
                ):
                    touched = True
                    break
            if touched:
                # flagged even where all values stand: a winner may have moved
                set_flag(get(work, f.CHANGED), get(t, col.FLAGS) + i, 1)
                o = i * get(t, col.PITCH)
                target = get(work, f.NEW) + (get(t, col.BASE) + o) * 4
                if get(t, col.OP) == col.MAX_POOL:
                    pool_row(
                        net, work, n, i, target, get(work, f.WINNER) + (get(t, col.WINNER) + o) * 4
                    )
                else:
                    average_row(net, work, n, i, target)


@kernel
def sum_row(net: int, work: int, n: int, i: int, target: int) -> None:
    """Signed sum of the inputs' rows i."""
    t = node(net, n)
    for v in range(get(t, col.PITCH) >> 4):
        y = splat(np.float32(0))
        for k in range(get(t, col.COUNT)):
            x = load(row_of(net, work, index(net, get(t, col.SOURCES) + k), i) + v * 64)
            y = add(y, x) if index(net, get(t, col.INDEX) + k) > 0 else subtract(y, x)
        store(target + v * 64, y)


@kernel
def join_row(net: int, work: int, n: int, i: int, target: int) -> None:
    """The inputs' channels side by side."""
    t = node(net, n)
    for k in range(get(t, col.COUNT)):
        s = index(net, get(t, col.SOURCES) + k)
        x, at = row_of(net, work, s, i), index(net, get(t, col.INDEX) + k)
        for c in range(get(node(net, s), col.CHANNELS)):
            store_scalar(target + (at + c) * 4, load_scalar(x + c * 4))


@kernel
def pick_row(net: int, work: int, n: int, i: int, target: int) -> None:
    """Channels by index."""
    t = node(net, n)
    x = row_of(net, work, get(t, col.SOURCE), i)
    for c in range(get(t, col.CHANNELS)):
        store_scalar(target + c * 4, load_scalar(x + index(net, get(t, col.INDEX) + c) * 4))


@by_address("void(int64, int64, int64)")
def row_by_row(net: int, work: int, n: int) -> None:
    """Operators whose row i reads only rows i."""
    t = node(net, n)
    op, pitch = get(t, col.OP), get(t, col.PITCH)
    for q in range(get(get(work, f.COUNTS), n)):
        for i in range(
            span(get(work, f.SPANS), n, 2 * q), span(get(work, f.SPANS), n, 2 * q + 1) + 1
        ):
            touched = False
            for k in range(get(t, col.COUNT)):
                s = index(net, get(t, col.SOURCES) + k)
                touched |= flag(get(work, f.CHANGED), get(node(net, s), col.FLAGS) + i) != 0
            if not touched:
                continue
            target = get(work, f.NEW) + (get(t, col.BASE) + i * pitch) * 4
            x = row_of(net, work, get(t, col.SOURCE), i)
            scale = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
            if op == col.ACTIVATION:
                activation_row(x, target, scale, pitch >> 4)
            elif op == col.AFFINE:
                affine_row(
                    x,
                    target,
                    scale,
                    get(net, f.WEIGHT) + (get(t, col.SHIFT) + i * get(t, col.SHIFT_PITCH)) * 4,
                    pitch >> 4,
                )
            elif op == col.ADD:
                sum_row(net, work, n, i, target)
            elif op == col.CONCAT_CHANNELS:
                join_row(net, work, n, i, target)
            else:
                pick_row(net, work, n, i, target)
            set_row(net, work, n, i)


@kernel
def copy_rows(
    net: int, work: int, n: int, s: int, first: int, step: int, low: int, high: int
) -> None:
    """Rows low..high of node n are the rows first + step * i of node s."""
    t, below = node(net, n), node(net, s)
    pitch, source_pitch = get(t, col.PITCH), get(below, col.PITCH)
    for i in range(low, high + 1):
        r = first + step * i
        if flag(get(work, f.CHANGED), get(below, col.FLAGS) + r):
            x = get(work, f.NEW) + (get(below, col.BASE) + r * source_pitch) * 4
            target = get(work, f.NEW) + (get(t, col.BASE) + i * pitch) * 4
            for v in range(pitch >> 4):
                store(target + v * 64, load(x + v * 64))
            set_flag(get(work, f.CHANGED), get(t, col.FLAGS) + i, 1)


@by_address("void(int64, int64, int64)")
def join_rows(net: int, work: int, n: int) -> None:
    """Inputs one below the other."""
    t = node(net, n)
    for k in range(get(t, col.COUNT)):
        s, at = index(net, get(t, col.SOURCES) + k), index(net, get(t, col.INDEX) + k)
        for q in range(get(get(work, f.COUNTS), s)):
            low, high = (
                span(get(work, f.SPANS), s, 2 * q) + at,
                span(get(work, f.SPANS), s, 2 * q + 1) + at,
            )
            add_span(get(work, f.SPANS), get(work, f.COUNTS), n, low, high)
            copy_rows(net, work, n, s, -at, np.int64(1), low, high)


@by_address("void(int64, int64, int64)")
def pick_rows(net: int, work: int, n: int) -> None:
    """Rows first, first + step, ... of the input; step -1 reverses."""
    t = node(net, n)
    s, first, step = get(t, col.SOURCE), get(t, col.FIRST), get(t, col.STEP)
    for q in range(get(get(work, f.COUNTS), s)):
        a, b = (
            span(get(work, f.SPANS), s, 2 * q) - first,
            span(get(work, f.SPANS), s, 2 * q + 1) - first,
        )
        low = -(a // -step) if step > 0 else -(b // -step)
        high = b // step if step > 0 else a // step
        low, high = max(low, 0), min(high, get(t, col.ROWS) - 1)
        add_span(get(work, f.SPANS), get(work, f.COUNTS), n, low, high)
        copy_rows(net, work, n, s, first, step, low, high)


@kernel
def reached(net: int, work: int, n: int) -> None:
    """The intervals of node n, but for operators that move rows: those find them on their way."""
    op = get(node(net, n), col.OP)
    if op == col.CONV or op == col.MAX_POOL or op == col.AVERAGE_POOL:
        window_spans(net, work, n)
    elif op != col.CONCAT_ROWS and op != col.TAKE_ROWS:
        same_spans(net, work, n)


@by_address("void(int64, int64, int64)")
def forward(net: int, works: int, group: int) -> None:
    """All nodes of a group of mutants, given the changed rows of node 0."""
    for n in range(1, get(net, f.NODES)):
        op, code = get(node(net, n), col.OP), get(node(net, n), col.UP_CODE)
        made = op == col.CONV or (
            op == col.ACTIVATION and get(node(net, n), col.CHAIN) & col.FROM_BELOW != 0)
        for g in range(group):
            work = get(works, g)
            reached(net, work, n)
            if not made:
                call(code, net, work, n)
        if op == col.CONV:
            convolution(net, works, group, n)


@kernel
def head_inputs(net: int, work: int, n: int, inputs: int) -> None:
    """Add what node n's changes bring to the head's inputs (an address)."""
    acts = get(work, f.ACTS)
    t = node(net, n)
    channels, pitch = get(t, col.CHANNELS), get(t, col.PITCH)
    for k in range(index(net, get(t, col.HEADS))):
        entry = get(t, col.HEADS) + 1 + 4 * k
        target = inputs + index(net, entry + 1) * 4
        weight, width = get(net, f.WEIGHT) + index(net, entry + 2) * 4, index(net, entry + 3)
        for q in range(get(get(work, f.COUNTS), n)):
            for i in range(
                span(get(work, f.SPANS), n, 2 * q), span(get(work, f.SPANS), n, 2 * q + 1) + 1
            ):
                if flag(get(work, f.CHANGED), get(t, col.FLAGS) + i) == 0:
                    continue
                o = (get(t, col.BASE) + i * pitch) * 4
                if index(net, entry) == col.MATRIX:
                    count = changes(
                        get(work, f.NEW) + o,
                        acts + o,
                        channels,
                        get(work, f.CHANNEL),
                        get(work, f.VALUE),
                        np.int64(0),
                    )
                    pour(
                        target,
                        weight + i * channels * width * 4,
                        width * 4,
                        get(work, f.CHANNEL),
                        get(work, f.VALUE),
                        np.int64(0),
                        count,
                        width >> 4,
                    )
                else:
                    factor = splat(load_scalar(weight + i * 4))
                    for v in range(pitch >> 4):
                        d = subtract(load(get(work, f.NEW) + o + v * 64), load(acts + o + v * 64))
                        store(target + v * 64, fma(d, factor, load(target + v * 64)))


@kernel
def linear_score(net: int, work: int, arriving: int) -> float:
    """Change of a score that is linear in the cut nodes; ``arriving``: its gradient there."""
    acts = get(work, f.ACTS)
    score = splat(np.float32(0))
    for n in range(get(net, f.NODES)):
        t = node(net, n)
        if get(t, col.TOP) < 0:
            continue
        for q in range(get(get(work, f.COUNTS), n)):
            for i in range(
                span(get(work, f.SPANS), n, 2 * q), span(get(work, f.SPANS), n, 2 * q + 1) + 1
            ):
                if flag(get(work, f.CHANGED), get(t, col.FLAGS) + i) == 0:
                    continue
                o = (get(t, col.BASE) + i * get(t, col.PITCH)) * 4
                top = arriving + (get(t, col.TOP) + i * get(t, col.PITCH)) * 4
                for v in range(get(t, col.PITCH) >> 4):
                    d = subtract(load(get(work, f.NEW) + o + v * 64), load(acts + o + v * 64))
                    score = fma(d, load(top + v * 64), score)
    return total(score)

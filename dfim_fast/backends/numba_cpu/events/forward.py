"""The mutant's activations, where they differ from the original's.

After a node's turn, the rows flagged in ``changed`` hold its new values; all others are the
original's. Every function walks one node.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.layout import Net
from dfim_fast.backends.numba_cpu.events.scatter import axpy, changes, entries, scatter
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    fma,
    greater,
    load,
    load_scalar,
    multiply,
    select,
    splat,
    store,
    store_scalar,
    subtract,
    total,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, read_rows
from dfim_fast.backends.numba_cpu.events.work import Work


@njit(nogil=True, cache=True)
def row_of(net: Net, acts: int, work: Work, n: int, i: int) -> int:
    """Address of the mutant's row i of node n."""
    t = net.table[n]
    blob = work.new if work.changed[t[col.FLAGS] + i] else acts
    return blob + (t[col.BASE] + i * t[col.PITCH]) * 4


@njit(nogil=True, cache=True)
def set_row(net: Net, acts: int, work: Work, n: int, i: int) -> None:
    """Flag row i of node n if its new values differ from the original's."""
    t = net.table[n]
    o = (t[col.BASE] + i * t[col.PITCH]) * 4
    for q in range(t[col.PITCH] >> 4):
        if differ(load(work.new + o + q * 64), load(acts + o + q * 64)) != 0:
            work.changed[t[col.FLAGS] + i] = 1
            return


@njit(nogil=True, cache=True)
def same_spans(net: Net, work: Work, n: int) -> None:
    """The changed rows are those of all inputs."""
    t = net.table[n]
    for k in range(t[col.COUNT]):
        s = net.index[t[col.SOURCES] + k]
        for q in range(work.counts[s]):
            add_span(work.spans, work.counts, n, work.spans[s, 2 * q], work.spans[s, 2 * q + 1])


@njit(nogil=True, cache=True)
def window_spans(net: Net, work: Work, n: int) -> None:
    """The changed rows are those whose window reads one."""
    t = net.table[n]
    s = t[col.SOURCE]
    for q in range(work.counts[s]):
        low, high = read_rows(work.spans[s, 2 * q], work.spans[s, 2 * q + 1], t[col.KERNEL],
                              t[col.STRIDE], t[col.DILATION], t[col.PAD], t[col.ROWS])
        add_span(work.spans, work.counts, n, low, high)


@njit(nogil=True, cache=True)
def convolution(net: Net, acts: int, work: Work, n: int) -> None:
    """z' = z + sum over changed entries of their difference times their weights."""
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    stride, pitch, channels = t[col.STRIDE], t[col.PITCH], below[col.CHANNELS]
    target = work.new + t[col.BASE] * 4
    for q in range(work.counts[s]):
        for i in range(work.spans[s, 2 * q], work.spans[s, 2 * q + 1] + 1):
            if work.changed[below[col.FLAGS] + i] == 0:
                continue
            o = (below[col.BASE] + i * below[col.PITCH]) * 4
            count = changes(work.new + o, acts + o, channels, work.channel, work.value)
            if count == 0:
                continue
            phase = t[col.PHASES] + 3 * ((i + t[col.PAD]) % stride)
            taps = net.index[phase]
            first = (i + t[col.PAD] - net.index[phase + 1] * t[col.DILATION]) // stride
            scatter(target, pitch, work.changed, t[col.FLAGS], 0, t[col.ROWS] - 1, first,
                    t[col.FORWARD_STEP], taps, net.weight + net.index[phase + 2] * 4,
                    taps * pitch * 4, work.channel, work.value, count)
    for q in range(work.counts[n]):
        for i in range(work.spans[n, 2 * q], work.spans[n, 2 * q + 1] + 1):
            if work.changed[t[col.FLAGS] + i]:
                o = (t[col.BASE] + i * pitch) * 4
                for v in range(pitch >> 4):
                    a = o + v * 64
                    store(work.new + a, add(load(acts + a), load(work.new + a)))


@njit(nogil=True, cache=True)
def convolution_afresh(net: Net, acts: int, work: Work, n: int) -> None:
    """z' = bias + the taps' weights, in the order that the original's rows were summed in.

    So equal k-mers keep bit-equal values, in the mutant as in the original, and stay ties.
    """
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    stride, pitch, channels = t[col.STRIDE], t[col.PITCH], below[col.CHANNELS]
    target = work.new + t[col.BASE] * 4
    for q in range(work.counts[n]):
        low, high = work.spans[n, 2 * q], work.spans[n, 2 * q + 1]
        for i in range(low, high + 1):
            for v in range(pitch >> 4):
                store(target + i * pitch * 4 + v * 64,
                      load(net.weight + (t[col.BIAS] + v * 16) * 4))
            work.changed[t[col.FLAGS] + i] = 1
        start = max(low * stride - t[col.PAD], 0)
        stop = min(high * stride - t[col.PAD] + (t[col.KERNEL] - 1) * t[col.DILATION],
                   below[col.ROWS] - 1)
        for i in range(start, stop + 1):
            count = entries(row_of(net, acts, work, s, i), channels, work.channel, work.value)
            if count == 0:
                continue
            phase = t[col.PHASES] + 3 * ((i + t[col.PAD]) % stride)
            taps = net.index[phase]
            first = (i + t[col.PAD] - net.index[phase + 1] * t[col.DILATION]) // stride
            scatter(target, pitch, work.changed, t[col.FLAGS], low, high, first,
                    t[col.FORWARD_STEP], taps, net.weight + net.index[phase + 2] * 4,
                    taps * pitch * 4, work.channel, work.value, count)


@njit(nogil=True, cache=True)
def activation_row(source: int, target: int, slope: int, vectors: int) -> None:
    """y = x where x > 0, else slope * x."""
    zero = splat(np.float32(0))
    for v in range(vectors):
        x = load(source + v * 64)
        store(target + v * 64,
              select(greater(x, zero), x, multiply(x, load(slope + v * 64))))


@njit(nogil=True, cache=True)
def affine_row(source: int, target: int, scale: int, shift: int, vectors: int) -> None:
    """y = x * scale + shift."""
    for v in range(vectors):
        store(target + v * 64, fma(load(source + v * 64), load(scale + v * 64),
                                   load(shift + v * 64)))


@njit(nogil=True, cache=True)
def pool_row(net: Net, acts: int, work: Work, n: int, i: int, target: int, winner: int) -> None:
    """y = max over the window, the first of equal ones; its input row goes to ``winner``."""
    t = net.table[n]
    s = t[col.SOURCE]
    rows = net.table[s, col.ROWS]
    for v in range(t[col.PITCH] >> 4):
        best, at = splat(np.float32(-np.inf)), splat(np.float32(0))
        for j in range(t[col.KERNEL]):
            r = i * t[col.STRIDE] - t[col.PAD] + j * t[col.DILATION]
            if r < 0 or r >= rows:
                continue
            x = load(row_of(net, acts, work, s, r) + v * 64)
            above = greater(x, best)
            best, at = select(above, x, best), select(above, splat(np.float32(r)), at)
        store(target + v * 64, best)
        store(winner + v * 64, at)


@njit(nogil=True, cache=True)
def max_pool(net: Net, acts: int, work: Work, n: int) -> None:
    """Pooled rows whose window holds a changed row."""
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    for q in range(work.counts[n]):
        for i in range(work.spans[n, 2 * q], work.spans[n, 2 * q + 1] + 1):
            touched = False
            for j in range(t[col.KERNEL]):
                r = i * t[col.STRIDE] - t[col.PAD] + j * t[col.DILATION]
                if 0 <= r < below[col.ROWS] and work.changed[below[col.FLAGS] + r]:
                    touched = True
                    break
            if touched:
                # flagged even where all values stand: a winner may have moved
                work.changed[t[col.FLAGS] + i] = 1
                pool_row(net, acts, work, n, i, work.new + (t[col.BASE] + i * t[col.PITCH]) * 4,
                         work.winner + (t[col.WINNER] + i * t[col.PITCH]) * 4)


@njit(nogil=True, cache=True)
def average_pool(net: Net, acts: int, work: Work, n: int) -> None:
    """y' = y + factor * the sum of the window's changes."""
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    pitch = t[col.PITCH]
    for q in range(work.counts[n]):
        for i in range(work.spans[n, 2 * q], work.spans[n, 2 * q + 1] + 1):
            o = (t[col.BASE] + i * pitch) * 4
            factor = splat(load_scalar(net.weight + (t[col.SCALE] + i) * 4))
            for v in range(pitch >> 4):
                store(work.new + o + v * 64, load(acts + o + v * 64))
            for j in range(t[col.KERNEL]):
                r = i * t[col.STRIDE] - t[col.PAD] + j * t[col.DILATION]
                if r < 0 or r >= below[col.ROWS] or work.changed[below[col.FLAGS] + r] == 0:
                    continue
                work.changed[t[col.FLAGS] + i] = 1
                p = (below[col.BASE] + r * below[col.PITCH]) * 4
                for v in range(pitch >> 4):
                    d = subtract(load(work.new + p + v * 64), load(acts + p + v * 64))
                    a = work.new + o + v * 64
                    store(a, fma(d, factor, load(a)))


@njit(nogil=True, cache=True)
def sum_row(net: Net, acts: int, work: Work, n: int, i: int, target: int) -> None:
    """Signed sum of the inputs' rows i."""
    t = net.table[n]
    for v in range(t[col.PITCH] >> 4):
        y = splat(np.float32(0))
        for k in range(t[col.COUNT]):
            x = load(row_of(net, acts, work, net.index[t[col.SOURCES] + k], i) + v * 64)
            y = add(y, x) if net.index[t[col.INDEX] + k] > 0 else subtract(y, x)
        store(target + v * 64, y)


@njit(nogil=True, cache=True)
def join_row(net: Net, acts: int, work: Work, n: int, i: int, target: int) -> None:
    """The inputs' channels side by side."""
    t = net.table[n]
    for k in range(t[col.COUNT]):
        s = net.index[t[col.SOURCES] + k]
        x, at = row_of(net, acts, work, s, i), net.index[t[col.INDEX] + k]
        for c in range(net.table[s, col.CHANNELS]):
            store_scalar(target + (at + c) * 4, load_scalar(x + c * 4))


@njit(nogil=True, cache=True)
def pick_row(net: Net, acts: int, work: Work, n: int, i: int, target: int) -> None:
    """Channels by index."""
    t = net.table[n]
    x = row_of(net, acts, work, t[col.SOURCE], i)
    for c in range(t[col.CHANNELS]):
        store_scalar(target + c * 4, load_scalar(x + net.index[t[col.INDEX] + c] * 4))


@njit(nogil=True, cache=True)
def row_by_row(net: Net, acts: int, work: Work, n: int) -> None:
    """Operators whose row i reads only rows i."""
    t = net.table[n]
    op, pitch = t[col.OP], t[col.PITCH]
    for q in range(work.counts[n]):
        for i in range(work.spans[n, 2 * q], work.spans[n, 2 * q + 1] + 1):
            touched = False
            for k in range(t[col.COUNT]):
                s = net.index[t[col.SOURCES] + k]
                touched |= work.changed[net.table[s, col.FLAGS] + i] != 0
            if not touched:
                continue
            target = work.new + (t[col.BASE] + i * pitch) * 4
            x = row_of(net, acts, work, t[col.SOURCE], i)
            scale = net.weight + (t[col.SCALE] + i * t[col.SCALE_PITCH]) * 4
            if op == col.ACTIVATION:
                activation_row(x, target, scale, pitch >> 4)
            elif op == col.AFFINE:
                affine_row(x, target, scale,
                           net.weight + (t[col.SHIFT] + i * t[col.SHIFT_PITCH]) * 4, pitch >> 4)
            elif op == col.ADD:
                sum_row(net, acts, work, n, i, target)
            elif op == col.CONCAT_CHANNELS:
                join_row(net, acts, work, n, i, target)
            else:
                pick_row(net, acts, work, n, i, target)
            set_row(net, acts, work, n, i)


@njit(nogil=True, cache=True)
def copy_rows(net: Net, acts: int, work: Work, n: int, s: int, first: int, step: int,
              low: int, high: int) -> None:
    """Rows low..high of node n are the rows first + step * i of node s."""
    t, below = net.table[n], net.table[s]
    pitch, source_pitch = t[col.PITCH], below[col.PITCH]
    for i in range(low, high + 1):
        r = first + step * i
        if work.changed[below[col.FLAGS] + r]:
            x = work.new + (below[col.BASE] + r * source_pitch) * 4
            target = work.new + (t[col.BASE] + i * pitch) * 4
            for v in range(pitch >> 4):
                store(target + v * 64, load(x + v * 64))
            work.changed[t[col.FLAGS] + i] = 1


@njit(nogil=True, cache=True)
def join_rows(net: Net, acts: int, work: Work, n: int) -> None:
    """Inputs one below the other."""
    t = net.table[n]
    for k in range(t[col.COUNT]):
        s, at = net.index[t[col.SOURCES] + k], net.index[t[col.INDEX] + k]
        for q in range(work.counts[s]):
            low, high = work.spans[s, 2 * q] + at, work.spans[s, 2 * q + 1] + at
            add_span(work.spans, work.counts, n, low, high)
            copy_rows(net, acts, work, n, s, -at, 1, low, high)


@njit(nogil=True, cache=True)
def pick_rows(net: Net, acts: int, work: Work, n: int) -> None:
    """Rows first, first + step, ... of the input; step -1 reverses."""
    t = net.table[n]
    s, first, step = t[col.SOURCE], t[col.FIRST], t[col.STEP]
    for q in range(work.counts[s]):
        a, b = work.spans[s, 2 * q] - first, work.spans[s, 2 * q + 1] - first
        low = -(a // -step) if step > 0 else -(b // -step)
        high = b // step if step > 0 else a // step
        low, high = max(low, 0), min(high, t[col.ROWS] - 1)
        add_span(work.spans, work.counts, n, low, high)
        copy_rows(net, acts, work, n, s, first, step, low, high)


@njit(nogil=True, cache=True)
def forward(net: Net, acts: int, work: Work) -> None:
    """All nodes, given the changed rows of node 0."""
    for n in range(1, len(net.table)):
        op = net.table[n, col.OP]
        if op == col.CONV or op == col.MAX_POOL or op == col.AVERAGE_POOL:
            window_spans(net, work, n)
            if op == col.MAX_POOL:
                max_pool(net, acts, work, n)
            elif op == col.AVERAGE_POOL:
                average_pool(net, acts, work, n)
            elif net.table[n, col.AFRESH]:
                convolution_afresh(net, acts, work, n)
            else:
                convolution(net, acts, work, n)
        elif op == col.CONCAT_ROWS:
            join_rows(net, acts, work, n)
        elif op == col.TAKE_ROWS:
            pick_rows(net, acts, work, n)
        else:
            same_spans(net, work, n)
            row_by_row(net, acts, work, n)


@njit(nogil=True, cache=True)
def head_inputs(net: Net, acts: int, work: Work, n: int, inputs: int) -> None:
    """Add what node n's changes bring to the head's inputs (an address)."""
    t = net.table[n]
    channels, pitch = t[col.CHANNELS], t[col.PITCH]
    for k in range(net.index[t[col.HEADS]]):
        entry = t[col.HEADS] + 1 + 4 * k
        target = inputs + net.index[entry + 1] * 4
        weight, width = net.weight + net.index[entry + 2] * 4, net.index[entry + 3]
        for q in range(work.counts[n]):
            for i in range(work.spans[n, 2 * q], work.spans[n, 2 * q + 1] + 1):
                if work.changed[t[col.FLAGS] + i] == 0:
                    continue
                o = (t[col.BASE] + i * pitch) * 4
                if net.index[entry] == col.MATRIX:
                    count = changes(work.new + o, acts + o, channels, work.channel, work.value)
                    axpy(target, weight + i * channels * width * 4, width * 4, work.channel,
                         work.value, count, width >> 4)
                else:
                    factor = splat(load_scalar(weight + i * 4))
                    for v in range(pitch >> 4):
                        d = subtract(load(work.new + o + v * 64), load(acts + o + v * 64))
                        store(target + v * 64, fma(d, factor, load(target + v * 64)))


@njit(nogil=True, cache=True)
def linear_score(net: Net, acts: int, work: Work, arriving: int) -> float:
    """How much a score that is linear in the cut nodes changes; ``arriving``: its gradient there."""
    score = splat(np.float32(0))
    for n in range(len(net.table)):
        t = net.table[n]
        if t[col.TOP] < 0:
            continue
        for q in range(work.counts[n]):
            for i in range(work.spans[n, 2 * q], work.spans[n, 2 * q + 1] + 1):
                if work.changed[t[col.FLAGS] + i] == 0:
                    continue
                o = (t[col.BASE] + i * t[col.PITCH]) * 4
                top = arriving + (t[col.TOP] + i * t[col.PITCH]) * 4
                for v in range(t[col.PITCH] >> 4):
                    d = subtract(load(work.new + o + v * 64), load(acts + o + v * 64))
                    score = fma(d, load(top + v * 64), score)
    return total(score)

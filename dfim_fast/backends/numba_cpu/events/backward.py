"""What a mutant changes in the gradient (or the multipliers) that reach the sequence.

``difference`` holds dv = J'^T g' - J^T g', zero at the top of the trunk. Linear operators pass it
on; at a gate ``dv_below = q' dv + (q' - q) u`` with u the value that arrives in the original's
trunk. With ``plain`` set the same walk propagates what stands in ``difference`` through the
original's own gates: that is how u itself is made.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.arriving import Arriving, arriving_at, arriving_row
from dfim_fast.backends.numba_cpu.events.forward import row_of
from dfim_fast.backends.numba_cpu.events.layout import Net
from dfim_fast.backends.numba_cpu.events.multipliers import quotient_at, shares, slope_at
from dfim_fast.backends.numba_cpu.events.scatter import clear, entries, scatter
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    fma,
    load,
    load_scalar,
    multiply,
    splat,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
from dfim_fast.backends.numba_cpu.events.work import Work


@njit(nogil=True, cache=True)
def touch(net: Net, work: Work, n: int, i: int) -> int:
    """Address of row i of ``difference``, cleared at first use."""
    t = net.table[n]
    row = work.difference + (t[col.BASE] + i * t[col.PITCH]) * 4
    if work.moved[t[col.FLAGS] + i] == 0:
        clear(row, t[col.PITCH])
        work.moved[t[col.FLAGS] + i] = 1
    return row


@njit(nogil=True, cache=True)
def add_to(net: Net, work: Work, n: int, i: int, c: int, value: float) -> None:
    """difference[i, c] += value."""
    if value != 0:
        at = touch(net, work, n, i) + c * 4
        store_scalar(at, load_scalar(at) + value)


@njit(nogil=True, cache=True)
def convolution_back(net: Net, work: Work, n: int) -> None:
    """Non-zero entries times the transposed weights."""
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    target = work.difference + below[col.BASE] * 4
    for q in range(work.back_counts[n]):
        a, b = work.back_spans[n, 2 * q], work.back_spans[n, 2 * q + 1]
        low, high = rows_read(a, b, t[col.KERNEL], t[col.STRIDE], t[col.DILATION], t[col.PAD],
                              below[col.ROWS])
        add_span(work.back_spans, work.back_counts, s, low, high)
        for i in range(a, b + 1):
            if work.moved[t[col.FLAGS] + i] == 0:
                continue
            row = work.difference + (t[col.BASE] + i * t[col.PITCH]) * 4
            count = entries(row, t[col.CHANNELS], work.channel, work.value)
            if count:
                scatter(target, below[col.PITCH], work.moved, below[col.FLAGS], 0,
                        below[col.ROWS] - 1, i * t[col.STRIDE] - t[col.PAD], t[col.DILATION],
                        t[col.KERNEL], net.weight + t[col.BACKWARD] * 4,
                        t[col.BACKWARD_BLOCK] * 4, work.channel, work.value, count)


@njit(nogil=True, cache=True)
def gather_spans(net: Net, work: Work, n: int, plain: bool) -> None:
    """Into ``both``: rows of node n that have moved, or (not plain) changed."""
    work.both_count[0] = 0
    for q in range(work.back_counts[n]):
        add_span(work.both, work.both_count, 0, work.back_spans[n, 2 * q],
                 work.back_spans[n, 2 * q + 1])
    if not plain:
        s = n if net.table[n, col.OP] == col.MAX_POOL else net.table[n, col.SOURCE]
        for q in range(work.counts[s]):
            add_span(work.both, work.both_count, 0, work.spans[s, 2 * q],
                     work.spans[s, 2 * q + 1])


@njit(nogil=True, cache=True)
def activation_back(net: Net, acts: int, reference: int, u: Arriving, rule: int, epsilon: float,
                    plain: bool, work: Work, n: int) -> None:
    """dv_below = q' dv + (q' - q) u."""
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    pitch = t[col.PITCH]
    zero = splat(np.float32(0))
    for q in range(work.both_count[0]):
        a, b = work.both[0, 2 * q], work.both[0, 2 * q + 1]
        add_span(work.back_spans, work.back_counts, s, a, b)
        for i in range(a, b + 1):
            moved = work.moved[t[col.FLAGS] + i] != 0
            changed = not plain and work.changed[below[col.FLAGS] + i] != 0
            if not moved and not changed:
                continue
            o = (t[col.BASE] + i * pitch) * 4
            p = (below[col.BASE] + i * pitch) * 4
            slope = net.weight + (t[col.SCALE] + i * t[col.SCALE_PITCH]) * 4
            fresh = work.moved[below[col.FLAGS] + i] == 0
            any_set = np.int64(0)
            for v in range(pitch >> 4):
                k = v * 64
                if rule == col.GRADIENT:
                    old = slope_at(acts + p + k, slope + k)
                else:
                    old = quotient_at(acts + p + k, reference + p + k, slope + k, epsilon)
                out = zero
                if changed:
                    if rule == col.GRADIENT:
                        new = slope_at(work.new + p + k, slope + k)
                    else:
                        new = quotient_at(work.new + p + k, reference + p + k, slope + k, epsilon)
                    bits = differ(new, old)
                    if moved:
                        out = multiply(new, load(work.difference + o + k))
                    if bits != 0:
                        at = arriving_row(net, u, n, i, v, bits, work.scratch)
                        out = fma(subtract(new, old), load(at), out)
                else:
                    out = multiply(old, load(work.difference + o + k))
                if fresh:
                    any_set |= differ(out, zero)
                    store(work.difference + p + k, out)
                else:
                    store(work.difference + p + k, add(load(work.difference + p + k), out))
            if fresh and any_set != 0:
                work.moved[below[col.FLAGS] + i] = 1


@njit(nogil=True, cache=True)
def max_pool_back(net: Net, acts: int, winners: int, u: Arriving, plain: bool, work: Work,
                  n: int) -> None:
    """All that arrives goes to the winner of x (gradient, and DeepLIFT's own rule)."""
    t = net.table[n]
    s = t[col.SOURCE]
    pitch = t[col.PITCH]
    for q in range(work.both_count[0]):
        a, b = work.both[0, 2 * q], work.both[0, 2 * q + 1]
        low, high = rows_read(a, b, t[col.KERNEL], t[col.STRIDE], t[col.DILATION], t[col.PAD],
                              net.table[s, col.ROWS])
        add_span(work.back_spans, work.back_counts, s, low, high)
        for i in range(a, b + 1):
            moved = work.moved[t[col.FLAGS] + i] != 0
            changed = not plain and work.changed[t[col.FLAGS] + i] != 0
            if not moved and not changed:
                continue
            for c in range(t[col.CHANNELS]):
                dv = np.float32(0)
                if moved:
                    dv = load_scalar(work.difference + (t[col.BASE] + i * pitch + c) * 4)
                w = np.int64(load_scalar(winners + (t[col.WINNER] + i * pitch + c) * 4))
                z = w
                if changed:
                    z = np.int64(load_scalar(work.winner + (t[col.WINNER] + i * pitch + c) * 4))
                if z == w:
                    add_to(net, work, s, w, c, dv)
                else:
                    arrives = arriving_at(net, u, n, i, c)
                    add_to(net, work, s, z, c, dv + arrives)
                    add_to(net, work, s, w, c, -arrives)


@njit(nogil=True, cache=True)
def max_pool_share(net: Net, acts: int, reference: int, winners: int, reference_winners: int,
                   u: Arriving, epsilon: float, plain: bool, work: Work, n: int) -> None:
    """Shared between the winners of x and r (rule "shap")."""
    t = net.table[n]
    s = t[col.SOURCE]
    below = net.table[s]
    pitch = t[col.PITCH]
    for q in range(work.both_count[0]):
        a, b = work.both[0, 2 * q], work.both[0, 2 * q + 1]
        low, high = rows_read(a, b, t[col.KERNEL], t[col.STRIDE], t[col.DILATION], t[col.PAD],
                              below[col.ROWS])
        add_span(work.back_spans, work.back_counts, s, low, high)
        for i in range(a, b + 1):
            moved = work.moved[t[col.FLAGS] + i] != 0
            changed = not plain and work.changed[t[col.FLAGS] + i] != 0
            if not moved and not changed:
                continue
            o = (t[col.BASE] + i * pitch) * 4
            k = (t[col.WINNER] + i * pitch) * 4
            for c in range(t[col.CHANNELS]):
                dv = np.float32(0)
                if moved:
                    dv = load_scalar(work.difference + o + c * 4)
                    if dv == 0 and not changed:
                        continue
                w = np.int64(load_scalar(winners + k + c * 4))
                r = np.int64(load_scalar(reference_winners + k + c * 4))
                y0 = load_scalar(reference + o + c * 4)
                r_at_w = load_scalar(reference + (below[col.BASE] + w * pitch + c) * 4)
                x_at_r = load_scalar(acts + (below[col.BASE] + r * pitch + c) * 4)
                to_x, to_r = shares(load_scalar(acts + o + c * 4), y0, r_at_w, x_at_r, epsilon)
                if not changed:
                    add_to(net, work, s, w, c, to_x * dv)
                    add_to(net, work, s, r, c, to_r * dv)
                    continue
                z = np.int64(load_scalar(work.winner + k + c * 4))
                r_at_z = load_scalar(reference + (below[col.BASE] + z * pitch + c) * 4)
                new_at_r = load_scalar(row_of(net, acts, work, s, r) + c * 4)
                to_z, to_s = shares(load_scalar(work.new + o + c * 4), y0, r_at_z, new_at_r,
                                    epsilon)
                arrives = np.float32(0)
                if z != w or to_z != to_x or to_s != to_r:
                    arrives = arriving_at(net, u, n, i, c)
                if z == w:
                    add_to(net, work, s, w, c, to_z * dv + (to_z - to_x) * arrives)
                else:
                    add_to(net, work, s, z, c, to_z * (dv + arrives))
                    add_to(net, work, s, w, c, -to_x * arrives)
                add_to(net, work, s, r, c, to_s * dv + (to_s - to_r) * arrives)


@njit(nogil=True, cache=True)
def average_pool_back(net: Net, work: Work, n: int) -> None:
    """factor * dv to every row of the window."""
    t = net.table[n]
    s = t[col.SOURCE]
    rows, pitch = net.table[s, col.ROWS], t[col.PITCH]
    for q in range(work.back_counts[n]):
        a, b = work.back_spans[n, 2 * q], work.back_spans[n, 2 * q + 1]
        low, high = rows_read(a, b, t[col.KERNEL], t[col.STRIDE], t[col.DILATION], t[col.PAD],
                              rows)
        add_span(work.back_spans, work.back_counts, s, low, high)
        for i in range(a, b + 1):
            if work.moved[t[col.FLAGS] + i] == 0:
                continue
            factor = splat(load_scalar(net.weight + (t[col.SCALE] + i) * 4))
            source = work.difference + (t[col.BASE] + i * pitch) * 4
            for j in range(t[col.KERNEL]):
                r = i * t[col.STRIDE] - t[col.PAD] + j * t[col.DILATION]
                if r < 0 or r >= rows:
                    continue
                row = touch(net, work, s, r)
                for v in range(pitch >> 4):
                    store(row + v * 64, fma(load(source + v * 64), factor, load(row + v * 64)))


@njit(nogil=True, cache=True)
def send_row(net: Net, work: Work, n: int, i: int, k: int) -> None:
    """One row of Affine, Add, Concat or Take to its k-th input."""
    t = net.table[n]
    s = net.index[t[col.SOURCES] + k]
    op = t[col.OP]
    source = work.difference + (t[col.BASE] + i * t[col.PITCH]) * 4
    r = i
    if op == col.CONCAT_ROWS:
        r = i - net.index[t[col.INDEX] + k]
    elif op == col.TAKE_ROWS:
        r = t[col.FIRST] + t[col.STEP] * i
    row = touch(net, work, s, r)
    if op == col.CONCAT_CHANNELS:
        at = net.index[t[col.INDEX] + k]
        for c in range(net.table[s, col.CHANNELS]):
            o = row + c * 4
            store_scalar(o, load_scalar(o) + load_scalar(source + (at + c) * 4))
        return
    if op == col.TAKE_CHANNELS:
        for c in range(t[col.CHANNELS]):
            o = row + net.index[t[col.INDEX] + c] * 4
            store_scalar(o, load_scalar(o) + load_scalar(source + c * 4))
        return
    scale = net.weight + (t[col.SCALE] + i * t[col.SCALE_PITCH]) * 4
    for v in range(t[col.PITCH] >> 4):
        g, y = load(source + v * 64), load(row + v * 64)
        if op == col.AFFINE:
            y = fma(g, load(scale + v * 64), y)
        elif op == col.ADD and net.index[t[col.INDEX] + k] < 0:
            y = subtract(y, g)
        else:
            y = add(y, g)
        store(row + v * 64, y)


@njit(nogil=True, cache=True)
def rearranged_back(net: Net, work: Work, n: int) -> None:
    """Operators that only scale, add or move rows."""
    t = net.table[n]
    op = t[col.OP]
    for k in range(t[col.COUNT]):
        s = net.index[t[col.SOURCES] + k]
        rows = net.table[s, col.ROWS]
        for q in range(work.back_counts[n]):
            a, b = work.back_spans[n, 2 * q], work.back_spans[n, 2 * q + 1]
            low, high = a, b
            if op == col.CONCAT_ROWS:
                at = net.index[t[col.INDEX] + k]
                a, b = max(a, at), min(b, at + rows - 1)
                low, high = a - at, b - at
            elif op == col.TAKE_ROWS:
                low, high = t[col.FIRST] + t[col.STEP] * a, t[col.FIRST] + t[col.STEP] * b
                low, high = min(low, high), max(low, high)
            add_span(work.back_spans, work.back_counts, s, low, high)
            for i in range(a, b + 1):
                if work.moved[t[col.FLAGS] + i]:
                    send_row(net, work, n, i, k)


@njit(nogil=True, cache=True)
def backward(net: Net, acts: int, reference: int, winners: int, reference_winners: int,
             u: Arriving, rule: int, epsilon: float, plain: bool, work: Work) -> None:
    """All nodes, from the top of the trunk down to the sequence."""
    for n in range(len(net.table) - 1, 0, -1):
        op = net.table[n, col.OP]
        if op == col.ACTIVATION or op == col.MAX_POOL:
            gather_spans(net, work, n, plain)
            if work.both_count[0] == 0:
                continue
            if op == col.ACTIVATION:
                activation_back(net, acts, reference, u, rule, epsilon, plain, work, n)
            elif rule == col.SHAP:
                max_pool_share(net, acts, reference, winners, reference_winners, u, epsilon,
                               plain, work, n)
            else:
                max_pool_back(net, acts, winners, u, plain, work, n)
        elif work.back_counts[n] != 0:
            if op == col.CONV:
                convolution_back(net, work, n)
            elif op == col.AVERAGE_POOL:
                average_pool_back(net, work, n)
            else:
                rearranged_back(net, work, n)


@njit(nogil=True, cache=True)
def forget(net: Net, flags: np.ndarray, spans: np.ndarray, counts: np.ndarray) -> None:
    """Clear the flags of all rows in the lists, and the lists."""
    for n in range(len(net.table)):
        for q in range(counts[n]):
            start = net.table[n, col.FLAGS]
            flags[start + spans[n, 2 * q] : start + spans[n, 2 * q + 1] + 1] = 0
        counts[n] = 0

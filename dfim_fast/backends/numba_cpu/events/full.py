"""Whole passes of the original and of the references, on the same kernels as the walk."""

from __future__ import annotations

import numpy as np
from numba import njit

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.arriving import Arriving
from dfim_fast.backends.numba_cpu.events.backward import backward, touch
from dfim_fast.backends.numba_cpu.events.forward import (
    convolution_afresh,
    join_rows,
    max_pool,
    pick_rows,
    row_by_row,
    same_spans,
    window_spans,
)
from dfim_fast.backends.numba_cpu.events.layout import Net
from dfim_fast.backends.numba_cpu.events.scatter import clear
from dfim_fast.backends.numba_cpu.events.simd import (
    fma,
    load,
    load_scalar,
    multiply,
    splat,
    store,
    store_scalar,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.backends.numba_cpu.events.work import Work


@njit(nogil=True, cache=True)
def average_all(net: Net, work: Work, n: int) -> None:
    """y = factor * sum over the window."""
    t = net.table[n]
    below = net.table[t[col.SOURCE]]
    pitch = t[col.PITCH]
    for i in range(t[col.ROWS]):
        o = work.new + (t[col.BASE] + i * pitch) * 4
        clear(o, pitch)
        for j in range(t[col.KERNEL]):
            r = i * t[col.STRIDE] - t[col.PAD] + j * t[col.DILATION]
            if r < 0 or r >= below[col.ROWS]:
                continue
            p = work.new + (below[col.BASE] + r * pitch) * 4
            for v in range(pitch >> 4):
                a = o + v * 64
                store(a, fma(load(p + v * 64), splat(np.float32(1)), load(a)))
        factor = splat(load_scalar(net.weight + (t[col.SCALE] + i) * 4))
        for v in range(pitch >> 4):
            store(o + v * 64, multiply(load(o + v * 64), factor))


@njit(nogil=True, cache=True)
def full_forward(net: Net, x: np.ndarray, work: Work) -> None:
    """All activations of x (L, 4) into ``work.new``, winners into ``work.winner``.

    Every row counts as changed, so each is computed from scratch.
    """
    base, pitch = net.table[0, col.BASE], net.table[0, col.PITCH]
    for i in range(len(x)):
        for b in range(4):
            store_scalar(work.new + (base + i * pitch + b) * 4, x[i, b])
    work.changed[:] = 1
    work.counts[:] = 0
    add_span(work.spans, work.counts, 0, 0, len(x) - 1)
    for n in range(1, len(net.table)):
        op = net.table[n, col.OP]
        if op == col.CONV or op == col.MAX_POOL or op == col.AVERAGE_POOL:
            window_spans(net, work, n)
            # rows that no input reaches (padding only) are computed too
            add_span(work.spans, work.counts, n, 0, net.table[n, col.ROWS] - 1)
            if op == col.CONV:
                convolution_afresh(net, work.new, work, n)
            elif op == col.MAX_POOL:
                max_pool(net, work.new, work, n)
            else:
                average_all(net, work, n)
        elif op == col.CONCAT_ROWS:
            join_rows(net, work.new, work, n)
        elif op == col.TAKE_ROWS:
            pick_rows(net, work.new, work, n)
        else:
            same_spans(net, work, n)
            row_by_row(net, work.new, work, n)


@njit(nogil=True, cache=True)
def full_backward(net: Net, acts: int, reference: int, winners: int, reference_winners: int,
                  top: int, u: Arriving, rule: int, epsilon: float, work: Work,
                  floats: int) -> None:
    """What arrives at every node of the original's trunk, into ``work.difference``.

    ``top``: what comes from the head, at the nodes that it reads.
    """
    zero = splat(np.float32(0))
    for i in range(floats >> 4):
        store(work.difference + i * 64, zero)
    work.moved[:] = 0
    work.back_counts[:] = 0
    for n in range(len(net.table)):
        t = net.table[n]
        if t[col.TOP] < 0:
            continue
        add_span(work.back_spans, work.back_counts, n, 0, t[col.ROWS] - 1)
        for i in range(t[col.ROWS]):
            row = touch(net, work, n, i)
            for v in range(t[col.PITCH] >> 4):
                store(row + v * 64, load(top + (t[col.TOP] + i * t[col.PITCH] + v * 16) * 4))
    backward(net, acts, reference, winners, reference_winners, u, rule, epsilon, True, work)

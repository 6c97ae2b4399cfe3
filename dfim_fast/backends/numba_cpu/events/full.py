"""Whole passes of the original and of the references, on the same kernels as the walk."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import node
from dfim_fast.backends.numba_cpu.events.backward import forget
from dfim_fast.backends.numba_cpu.events.convolution import convolution_whole
from dfim_fast.backends.numba_cpu.events.forward import reached
from dfim_fast.backends.numba_cpu.events.multipliers import quotient_at
from dfim_fast.backends.numba_cpu.events.pool_back import touch
from dfim_fast.backends.numba_cpu.events.simd import (
    call,
    get,
    load,
    load_scalar,
    set_flag,
    splat,
    store,
    store_scalar,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.jit import entry


@entry
def full_forward(net: int, x: int, work: int) -> None:
    """All activations of ``x`` into NEW, winners into WINNER; ACTS is the same blob.

    ``x``: address of (L, 4) floats. Every row counts as changed, so each is computed from scratch.
    """
    base, pitch = get(node(net, 0), col.BASE), get(node(net, 0), col.PITCH)
    length = get(node(net, 0), col.ROWS)
    for i in range(length):
        for b in range(4):
            value = load_scalar(x + (i * 4 + b) * 4)
            store_scalar(get(work, f.NEW) + (base + i * pitch + b) * 4, value)
    for i in range(get(net, f.ROWS)):
        set_flag(get(work, f.CHANGED), i, 1)
    add_span(get(work, f.SPANS), get(work, f.COUNTS), np.int64(0), np.int64(0), length - 1)
    for n in range(1, get(net, f.NODES)):
        op = get(node(net, n), col.OP)
        reached(net, work, n)
        if op == col.CONV or op == col.MAX_POOL or op == col.AVERAGE_POOL:
            # rows that no input reaches (padding only) are computed too
            last = get(node(net, n), col.ROWS) - 1
            add_span(get(work, f.SPANS), get(work, f.COUNTS), n, np.int64(0), last)
        if op == col.CONV:
            convolution_whole(net, work, n)
        else:
            call(get(node(net, n), col.UP_CODE), net, work, n)
    forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))


@entry
def full_backward(net: int, top: int, work: int, floats: int) -> None:
    """What arrives at every node of the original's trunk, into DIFFERENCE; PLAIN is set.

    ``top``: what comes from the head, at the nodes that it reads.
    """
    zero = splat(np.float32(0))
    for i in range(floats >> 4):
        store(get(work, f.DIFFERENCE) + i * 64, zero)
    for n in range(get(net, f.NODES)):
        t = node(net, n)
        if get(t, col.TOP) < 0:
            continue
        last = get(t, col.ROWS) - 1
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), n, np.int64(0), last)
        for i in range(get(t, col.ROWS)):
            row = touch(net, work, n, i)
            for v in range(get(t, col.PITCH) >> 4):
                store(
                    row + v * 64, load(top + (get(t, col.TOP) + i * get(t, col.PITCH) + v * 16) * 4)
                )
    call(get(work, f.BACKWARD), net, work + f.SELF * 8, np.int64(1))
    forget(net, get(work, f.MOVED), get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS))


@entry
def full_quotients(net: int, work: int) -> None:
    """The original's Rescale multipliers at every activation, into QUOTIENTS."""
    epsilon = load_scalar(work + f.EPSILON * 8)
    acts, reference, out = get(work, f.ACTS), get(work, f.REFERENCE), get(work, f.QUOTIENTS)
    for n in range(get(net, f.NODES)):
        t = node(net, n)
        if get(t, col.OP) != col.ACTIVATION:
            continue
        below, pitch = node(net, get(t, col.SOURCE)), get(t, col.PITCH)
        for i in range(get(t, col.ROWS)):
            p = (get(below, col.BASE) + i * pitch) * 4
            o = (get(t, col.BASE) + i * pitch) * 4
            slope = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
            for v in range(0, pitch * 4, 64):
                store(out + o + v, quotient_at(acts + p + v, reference + p + v, slope + v, epsilon))

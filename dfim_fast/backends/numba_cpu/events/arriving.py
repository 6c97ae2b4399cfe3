"""u = J^T g': what arrives at a node of the original's trunk, wanted at the few gates that flip.

``ROWS_OF_U``: the head is linear, so u is the original's own gradient, a blob of rows.
``DOT``: u is a combination of basis vectors, which lie side by side for every (row, channel).
``LANE``: the vectors that lie side by side are the mutants' own; each reads its lane.
``U_KNOWN`` marks the entries that hold something; the others are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import node
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    first_bit,
    flag,
    flags_set,
    fma,
    get,
    load,
    load_scalar,
    splat,
    store,
    store_scalar,
    total,
)
from dfim_fast.jit import kernel

ROWS_OF_U, DOT, LANE = 0, 1, 2


@kernel
def arriving_at(net: int, work: int, n: int, i: int, c: int) -> Any:
    """One value of u."""
    row = node(net, n)
    values = get(work, f.U_VALUES)
    if get(work, f.U_KIND) == ROWS_OF_U:
        return load_scalar(values + (get(row, col.BASE) + i * get(row, col.PITCH) + c) * 4)
    entry = get(row, col.ENTRY) + i * get(row, col.CHANNELS) + c
    if flag(get(work, f.U_KNOWN), entry) == 0:
        return np.float32(0)
    lanes = get(work, f.U_LANES)
    at = values + entry * lanes * 4
    if get(work, f.U_KIND) == LANE:
        return load_scalar(at + get(work, f.U_LANE) * 4)
    return dot(at, get(work, f.U_COEFFICIENT), lanes)


@kernel
def dot(a: int, b: int, lanes: int) -> Any:
    """Sum of a * b over whole vectors."""
    # two sums, so that one multiply-add need not wait for the last
    s, t = splat(np.float32(0)), splat(np.float32(0))
    v = 0
    while v + 32 <= lanes:
        s = fma(load(a + v * 4), load(b + v * 4), s)
        t = fma(load(a + v * 4 + 64), load(b + v * 4 + 64), t)
        v += 32
    if v < lanes:
        s = fma(load(a + v * 4), load(b + v * 4), s)
    return total(add(s, t))


@kernel
def dots(values: int, coefficient: int, lanes: int, bits: int, out: int) -> None:
    """``dot`` of some of 16 neighbouring entries with the same coefficients.

    The same sums in the same order, but that 64 coefficients stay in registers.
    """
    zero, width = splat(np.float32(0)), lanes * 4
    if lanes != 64:
        while bits != 0:
            c = first_bit(bits)
            bits &= bits - 1
            store_scalar(out + c * 4, dot(values + c * width, coefficient, lanes))
        return
    p, q = load(coefficient), load(coefficient + 64)
    m, n = load(coefficient + 128), load(coefficient + 192)
    while bits != 0:
        c = first_bit(bits)
        bits &= bits - 1
        at = values + c * width
        s = fma(load(at + 128), m, fma(load(at), p, zero))
        t = fma(load(at + 192), n, fma(load(at + 64), q, zero))
        store_scalar(out + c * 4, total(add(s, t)))


@kernel
def arriving_row(net: int, work: int, n: int, i: int, v: int, bits: int) -> int:
    """Address of 16 values of u, of which only the lanes in ``bits`` need hold anything."""
    t = node(net, n)
    if get(work, f.U_KIND) == ROWS_OF_U:
        return get(work, f.U_VALUES) + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4 + v * 64
    entry = get(t, col.ENTRY) + i * get(t, col.CHANNELS) + v * 16
    bits &= flags_set(get(work, f.U_KNOWN) + entry)
    scratch = get(work, f.SCRATCH)
    store(scratch, splat(np.float32(0)))
    lanes = get(work, f.U_LANES)
    at = get(work, f.U_VALUES) + entry * lanes * 4
    if get(work, f.U_KIND) == DOT:
        dots(at, get(work, f.U_COEFFICIENT), lanes, bits, scratch)
        return scratch
    at += get(work, f.U_LANE) * 4
    while bits != 0:
        c = first_bit(bits)
        bits &= bits - 1
        store_scalar(scratch + c * 4, load_scalar(at + c * lanes * 4))
    return scratch

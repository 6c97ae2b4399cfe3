"""u = J^T g': what arrives at a node of the original's trunk, wanted at the few gates that flip.

``ROWS_OF_U``: the original's own gradient, a blob of rows; all there is where the head is linear.
``DOT``: to that comes a combination of basis vectors, which lie side by side for every (row,
channel). A mutant that changes none of the head's multipliers goes as ``ROWS_OF_U``, one that
changes a ``FEW`` only looks those up.
``LANE``: the vectors that lie side by side are the mutants' own; each reads its lane.
``U_KNOWN`` has, for every entry, 1 + the number of its vector, or 0 where nothing arrives; what is
read there is multiplied by its ``U_SCALE`` (see ``basis``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import node
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    first_bit,
    fma,
    get,
    get_short,
    lanes_set,
    load,
    load_scalar,
    put,
    select,
    shorts_set,
    splat,
    store,
    total,
)
from dfim_fast.jit import kernel

ROWS_OF_U, DOT, LANE, FEW = 0, 1, 2, 3
MOST = 8  # coefficients that are faster looked up one by one


@kernel
def choose_way(work: int) -> None:
    """Settle how a mutant's combination is made, by how many of its coefficients are not zero."""
    coefficient, listed, count = get(work, f.U_COEFFICIENT), get(work, f.U_LIST), np.int64(0)
    for v in range(get(work, f.U_LANES) >> 4):
        bits = differ(load(coefficient + v * 64), splat(np.float32(0)))
        count += lanes_set(listed + count * 4, v * 16, bits)
        if count > MOST:
            put(work, f.U_KIND, DOT)
            return
    put(work, f.U_COUNT, count)
    put(work, f.U_KIND, FEW if count > 0 else ROWS_OF_U)


@kernel
def arriving_at(net: int, work: int, n: int, i: int, c: int) -> Any:
    """One value of u."""
    lane = c & 15
    return load_scalar(arriving_row(net, work, n, i, c >> 4, np.int64(1) << lane) + lane * 4)


@kernel
def vector_of(work: int, entry: int) -> int:
    """Address of an entry's vector, which is known."""
    vector = get_short(get(work, f.U_KNOWN), entry) - 1
    return get(work, f.U_VALUES) + vector * get(work, f.U_LANES) * 4


@kernel
def few(values: int, coefficient: int, listed: int, count: int) -> Any:
    """The listed coefficients times their values."""
    s = np.float32(0)
    for j in range(count):
        k = get_short(listed, j) * 4
        s += load_scalar(coefficient + k) * load_scalar(values + k)
    return s


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
def arriving_row(net: int, work: int, n: int, i: int, v: int, bits: int) -> int:
    """Address of 16 values of u, of which only the lanes in ``bits`` need hold anything."""
    t, kind = node(net, n), get(work, f.U_KIND)
    own = get(work, f.U_ROWS) + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4 + v * 64
    if kind == ROWS_OF_U:
        return own
    far = far_row(net, work, n, i, v, bits)
    if kind != LANE:
        store(far, add(load(own), load(far)))
    return far


@kernel
def far_row(net: int, work: int, n: int, i: int, v: int, bits: int) -> int:
    """The part of ``arriving_row`` that is not the original's own; not for ``ROWS_OF_U``."""
    t, kind = node(net, n), get(work, f.U_KIND)
    entry = get(t, col.ENTRY) + i * get(t, col.CHANNELS) + v * 16
    bits &= shorts_set(get(work, f.U_KNOWN) + entry * 4)
    scratch, found = get(work, f.SCRATCH), splat(np.float32(0))
    if bits == 0:
        store(scratch, found)
        return scratch
    # looked up once: what is stored below might be any of it, as far as the compiler knows
    known, lanes = get(work, f.U_KNOWN) + entry * 4, get(work, f.U_LANES)
    values, lane = get(work, f.U_VALUES) - lanes * 4, get(work, f.U_LANE) * 4
    coefficient, listed = get(work, f.U_COEFFICIENT), get(work, f.U_LIST)
    scales, count = get(work, f.U_SCALE) + entry * 4, get(work, f.U_COUNT)
    while bits != 0:
        c = first_bit(bits)
        at = values + get_short(known, c) * lanes * 4
        if kind == DOT:
            value = dot(at, coefficient, lanes)
        elif kind == FEW:
            value = few(at, coefficient, listed, count)
        else:
            value = load_scalar(at + lane)
        found = select(bits & -bits, splat(value * load_scalar(scales + c * 4)), found)
        bits &= bits - 1
    store(scratch, found)
    return scratch

"""u = J^T g': what arrives at a node of the original's trunk, wanted at the few gates that flip.

``ROWS_OF_U``: the head is linear, so u is the original's own gradient, a blob of rows.
``DOT``: u is a combination of basis vectors, which lie side by side for every entry.
``LANE``: the vectors that lie side by side are the mutants' own; each reads its lane.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.layout import Net
from dfim_fast.backends.numba_cpu.events.simd import (
    first_bit,
    fma,
    load,
    load_scalar,
    splat,
    store,
    store_scalar,
    total,
)

ROWS_OF_U, DOT, LANE = 0, 1, 2


class Arriving(NamedTuple):
    """Where u is found.

    Attributes
    ----------
    kind : int
    values : int
        Address of a blob of rows, or of ``lanes`` floats per entry.
    lanes : int
        Basis vectors, padded to whole vectors.
    known : ndarray uint8 (entries,)
        Which entries hold something; the others are zero. Not read for ROWS_OF_U.
    coefficient : int
        Address of the mutant's ``lanes`` coefficients (DOT).
    lane : int
    """

    kind: int
    values: int
    lanes: int
    known: np.ndarray
    coefficient: int
    lane: int


@njit(nogil=True, cache=True)
def arriving_at(net: Net, u: Arriving, n: int, i: int, c: int) -> float:
    """One value of u."""
    t = net.table[n]
    if u.kind == ROWS_OF_U:
        return load_scalar(u.values + (t[col.BASE] + i * t[col.PITCH] + c) * 4)
    entry = t[col.ENTRY] + i * t[col.CHANNELS] + c
    if u.known[entry] == 0:
        return np.float32(0)
    at = u.values + entry * u.lanes * 4
    if u.kind == LANE:
        return load_scalar(at + u.lane * 4)
    s = splat(np.float32(0))
    for v in range(u.lanes >> 4):
        s = fma(load(at + v * 64), load(u.coefficient + v * 64), s)
    return total(s)


@njit(nogil=True, cache=True)
def arriving_row(net: Net, u: Arriving, n: int, i: int, v: int, bits: int, scratch: int) -> int:
    """Address of 16 values of u, of which only the lanes in ``bits`` need hold anything."""
    t = net.table[n]
    if u.kind == ROWS_OF_U:
        return u.values + (t[col.BASE] + i * t[col.PITCH]) * 4 + v * 64
    store(scratch, splat(np.float32(0)))
    while bits != 0:
        c = first_bit(bits)
        bits &= bits - 1
        store_scalar(scratch + c * 4, arriving_at(net, u, n, i, v * 16 + c))
    return scratch

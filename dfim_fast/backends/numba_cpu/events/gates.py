"""Multipliers of piecewise-linear head units, and what comes of them, for all mutants at once.

Matrices are given by address and by the bytes from one row to the next; rows start at whole cache
lines and are read and written as whole vectors.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events.forward import activation_row
from dfim_fast.backends.numba_cpu.events.multipliers import quotient_at, slope_at
from dfim_fast.backends.numba_cpu.events.simd import (
    differ,
    first_bit,
    get,
    load,
    load_scalar,
    multiply,
    put,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.jit import entry


@entry
def activated(x: int, pitch: int, many: int, vectors: int, below: int, out: int) -> None:
    """y = x where x > 0, else below * x; ``many`` rows, those of ``out`` are ``vectors`` long."""
    for m in range(many):
        activation_row(x + m * pitch, out + m * vectors * 64, below, vectors)


@entry
def gates_of(
    x: int, pitch: int, many: int, vectors: int, reference: int, below: int, epsilon: float,
    out: int,
) -> None:  # fmt: skip
    """Multipliers of ``many`` rows x, into rows of ``out`` that are ``vectors`` long.

    Slopes, or quotients against one row where ``reference`` is not 0; ``below``: slopes where x is
    not above zero.
    """
    for m in range(many):
        at, to = x + m * pitch, out + m * vectors * 64
        for v in range(0, vectors * 64, 64):
            if reference:
                store(to + v, quotient_at(at + v, reference + v, below + v, epsilon))
            else:
                store(to + v, slope_at(at + v, below + v))


@entry
def differing(new: int, many: int, vectors: int, width: int, old: int, picked: int) -> int:
    """Which of ``width`` columns differ from the row ``old`` in any row of ``new``, and how many.

    ``picked``: room for an int64 per column and per vector.
    """
    bits = picked + vectors * 128
    for v in range(vectors):
        put(bits, v, 0)
    for m in range(many):
        at = new + m * vectors * 64
        for v in range(vectors):
            put(bits, v, get(bits, v) | differ(load(at + v * 64), load(old + v * 64)))
    count = 0
    for v in range(vectors):
        left = get(bits, v) & ((1 << min(16, width - v * 16)) - 1)
        while left != 0:
            put(picked, count, v * 16 + first_bit(left))
            left &= left - 1
            count += 1
    return count


@entry
def weighted_changes(
    new: int, many: int, vectors: int, old: int, g: int, g_pitch: int, picked: int, count: int,
    scratch: int, out: int, out_pitch: int,
) -> None:  # fmt: skip
    """(new - old) * g at the picked columns, side by side into rows of ``out``.

    ``g_pitch`` is 0 where all rows share one g; ``scratch``: room for a row.
    """
    for m in range(many):
        at, to = new + m * vectors * 64, out + m * out_pitch
        for v in range(0, vectors * 64, 64):
            change = subtract(load(at + v), load(old + v))
            store(scratch + v, multiply(change, load(g + m * g_pitch + v)))
        for j in range(count):
            store_scalar(to + j * 4, load_scalar(scratch + get(picked, j) * 4))


@entry
def picks(v: np.ndarray, unit: np.ndarray, scale: np.ndarray) -> int:
    """From which row of v (F, H) on all hold one number at most: where, and which, for each row."""
    first = 0
    for i in range(len(v)):
        count = 0
        unit[i], scale[i] = 0, 0
        for h in range(v.shape[1]):
            if v[i, h] != 0:
                count += 1
                unit[i], scale[i] = h, v[i, h]
        if count > 1:
            first = i + 1
    return first


@entry
def pick_columns(
    weight: int, pitch: int, step: int, rows: int, unit: int, scale: int, count: int, out: int,
    out_pitch: int,
) -> None:  # fmt: skip
    """Columns unit[i] of ``rows`` rows of weight times scale[i], side by side into ``out``.

    ``step``: bytes from one column of weight to the next.
    """
    for n in range(rows):
        at, to = weight + n * pitch, out + n * out_pitch
        for i in range(count):
            value = load_scalar(at + get(unit, i) * step) * load_scalar(scale + i * 4)
            store_scalar(to + i * 4, value)

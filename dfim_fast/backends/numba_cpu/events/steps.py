"""Which function takes one mutant through which operator, and which loops convolutions need.

Only what a network needs is ever compiled.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.backward import average_pool_back, rearranged_back
from dfim_fast.backends.numba_cpu.events.finish import HALVES
from dfim_fast.backends.numba_cpu.events.forward import join_rows, pick_rows, pool, row_by_row
from dfim_fast.backends.numba_cpu.events.gating import activation_back
from dfim_fast.backends.numba_cpu.events.pool_back import max_pool_back, max_pool_share
from dfim_fast.backends.numba_cpu.events.pull import (
    ALL_BASES,
    BASES,
    MORE,
    QUOTIENTS,
    SLOPES,
    VALUES,
    WRITE,
    compile_pull,
)
from dfim_fast.jit import ByAddress

UP: dict[int, ByAddress] = {
    col.MAX_POOL: pool,
    col.AVERAGE_POOL: pool,
    col.CONCAT_ROWS: join_rows,
    col.TAKE_ROWS: pick_rows,
}
DOWN: dict[int, ByAddress] = {
    col.ACTIVATION: activation_back,
    col.MAX_POOL: max_pool_back,
    col.AVERAGE_POOL: average_pool_back,
}


def enter_steps(table: np.ndarray, index: np.ndarray, rule: int) -> None:
    """Write the functions' addresses into the table; make the loops of convolutions."""
    for kind, halves in loops(table, index, rule):
        compile_pull(kind, halves)
    for row in table:
        op = int(row[col.OP])
        if op in (col.INPUT, col.CONV):
            continue
        down = DOWN.get(op, rearranged_back)
        if op == col.MAX_POOL and rule == col.SHAP:
            down = max_pool_share
        row[col.UP_CODE] = UP.get(op, row_by_row).address
        row[col.DOWN_CODE] = down.address


def loops(table: np.ndarray, index: np.ndarray, rule: int) -> Iterator[tuple[int, int]]:
    """Kind and half vectors of every ``pull`` that a network calls."""
    gated = SLOPES if rule == col.GRADIENT else QUOTIENTS
    for row in table:
        if row[col.CHAIN] & col.GATE and not row[col.CHAIN] & col.FROM_ABOVE:
            halves = -(-int(row[col.CHANNELS]) // 8)
            yield from ((gated, min(HALVES, halves - i)) for i in range(0, halves, HALVES))
        if row[col.OP] != col.CONV:
            continue
        # blocks, the first of them, rows between the taps that one row meets, and in a chain
        ways = [(row[col.FORWARD], 1, row[col.DILATION], col.UP, VALUES)]
        if row[col.BACK]:
            ways.append((row[col.BACK], 3, row[col.FORWARD_STEP], col.DOWN, gated))
        else:
            yield BASES, ALL_BASES
        for place, first, step, chain, finished in ways:
            for halves in blocks(index, place, first):
                yield WRITE, halves
                if step > 1:
                    yield MORE, halves
                if row[col.CHAIN] & chain:
                    yield finished, halves


def blocks(index: np.ndarray, place: int, first: int) -> list[int]:
    """Half vectors of the blocks listed at ``place``, of which the first begins ``first`` later."""
    start = place + first
    return [int(index[start + 3 * b + 1]) for b in range(index[place])]

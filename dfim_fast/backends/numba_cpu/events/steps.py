"""Which function takes one mutant through which operator; convolutions take a group at a time.

Only what a network needs is ever compiled.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.backward import average_pool_back, rearranged_back
from dfim_fast.backends.numba_cpu.events.forward import join_rows, pick_rows, pool, row_by_row
from dfim_fast.backends.numba_cpu.events.gating import activation_back
from dfim_fast.backends.numba_cpu.events.pool_back import max_pool_back, max_pool_share
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


def enter_steps(table: np.ndarray, rule: int) -> None:
    """Write the functions' addresses into the table."""
    for row in table:
        op = int(row[col.OP])
        if op in (col.INPUT, col.CONV):
            continue
        down = DOWN.get(op, rearranged_back)
        if op == col.MAX_POOL and rule == col.SHAP:
            down = max_pool_share
        row[col.UP_CODE] = UP.get(op, row_by_row).address
        row[col.DOWN_CODE] = down.address

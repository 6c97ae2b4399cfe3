"""Max pools backward: gradients, and DeepLIFT's two rules."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import node, span
from dfim_fast.backends.numba_cpu.events.arriving import arriving_at
from dfim_fast.backends.numba_cpu.events.changed import row_of
from dfim_fast.backends.numba_cpu.events.multipliers import shares
from dfim_fast.backends.numba_cpu.events.scatter import clear
from dfim_fast.backends.numba_cpu.events.simd import (
    flag,
    get,
    load_scalar,
    set_flag,
    store_scalar,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
from dfim_fast.jit import kernel


@kernel
def touch(net: int, work: int, n: int, i: int) -> int:
    """Address of row i of ``difference``, cleared at first use."""
    t = node(net, n)
    row = get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4
    if flag(get(work, f.MOVED), get(t, col.FLAGS) + i) == 0:
        clear(row, get(t, col.PITCH))
        set_flag(get(work, f.MOVED), get(t, col.FLAGS) + i, 1)
    return row


@kernel
def add_to(net: int, work: int, n: int, i: int, c: int, value: float) -> None:
    """difference[i, c] += value."""
    if value != 0:
        at = touch(net, work, n, i) + c * 4
        store_scalar(at, load_scalar(at) + value)


@kernel
def max_pool_back(net: int, work: int, n: int) -> None:
    """All that arrives goes to the winner of x (gradient, and DeepLIFT's own rule)."""
    winners = get(work, f.WINNERS)
    plain = get(work, f.PLAIN)
    t = node(net, n)
    s = get(t, col.SOURCE)
    pitch = get(t, col.PITCH)
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        a, b = span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1)
        low, high = rows_read(
            a,
            b,
            get(t, col.KERNEL),
            get(t, col.STRIDE),
            get(t, col.DILATION),
            get(t, col.PAD),
            get(node(net, s), col.ROWS),
        )
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
        for i in range(a, b + 1):
            moved = flag(get(work, f.MOVED), get(t, col.FLAGS) + i) != 0
            changed = not plain and flag(get(work, f.CHANGED), get(t, col.FLAGS) + i) != 0
            if not moved and not changed:
                continue
            for c in range(get(t, col.CHANNELS)):
                dv = np.float32(0)
                if moved:
                    dv = load_scalar(
                        get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * pitch + c) * 4
                    )
                w = np.int64(load_scalar(winners + (get(t, col.WINNER) + i * pitch + c) * 4))
                z = w
                if changed:
                    z = np.int64(
                        load_scalar(get(work, f.WINNER) + (get(t, col.WINNER) + i * pitch + c) * 4)
                    )
                if z == w:
                    add_to(net, work, s, w, c, dv)
                else:
                    arrives = arriving_at(net, work, n, i, c)
                    add_to(net, work, s, z, c, dv + arrives)
                    add_to(net, work, s, w, c, -arrives)


@kernel
def max_pool_share(net: int, work: int, n: int) -> None:
    """Shared between the winners of x and r (rule "shap")."""
    acts = get(work, f.ACTS)
    reference = get(work, f.REFERENCE)
    winners = get(work, f.WINNERS)
    reference_winners = get(work, f.REFERENCE_WINNERS)
    plain, epsilon = get(work, f.PLAIN), load_scalar(work + f.EPSILON * 8)
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    pitch = get(t, col.PITCH)
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        a, b = span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1)
        low, high = rows_read(
            a,
            b,
            get(t, col.KERNEL),
            get(t, col.STRIDE),
            get(t, col.DILATION),
            get(t, col.PAD),
            get(below, col.ROWS),
        )
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
        for i in range(a, b + 1):
            moved = flag(get(work, f.MOVED), get(t, col.FLAGS) + i) != 0
            changed = not plain and flag(get(work, f.CHANGED), get(t, col.FLAGS) + i) != 0
            if not moved and not changed:
                continue
            o = (get(t, col.BASE) + i * pitch) * 4
            k = (get(t, col.WINNER) + i * pitch) * 4
            for c in range(get(t, col.CHANNELS)):
                dv = np.float32(0)
                if moved:
                    dv = load_scalar(get(work, f.DIFFERENCE) + o + c * 4)
                w = np.int64(load_scalar(winners + k + c * 4))
                r = np.int64(load_scalar(reference_winners + k + c * 4))
                y0 = load_scalar(reference + o + c * 4)
                r_at_w = load_scalar(reference + (get(below, col.BASE) + w * pitch + c) * 4)
                x_at_r = load_scalar(acts + (get(below, col.BASE) + r * pitch + c) * 4)
                y = load_scalar(acts + o + c * 4)
                z, new_y, new_at_r = w, y, x_at_r
                if changed:
                    z = np.int64(load_scalar(get(work, f.WINNER) + k + c * 4))
                    new_y = load_scalar(get(work, f.NEW) + o + c * 4)
                    new_at_r = load_scalar(row_of(net, work, s, r) + c * 4)
                same = z == w and new_y == y and new_at_r == x_at_r
                if same and dv == 0:
                    continue
                to_x, to_r = shares(y, y0, r_at_w, x_at_r, epsilon)
                if same:
                    add_to(net, work, s, w, c, to_x * dv)
                    add_to(net, work, s, r, c, to_r * dv)
                    continue
                r_at_z = load_scalar(reference + (get(below, col.BASE) + z * pitch + c) * 4)
                to_z, to_s = shares(new_y, y0, r_at_z, new_at_r, epsilon)
                arrives = np.float32(0)
                if z != w or to_z != to_x or to_s != to_r:
                    arrives = arriving_at(net, work, n, i, c)
                if z == w:
                    add_to(net, work, s, w, c, to_z * dv + (to_z - to_x) * arrives)
                else:
                    add_to(net, work, s, z, c, to_z * (dv + arrives))
                    add_to(net, work, s, w, c, -to_x * arrives)
                add_to(net, work, s, r, c, to_s * dv + (to_s - to_r) * arrives)

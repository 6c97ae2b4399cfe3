"""Max pools backward: gradients, and DeepLIFT's two rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import node, span
from dfim_fast.backends.numba_cpu.events.arriving import arriving_at, arriving_row
from dfim_fast.backends.numba_cpu.events.changed import row_of
from dfim_fast.backends.numba_cpu.events.lists import clear
from dfim_fast.backends.numba_cpu.events.multipliers import shares
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    equal,
    first_bit,
    flag,
    get,
    load,
    load_scalar,
    put,
    select,
    set_flag,
    splat,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
from dfim_fast.jit import by_address, kernel


@kernel
def touch(net: int, work: int, n: int, i: int) -> int:
    """Address of row i of ``difference``, cleared at first use."""
    t = node(net, n)
    row = get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4
    if flag(get(work, f.MOVED), get(t, col.FLAGS) + i) == 0:
        if get(t, col.PITCH) < 16:
            for c in range(4):
                store_scalar(row + 4 * c, np.float32(0))
        else:
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
def send_window(net: int, work: int, n: int, i: int, moved: bool, changed: bool) -> int:
    """What the mutant's winners of window i get, and what the original's winners lose.

    dv goes to the mutant's winner; where that is not the original's, what arrives in the original
    goes from the one to the other. Both are put into ``DELTA``, one behind the other; returns how
    many vectors hold any, which ``CHANNEL`` lists: twice their number, plus one if some winner is
    another.
    """
    t, zero = node(net, n), splat(np.float32(0))
    pitch = get(t, col.PITCH)
    o, k = (get(t, col.BASE) + i * pitch) * 4, (get(t, col.WINNER) + i * pitch) * 4
    sent, listed = get(work, f.DELTA), get(work, f.CHANNEL)
    count: Any = np.int64(0)
    for v in range(pitch >> 4):
        turned = np.int64(0)
        if changed:
            turned = differ(
                load(get(work, f.WINNER) + k + v * 64), load(get(work, f.WINNERS) + k + v * 64))
        dv = load(get(work, f.DIFFERENCE) + o + v * 64) if moved else zero
        a = zero
        if turned:
            a = select(turned, load(arriving_row(net, work, n, i, v, turned)), zero)
        dv = add(dv, a)
        if turned | differ(dv, zero):
            store(sent + v * 64, dv)
            store(sent + (pitch + v * 16) * 4, a)
            put(listed, count, 2 * v + (1 if turned else 0))
            count += 1
    return count


@kernel
def reach_row(net: int, work: int, n: int, i: int, r: int, changed: bool, count: int) -> None:
    """The part of window i (see ``send_window``) that row r gets or loses."""
    t, zero, here = node(net, n), splat(np.float32(0)), splat(np.float32(r))
    s, pitch = get(t, col.SOURCE), get(t, col.PITCH)
    k = (get(t, col.WINNER) + i * pitch) * 4
    old = get(work, f.WINNERS) + k
    new = get(work, f.WINNER) + k if changed else old
    sent, listed = get(work, f.DELTA), get(work, f.CHANNEL)
    flags = get(node(net, s), col.FLAGS) + r
    row = get(work, f.DIFFERENCE) + (get(node(net, s), col.BASE) + r * pitch) * 4
    # nothing has come here and nothing is left out: no need to clear the row first
    whole = count == pitch >> 4 and flag(get(work, f.MOVED), flags) == 0
    any_set = np.int64(0)
    for e in range(count):
        v = (get(listed, e) >> 1) * 64
        to = equal(load(new + v), here)
        out = select(to, load(sent + v), zero)
        if get(listed, e) & 1:
            taken = equal(load(old + v), here)
            out = subtract(out, select(taken, load(sent + pitch * 4 + v), zero))
        some = differ(out, zero)
        if whole:
            any_set |= some
            store(row + v, out)
        elif some:
            touch(net, work, s, r)
            store(row + v, add(load(row + v), out))
    if any_set:
        set_flag(get(work, f.MOVED), flags, 1)


@by_address("void(int64, int64, int64)")
def max_pool_back(net: int, work: int, n: int) -> None:
    """All that arrives goes to the winner of x (gradient, and DeepLIFT's own rule)."""
    plain = get(work, f.PLAIN)
    t = node(net, n)
    s = get(t, col.SOURCE)
    rows = get(node(net, s), col.ROWS)
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        a, b = span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1)
        low, high = rows_read(
            a,
            b,
            get(t, col.KERNEL),
            get(t, col.STRIDE),
            get(t, col.DILATION),
            get(t, col.PAD),
            rows,
        )
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
        for i in range(a, b + 1):
            moved = flag(get(work, f.MOVED), get(t, col.FLAGS) + i) != 0
            changed = not plain and flag(get(work, f.CHANGED), get(t, col.FLAGS) + i) != 0
            if not moved and not changed:
                continue
            count = send_window(net, work, n, i, moved, changed)
            if count == 0:
                continue
            top = i * get(t, col.STRIDE) - get(t, col.PAD)
            for j in range(get(t, col.KERNEL)):
                r = top + j * get(t, col.DILATION)
                if 0 <= r < rows:
                    reach_row(net, work, n, i, r, changed, count)


@kernel
def touched_lanes(net: int, work: int, n: int, i: int, v: int) -> int:
    """Channels of a window whose pooled value, winner, or value where r wins changed."""
    t = node(net, n)
    s, pitch = get(t, col.SOURCE), get(t, col.PITCH)
    below, acts = node(net, s), get(work, f.ACTS)
    o = (get(t, col.BASE) + i * pitch + v * 16) * 4
    k = (get(t, col.WINNER) + i * pitch + v * 16) * 4
    bits = differ(load(get(work, f.NEW) + o), load(acts + o))
    bits |= differ(load(get(work, f.WINNER) + k), load(get(work, f.WINNERS) + k))
    r = load(get(work, f.REFERENCE_WINNERS) + k)
    first = i * get(t, col.STRIDE) - get(t, col.PAD)
    for j in range(first, first + get(t, col.KERNEL) * get(t, col.DILATION), get(t, col.DILATION)):
        if 0 <= j < get(below, col.ROWS) and flag(
            get(work, f.CHANGED), get(below, col.FLAGS) + j
        ):
            x = (get(below, col.BASE) + j * pitch + v * 16) * 4
            other = differ(load(get(work, f.NEW) + x), load(acts + x))
            bits |= other & equal(r, splat(np.float32(j)))
    return bits


@kernel
def share(
    net: int, work: int, n: int, i: int, c: int, moved: bool, changed: bool, epsilon: float
) -> None:
    """One channel of a window, shared between the winners of x and r."""
    t = node(net, n)
    s, pitch = get(t, col.SOURCE), get(t, col.PITCH)
    below, acts, reference = node(net, s), get(work, f.ACTS), get(work, f.REFERENCE)
    o = (get(t, col.BASE) + i * pitch + c) * 4
    k = (get(t, col.WINNER) + i * pitch + c) * 4
    dv = load_scalar(get(work, f.DIFFERENCE) + o) if moved else np.float32(0)
    w = np.int64(load_scalar(get(work, f.WINNERS) + k))
    r = np.int64(load_scalar(get(work, f.REFERENCE_WINNERS) + k))
    y0 = load_scalar(reference + o)
    r_at_w = load_scalar(reference + (get(below, col.BASE) + w * pitch + c) * 4)
    x_at_r = load_scalar(acts + (get(below, col.BASE) + r * pitch + c) * 4)
    y = load_scalar(acts + o)
    z, new_y, new_at_r = w, y, x_at_r
    if changed:
        z = np.int64(load_scalar(get(work, f.WINNER) + k))
        new_y = load_scalar(get(work, f.NEW) + o)
        new_at_r = load_scalar(row_of(net, work, s, r) + c * 4)
    to_x, to_r = shares(y, y0, r_at_w, x_at_r, epsilon)
    if z == w and new_y == y and new_at_r == x_at_r:
        add_to(net, work, s, w, c, to_x * dv)
        add_to(net, work, s, r, c, to_r * dv)
        return
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


@by_address("void(int64, int64, int64)")
def max_pool_share(net: int, work: int, n: int) -> None:
    """Shared between the winners of x and r (rule "shap")."""
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
            for v in range(pitch >> 4):
                bits = np.int64(0)
                if moved:
                    bits = differ(
                        load(get(work, f.DIFFERENCE) + o + v * 64), splat(np.float32(0)))
                if changed:
                    bits |= touched_lanes(net, work, n, i, v)
                left = get(t, col.CHANNELS) - v * 16
                if left < 16:
                    bits &= (1 << left) - 1
                while bits != 0:
                    share(net, work, n, i, v * 16 + first_bit(bits), moved, changed, epsilon)
                    bits &= bits - 1

"""One mutant after the other: forward, backward against every reference, its row of the map."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import case as c
from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.arriving import DOT, arriving_at, choose_way
from dfim_fast.backends.numba_cpu.events.backward import forget
from dfim_fast.backends.numba_cpu.events.closing import close_row
from dfim_fast.backends.numba_cpu.events.forward import head_inputs, linear_score
from dfim_fast.backends.numba_cpu.events.lists import restore
from dfim_fast.backends.numba_cpu.events.need import ask_for_targets
from dfim_fast.backends.numba_cpu.events.replay import KEEP, REPLAY, carry
from dfim_fast.backends.numba_cpu.events.simd import (
    call,
    flag,
    get,
    load_scalar,
    put,
    set_flag,
    store_scalar,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.jit import entry, kernel


@kernel
def column(mutated: int, m: int, j: int) -> int:
    """Address of the four values that stand at position j of the mutant's span."""
    return get(mutated, c.COLUMNS) + (m * get(mutated, c.WIDEST) + j) * 16


@kernel
def mutate(net: int, mutated: int, m: int, work: int) -> None:
    """Enter the mutant's own columns at node 0."""
    start, width = get(get(mutated, c.START), m), get(get(mutated, c.WIDTH), m)
    base, pitch = get(node(net, 0), col.BASE), get(node(net, 0), col.PITCH)
    for j in range(width):
        new, to = column(mutated, m, j), get(work, f.NEW) + (base + (start + j) * pitch) * 4
        for b in range(pitch):
            store_scalar(to + b * 4, load_scalar(new + b * 4) if b < 4 else np.float32(0))
        set_flag(get(work, f.CHANGED), start + j, 1)
    add_span(get(work, f.SPANS), get(work, f.COUNTS), np.int64(0), start, start + width - 1)


@kernel
def alike(mutated: int, first: int, last: int, most: int) -> int:
    """How many mutants from ``first`` on change the same span, and so can be walked together."""
    start, width = get(mutated, c.START), get(mutated, c.WIDTH)
    size = 1
    while (
        size < most
        and first + size < last
        and get(start, first + size) == get(start, first)
        and get(width, first + size) == get(width, first)
    ):
        size += 1
    return size


@kernel
def own_reading(how: int, new: int, b: int, reference: int) -> float:
    """What the multiplier of base b at a position that reads ``new`` is multiplied with."""
    x = load_scalar(new + b * 4)
    if how == c.TIMES_INPUT:
        return x
    if how == c.CENTRED:
        return x - (
            load_scalar(new) + load_scalar(new + 4) + load_scalar(new + 8) + load_scalar(new + 12)
        ) * np.float32(0.25)
    if how == c.PROJECTED:
        return x - load_scalar(reference + b * 4)
    return x * (np.float32(1) - load_scalar(reference + b * 4))


@kernel
def near_part(
    net: int, case: int, mutated: int, m: int, r: int, far: int, own: int, work: int
) -> None:
    """Take one reference's changes from ``far`` (L,), and add the source's own to ``own`` (w,)."""
    base, pitch = get(node(net, 0), col.BASE), get(node(net, 0), col.PITCH)
    start, width = get(get(mutated, c.START), m), get(get(mutated, c.WIDTH), m)
    share = load_scalar(get(case, c.SHARE) + r * 4)
    first = r * get(case, c.LENGTH) * 16
    difference, moved = get(work, f.DIFFERENCE) + base * 4, get(work, f.MOVED)
    for q in range(get(get(work, f.BACK_COUNTS), 0)):
        low = span(get(work, f.BACK_SPANS), 0, 2 * q)
        high = span(get(work, f.BACK_SPANS), 0, 2 * q + 1)
        # whole vectors, so that no two intervals share one
        add_span(get(work, f.BAND), get(work, f.BAND_COUNT), np.int64(0), low >> 4 << 4, high | 15)
        for p in range(low, high + 1):
            if flag(moved, p) == 0 or (start <= p < start + width):
                continue
            row, e = difference + p * pitch * 4, get(case, c.READING) + first + p * 16
            change = (
                load_scalar(row) * load_scalar(e)
                + load_scalar(row + 4) * load_scalar(e + 4)
                + load_scalar(row + 8) * load_scalar(e + 8)
                + load_scalar(row + 12) * load_scalar(e + 12)
            )
            store_scalar(far + p * 4, load_scalar(far + p * 4) - share * change)
    for j in range(width):
        p, new = start + j, column(mutated, m, j)
        importance = np.float32(0)
        for b in range(4):
            e = own_reading(get(case, c.HOW), new, b, get(case, c.BASES) + first + p * 16)
            if e != 0:
                value = arriving_at(net, work, np.int64(0), p, b)
                if flag(moved, p):
                    value += load_scalar(difference + (p * pitch + b) * 4)
                importance += value * e
        store_scalar(own + j * 4, load_scalar(own + j * 4) + share * importance)


@kernel
def point_at(case: int, upstream: int, work: int, k: int, r: int, m: int, lane: int) -> None:
    """Task k, reference r: what the way down of mutant m reads, or of lane ``lane`` of a tile."""
    put(work, f.REFERENCE, get(get(case, c.REFERENCES), r))
    put(work, f.REFERENCE_WINNERS, get(get(case, c.REFERENCE_WINNERS), r))
    put(work, f.QUOTIENTS, get(get(case, c.QUOTIENTS), r))
    i = k * get(case, c.COUNT) + r
    lanes = get(get(upstream, c.LANES), i)
    put(work, f.U_ROWS, get(get(upstream, c.ROWS), i))
    put(work, f.U_VALUES, get(get(upstream, c.VALUES), i))
    put(work, f.U_KNOWN, get(get(upstream, c.KNOWN), i))
    put(work, f.U_SCALE, get(get(upstream, c.SCALE), i))
    put(work, f.U_LANES, lanes)
    put(work, f.U_LANE, lane)
    put(work, f.U_COEFFICIENT, get(get(upstream, c.COEFFICIENTS), i) + m * lanes * 4)
    if get(upstream, c.KIND) == DOT:
        choose_way(work)


@kernel
def far_row(case: int, sums: int, layer: int, group: int, row: int) -> int:
    """Address of a row of the sums far and wide."""
    at = (layer * get(case, c.GROUPS) + group) * get(sums, c.MUTANTS) + row
    return get(sums, c.FAR) + at * get(sums, c.PITCH) * 4


@kernel
def own_row(case: int, mutated: int, sums: int, layer: int, group: int, row: int) -> int:
    """Address of the source's own."""
    at = (layer * get(sums, c.MUTANTS) + row) * get(case, c.GROUPS) + group
    return get(sums, c.OWN) + at * get(mutated, c.WIDEST) * 4


@entry
def walk(
    net: int, case: int, mutated: int, part: int, upstream: int, sums: int, found: int, works: int,
    group: int, slots: int, slot: int,
) -> None:  # fmt: skip
    """Rows of some mutants; all arguments but the last three are addresses.

    Parameters
    ----------
    case, mutated, part, upstream, sums, found : see ``case``
    works, group : address of the addresses of the thread's headers, and their number
    slots, slot : address of what ``walk_forward`` has kept, and bytes for each mutant; or 0
    """
    linear = get(upstream, c.LINEAR)
    gap = get(sums, c.MUTANTS) * get(sums, c.PITCH)
    first, last = get(part, c.MUTANT), get(part, c.LAST_MUTANT)
    while first < last:
        size = alike(mutated, first, last, group)
        for g in range(size):
            mutate(net, mutated, first + g, get(works, g))
            put(get(works, g), f.U_KIND, get(upstream, c.KIND))
        ask_for_targets(net, works, size, case, mutated, first)
        if slots:
            for g in range(size):
                carry(net, get(works, g), slots + (first + g) * slot, REPLAY)
        else:
            call(get(get(works, 0), f.FORWARD), net, works, size)
        for k in range(get(part, c.TASK), get(part, c.LAST_TASK)):
            layer, begin = (np.int64(0), np.int64(0)) if linear else (k, first)
            if linear:
                for g in range(size):
                    change = linear_score(net, get(works, g), get(get(upstream, c.TOPS), k))
                    cell = k * get(found, c.PLACES) + get(get(mutated, c.PLACE), first + g)
                    score = get(found, c.SCORE) + cell * 4
                    store_scalar(score, load_scalar(score) + change)
            for r in range(get(part, c.REFERENCE), get(part, c.LAST_REFERENCE)):
                for g in range(size):
                    m = first + g
                    point_at(case, upstream, get(works, g), k, r, m, m - get(part, c.TILE))
                call(get(get(works, 0), f.BACKWARD), net, works, size)
                for g in range(size):
                    work = get(works, g)
                    if r == get(part, c.REFERENCE):
                        put(get(work, f.BAND_COUNT), 0, 0)
                    among = get(get(case, c.GROUP), r)
                    far = far_row(case, sums, layer, among, begin + g)
                    own = own_row(case, mutated, sums, layer, among, begin + g)
                    near_part(net, case, mutated, first + g, r, far, own, work)
                    forget(
                        net, get(work, f.MOVED), get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS)
                    )
            if get(part, c.CLOSE):
                for g in range(size):
                    far = far_row(case, sums, layer, np.int64(0), begin + g)
                    own = own_row(case, mutated, sums, layer, np.int64(0), begin + g)
                    work = get(works, g)
                    close_row(case, mutated, first + g, k, far, gap, own, linear, found, work)
        for g in range(size):
            work = get(works, g)
            restore(net, work)
            forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))
        first += size


@entry
def walk_forward(
    net: int, mutated: int, first: int, last: int, inputs: int, pitch: int, works: int, group: int,
    slots: int, slot: int,
) -> None:  # fmt: skip
    """Add each mutant's changes to its row of the head's inputs: (M, pitch) floats."""
    start = first
    while start < last:
        size = alike(mutated, start, last, group)
        for g in range(size):
            mutate(net, mutated, start + g, get(works, g))
        call(get(get(works, 0), f.FORWARD), net, works, size)
        for g in range(size):
            work = get(works, g)
            for n in range(get(net, f.NODES)):
                if index(net, get(node(net, n), col.HEADS)):
                    head_inputs(net, work, n, inputs + (start + g) * pitch * 4)
            if slots:
                carry(net, work, slots + (start + g) * slot, KEEP)
            restore(net, work)
            forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))
        start += size

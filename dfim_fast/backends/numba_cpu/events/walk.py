"""One mutant after the other: forward, backward against every reference, its row of the map."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.arriving import DOT, arriving_at, choose_way
from dfim_fast.backends.numba_cpu.events.backward import forget
from dfim_fast.backends.numba_cpu.events.case import (
    CENTRED,
    PROJECTED,
    TIMES_INPUT,
    Case,
    Found,
    Mutated,
    Part,
    Upstream,
)
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
def mutate(net: int, mutated: Mutated, m: int, work: int) -> None:
    """Enter the mutant's own columns at node 0."""
    start, width = mutated.start[m], mutated.width[m]
    base, pitch = get(node(net, 0), col.BASE), get(node(net, 0), col.PITCH)
    for j in range(width):
        for b in range(pitch):
            value = mutated.columns[m, j, b] if b < 4 else np.float32(0)
            store_scalar(get(work, f.NEW) + (base + (start + j) * pitch + b) * 4, value)
        set_flag(get(work, f.CHANGED), start + j, 1)
    add_span(get(work, f.SPANS), get(work, f.COUNTS), np.int64(0), start, start + width - 1)


@kernel
def alike(mutated: Mutated, first: int, last: int, most: int) -> int:
    """How many mutants from ``first`` on change the same span, and so can be walked together."""
    size = 1
    while (
        size < most
        and first + size < last
        and mutated.start[first + size] == mutated.start[first]
        and mutated.width[first + size] == mutated.width[first]
    ):
        size += 1
    return size


@kernel
def own_reading(case: Case, mutated: Mutated, m: int, j: int, b: int, p: int, r: int) -> float:
    """What the multiplier of base b at the mutant's own position p is multiplied with."""
    x = mutated.columns[m, j, b]
    if case.how == TIMES_INPUT:
        return x
    if case.how == CENTRED:
        return x - (
            mutated.columns[m, j, 0]
            + mutated.columns[m, j, 1]
            + mutated.columns[m, j, 2]
            + mutated.columns[m, j, 3]
        ) * np.float32(0.25)
    if case.how == PROJECTED:
        return x - case.bases[r, p, b]
    return x * (np.float32(1) - case.bases[r, p, b])


@kernel
def near_part(
    net: int, case: Case, mutated: Mutated, m: int, r: int, fis: int, own: int, work: int
) -> None:
    """Take one reference's changes from ``fis`` (L,), and add the source's own to ``own`` (w,)."""
    base, pitch = get(node(net, 0), col.BASE), get(node(net, 0), col.PITCH)
    start, width = mutated.start[m], mutated.width[m]
    share = case.share[r]
    reading = case.reading.ctypes.data + r * case.reading.shape[1] * 16
    difference, moved = get(work, f.DIFFERENCE) + base * 4, get(work, f.MOVED)
    for q in range(get(get(work, f.BACK_COUNTS), 0)):
        low = span(get(work, f.BACK_SPANS), 0, 2 * q)
        high = span(get(work, f.BACK_SPANS), 0, 2 * q + 1)
        # whole vectors, so that no two intervals share one
        add_span(get(work, f.BAND), get(work, f.BAND_COUNT), np.int64(0), low >> 4 << 4, high | 15)
        for p in range(low, high + 1):
            if flag(moved, p) == 0 or (start <= p < start + width):
                continue
            row, e = difference + p * pitch * 4, reading + p * 16
            c = (
                load_scalar(row) * load_scalar(e)
                + load_scalar(row + 4) * load_scalar(e + 4)
                + load_scalar(row + 8) * load_scalar(e + 8)
                + load_scalar(row + 12) * load_scalar(e + 12)
            )
            store_scalar(fis + p * 4, load_scalar(fis + p * 4) - share * c)
    for j in range(width):
        p = start + j
        c = np.float32(0)
        for b in range(4):
            e = own_reading(case, mutated, m, j, b, p, r)
            if e != 0:
                value = arriving_at(net, work, np.int64(0), p, b)
                if flag(moved, p):
                    value += load_scalar(difference + (p * pitch + b) * 4)
                c += value * e
        store_scalar(own + j * 4, load_scalar(own + j * 4) + share * c)


@entry
def walk(
    net: int,
    case: Case,
    mutated: Mutated,
    part: Part,
    upstream: Upstream,
    tops: np.ndarray,
    targets: np.ndarray,
    fis: np.ndarray,
    own: np.ndarray,
    found: Found,
    works: int,
    group: int,
    slots: int,
    slot: int,
) -> None:
    """Rows of some mutants.

    Parameters
    ----------
    tops : ndarray (K,) int64
        Addresses of what arrives from a linear head; empty where the head is not.
    targets : ndarray (M or 1, W) int32
        Positions; shape (0, 0) for all of them.
    fis : ndarray (K, G, M, L in whole vectors), or (1, G, group, same)
        What the changed head moves far and wide, to which the walk adds; or, for linear heads,
        scratch that is zero on entry and on return.
    own : ndarray (K, M, G, widest), or (1, group, G, widest)
        The source's own importance; likewise.
    works, group : address of the addresses of the thread's headers, and their number
    slots, slot : address of what ``walk_forward`` has kept, and bytes for each mutant; or 0
    """
    groups, rows, length = fis.shape[1:]
    dense, widest = len(tops) == 0, own.shape[3]
    gap = rows * length
    first = part.mutant
    while first < part.last_mutant:
        size = alike(mutated, first, part.last_mutant, group)
        for g in range(size):
            mutate(net, mutated, first + g, get(works, g))
            put(get(works, g), f.U_KIND, upstream.kind)
        ask_for_targets(net, works, size, mutated, first, targets)
        if slots:
            for g in range(size):
                carry(net, get(works, g), slots + (first + g) * slot, REPLAY)
        else:
            call(get(get(works, 0), f.FORWARD), net, works, size)
        for k in range(part.task, part.last_task):
            layer = k if dense else 0
            if len(tops):
                for g in range(size):
                    change = linear_score(net, get(works, g), tops[k])
                    found.score[k, mutated.place[first + g]] += change
            for r in range(part.reference, part.last_reference):
                for g in range(size):
                    work, m = get(works, g), first + g
                    put(work, f.REFERENCE, case.references[r])
                    put(work, f.REFERENCE_WINNERS, case.reference_winners[r])
                    put(work, f.QUOTIENTS, case.quotients[r])
                    put(work, f.U_ROWS, upstream.rows[k, r])
                    put(work, f.U_VALUES, upstream.values[k, r])
                    put(work, f.U_KNOWN, upstream.known[k, r])
                    put(work, f.U_SCALE, upstream.scale[k, r])
                    put(work, f.U_LANES, upstream.lanes[k, r])
                    put(work, f.U_LANE, m - part.tile)
                    at = upstream.coefficients[k, r] + m * upstream.lanes[k, r] * 4
                    put(work, f.U_COEFFICIENT, at)
                    if upstream.kind == DOT:
                        choose_way(work)
                call(get(get(works, 0), f.BACKWARD), net, works, size)
                for g in range(size):
                    work, row = get(works, g), first + g if dense else g
                    if r == part.reference:
                        put(get(work, f.BAND_COUNT), 0, 0)
                    part_of = case.group[r]
                    at = fis.ctypes.data + ((layer * groups + part_of) * rows + row) * length * 4
                    mine = own.ctypes.data + (
                        ((layer * own.shape[1] + row) * groups + part_of) * widest * 4
                    )
                    near_part(net, case, mutated, first + g, r, at, mine, work)
                    forget(
                        net, get(work, f.MOVED), get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS)
                    )
            if part.close:
                for g in range(size):
                    row = first + g if dense else g
                    at = fis.ctypes.data + (layer * groups * rows + row) * length * 4
                    mine = own.ctypes.data + (layer * own.shape[1] + row) * groups * widest * 4
                    close_row(
                        case,
                        mutated,
                        first + g,
                        k,
                        at,
                        gap,
                        mine,
                        widest,
                        dense,
                        targets,
                        found,
                        get(works, g),
                    )
        for g in range(size):
            work = get(works, g)
            restore(net, work)
            forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))
        first += size


@entry
def walk_forward(
    net: int, mutated: Mutated, first: int, last: int, inputs: np.ndarray, works: int, group: int,
    slots: int, slot: int,
) -> None:  # fmt: skip
    """Add each mutant's changes to its row of the head's inputs, ``inputs`` (M, pitch)."""
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
                    row = inputs.ctypes.data + (start + g) * inputs.shape[1] * 4
                    head_inputs(net, work, n, row)
            if slots:
                carry(net, work, slots + (start + g) * slot, KEEP)
            restore(net, work)
            forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))
        start += size

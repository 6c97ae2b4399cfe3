"""One mutant after the other: forward, backward against every reference, its row of the map."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.arriving import arriving_at
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
from dfim_fast.backends.numba_cpu.events.forward import head_inputs, linear_score
from dfim_fast.backends.numba_cpu.events.lists import restore
from dfim_fast.backends.numba_cpu.events.need import ask_for_targets
from dfim_fast.backends.numba_cpu.events.replay import keep, replay
from dfim_fast.backends.numba_cpu.events.simd import (
    absolute,
    add,
    call,
    flag,
    fma,
    get,
    load,
    load_scalar,
    multiply,
    put,
    root,
    set_flag,
    splat,
    store,
    store_scalar,
    subtract,
    total,
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


@kernel
def self_effect(
    case: Case,
    mutated: Mutated,
    m: int,
    k: int,
    fis: int,
    gap: int,
    own: int,
    widest: int,
    found: Found,
) -> None:
    """The source's own importance, original minus mutant; its cells of the map become 0."""
    start = mutated.start[m]
    effect, balance, size = 0.0, 0.0, 0.0
    for j in range(mutated.width[m]):
        was, now = np.float32(0), np.float32(0)
        for g in range(len(case.weight)):
            store_scalar(fis + (gap * g + start + j) * 4, np.float32(0))
            was += case.weight[g] * case.original[k, g, start + j]
            now += case.weight[g] * load_scalar(own + (g * widest + j) * 4)
            store_scalar(own + (g * widest + j) * 4, np.float32(0))
        effect += float(was - now)
        balance += float(now - was)
        size += float(abs(now) - abs(was))
    place = mutated.place[m]
    found.self_effect[k, place] = effect
    found.balance[k, place], found.size[k, place] = balance, size


@kernel
def mean_of_groups(
    case: Case, fis: int, gap: int, low: int, high: int, mean: int, spread: int
) -> None:
    """Mean over the groups, and its standard error, of positions low..high (whole vectors)."""
    groups = len(case.weight)
    for p in range(low >> 4, (high >> 4) + 1):
        average = splat(np.float32(0))
        for g in range(groups):
            average = fma(splat(case.weight[g]), load(fis + (gap * g + p * 16) * 4), average)
        variance = splat(np.float32(0))
        for g in range(groups):
            off = subtract(load(fis + (gap * g + p * 16) * 4), average)
            variance = fma(multiply(splat(case.weight[g]), off), off, variance)
        store(mean + p * 64, average)
        if groups > 1:
            store(
                spread + p * 64,
                root(multiply(variance, splat(np.float32(1) / np.float32(groups - 1)))),
            )


@kernel
def add_up(original: int, mean: int, low: int, high: int, k: int, m: int, found: Found) -> None:
    """What positions low..high (whole vectors) change in sum C and sum |C|."""
    balance, size = splat(np.float32(0)), splat(np.float32(0))
    for p in range(low >> 4, (high >> 4) + 1):
        was, less = load(original + p * 64), load(mean + p * 64)
        balance = subtract(balance, less)
        size = add(size, subtract(absolute(subtract(was, less)), absolute(was)))
    found.balance[k, m] += total(balance)
    found.size[k, m] += total(size)


@kernel
def copy(source: int, target: int, low: int, high: int) -> None:
    """Positions low..high of a row; nothing beyond is written."""
    p = low
    while p + 15 <= high:
        store(target + p * 4, load(source + p * 4))
        p += 16
    while p <= high:
        store_scalar(target + p * 4, load_scalar(source + p * 4))
        p += 1


@kernel
def wipe(row: int, low: int, high: int) -> None:
    """Zero positions low..high, as whole vectors."""
    for p in range(low >> 4, (high >> 4) + 1):
        store(row + p * 64, splat(np.float32(0)))


@kernel
def finish(
    case: Case,
    mutated: Mutated,
    m: int,
    k: int,
    fis: int,
    gap: int,
    own: int,
    widest: int,
    dense: bool,
    targets: np.ndarray,
    found: Found,
    work: int,
) -> None:
    """Write the mutant's row from ``fis``, whose groups stand ``gap`` apart.

    Rows of ``fis`` end on whole vectors. Scratch (not dense) is zero again on return.
    """
    groups, length = case.original.shape[1], case.original.shape[2]
    self_effect(case, mutated, m, k, fis, gap, own, widest, found)
    place = mutated.place[m]
    band, band_count = get(work, f.BAND), get(work, f.BAND_COUNT)
    if dense:
        put(band_count, 0, 0)
        add_span(band, band_count, np.int64(0), np.int64(0), (length - 1) | 15)
    mean, spread = get(work, f.MEAN), get(work, f.SPREAD)
    for q in range(get(band_count, 0)):
        low, high = span(band, 0, 2 * q), span(band, 0, 2 * q + 1)
        mean_of_groups(case, fis, gap, low, high, mean, spread)
    if case.balanced:
        original = case.mean.ctypes.data + k * case.mean.shape[1] * 4
        for q in range(get(band_count, 0)):
            add_up(original, mean, span(band, 0, 2 * q), span(band, 0, 2 * q + 1), k, place, found)
    to, spread_to = found.fis[k] + place * found.targets * 4, np.int64(0)
    if groups > 1:
        spread_to = found.spread[k] + place * found.targets * 4
    if len(targets) == 0:
        for q in range(get(band_count, 0)):
            low, high = span(band, 0, 2 * q), min(span(band, 0, 2 * q + 1), length - 1)
            copy(mean, to, low, high)
            if groups > 1:
                copy(spread, spread_to, low, high)
    else:
        row = m if len(targets) > 1 else 0
        for w in range(targets.shape[1]):
            p = targets[row, w]
            if p >= 0:
                store_scalar(to + w * 4, load_scalar(mean + p * 4))
                if groups > 1:
                    store_scalar(spread_to + w * 4, load_scalar(spread + p * 4))
    for q in range(get(band_count, 0)):
        low, high = span(band, 0, 2 * q), span(band, 0, 2 * q + 1)
        wipe(mean, low, high)
        wipe(spread, low, high)
        if not dense:
            for g in range(groups):
                wipe(fis + gap * g * 4, low, high)


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
                replay(net, get(works, g), slots + (first + g) * slot)
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
                    put(work, f.U_VALUES, upstream.values[k, r])
                    put(work, f.U_KNOWN, upstream.known[k, r])
                    put(work, f.U_LANES, upstream.lanes[k, r])
                    put(work, f.U_LANE, m - part.tile)
                    at = upstream.coefficients[k, r] + m * upstream.lanes[k, r] * 4
                    put(work, f.U_COEFFICIENT, at)
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
                    finish(
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
                keep(net, work, slots + (start + g) * slot)
            restore(net, work)
            forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))
        start += size

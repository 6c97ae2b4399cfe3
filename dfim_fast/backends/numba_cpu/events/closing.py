"""The end of a mutant's walk: its row of the results, means and errors over the references."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import case as c
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import span
from dfim_fast.backends.numba_cpu.events.simd import (
    absolute,
    add,
    fma,
    get,
    get_short,
    load,
    load_double,
    load_scalar,
    multiply,
    put,
    root,
    splat,
    store,
    store_double,
    store_scalar,
    subtract,
    total,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.jit import kernel


@kernel
def self_effect(
    case: int, mutated: int, m: int, k: int, far: int, gap: int, own: int, found: int, cell: int
) -> None:
    """The source's own importance, original minus mutant; its cells of the map become 0.

    ``cell``: of the mutant in arrays (K, places).
    """
    start, widest = get(get(mutated, c.START), m), get(mutated, c.WIDEST)
    groups = get(case, c.GROUPS)
    effect, balance, size = 0.0, 0.0, 0.0
    for j in range(get(get(mutated, c.WIDTH), m)):
        was, now = np.float32(0), np.float32(0)
        for g in range(groups):
            store_scalar(far + (gap * g + start + j) * 4, np.float32(0))
            weight = load_scalar(get(case, c.WEIGHT) + g * 4)
            original = get(case, c.ORIGINAL) + (k * groups + g) * get(case, c.LENGTH) * 4
            was += weight * load_scalar(original + (start + j) * 4)
            now += weight * load_scalar(own + (g * widest + j) * 4)
            store_scalar(own + (g * widest + j) * 4, np.float32(0))
        effect += float(was - now)
        balance += float(now - was)
        size += float(abs(now) - abs(was))
    store_scalar(get(found, c.SELF_EFFECT) + cell * 4, np.float32(effect))
    store_double(get(found, c.BALANCE) + cell * 8, balance)
    store_double(get(found, c.SIZE) + cell * 8, size)


@kernel
def mean_of_groups(
    case: int, far: int, gap: int, low: int, high: int, mean: int, spread: int
) -> None:
    """Mean over the groups, and its standard error, of positions low..high (whole vectors)."""
    groups, weight = get(case, c.GROUPS), get(case, c.WEIGHT)
    for p in range(low >> 4, (high >> 4) + 1):
        average = splat(np.float32(0))
        for g in range(groups):
            share = splat(load_scalar(weight + g * 4))
            average = fma(share, load(far + (gap * g + p * 16) * 4), average)
        store(mean + p * 64, average)
        if groups == 1:
            continue
        variance = splat(np.float32(0))
        for g in range(groups):
            off = subtract(load(far + (gap * g + p * 16) * 4), average)
            share = splat(load_scalar(weight + g * 4))
            variance = fma(multiply(share, off), off, variance)
        part = splat(np.float32(1) / np.float32(groups - 1))
        store(spread + p * 64, root(multiply(variance, part)))


@kernel
def add_double(address: int, x: float) -> None:
    """Add to a double."""
    store_double(address, load_double(address) + x)


@kernel
def add_up(original: int, mean: int, low: int, high: int, found: int, cell: int) -> None:
    """What positions low..high (whole vectors) change in sum C and sum |C|."""
    balance, size = splat(np.float32(0)), splat(np.float32(0))
    for p in range(low >> 4, (high >> 4) + 1):
        was, less = load(original + p * 64), load(mean + p * 64)
        balance = subtract(balance, less)
        size = add(size, subtract(absolute(subtract(was, less)), absolute(was)))
    add_double(get(found, c.BALANCE) + cell * 8, float(total(balance)))
    add_double(get(found, c.SIZE) + cell * 8, float(total(size)))


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
def pick(case: int, m: int, source: int, target: int) -> None:
    """The mutant's targets of a row."""
    width = get(case, c.TARGET_WIDTH)
    wanted = get(case, c.TARGETS) + (m if get(case, c.TARGET_ROWS) > 1 else 0) * width * 4
    for w in range(width):
        p = get_short(wanted, w)
        if p >= 0:
            store_scalar(target + w * 4, load_scalar(source + p * 4))


@kernel
def wipe(row: int, low: int, high: int) -> None:
    """Zero positions low..high, as whole vectors."""
    for p in range(low >> 4, (high >> 4) + 1):
        store(row + p * 64, splat(np.float32(0)))


@kernel
def close_row(
    case: int, mutated: int, m: int, k: int, far: int, gap: int, own: int, linear: int, found: int,
    work: int,
) -> None:  # fmt: skip
    """Write the mutant's row from ``far``, whose groups stand ``gap`` apart.

    Rows of ``far`` end on whole vectors. Scratch (of linear heads) is zero again on return.
    """
    groups, length = get(case, c.GROUPS), get(case, c.LENGTH)
    place = get(get(mutated, c.PLACE), m)
    cell = k * get(found, c.PLACES) + place
    self_effect(case, mutated, m, k, far, gap, own, found, cell)
    band, band_count = get(work, f.BAND), get(work, f.BAND_COUNT)
    if linear == 0:
        put(band_count, 0, 0)
        add_span(band, band_count, np.int64(0), np.int64(0), (length - 1) | 15)
    mean, spread = get(work, f.MEAN), get(work, f.SPREAD)
    to = get(get(found, c.FIS), k) + place * get(found, c.ROW) * 4
    spread_to = np.int64(0)
    if groups > 1:
        spread_to = get(get(found, c.SPREAD), k) + place * get(found, c.ROW) * 4
    original = get(case, c.MEAN) + k * ((length + 15) >> 4) * 64
    for q in range(get(band_count, 0)):
        low, high = span(band, 0, 2 * q), span(band, 0, 2 * q + 1)
        mean_of_groups(case, far, gap, low, high, mean, spread)
        if get(case, c.BALANCED):
            add_up(original, mean, low, high, found, cell)
        if get(case, c.TARGET_ROWS) == 0:
            copy(mean, to, low, min(high, length - 1))
            if groups > 1:
                copy(spread, spread_to, low, min(high, length - 1))
    if get(case, c.TARGET_ROWS):
        pick(case, m, mean, to)
        if groups > 1:
            pick(case, m, spread, spread_to)
    for q in range(get(band_count, 0)):
        low, high = span(band, 0, 2 * q), span(band, 0, 2 * q + 1)
        wipe(mean, low, high)
        wipe(spread, low, high)
        if linear:
            for g in range(groups):
                wipe(far + gap * g * 4, low, high)

"""The end of a mutant's walk: its row of the results, means and errors over the references."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import span
from dfim_fast.backends.numba_cpu.events.case import Case, Found, Mutated
from dfim_fast.backends.numba_cpu.events.simd import (
    absolute,
    add,
    fma,
    get,
    load,
    load_scalar,
    multiply,
    put,
    root,
    splat,
    store,
    store_scalar,
    subtract,
    total,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.jit import kernel


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
def close_row(
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

"""One mutant after the other: forward, backward against every reference, its row of the map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.arriving import arriving_at
from dfim_fast.backends.numba_cpu.events.backward import backward, forget
from dfim_fast.backends.numba_cpu.events.forward import forward, head_inputs, linear_score
from dfim_fast.backends.numba_cpu.events.jit import entry, kernel
from dfim_fast.backends.numba_cpu.events.simd import (
    flag,
    get,
    load_scalar,
    put,
    set_flag,
    store_scalar,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span

TIMES_INPUT, CENTRED, PROJECTED, OBSERVED = 0, 1, 2, 3  # how importance is read


class Case(NamedTuple):
    """One sequence, its references and how its importance is read.

    Attributes
    ----------
    references, reference_winners : ndarray (R,) int64
        Addresses of the references' blobs; one entry that is not read for gradients.
    bases : ndarray (R, L, 4)
        The references themselves.
    reading : ndarray (R, L, 4)
        What multipliers are dotted with to give the original's importance.
    how : int
        TIMES_INPUT, CENTRED, PROJECTED or OBSERVED.
    group : ndarray (R,) int64
        Group of each reference.
    share : ndarray (R,) float32
        One over the size of its group.
    weight : ndarray (G,) float32
        Share of each group in the mean.
    original : ndarray (K, G, L)
        Importance of the original.
    """

    references: np.ndarray
    reference_winners: np.ndarray
    bases: np.ndarray
    reading: np.ndarray
    how: int
    group: np.ndarray
    share: np.ndarray
    weight: np.ndarray
    original: np.ndarray


class Mutated(NamedTuple):
    """Spans of the sequence and what stands there instead."""

    start: np.ndarray
    width: np.ndarray
    columns: np.ndarray


class Upstream(NamedTuple):
    """What arrives in the original's trunk, for every task and reference; all (K, R) int64.

    Attributes
    ----------
    values, known, lanes : see ``arriving``; addresses, and a number.
    coefficients : address of (M, lanes) floats, read where ``kind`` is DOT.
    kind : int
    """

    values: np.ndarray
    known: np.ndarray
    lanes: np.ndarray
    coefficients: np.ndarray
    kind: int


class Part(NamedTuple):
    """Which mutants, tasks and references a call handles; each from .. to (not included).

    Attributes
    ----------
    close : bool
        Whether the references end here, so that rows can be written.
    tile : int
        First mutant of the tile whose own gradients lie in lanes.
    """

    mutant: int
    last_mutant: int
    task: int
    last_task: int
    reference: int
    last_reference: int
    close: bool
    tile: int


class Found(NamedTuple):
    """Results, see ``program.Rows``; and the changes of sum C and sum |C|, (K, M) float64."""

    fis: np.ndarray
    spread: np.ndarray
    self_effect: np.ndarray
    score: np.ndarray
    balance: np.ndarray
    size: np.ndarray


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
    add_span(get(work, f.SPANS), get(work, f.COUNTS), 0, start, start + width - 1)


@kernel
def own_reading(case: Case, mutated: Mutated, m: int, j: int, b: int, p: int, r: int) -> float:
    """What the multiplier of base b at the mutant's own position p is multiplied with."""
    x = mutated.columns[m, j, b]
    if case.how == TIMES_INPUT:
        return x
    if case.how == CENTRED:
        return x - (mutated.columns[m, j, 0] + mutated.columns[m, j, 1] + mutated.columns[m, j, 2]
                    + mutated.columns[m, j, 3]) * np.float32(0.25)
    if case.how == PROJECTED:
        return x - case.bases[r, p, b]
    return x * (np.float32(1) - case.bases[r, p, b])


@kernel
def near_part(net: int, case: Case, mutated: Mutated, m: int, r: int, importance: int, own: int,
              work: int) -> None:
    """Add one reference's changes to ``importance`` (L,), and the source's own to ``own`` (w,)."""
    base, pitch = get(node(net, 0), col.BASE), get(node(net, 0), col.PITCH)
    start, width = mutated.start[m], mutated.width[m]
    share = case.share[r]
    for q in range(get(get(work, f.BACK_COUNTS), 0)):
        low = span(get(work, f.BACK_SPANS), 0, 2 * q)
        high = span(get(work, f.BACK_SPANS), 0, 2 * q + 1)
        add_span(get(work, f.BAND), get(work, f.BAND_COUNT), 0, low, high)
        for p in range(low, high + 1):
            if flag(get(work, f.MOVED), p) == 0 or (start <= p < start + width):
                continue
            row = get(work, f.DIFFERENCE) + (base + p * pitch) * 4
            c = (load_scalar(row) * case.reading[r, p, 0]
                 + load_scalar(row + 4) * case.reading[r, p, 1]
                 + load_scalar(row + 8) * case.reading[r, p, 2]
                 + load_scalar(row + 12) * case.reading[r, p, 3])
            o = importance + p * 4
            store_scalar(o, load_scalar(o) + share * c)
    for j in range(width):
        p = start + j
        c = np.float32(0)
        for b in range(4):
            e = own_reading(case, mutated, m, j, b, p, r)
            if e != 0:
                value = arriving_at(net, work, 0, p, b)
                if flag(get(work, f.MOVED), p):
                    value += load_scalar(get(work, f.DIFFERENCE) + (base + p * pitch + b) * 4)
                c += value * e
        store_scalar(own + j * 4, load_scalar(own + j * 4) + share * c)


@kernel
def fill_cell(weight: np.ndarray, importance: int, gap: int, found: Found, k: int, m: int,
              p: int, w: int) -> None:
    """The map's cell w, which is position p; groups are ``gap`` floats apart."""
    groups = len(weight)
    mean = np.float32(0)
    for g in range(groups):
        mean -= weight[g] * load_scalar(importance + (gap * g + p) * 4)
    found.fis[k, m, w] = mean
    if groups > 1:
        spread = np.float32(0)
        for g in range(groups):
            off = -load_scalar(importance + (gap * g + p) * 4) - mean
            spread += weight[g] * off * off
        found.spread[k, m, w] = np.sqrt(spread / np.float32(groups - 1))


@kernel
def finish(case: Case, mutated: Mutated, m: int, k: int, importance: int, gap: int, own: int,
           widest: int, dense: bool, targets: np.ndarray, found: Found, work: int) -> None:
    """Write the mutant's row; ``importance``, groups ``gap`` apart, is cleared where it was used."""
    groups, length = case.original.shape[1], case.original.shape[2]
    start, width = mutated.start[m], mutated.width[m]
    band, band_count = get(work, f.BAND), get(work, f.BAND_COUNT)
    if dense:
        put(band_count, 0, 0)
        add_span(band, band_count, 0, 0, length - 1)
    balance, size, effect = 0.0, 0.0, 0.0
    for j in range(width):
        was, now = np.float32(0), np.float32(0)
        for g in range(groups):
            store_scalar(importance + (gap * g + start + j) * 4, np.float32(0))
            was += case.weight[g] * case.original[k, g, start + j]
            now += case.weight[g] * load_scalar(own + (g * widest + j) * 4)
        effect += was - now
        balance += now - was
        size += abs(now) - abs(was)
    found.self_effect[k, m] = effect
    for q in range(get(band_count, 0)):
        for p in range(span(band, 0, 2 * q), span(band, 0, 2 * q + 1) + 1):
            was, more = np.float32(0), np.float32(0)
            for g in range(groups):
                was += case.weight[g] * case.original[k, g, p]
                more += case.weight[g] * load_scalar(importance + (gap * g + p) * 4)
            if more != 0:
                balance += more
                size += abs(was + more) - abs(was)
            if len(targets) == 0:
                fill_cell(case.weight, importance, gap, found, k, m, p, p)
    if len(targets):
        row = m if len(targets) > 1 else 0
        for w in range(targets.shape[1]):
            if targets[row, w] >= 0:
                fill_cell(case.weight, importance, gap, found, k, m, targets[row, w], w)
    found.balance[k, m], found.size[k, m] = balance, size
    if dense:
        return
    for g in range(groups):
        for q in range(get(band_count, 0)):
            for p in range(span(band, 0, 2 * q), span(band, 0, 2 * q + 1) + 1):
                store_scalar(importance + (gap * g + p) * 4, np.float32(0))
        for j in range(width):
            store_scalar(own + (g * widest + j) * 4, np.float32(0))


@entry
def walk(net: int, case: Case, mutated: Mutated, part: Part, upstream: Upstream, tops: np.ndarray,
         targets: np.ndarray, importance: np.ndarray, own: np.ndarray, found: Found,
         work: int) -> None:
    """Rows of some mutants.

    Parameters
    ----------
    tops : ndarray (K,) int64
        Addresses of what arrives from a linear head; empty where the head is not.
    targets : ndarray (M or 1, W) int32
        Positions; shape (0, 0) for all of them.
    importance : ndarray (K, G, M, L), or (1, G, 1, L)
        What the changed head moves far and wide, to which the walk adds; or, for linear heads,
        scratch that is zero on entry and on return.
    own : ndarray (K, M, G, widest), or (1, 1, G, widest)
        The source's own importance; likewise.
    """
    groups, rows, length = importance.shape[1:]
    dense, widest = len(tops) == 0, own.shape[3]
    gap = rows * length
    put(work, f.U_KIND, upstream.kind)
    for m in range(part.mutant, part.last_mutant):
        mutate(net, mutated, m, work)
        forward(net, work)
        row = m if dense else 0
        for k in range(part.task, part.last_task):
            layer = k if dense else 0
            if len(tops):
                found.score[k, m] += linear_score(net, work, tops[k])
            changes = importance.ctypes.data + (layer * groups * rows + row) * length * 4
            mine = own.ctypes.data + (layer * rows + row) * groups * widest * 4
            put(get(work, f.BAND_COUNT), 0, 0)
            for r in range(part.reference, part.last_reference):
                put(work, f.REFERENCE, case.references[r])
                put(work, f.REFERENCE_WINNERS, case.reference_winners[r])
                put(work, f.U_VALUES, upstream.values[k, r])
                put(work, f.U_KNOWN, upstream.known[k, r])
                put(work, f.U_LANES, upstream.lanes[k, r])
                put(work, f.U_LANE, m - part.tile)
                put(work, f.U_COEFFICIENT,
                    upstream.coefficients[k, r] + m * upstream.lanes[k, r] * 4)
                backward(net, work)
                g = case.group[r]
                near_part(net, case, mutated, m, r, changes + g * gap * 4, mine + g * widest * 4,
                          work)
                forget(net, get(work, f.MOVED), get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS))
            if part.close:
                finish(case, mutated, m, k, changes, gap, mine, widest, dense, targets, found,
                       work)
        forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))


@entry
def walk_forward(net: int, mutated: Mutated, first: int, last: int, inputs: np.ndarray,
                 work: int) -> None:
    """Add each mutant's changes to its row of the head's inputs, ``inputs`` (M, pitch)."""
    for m in range(first, last):
        mutate(net, mutated, m, work)
        forward(net, work)
        for n in range(get(net, f.NODES)):
            if index(net, get(node(net, n), col.HEADS)):
                head_inputs(net, work, n, inputs.ctypes.data + m * inputs.shape[1] * 4)
        forget(net, get(work, f.CHANGED), get(work, f.SPANS), get(work, f.COUNTS))

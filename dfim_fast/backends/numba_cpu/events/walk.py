"""One mutant after the other: forward, backward against every reference, its row of the map."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events.arriving import Arriving, arriving_at
from dfim_fast.backends.numba_cpu.events.backward import backward, forget
from dfim_fast.backends.numba_cpu.events.forward import forward, head_inputs, linear_score
from dfim_fast.backends.numba_cpu.events.layout import Net
from dfim_fast.backends.numba_cpu.events.simd import load_scalar, store_scalar
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.backends.numba_cpu.events.work import Work

TIMES_INPUT, CENTRED, PROJECTED, OBSERVED = 0, 1, 2, 3  # how importance is read


class Case(NamedTuple):
    """One sequence, its references and how its importance is read.

    Attributes
    ----------
    acts, winners : int
        Addresses of the original's blobs.
    references, reference_winners : ndarray (R,) int64
        Addresses of the references' blobs; one entry that is not read for gradients.
    bases : ndarray (R, L, 4)
        The references themselves.
    reading : ndarray (R, L, 4)
        What multipliers are dotted with to give the original's importance.
    how : int
        TIMES_INPUT, CENTRED, PROJECTED or OBSERVED.
    rule, epsilon :
        How multipliers are propagated.
    group : ndarray (R,) int64
        Group of each reference.
    share : ndarray (R,) float32
        One over the size of its group.
    weight : ndarray (G,) float32
        Share of each group in the mean.
    original : ndarray (K, G, L)
        Importance of the original.
    """

    acts: int
    winners: int
    references: np.ndarray
    reference_winners: np.ndarray
    bases: np.ndarray
    reading: np.ndarray
    how: int
    rule: int
    epsilon: float
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
    """u of every task and reference, as in ``Arriving``, and what the head brings to all positions.

    Attributes
    ----------
    kind, lanes : int
    values : ndarray (K, R) int64
        Addresses.
    known : ndarray (K or 1, R or 1, entries) uint8
    coefficients : ndarray (K, R, tile, lanes) float32
    far : ndarray (K, tile, G, L) float32
        Importance that a changed head moves; empty where the head is linear.
    """

    kind: int
    lanes: int
    values: np.ndarray
    known: np.ndarray
    coefficients: np.ndarray
    far: np.ndarray


class Found(NamedTuple):
    """Results; see ``program.Rows``. ``error`` is per task and mutant, before the division."""

    fis: np.ndarray
    spread: np.ndarray
    self_effect: np.ndarray
    score: np.ndarray
    balance: np.ndarray
    size: np.ndarray


@njit(nogil=True, cache=True)
def mutate(net: Net, case: Case, mutated: Mutated, m: int, work: Work) -> None:
    """Enter the mutant's own columns at node 0."""
    start, width = mutated.start[m], mutated.width[m]
    base, pitch = net.table[0, col.BASE], net.table[0, col.PITCH]
    for j in range(width):
        for b in range(pitch):
            value = mutated.columns[m, j, b] if b < 4 else np.float32(0)
            store_scalar(work.new + (base + (start + j) * pitch + b) * 4, value)
        work.changed[start + j] = 1
    add_span(work.spans, work.counts, 0, start, start + width - 1)


@njit(nogil=True, cache=True)
def own_reading(case: Case, mutated: Mutated, m: int, j: int, b: int, p: int, r: int) -> float:
    """What the multiplier of base b at the mutant's own position p is multiplied with."""
    x = mutated.columns[m, j, b]
    if case.how == TIMES_INPUT:
        return x
    if case.how == CENTRED:
        c = mutated.columns[m, j]
        return x - (c[0] + c[1] + c[2] + c[3]) * np.float32(0.25)
    if case.how == PROJECTED:
        return x - case.bases[r, p, b]
    return x * (np.float32(1) - case.bases[r, p, b])


@njit(nogil=True, cache=True)
def near_part(net: Net, case: Case, mutated: Mutated, m: int, u: Arriving, r: int,
              importance: np.ndarray, own: np.ndarray, work: Work) -> None:
    """Add one reference's changes to ``importance`` (L,), and the source's own to ``own`` (w,)."""
    base, pitch = net.table[0, col.BASE], net.table[0, col.PITCH]
    start, width = mutated.start[m], mutated.width[m]
    share = case.share[r]
    for q in range(work.back_counts[0]):
        low, high = work.back_spans[0, 2 * q], work.back_spans[0, 2 * q + 1]
        add_span(work.band, work.band_count, 0, low, high)
        for p in range(low, high + 1):
            if work.moved[p] == 0 or (start <= p < start + width):
                continue
            row = work.difference + (base + p * pitch) * 4
            c = (load_scalar(row) * case.reading[r, p, 0]
                 + load_scalar(row + 4) * case.reading[r, p, 1]
                 + load_scalar(row + 8) * case.reading[r, p, 2]
                 + load_scalar(row + 12) * case.reading[r, p, 3])
            importance[p] += share * c
    for j in range(width):
        p = start + j
        c = np.float32(0)
        for b in range(4):
            e = own_reading(case, mutated, m, j, b, p, r)
            if e != 0:
                value = arriving_at(net, u, 0, p, b)
                if work.moved[p]:
                    value += load_scalar(work.difference + (base + p * pitch + b) * 4)
                c += value * e
        own[j] += share * c


@njit(nogil=True, cache=True)
def enter(case: Case, mutated: Mutated, m: int, k: int, importance: np.ndarray,
          own: np.ndarray, targets: np.ndarray, row: int, found: Found, p: int, w: int) -> None:
    """The map's cell w, which is position p."""
    groups = len(case.weight)
    mean = np.float32(0)
    for g in range(groups):
        mean -= case.weight[g] * importance[g, p]
    found.fis[k, m, w] = mean
    if groups > 1:
        spread = np.float32(0)
        for g in range(groups):
            off = -importance[g, p] - mean
            spread += case.weight[g] * off * off
        found.spread[k, m, w] = np.sqrt(spread / np.float32(groups - 1))


@njit(nogil=True, cache=True)
def finish(case: Case, mutated: Mutated, m: int, k: int, importance: np.ndarray,
           own: np.ndarray, dense: bool, targets: np.ndarray, found: Found, work: Work) -> None:
    """Write the mutant's row; ``importance`` (G, L) is cleared where it was used."""
    groups, length = importance.shape
    start, width = mutated.start[m], mutated.width[m]
    if dense:
        work.band_count[0] = 0
        add_span(work.band, work.band_count, 0, 0, length - 1)
    balance, size = 0.0, 0.0
    effect = 0.0
    for j in range(width):
        was, now = np.float32(0), np.float32(0)
        for g in range(groups):
            importance[g, start + j] = 0
            was += case.weight[g] * case.original[k, g, start + j]
            now += case.weight[g] * own[g, j]
        effect += was - now
        balance += now - was
        size += abs(now) - abs(was)
    found.self_effect[k, m] = effect
    for q in range(work.band_count[0]):
        for p in range(work.band[0, 2 * q], work.band[0, 2 * q + 1] + 1):
            was, more = np.float32(0), np.float32(0)
            for g in range(groups):
                was += case.weight[g] * case.original[k, g, p]
                more += case.weight[g] * importance[g, p]
            balance += more
            size += abs(was + more) - abs(was)
            if len(targets) == 0:
                enter(case, mutated, m, k, importance, own, targets, m, found, p, p)
    if len(targets):
        row = m if len(targets) > 1 else 0
        for w in range(targets.shape[1]):
            if targets[row, w] >= 0:
                enter(case, mutated, m, k, importance, own, targets, m, found, targets[row, w], w)
    found.balance[k, m], found.size[k, m] = balance, size
    for q in range(work.band_count[0]):
        importance[:, work.band[0, 2 * q] : work.band[0, 2 * q + 1] + 1] = 0
    own[:] = 0


@njit(nogil=True, cache=True)
def walk(net: Net, case: Case, mutated: Mutated, first: int, last: int, tile: int,
         upstream: Upstream, tops: np.ndarray, targets: np.ndarray, importance: np.ndarray,
         own: np.ndarray, found: Found, work: Work) -> None:
    """Rows of mutants first..last - 1 in full.

    Parameters
    ----------
    tile : int
        The mutant to which entry 0 of ``upstream``'s arrays belongs.
    tops : ndarray (K,) int64
        Addresses of what arrives from a linear head; empty where the head is not.
    targets : ndarray (M or 1, W) int32
        Positions; shape (0, 0) for all of them.
    importance, own : ndarray (G, L), (G, widest)
        Scratch, zero on entry and on return.
    """
    references = len(case.references)
    dense = upstream.far.size > 0
    for m in range(first, last):
        mutate(net, case, mutated, m, work)
        forward(net, case.acts, work)
        for k in range(upstream.values.shape[0]):
            if len(tops):
                found.score[k, m] += linear_score(net, case.acts, work, tops[k])
            changes = upstream.far[k, m - tile] if dense else importance
            work.band_count[0] = 0
            for r in range(references):
                known = upstream.known[min(k, upstream.known.shape[0] - 1),
                                       min(r, upstream.known.shape[1] - 1)]
                coefficient = np.int64(0)
                if upstream.coefficients.size:
                    coefficient = upstream.coefficients[k, r, m - tile].ctypes.data
                u = Arriving(upstream.kind, upstream.values[k, r], upstream.lanes, known,
                             coefficient, m - tile)
                backward(net, case.acts, case.references[r], case.winners,
                         case.reference_winners[r], u, case.rule, case.epsilon, False, work)
                g = case.group[r]
                near_part(net, case, mutated, m, u, r, changes[g], own[g], work)
                forget(net, work.moved, work.back_spans, work.back_counts)
            finish(case, mutated, m, k, changes, own, dense, targets, found, work)
        forget(net, work.changed, work.spans, work.counts)


@njit(nogil=True, cache=True)
def walk_forward(net: Net, case: Case, mutated: Mutated, first: int, last: int,
                 inputs: np.ndarray, work: Work) -> None:
    """Add each mutant's changes to its row of the head's inputs, ``inputs`` (M, pitch)."""
    for m in range(first, last):
        mutate(net, case, mutated, m, work)
        forward(net, case.acts, work)
        for n in range(len(net.table)):
            if net.index[net.table[n, col.HEADS]]:
                head_inputs(net, case.acts, work, n, inputs[m].ctypes.data)
        forget(net, work.changed, work.spans, work.counts)

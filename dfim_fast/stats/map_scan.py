"""What is kept of a map that is not: counts of its scores, the strongest of each source, and the
strongest of all.

A map has millions of cells, so each is looked at once, as the integer that its float32 is. A cell
and its magnitude are one integer, its *key*: the larger key is the stronger cell, and of equal ones
the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.jit import entry, kernel
from dfim_fast.stats.histogram import BINS, CENTRE, FIRST_OF_FLOAT32, SHIFT_OF_FLOAT32, SIDE
from dfim_fast.stats.strata import STRATA, stratum_of
from dfim_fast.stats.tally import Tally

_MAGNITUDE = np.uint32(0x7FFFFFFF)
_INFINITE = np.uint32(0x7F800000)
_HALF = np.uint64(32)  # bits of a key that are its cell
_CELL = np.uint64(0xFFFFFFFF)
_UNTESTED = 255
_BLOCK = 16  # cells that are passed over together if all are 0


@dataclass(frozen=True)
class Cells:
    """Where cells of every map of a run lie.

    Attributes
    ----------
    sources : ndarray (S,) int
    targets : ndarray (S, W) int
    reach : ndarray (K, S, W) bool
        Cells the architecture can connect.
    stratum : ndarray (S, W) uint8
        Bin of distance.
    runs : list of ndarray (n, 4) int64
        For each task its cells that can be tested: source, first and last target (left out), and
        stratum of neighbours that share it.
    """

    sources: np.ndarray
    targets: np.ndarray
    reach: np.ndarray
    stratum: np.ndarray
    runs: list[np.ndarray]

    @classmethod
    def of(cls, sources: np.ndarray, targets: np.ndarray, reach: np.ndarray) -> Cells:
        """Of a plan's sources, targets (-1 for none) and reach."""
        away = np.abs(targets - sources[:, None])
        possible = reach & (targets >= 0) & (away > 0)
        stratum = stratum_of(away)
        runs = [_runs(np.where(own, stratum, _UNTESTED)) for own in possible]
        return cls(sources, np.maximum(targets, 0), possible, stratum, runs)

    def tested(self, codes: np.ndarray) -> np.ndarray:
        """Whether each source and target (K, S, W) of a sequence (L,) is tested, mutants apart."""
        known = codes < 4
        return self.reach & known[self.sources][:, None] & known[self.targets]


def _runs(label: np.ndarray) -> np.ndarray:
    """Neighbours (n, 4) of equal label within a row (S, W): row, first, last and label."""
    changes = np.diff(label, axis=1, prepend=_UNTESTED, append=_UNTESTED) != 0
    row, first = np.nonzero(changes[:, :-1] & (label != _UNTESTED))
    _, last = np.nonzero(changes[:, 1:] & (label != _UNTESTED))
    return np.stack([row, first, last + 1, label[row, first]], axis=1).astype(np.int64)


@dataclass(frozen=True)
class Scan:
    """What is kept of one map (K, S, 4, W).

    Attributes
    ----------
    strongest : ndarray (K, S) float32
        The score of largest magnitude of each source; 0 where it has none.
    strongest_cell : ndarray (K, S) int32
        ``mutant * W + target`` of it; -1 where there is none.
    task, stratum, cell : ndarray (n,)
        The strongest of each task and stratum, those of 0 left out; ``cell`` is flat in (S, 4, W).
    """

    strongest: np.ndarray
    strongest_cell: np.ndarray
    task: np.ndarray
    stratum: np.ndarray
    cell: np.ndarray


def spans_of(reach: np.ndarray) -> np.ndarray:
    """First and last target (S, 2), the last left out, that some task reaches (K, S, W)."""
    some: np.ndarray = np.asarray(reach.any(axis=0))
    first, last = some.argmax(axis=1), some.shape[1] - some[:, ::-1].argmax(axis=1)
    there: np.ndarray = np.asarray(some.any(axis=1))
    return np.where(there[:, None], np.stack([first, last], axis=1), 0)


@entry
def clear(array: Any, spans: Any) -> None:
    """Fill an array (K, S, 4, W) with 0 where it may hold something else."""
    for k in range(array.shape[0]):
        for s in range(array.shape[1]):
            for b in range(array.shape[2]):
                array[k, s, b, spans[s, 0] : spans[s, 1]] = 0


def empty_counts(tasks: int) -> np.ndarray:
    """Histograms (K * STRATA, BINS) int64 of nothing yet, in the bins of `LogHistogram`."""
    return np.zeros((tasks * STRATA, BINS), np.int64)


def scan(
    fis: np.ndarray, codes: np.ndarray, cells: Cells, top: int, counts: np.ndarray
) -> Scan | None:
    """Look through a map; None where it is not finite.

    Parameters
    ----------
    fis : ndarray (K, S, 4, W) float32
    codes : ndarray (L,) int8
    cells : Cells
    top : int
        Cells kept of each task and stratum; of equal magnitude the first.
    counts : ndarray (K * STRATA, BINS) int64
        Histograms that the tested scores are added to.
    """
    tasks, sources = fis.shape[:2]
    unknown = bool((codes > 3).any())
    best = np.zeros((tasks, sources), np.uint64)
    kept: list[np.ndarray] = []
    sizes = np.zeros((tasks, STRATA), np.int64)
    for k in range(tasks):
        own = counts[k * STRATA : (k + 1) * STRATA]
        heaps = np.zeros((STRATA, min(top, fis[k].size)), np.uint64)
        bits = fis[k].view(np.uint32)
        if not _look(bits, codes, cells.sources, cells.targets, cells.runs[k], unknown, own,
                     best[k], heaps, sizes[k]):  # fmt: skip
            return None
        kept += [np.sort(heap[:size])[::-1] for heap, size in zip(heaps, sizes[k], strict=True)]
    there = best > 0
    cell = np.where(there, _CELL - (best & _CELL), 0).astype(np.int64)
    values = np.take_along_axis(fis.reshape(tasks, sources, -1), cell[:, :, None], axis=2)[:, :, 0]
    number = np.repeat(np.arange(tasks * STRATA), sizes.ravel())
    return Scan(
        strongest=np.where(there, values, np.float32(0)),
        strongest_cell=np.where(there, cell, -1).astype(np.int32),
        task=(number // STRATA).astype(np.int16),
        stratum=(number % STRATA).astype(np.uint8),
        cell=(_CELL - (np.concatenate(kept) & _CELL)).astype(np.int64),
    )


def tally_bins(tally: Tally, counts: np.ndarray) -> None:
    """Add histograms (pools, BINS) to a tally of bins."""
    for pool in range(len(counts)):
        (seen,) = np.nonzero(counts[pool])
        tally.add(pool, seen, counts[pool, seen])


def tally_values(tally: Tally, fis: np.ndarray, codes: np.ndarray, cells: Cells) -> None:
    """Add the tested scores of a map (K, S, 4, W) to a tally of scores."""
    tested = cells.tested(codes)
    mutant = np.arange(4)[None] != codes[cells.sources][:, None]
    for k in range(len(fis)):
        mask = tested[k][:, None] & mutant[:, :, None]
        strata = np.broadcast_to(cells.stratum[:, None], mask.shape)[mask]
        values = fis[k][mask]
        for d in np.unique(strata):
            tally.add_values(k * STRATA + int(d), values[strata == d])


@entry
def _look(
    bits: Any,
    codes: Any,
    sources: Any,
    targets: Any,
    runs: Any,
    unknown: Any,
    counts: Any,
    best: Any,
    heaps: Any,
    sizes: Any,
) -> Any:
    """Count the cells (S, 4, W) of a task and find the strongest; False where one is not finite."""
    _, mutants, width = bits.shape
    top = heaps.shape[1]
    least = np.zeros(len(heaps), np.uint32)
    for r in range(len(runs)):
        s, begin, end, d = runs[r]
        observed = codes[sources[s]]
        if observed > 3:
            continue
        heap = heaps[d]
        strongest: Any = np.uint32(best[s] >> _HALF)
        for b in range(mutants):
            if b == observed:
                continue
            row = bits[s, b]
            zeros = 0
            for first in range(begin, end, _BLOCK):
                last = min(first + _BLOCK, end)
                if not unknown:
                    together: Any = np.uint32(0)
                    for w in range(first, last):
                        together |= row[w]
                    if together & _MAGNITUDE == 0:
                        zeros += last - first
                        continue
                for w in range(first, last):
                    if unknown and codes[targets[s, w]] > 3:
                        continue
                    magnitude = row[w] & _MAGNITUDE
                    if magnitude == 0:
                        zeros += 1
                        continue
                    if magnitude >= _INFINITE:
                        return False
                    step: Any = np.int64(magnitude >> SHIFT_OF_FLOAT32) - FIRST_OF_FLOAT32 + 1
                    step = min(max(step, 0), SIDE + 1)
                    counts[d, CENTRE + step if row[w] == magnitude else CENTRE - step] += 1
                    if magnitude >= strongest:
                        best[s] = max(best[s], _key(magnitude, b * width + w))
                        strongest = magnitude
                    if magnitude >= least[d]:
                        key = _key(magnitude, (s * mutants + b) * width + w)
                        if sizes[d] < top:
                            _rise(heap, sizes[d], key)
                            sizes[d] += 1
                        elif top and key > heap[0]:
                            _sink(heap, key)
                            least[d] = np.uint32(heap[0] >> _HALF)
            counts[d, CENTRE] += zeros
    return True


@kernel
def _key(magnitude: Any, cell: Any) -> Any:
    """The number by which cells are ordered."""
    return (np.uint64(magnitude) << _HALF) | (_CELL - np.uint64(cell))


@kernel
def _rise(heap: Any, size: Any, key: Any) -> None:
    """Add a key to a heap, whose smallest is first."""
    at = size
    while at > 0 and heap[(at - 1) // 2] > key:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = key


@kernel
def _sink(heap: Any, key: Any) -> None:
    """Put a key in the place of the smallest of a full heap."""
    at, size = 0, len(heap)
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = key

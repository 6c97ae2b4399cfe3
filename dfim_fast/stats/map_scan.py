"""What is kept of a map that is not: counts of its scores, the strongest of each source, and the
strongest of all.

A map has millions of cells, so each is looked at once, as the integer that its float32 is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.jit import entry
from dfim_fast.stats.histogram import BINS, CENTRE, FIRST_OF_FLOAT32, SHIFT_OF_FLOAT32, SIDE
from dfim_fast.stats.tallied import STRATA, stratum_of
from dfim_fast.stats.tally import Tally

_MAGNITUDE = np.uint32(0x7FFFFFFF)
_INFINITE = np.uint32(0x7F800000)
_NONE = -1
_EMPTY = np.empty(0, np.int64)


@dataclass(frozen=True)
class Cells:
    """Where cells of every map of a run lie.

    Attributes
    ----------
    sources : ndarray (S,) int
    targets : ndarray (S, W) int
        -1 for none.
    reach : ndarray (K, S, W) bool
        Cells the architecture can connect.
    stratum : ndarray (S, W) uint8
        Bin of distance.
    """

    sources: np.ndarray
    targets: np.ndarray
    reach: np.ndarray
    stratum: np.ndarray

    @classmethod
    def of(cls, sources: np.ndarray, targets: np.ndarray, reach: np.ndarray) -> Cells:
        """Of a plan's sources, targets and reach."""
        away = np.abs(targets - sources[:, None])
        possible = reach & (targets >= 0) & (away > 0)
        return cls(sources, np.maximum(targets, 0), possible, stratum_of(away))

    def tested(self, codes: np.ndarray) -> np.ndarray:
        """Whether each source and target (K, S, W) of a sequence (L,) is tested, mutants apart."""
        known = codes < 4
        return self.reach & known[self.sources][:, None] & known[self.targets]


@dataclass(frozen=True)
class Scan:
    """What is kept of one map (K, S, 4, W).

    Attributes
    ----------
    counts : ndarray (K * STRATA, BINS) int64
        Of tested scores, in the bins of `LogHistogram`.
    strongest : ndarray (K, S) float32
        The score of largest magnitude of each source; 0 where it has none.
    strongest_cell : ndarray (K, S) int32
        ``mutant * W + target`` of it; -1 where there is none.
    task, stratum, cell : ndarray (n,)
        The strongest of each task and stratum, those of 0 left out; ``cell`` is flat in (S, 4, W).
    """

    counts: np.ndarray
    strongest: np.ndarray
    strongest_cell: np.ndarray
    task: np.ndarray
    stratum: np.ndarray
    cell: np.ndarray


def scan(fis: np.ndarray, codes: np.ndarray, cells: Cells, top: int) -> Scan | None:
    """Look through a map; None where it is not finite.

    Parameters
    ----------
    fis : ndarray (K, S, 4, W) float32
    codes : ndarray (L,) int8
    cells : Cells
    top : int
        Cells kept of each task and stratum; of equal magnitude the first.
    """
    tested = cells.tested(codes)
    observed = codes[cells.sources].astype(np.int64)
    tasks, sources, _, width = fis.shape
    counts = np.zeros((tasks * STRATA, BINS), np.int64)
    best = np.zeros((tasks, sources), np.uint32)
    best_cell = np.full((tasks, sources), _NONE, np.int32)
    found: list[tuple[int, int, np.ndarray]] = []
    for k in range(tasks):
        bits = fis[k].view(np.uint32)
        own = counts[k * STRATA : (k + 1) * STRATA]
        if not _count(bits, observed, tested[k], cells.stratum, own, best[k], best_cell[k]):
            return None
        least, sizes = _thresholds(own, top)
        if not sizes.any():
            continue
        room = np.empty(int(sizes.sum()), np.int64)
        n = _gather(bits, observed, tested[k], cells.stratum, least, best[k], room)
        chosen = room[:n]
        magnitude = bits.reshape(-1)[chosen] & _MAGNITUDE
        strata = cells.stratum.reshape(-1)[chosen // (4 * width) * width + chosen % width]
        for d in np.unique(strata):
            of = np.flatnonzero(strata == d)
            order = np.argsort(-magnitude[of].astype(np.int64), kind="stable")[:top]
            found.append((k, int(d), chosen[of[order]]))
    there = best_cell >= 0
    rows = np.arange(sources)
    strongest = np.zeros((tasks, sources), np.float32)
    for k in range(tasks):
        at = np.maximum(best_cell[k], 0)
        strongest[k] = np.where(there[k], fis[k].reshape(sources, -1)[rows, at], 0)
    task = np.concatenate([np.full(len(own), k) for k, _, own in found] or [_EMPTY])
    stratum = np.concatenate([np.full(len(own), d) for _, d, own in found] or [_EMPTY])
    cell = np.concatenate([own for _, _, own in found] or [_EMPTY])
    task, stratum = task.astype(np.int16), stratum.astype(np.uint8)
    return Scan(counts, strongest, best_cell, task, stratum, cell)


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


def _thresholds(counts: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    """Least magnitude (STRATA,), as bits, that can be among the ``top``; and how many reach it."""
    size = counts[:, CENTRE + 1 :] + counts[:, CENTRE - 1 :: -1]
    beyond = np.cumsum(size[:, ::-1], axis=1)[:, ::-1]
    least = np.full(STRATA, _INFINITE, np.uint32)
    reached = np.zeros(STRATA, np.int64)
    for d in range(STRATA):
        if not beyond[d, 0] and not counts[d, CENTRE]:
            continue
        (enough,) = np.nonzero(beyond[d] >= top)
        if len(enough):
            step = int(enough[-1]) + 1
            least[d] = np.uint32((FIRST_OF_FLOAT32 + step - 1) << SHIFT_OF_FLOAT32)
            reached[d] = beyond[d, step - 1]
        else:  # all that differ from 0, those of the centre bin too
            least[d], reached[d] = 1, beyond[d, 0] + counts[d, CENTRE]
    return least, reached


@entry
def _count(
    bits: Any, observed: Any, tested: Any, stratum: Any, counts: Any, best: Any, best_cell: Any
) -> Any:
    """Count all cells of a task; False where one is not finite."""
    sources, mutants, width = bits.shape
    zeros = np.zeros(counts.shape[0], np.int64)
    for s in range(sources):
        for b in range(mutants):
            if b == observed[s]:
                continue
            for w in range(width):
                if not tested[s, w]:
                    continue
                d = stratum[s, w]
                magnitude = bits[s, b, w] & _MAGNITUDE
                if magnitude == 0:
                    zeros[d] += 1
                    continue
                if magnitude >= _INFINITE:
                    return False
                step: Any = np.int64(magnitude >> SHIFT_OF_FLOAT32) - FIRST_OF_FLOAT32 + 1
                step = min(max(step, 0), SIDE + 1)
                if bits[s, b, w] == magnitude:
                    counts[d, CENTRE + step] += 1
                else:
                    counts[d, CENTRE - step] += 1
                if magnitude > best[s]:
                    best[s] = magnitude
                    best_cell[s] = b * width + w
    for d in range(len(zeros)):
        counts[d, CENTRE] += zeros[d]
    return True


@entry
def _gather(
    bits: Any, observed: Any, tested: Any, stratum: Any, least: Any, best: Any, room: Any
) -> Any:
    """Write the cells that reach the least magnitude of their stratum; how many they are."""
    sources, mutants, width = bits.shape
    smallest = least.min()
    n = 0
    for s in range(sources):
        if best[s] < smallest:
            continue
        for b in range(mutants):
            if b == observed[s]:
                continue
            for w in range(width):
                if tested[s, w] and (bits[s, b, w] & _MAGNITUDE) >= least[stratum[s, w]]:
                    room[n] = (s * mutants + b) * width + w
                    n += 1
    return n

"""Counts of scores in pools, that merge to the same bits in any order.

A level is what is told apart: a score itself where there are few enough of them, else the number
of a bin of `LogHistogram`, whose edges never depend on the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from dfim_fast.stats.distinct import sum_equal
from dfim_fast.stats.histogram import LogHistogram, bin_of


class Tally:
    """How often each level was seen, pool by pool.

    Parameters
    ----------
    pools : int

    Attributes
    ----------
    levels : list of ndarray (n,) float64
        Ascending and distinct, of each pool.
    counts : list of ndarray (n,) int64
    """

    def __init__(self, pools: int) -> None:
        self.levels = [np.empty(0) for _ in range(pools)]
        self.counts = [np.empty(0, np.int64) for _ in range(pools)]

    def add(self, pool: int, levels: np.ndarray, counts: np.ndarray) -> None:
        """Count levels (n,), which may repeat, in one pool."""
        seen = counts > 0
        self.levels[pool], self.counts[pool] = sum_equal(
            np.concatenate([self.levels[pool], levels[seen].astype(np.float64)]),
            np.concatenate([self.counts[pool], counts[seen].astype(np.int64)]),
        )

    def add_values(self, pool: int, values: np.ndarray) -> None:
        """Count values (n,) as they are."""
        self.add(pool, values.astype(np.float64), np.ones(len(values), np.int64))

    def merge(self, other: Tally) -> None:
        """Add all that another one counted."""
        for pool, (levels, counts) in enumerate(zip(other.levels, other.counts, strict=True)):
            self.add(pool, levels, counts)

    def binned(self) -> Tally:
        """The same, counted in bins, where levels are scores as they are."""
        found = Tally(len(self.levels))
        for pool, (levels, counts) in enumerate(zip(self.levels, self.counts, strict=True)):
            found.add(pool, bin_of(levels), counts)
        return found

    def pooled(self, pools: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Levels and counts of several pools as one."""
        chosen = list(pools)
        return sum_equal(
            np.concatenate([self.levels[pool] for pool in chosen]),
            np.concatenate([self.counts[pool] for pool in chosen]),
        )

    def size(self) -> int:
        """Scores counted."""
        return sum(int(counts.sum()) for counts in self.counts)

    def to_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Flat arrays for storing: ``NAME_levels``, ``NAME_counts`` and where each pool ends."""
        return {
            f"{name}_levels": np.concatenate(self.levels),
            f"{name}_counts": np.concatenate(self.counts),
            f"{name}_ends": np.cumsum([len(levels) for levels in self.levels]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], name: str) -> Tally:
        """What `to_arrays` stored."""
        ends = arrays[f"{name}_ends"]
        tally = cls(len(ends))
        tally.levels = np.split(arrays[f"{name}_levels"], ends[:-1])
        tally.counts = np.split(arrays[f"{name}_counts"], ends[:-1])
        return tally


def histogram_of(levels: np.ndarray, counts: np.ndarray) -> LogHistogram:
    """The histogram whose bins levels are."""
    histogram = LogHistogram()
    histogram.counts[levels.astype(np.int64)] = counts
    return histogram

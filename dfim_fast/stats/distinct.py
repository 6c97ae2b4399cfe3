"""Distinct p-values with their counts: all that a correction needs to know of a family."""

from __future__ import annotations

import numpy as np
from scipy.special import digamma

EXACT_P = 1 << 25  # distinct p-values kept as they are: 0.5 GB with their counts

_MERGE_AT = 1 << 22
_MANTISSA = 52


class DistinctP:
    """The distinct p-values of a family and how many tests gave each.

    Parameters
    ----------
    limit : int
        Distinct values kept as they are. Beyond it all are rounded up to fewer binary digits,
        as few as it takes.

    Attributes
    ----------
    bits : int
        Digits after the leading one that are kept; 52 are all of them.
    """

    def __init__(self, limit: int = EXACT_P) -> None:
        self.limit, self.bits = limit, _MANTISSA
        self._values, self._counts = np.empty(0), np.empty(0, dtype=np.int64)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0
        self._q: np.ndarray | None = None

    @property
    def rounded(self) -> bool:
        """Whether there were more than ``limit``."""
        return self.bits < _MANTISSA

    def add(self, p: np.ndarray, times: np.ndarray | None = None) -> None:
        """Count p-values (n,), float64; each once, or as many times as (n,) int64 says."""
        if times is None:
            values, counts = np.unique(self._round(p), return_counts=True)
        else:
            values, counts = sum_equal(self._round(p), times)
        self._pending.append((values, counts))
        self._waiting += len(values)
        if self._waiting > max(_MERGE_AT, len(self._values)):
            self._merge()

    def q(self, p: np.ndarray, correction: str, null_size: int = 0) -> np.ndarray:
        """Corrected p-values; nothing can be added after.

        Parameters
        ----------
        p : ndarray, (n,), float64
            Values that were added.
        correction : {"bh", "by", "decoy"}
        null_size : int
            Null values of the pool, for the decoy rate: p are then counted from it.

        Returns
        -------
        ndarray, (n,), float64
        """
        if self._q is None:
            self._merge()
            tests = int(self._counts.sum())
            if correction == "decoy":
                beyond = np.rint(self._values * (null_size + 1) - 1)
                expected = beyond * (tests / null_size)
            else:
                factor = 1.0 if correction == "bh" else float(digamma(tests + 1) - digamma(1))
                expected = self._values * (tests * factor)
            rate = np.minimum(expected / np.cumsum(self._counts), 1.0)
            self._q = np.minimum.accumulate(rate[::-1])[::-1]
            self._counts = np.empty(0, dtype=np.int64)
        return self._q[np.searchsorted(self._values, self._round(p))]

    def _merge(self) -> None:
        parts = [(self._values, self._counts), *self._pending]
        self._pending, self._waiting = [], 0
        values = np.concatenate([part[0] for part in parts])
        counts = np.concatenate([part[1] for part in parts])
        self._values, self._counts = sum_equal(values, counts)
        while len(self._values) > self.limit and self.bits > 0:
            self.bits -= 4
            self._values, self._counts = sum_equal(self._round(self._values), self._counts)

    def _round(self, p: np.ndarray) -> np.ndarray:
        """Round up to ``bits`` digits: read as integers, positive floats are in their order."""
        p = np.asarray(p, dtype=np.float64)
        if self.bits == _MANTISSA:
            return p
        dropped = (1 << (_MANTISSA - self.bits)) - 1
        return ((p.view(np.int64) + dropped) & ~np.int64(dropped)).view(np.float64)


def sum_equal(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct values, ascending, with the sum of their counts."""
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    if not len(values):
        return values, counts
    starts = np.flatnonzero(np.diff(values, prepend=-np.inf) > 0)
    return values[starts], np.add.reduceat(counts, starts)

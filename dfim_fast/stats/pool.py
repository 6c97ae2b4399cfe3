"""Null values of one pool, gathered piece by piece: as they are, or counted in bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from dfim_fast.stats.histogram import LogHistogram
from dfim_fast.stats.tails import NOMINAL, EmpiricalNull, GaussianNull


class Pool:
    """Null values of one pool: as they are, or binned."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, np.ndarray]] = []
        self.halves: list[Half] = []  # even and odd sequences, once binned
        self.size = 0
        self.closed = False
        self.fitted: GaussianNull | None = None
        self.counted: EmpiricalNull | BinnedNull

    def add(self, sequence: int, rows: Sequence[np.ndarray]) -> None:
        self.size += sum(len(row) for row in rows)
        self.rows += [(sequence, row) for row in rows if len(row)]

    def bin(self) -> None:
        """Count what is held, and hold it no longer."""
        self.halves = self.halves or [Half(), Half()]
        for sequence, row in self.rows:
            self.halves[sequence % 2].add(row)
        self.rows = []

    def extent(self) -> tuple[float, float]:
        """Smallest and largest value."""
        lows = [float(row.min()) for _, row in self.rows] + [h.low for h in self.halves]
        highs = [float(row.max()) for _, row in self.rows] + [h.high for h in self.halves]
        return min(lows), max(highs)

    def close(self, gaussian: bool, counts: bool) -> None:
        """Fit and sort; nothing can be added after."""
        self.closed = True
        if self.halves:
            self.fitted = _fit_binned(*self.halves) if gaussian else None
            self.counted = BinnedNull(self.halves[0].histogram.merge(self.halves[1].histogram))
            self.halves = []
            return
        values = np.concatenate([row for _, row in self.rows], dtype=np.float64)
        if gaussian:
            self.fitted = GaussianNull.fit(values, False, self._held_out(values))
        self.rows = []
        if counts or not gaussian:
            self.counted = EmpiricalNull(values, False)

    def _held_out(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Two halves as `significance` makes them: by sequence, else by shuffle, else by value."""
        sequences = np.array([sequence for sequence, _ in self.rows])
        parity = np.unique(sequences, return_inverse=True)[1] % 2
        for half in (parity, np.arange(len(self.rows)) % 2):
            parts = [
                [row for (_, row), side in zip(self.rows, half, strict=True) if side == wanted]
                for wanted in (0, 1)
            ]
            if parts[0] and parts[1]:
                return (
                    np.concatenate(parts[0], dtype=np.float64),
                    np.concatenate(parts[1], dtype=np.float64),
                )
        return (values[::2], values[1::2]) if len(values) > 1 else None

    def p(self, values: np.ndarray) -> np.ndarray:
        return self.fitted.p(values)[0] if self.fitted is not None else self.counted.p(values)


class Half:
    """Histogram and moments of half of a pool."""

    def __init__(self) -> None:
        self.histogram = LogHistogram()
        self.n, self.total, self.square = 0, 0.0, 0.0
        self.low, self.high = np.inf, -np.inf

    def add(self, row: np.ndarray) -> None:
        values = row.astype(np.float64)
        self.histogram.add(values)
        self.n += len(values)
        self.total += float(values.sum())
        self.square += float((values * values).sum())
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))


def _fit_binned(first: Half, second: Half) -> GaussianNull:
    """Gaussian of both halves; the check on the second counts a whole bin where it cuts one."""

    def moments(*halves: Half) -> tuple[int, float, float]:
        n = sum(h.n for h in halves)
        mean = sum(h.total for h in halves) / n
        variance = sum(h.square for h in halves) / n - mean * mean
        return n, mean, float(np.sqrt(max(variance, 0.0)))

    n, mean, sd = moments(first, second)
    beyond: dict[float, int] = {}
    held_out = 0
    if first.n and second.n and first.low < first.high:
        held_out = second.n
        _, own_mean, own_sd = moments(first)
        for nominal in NOMINAL:
            limit = -own_sd * ndtri(nominal / 2)
            beyond[nominal] = int(
                second.histogram.count_at_least(own_mean + limit)[1]
                + second.histogram.count_at_most(own_mean - limit)[1]
            )
    return GaussianNull(n, mean, sd, False, held_out, beyond)


class BinnedNull:
    """A histogram that gives the upper bound of p."""

    def __init__(self, histogram: LogHistogram) -> None:
        self.histogram = histogram

    def p(self, values: np.ndarray) -> np.ndarray:
        return self.histogram.p_bounds(values)[1]

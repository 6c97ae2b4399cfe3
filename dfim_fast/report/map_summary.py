"""One pass over a store of maps for what the report shows of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfim_fast.io.store import MapStore

CELLS = 60_000_000  # read at most about as many: stores may be larger than memory
SIDE = 200  # rows and columns of an aggregate map at most
P_BINS, LOG_BINS, LOG_WIDTH = 50, 4000, 0.01


@dataclass
class MapSummary:
    """Sums over sequences of one task.

    Attributes
    ----------
    sequences, total : int
        Read, and there are.
    distance_sum, distance_count, distance_max : ndarray (D,)
        Of |FIS|, by distance.
    aggregate_sum, aggregate_count : ndarray (S', T')
        Of the largest |FIS| over the mutants.
    p_counts : ndarray (P_BINS,)
    log_counts : ndarray (LOG_BINS,)
        Of -log10 p in steps of LOG_WIDTH.
    totals, expected : list of float
        The sum of importance, and what it should be; of each sequence.
    """

    total: int
    sequences: int = 0
    distance_sum: np.ndarray = field(default_factory=lambda: np.zeros(0))
    distance_count: np.ndarray = field(default_factory=lambda: np.zeros(0))
    distance_max: np.ndarray = field(default_factory=lambda: np.zeros(0))
    aggregate_sum: Any = None
    aggregate_count: Any = None
    p_counts: np.ndarray = field(default_factory=lambda: np.zeros(P_BINS, np.int64))
    log_counts: np.ndarray = field(default_factory=lambda: np.zeros(LOG_BINS, np.int64))
    names: list[str] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)

    def by_distance(self) -> dict[str, np.ndarray]:
        """Mean and largest |FIS| at every distance that was tested."""
        seen = np.flatnonzero(self.distance_count)
        return {
            "distance": seen,
            "mean": self.distance_sum[seen] / self.distance_count[seen],
            "largest": self.distance_max[seen],
        }

    def aggregate(self) -> np.ndarray:
        """Mean over sequences of the largest |FIS| over mutants; NaN where none was tested."""
        empty = np.full(self.aggregate_sum.shape, np.nan)
        return np.divide(
            self.aggregate_sum, self.aggregate_count, out=empty, where=self.aggregate_count > 0
        )

    def quantiles(self) -> tuple[np.ndarray, np.ndarray]:
        """Expected and found -log10 p, at every step of the found ones."""
        tests = self.log_counts.sum()
        steps = np.flatnonzero(self.log_counts)
        beyond = np.cumsum(self.log_counts[::-1])[::-1][steps]  # tests at a step or beyond
        middle = beyond - self.log_counts[steps] / 2  # the middle one of those at the step
        return -np.log10(middle / tests), (steps + 0.5) * LOG_WIDTH


def summarize(store: MapStore) -> list[MapSummary]:
    """Summaries of every task, of all sequences or of evenly spaced ones.

    Parameters
    ----------
    store : MapStore
    """
    n = len(store)
    fis = store.group["fis"]
    cells = int(np.prod(fis.shape)) // n  # type: ignore[union-attr]
    take = max(1, min(n, CELLS // max(cells, 1)))
    chosen = np.unique(np.linspace(0, n - 1, take).astype(int))
    found = [MapSummary(n) for _ in range(store.tasks)]
    sources, targets = np.asarray(store.group["sources"]), np.asarray(store.group["targets"])
    away = np.abs((targets if targets.ndim == 2 else targets[None]) - sources[:, None])
    rows, columns = _pools(away.shape)
    for i in chosen:
        one = store.sequence(int(i))
        for k, summary in enumerate(found):
            _add(summary, one, k if store.several else None, away, rows, columns)
    return found


def _pools(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Where rows and columns of a map go in an aggregate map of at most SIDE."""
    pooled = [np.arange(size) // -(-size // SIDE) for size in shape]
    return pooled[0], pooled[1]


def _add(
    summary: MapSummary, one: Any, k: int | None, away: np.ndarray, rows: np.ndarray,
    columns: np.ndarray,
) -> None:  # fmt: skip
    """Take in one sequence."""

    def own(name: str) -> np.ndarray:
        array = getattr(one, name)
        return array[0] if k is None else array[k, 0]

    mask = own("mask")
    size = np.where(mask, np.abs(own("fis")), 0.0)
    tested = mask.any(axis=1)
    summary.sequences += 1
    at = np.broadcast_to(away[:, None], mask.shape)[mask]
    values = size[mask].astype(np.float64)
    width = max(int(away.max(initial=0)) + 1, summary.distance_sum.size)
    for name in ("distance_sum", "distance_count", "distance_max"):
        array = getattr(summary, name)
        setattr(summary, name, np.pad(array, (0, width - array.size)))
    summary.distance_sum += np.bincount(at, values, minlength=width)
    summary.distance_count += np.bincount(at, minlength=width)
    np.maximum.at(summary.distance_max, at, values)

    if summary.aggregate_sum is None:
        shape = (rows[-1] + 1, columns[-1] + 1)
        summary.aggregate_sum, summary.aggregate_count = np.zeros(shape), np.zeros(shape)
    where = np.ix_(rows, columns)
    np.add.at(summary.aggregate_sum, where, size.max(axis=1))
    np.add.at(summary.aggregate_count, where, tested)

    p = getattr(one, "p", None)
    if p is not None:
        found = own("p")[mask]
        summary.p_counts += np.histogram(found, P_BINS, (0, 1))[0]
        smallest = np.finfo(float).tiny  # of a Gaussian tail that underflows
        steps = (-np.log10(np.maximum(found, smallest)) / LOG_WIDTH).astype(np.int64)
        summary.log_counts += np.bincount(np.minimum(steps, LOG_BINS - 1), minlength=LOG_BINS)
    if hasattr(one, "reference_predictions"):
        summary.names.append(one.names[0])
        summary.totals.append(float(own("attributions").sum(dtype=np.float64)))
        summary.expected.append(float(own("predictions") - own("reference_predictions")))

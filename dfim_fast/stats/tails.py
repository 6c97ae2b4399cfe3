"""How far out values lie under a null: by counting null values, or under a fitted Gaussian.

Both work on one pool of null values, float64.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri  # scipy.stats takes half a second to load

NOMINAL = (1e-3, 1e-6)  # p thresholds at which a Gaussian fit is held against real null values


class EmpiricalNull:
    """Null values sorted by distance, ready to count how many are at least as extreme.

    The distance of v is |v - m|, m the median of the null values; for absolute scores, which are
    extreme on one side only, it is v itself.

    Parameters
    ----------
    values : ndarray, (n,), float64
        n >= 1. Used as workspace.
    absolute : bool
    """

    def __init__(self, values: np.ndarray, absolute: bool) -> None:
        self.absolute = absolute
        self.median = float(np.median(values))
        self.distances = self.distance(values)
        self.distances.sort()

    def distance(self, values: np.ndarray) -> np.ndarray:
        """Distance of each value, larger is more extreme; float64, a new array."""
        if self.absolute:
            return np.array(values, dtype=np.float64)
        distance = np.subtract(values, self.median, dtype=np.float64)
        return np.abs(distance, out=distance)

    def at_least(self, distances: np.ndarray) -> np.ndarray:
        """Number of null values at each distance or beyond, int64."""
        # Sorted queries walk through the null once; unsorted ones miss the cache at every step.
        order = np.argsort(distances)
        counts = np.empty(len(distances), dtype=np.int64)
        counts[order] = len(self.distances) - np.searchsorted(self.distances, distances[order])
        return counts

    def p(self, values: np.ndarray) -> np.ndarray:
        """Return (1 + number of null values at least as extreme) / (n + 1), never 0."""
        return (1 + self.at_least(self.distance(values))) / (len(self.distances) + 1)


@dataclass(frozen=True)
class GaussianNull:
    """A Gaussian fitted to null values, and how it does on values it was not fitted to.

    Attributes
    ----------
    n : int
        Null values fitted.
    mean, sd : float
        Maximum likelihood (sd with divisor n), in the unit of the scores.
    absolute : bool
        Absolute scores: only the upper tail counts.
    held_out : int
        Values of the half that was not fitted in the check.
    beyond : dict of float to int
        Nominal p -> how many of ``held_out`` a fit of the other half calls that rare or rarer.
    """

    n: int
    mean: float
    sd: float
    absolute: bool
    held_out: int = 0
    beyond: dict[float, int] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, values: np.ndarray, absolute: bool, halves: tuple[np.ndarray, np.ndarray] | None = None
    ) -> GaussianNull:
        """Fit values (n,), not all equal; fit the first of ``halves`` to judge it on the second."""
        mean, sd = float(values.mean()), float(values.std())
        held_out = 0
        beyond: dict[float, int] = {}
        if halves is not None and halves[0].min() < halves[0].max():
            held_out = len(halves[1])
            half = cls.fit(halves[0], absolute)
            z = half.z(halves[1])
            for nominal in NOMINAL:
                limit = -ndtri(nominal if absolute else nominal / 2)
                beyond[nominal] = int(np.count_nonzero(z >= limit))
        return cls(len(values), mean, sd, absolute, held_out, beyond)

    @property
    def real_error(self) -> dict[float, float]:
        """Nominal p -> share of held-out null values called; empty where there was no check."""
        return {nominal: count / self.held_out for nominal, count in self.beyond.items()}

    def z(self, values: np.ndarray) -> np.ndarray:
        """Standard score on the tested side: |z| of signed scores, z of absolute ones."""
        z = (np.asarray(values, dtype=np.float64) - self.mean) / self.sd
        return z if self.absolute else np.abs(z, out=z)

    def p(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return p, which underflows to 0 beyond z = 38, and -log10 p, which does not."""
        z = self.z(values)
        sides = 1 if self.absolute else 2
        log10_p = (np.log(sides) + log_ndtr(-z)) / np.log(10.0)
        # Rounding can lift 2 sf(0) past 1 and leaves -0.0 there.
        return np.minimum(sides * ndtr(-z), 1.0), np.maximum(-log10_p, 0.0)

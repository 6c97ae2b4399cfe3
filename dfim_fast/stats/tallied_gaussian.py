"""A Gaussian fitted to a null that is tallied, and p of tallied scores under it.

Where levels are scores it is the fit of `significance`. Where they are bins, mean and sd lie
between bounds that follow from the edges, and so does every p.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri  # scipy.stats takes half a second to load

from dfim_fast.errors import NullError
from dfim_fast.stats.histogram import LogHistogram
from dfim_fast.stats.tails import NOMINAL, GaussianNull
from dfim_fast.stats.tally import histogram_of

_SLACK = 1e-12  # relative; sums of bins are rounded
Counted = tuple[np.ndarray, np.ndarray]  # levels and how often each was seen


def fit_scores(null: Counted, held_out: Counted) -> GaussianNull:
    """Fit null values that were tallied as they are.

    Parameters
    ----------
    null : ndarray (n,), ndarray (n,)
        Levels and counts.
    held_out : the same
        Those of the half that a fit of the other half is held against.

    Raises
    ------
    NullError
        If all values are one.
    """
    _refuse_constant(null)
    first = _without(null, held_out)
    halves = tuple(np.repeat(*half) for half in (first, held_out))
    both = halves if len(halves[0]) and len(halves[1]) else None
    return GaussianNull.fit(np.repeat(*null), False, both)  # type: ignore[arg-type]


def fit_bins(null: Counted, held_out: Counted) -> BinnedGaussian:
    """Fit null values that were counted in bins; as `fit_scores`.

    Raises
    ------
    NullError
        Also if a value lies beyond the outermost edges.
    """
    _refuse_constant(null)
    low, high = _bounds(null)
    first = _without(null, held_out)
    beyond: dict[float, int] = {}
    tested = int(held_out[1].sum()) if len(first[0]) > 1 else 0
    if tested:
        (mean, sd), histogram = _middle(*_bounds(first)), histogram_of(*held_out)
        for nominal in NOMINAL:
            away = -sd * ndtri(nominal / 2)
            beyond[nominal] = int(
                histogram.count_at_least(mean + away)[1] + histogram.count_at_most(mean - away)[1]
            )
    mean, sd = _middle(low, high)
    fitted = GaussianNull(int(null[1].sum()), mean, sd, False, tested, beyond)
    return BinnedGaussian(fitted, low, high)


class BinnedGaussian:
    """A Gaussian of which mean and sd are known within bounds.

    Attributes
    ----------
    fitted : GaussianNull
        That in the middle of them, for reading.
    """

    def __init__(
        self, fitted: GaussianNull, low: tuple[float, float], high: tuple[float, float]
    ) -> None:
        self.fitted = fitted
        (self._mean_low, self._sd_low), (self._mean_high, self._sd_high) = low, high

    def p_bounds(self, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of p of all values in each bin."""
        edges = LogHistogram.edges()
        left, right = edges[bins], edges[bins + 1]
        nearest = np.maximum(0, np.maximum(left - self._mean_high, self._mean_low - right))
        farthest = np.maximum(right - self._mean_low, self._mean_high - left)
        with np.errstate(divide="ignore"):
            low = 2 * ndtr(-farthest / self._sd_low)
        return low, np.minimum(2 * ndtr(-nearest / self._sd_high), 1.0)


def _refuse_constant(null: Counted) -> None:
    levels, counts = null
    if len(levels) < 2:
        raise NullError(
            f"null_model='gaussian': all {int(counts.sum())} null values of a pool are equal, so "
            "sd is 0; use null_model='empirical' or a null with spread"
        )


def _without(null: Counted, part: Counted) -> Counted:
    """What is left of the null where a part of it is taken away."""
    left = null[1].copy()
    left[np.searchsorted(null[0], part[0])] -= part[1]
    return null[0][left > 0], left[left > 0]


def _bounds(null: Counted) -> tuple[tuple[float, float], tuple[float, float]]:
    """Smallest mean and sd that the counted values can have, and the largest."""
    edges, bins = LogHistogram.edges(), null[0].astype(np.int64)
    left, right, counts = edges[bins], edges[bins + 1], null[1].astype(np.float64)
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise NullError(
            f"null_model='gaussian': null values lie beyond {edges[-2]:.0f}, where they are not "
            "told apart; use null_model='empirical'"
        )
    n = counts.sum()
    mean_low, mean_high = float(left @ counts / n), float(right @ counts / n)
    smallest = np.where((left < 0) & (right > 0), 0, np.minimum(left**2, right**2))
    square_low, square_high = smallest @ counts / n, np.maximum(left**2, right**2) @ counts / n
    ends = mean_low**2, mean_high**2
    nearest = 0.0 if mean_low < 0 < mean_high else min(ends)
    sd_low = float(np.sqrt(max(square_low - max(ends), 0))) * (1 - _SLACK)
    sd_high = float(np.sqrt(square_high - nearest)) * (1 + _SLACK)
    return (mean_low, sd_low), (mean_high, sd_high)


def _middle(low: tuple[float, float], high: tuple[float, float]) -> tuple[float, float]:
    return (low[0] + high[0]) / 2, (low[1] + high[1]) / 2

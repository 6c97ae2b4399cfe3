"""Corrections for many tests, one family at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfim_fast.stats.tails import EmpiricalNull

_STATSMODELS = {"bh": "indep", "by": "negcorr"}


def adjusted(p: np.ndarray, correction: str, alpha: float) -> np.ndarray:
    """Benjamini-Hochberg ("bh") or Benjamini-Yekutieli ("by") adjusted p-values.

    Parameters
    ----------
    p : ndarray, (n,), float64
    correction : {"bh", "by"}
    alpha : float

    Returns
    -------
    ndarray, (n,), float64
    """
    from statsmodels.stats.multitest import fdrcorrection  # it takes half a second to load

    return fdrcorrection(p, alpha=alpha, method=_STATSMODELS[correction])[1]


def decoy(pieces: Sequence[tuple[EmpiricalNull, np.ndarray]]) -> list[np.ndarray]:
    """Decoy false-discovery rate of a family: null values beyond t over observed values beyond t.

    The null counts are scaled by tests over null values, pool by pool: the sum is the number of
    tests that the null would put at t or beyond. q is the lowest rate of any threshold that still
    calls the value, so it falls as the distance grows. There is no +1: q is 0 beyond the null.

    Parameters
    ----------
    pieces : sequence of (null, distances)
        For each pool of the family, its null and the distances (n,) of the tests judged by it.

    Returns
    -------
    list of ndarray, (n,), float64
        q for each piece.
    """
    observed = np.concatenate([distances for _, distances in pieces])
    order = np.argsort(observed)
    thresholds = observed[order]
    # Of equal thresholds only the first counts them all; it has the lowest rate of them, which the
    # running minimum hands to the others.
    tests_beyond = np.arange(len(thresholds), 0, -1)
    rate = np.minimum(_expected_beyond(pieces, thresholds) / tests_beyond, 1.0)
    q = np.empty_like(observed)
    q[order] = np.minimum.accumulate(rate)
    return np.split(q, np.cumsum([len(distances) for _, distances in pieces])[:-1])


def _expected_beyond(
    pieces: Sequence[tuple[EmpiricalNull, np.ndarray]], thresholds: np.ndarray
) -> np.ndarray:
    """Count the tests expected at each sorted threshold or beyond if all were null."""
    scales = [len(distances) / len(null.distances) for null, distances in pieces]
    if len(set(scales)) == 1:
        nulls = [null.distances for null, _ in pieces]
        merged = nulls[0] if len(nulls) == 1 else np.sort(np.concatenate(nulls))
        return (len(merged) - np.searchsorted(merged, thresholds)) * scales[0]
    merged = np.concatenate([null.distances for null, _ in pieces])
    weights = np.repeat(scales, [len(null.distances) for null, _ in pieces])
    order = np.argsort(merged, kind="stable")
    beyond = np.append(np.cumsum(weights[order][::-1])[::-1], 0.0)
    return beyond[np.searchsorted(merged[order], thresholds)]

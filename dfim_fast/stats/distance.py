"""Interaction against distance, in bins compared by rank (the paper's Fig. 3B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu
from statsmodels.stats.multitest import fdrcorrection

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.stats.strata import EDGES

SIDES = ("two-sided", "greater", "less")


@dataclass(frozen=True, eq=False)
class DistanceBins:
    """Scores by distance.

    Attributes
    ----------
    bins : DataFrame
        ``task`` (where pairs have one), ``bin``, ``low``, ``high`` (bp, half-open), ``n``,
        ``median``, ``lower``, ``upper`` (quartiles), ``mean``.
    tests : DataFrame
        Every two bins: ``nearer``, ``farther``, ``u``, ``p`` (Mann-Whitney), ``auc`` (the chance
        that a pair of the nearer bin scores higher than one of the farther), ``q``
        (Benjamini-Hochberg over the tests).
    values : dict
        Scores of each (task, bin).
    left_out : dict
        How many pairs were left out, and why.
    """

    bins: pd.DataFrame
    tests: pd.DataFrame
    values: dict[tuple[str, str], np.ndarray]
    left_out: dict[str, int]

    def __repr__(self) -> str:
        counts = ", ".join(f"{row.bin}: {row.n}" for row in self.bins.itertuples())
        return f"DistanceBins({counts})"


def distance_bins(
    pairs: pd.DataFrame,
    edges: Sequence[float] = EDGES,
    *,
    column: str = "fis",
    absolute: bool = False,
    alternative: str = "two-sided",
) -> DistanceBins:
    """Compare the scores of near pairs with those of distant ones.

    Bins run from 0 to the first edge, and from each edge to the next. Pairs that overlap, that the
    architecture cannot connect, or that lie beyond the last edge are left out and counted.

    Parameters
    ----------
    pairs : DataFrame
        As `motif_interactions` returns it: ``distance``, scores, and perhaps ``overlap``,
        ``reachable`` and ``task``, whose values are compared apart.
    edges : sequence of float
        Ascending, in bp.
    column : str
        Of the scores.
    absolute : bool
        Compare absolute values.
    alternative : {"two-sided", "greater", "less"}
        Of the nearer bin against the farther one.

    Returns
    -------
    DistanceBins

    Raises
    ------
    InputError
        If a column is missing or nothing is left.
    SettingsError
        If edges do not ascend, or the alternative is unknown.

    Examples
    --------
    >>> import dfim_fast
    >>> import pandas as pd
    >>> pairs = pd.DataFrame({"distance": [5, 9, 30, 44, 120], "fis": [2.0, 1.5, 0.3, 0.2, 0.0]})
    >>> bins = dfim_fast.distance_bins(pairs, edges=(20, 50, 200))
    >>> [len(values) for values in bins.values.values()]
    [2, 2, 1]
    """
    limits = np.asarray(edges, dtype=np.float64)
    if limits.ndim != 1 or not len(limits) or (np.diff([0, *limits]) <= 0).any():
        raise SettingsError(f"edges={list(edges)!r}: wanted ascending numbers above 0")
    if alternative not in SIDES:
        raise SettingsError(
            f"alternative={alternative!r} is not known; choose from {', '.join(SIDES)}"
        )
    for name in ("distance", column):
        if name not in pairs.columns:
            raise InputError(f"pairs have no column {name!r}; pass what motif_interactions returns")
    reasons = {
        "overlapping": pairs.get("overlap", pd.Series(0, pairs.index)) > 0,
        "unreachable": ~pairs.get("reachable", pd.Series(True, pairs.index)).astype(bool),
        "beyond the last edge": pairs["distance"] >= limits[-1],
        "without a score": pairs[column].isna(),
    }
    kept = pd.Series(True, pairs.index)
    left_out = {}
    for reason, rows in reasons.items():
        left_out[reason] = int((kept & rows).sum())
        kept &= ~rows
    if not kept.any():
        raise InputError("pairs: none is left to compare: " + ", ".join(
            f"{count} {reason}" for reason, count in left_out.items() if count
        ))  # fmt: skip
    own = pairs[kept]
    scores = own[column].abs() if absolute else own[column]
    lows = np.concatenate([[0.0], limits[:-1]])
    labels = [
        f"under {limits[0]:g}",
        *(f"{a:g}-{b:g}" for a, b in zip(lows[1:], limits[1:], strict=True)),
    ]
    place = np.searchsorted(limits, own["distance"], side="right")
    several = "task" in own.columns
    tasks = list(pd.unique(own["task"])) if several else [""]
    values = {
        (task, labels[b]): scores[
            (place == b) & ((own["task"] == task).to_numpy() if several else True)
        ].to_numpy(np.float64)
        for task in tasks
        for b in range(len(labels))
    }
    bins = [
        {
            "task": task,
            "bin": label,
            "low": lows[b],
            "high": limits[b],
            **_described(values[task, label]),
        }
        for task in tasks
        for b, label in enumerate(labels)
    ]
    tests = [
        {
            "task": task,
            "nearer": a,
            "farther": b,
            **_compared(values[task, a], values[task, b], alternative),
        }
        for task in tasks
        for a, b in combinations(labels, 2)
        if len(values[task, a]) and len(values[task, b])
    ]
    compared = pd.DataFrame(tests, columns=["task", "nearer", "farther", "u", "p", "auc"])
    compared["q"] = fdrcorrection(compared["p"])[1] if len(compared) else []
    unnamed = [] if several else ["task"]
    return DistanceBins(
        pd.DataFrame(bins).drop(columns=unnamed), compared.drop(columns=unnamed), values, left_out
    )


def _described(values: np.ndarray) -> dict[str, float]:
    lower, median, upper = np.percentile(values, [25, 50, 75]) if len(values) else [np.nan] * 3
    mean = values.mean() if len(values) else np.nan
    return {"n": len(values), "median": median, "lower": lower, "upper": upper, "mean": mean}


def _compared(near: np.ndarray, far: np.ndarray, alternative: str) -> dict[str, float]:
    test = mannwhitneyu(near, far, alternative=alternative)
    return {
        "u": float(test.statistic),
        "p": float(test.pvalue),
        "auc": float(test.statistic) / (len(near) * len(far)),
    }

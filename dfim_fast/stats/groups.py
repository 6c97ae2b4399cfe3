"""Two groups of scores compared by rank, such as variants and their matched controls (Fig. 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, rankdata

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.sequence.random import STREAM_WORDS, bounded, content_keys, start_stream


@dataclass(frozen=True)
class GroupComparison:
    """How cases differ from controls.

    Attributes
    ----------
    n_cases, n_controls, n_clusters : int
    median_cases, median_controls : float
    u, p : float
        Mann-Whitney, two-sided unless asked otherwise.
    auc : float
        Chance that a case exceeds a control.
    low, high : float
        Bootstrap interval of the AUC, clusters resampled as a whole.
    level : float
        Of the interval.
    """

    n_cases: int
    n_controls: int
    n_clusters: int
    median_cases: float
    median_controls: float
    u: float
    p: float
    auc: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return (
            f"median {self.median_cases:.3g} of {self.n_cases} against {self.median_controls:.3g} "
            f"of {self.n_controls}, Mann-Whitney p {self.p:.2g}, AUC {self.auc:.3f} "
            f"({100 * self.level:g}% of the bootstrap over {self.n_clusters} sequences: "
            f"{self.low:.3f} to {self.high:.3f})"
        )


def compare_groups(
    cases: Any,
    controls: Any,
    case_clusters: Any,
    control_clusters: Any,
    *,
    alternative: str = "two-sided",
    n_bootstrap: int = 2000,
    level: float = 0.95,
    random_state: int = 0,
) -> GroupComparison:
    """Compare scores of cases with those of controls, by Mann-Whitney and AUC.

    Scores of one sequence depend on each other, so the bootstrap resamples sequences.

    Parameters
    ----------
    cases, controls : array (n,), (m,)
    case_clusters, control_clusters : array (n,), (m,)
        The sequence of each.
    alternative : {"two-sided", "greater", "less"}
        Of the cases against the controls.
    n_bootstrap : int
    level : float
    random_state : int

    Returns
    -------
    GroupComparison

    Raises
    ------
    InputError
        If a group is empty, holds NaN, or has not one cluster a score.
    SettingsError
        For a level outside 0 to 1 or fewer than one resample.

    Examples
    --------
    >>> import dfim_fast
    >>> found = dfim_fast.compare_groups([3, 4, 5], [1, 2, 2], ["a", "b", "c"], ["a", "b", "c"])
    >>> found.auc
    1.0
    """
    if not 0 < level < 1 or n_bootstrap < 1:
        raise SettingsError(
            f"level={level!r}, n_bootstrap={n_bootstrap!r}: wanted a level between 0 and 1 and at "
            "least one resample"
        )
    x, y = (np.asarray(values, np.float64) for values in (cases, controls))
    of_x, of_y = np.asarray(case_clusters), np.asarray(control_clusters)
    for name, values, own in (("cases", x, of_x), ("controls", y, of_y)):
        if not len(values) or np.isnan(values).any() or len(values) != len(own):
            raise InputError(
                f"{name}: {len(values)} scores, {int(np.isnan(values).sum())} of them NaN, with "
                f"{len(own)} clusters; wanted at least one number, and a cluster for each"
            )
    test = mannwhitneyu(x, y, alternative=alternative)
    clusters, codes = np.unique(np.concatenate([of_x, of_y]), return_inverse=True)
    code_x, code_y = codes[: len(x)], codes[len(x) :]
    (key,) = content_keys(random_state, "bootstrap", [np.concatenate([x, y]).tobytes()])
    stream = np.empty(STREAM_WORDS, np.uint32)
    found = []
    for k in range(n_bootstrap):
        start_stream(stream, key, np.uint64(k))
        drawn = [bounded(stream, len(clusters)) for _ in range(len(clusters))]
        times = np.bincount(drawn, minlength=len(clusters))
        own_x, own_y = np.repeat(x, times[code_x]), np.repeat(y, times[code_y])
        if len(own_x) and len(own_y):
            found.append(_auc(own_x, own_y))
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return GroupComparison(
        len(x), len(y), len(clusters), float(np.median(x)), float(np.median(y)),
        float(test.statistic), float(test.pvalue), _auc(x, y), float(low), float(high), level,
    )  # fmt: skip


def _auc(x: np.ndarray, y: np.ndarray) -> float:
    """Chance that a value of x exceeds one of y; ties count half."""
    ranks = rankdata(np.concatenate([x, y]))[: len(x)]
    return float((ranks.sum() - len(x) * (len(x) + 1) / 2) / (len(x) * len(y)))

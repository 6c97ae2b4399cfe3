"""Significance of more scores than any memory holds, from how often each was seen.

p and q belong to levels (stats/tally.py): distinct scores, where they are judged exactly as
`significance` judges them, or bins, where p is that of the end of the bin that is nearest to the
null, so never too small. How far off that can be is not estimated: all is done again with the other
end, and both numbers of significant tests are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dfim_fast.errors import NullError, SettingsError
from dfim_fast.stats.distinct import DistinctP
from dfim_fast.stats.histogram import BITS, LogHistogram, bin_of
from dfim_fast.stats.outcome import report_lines
from dfim_fast.stats.significance import check_settings
from dfim_fast.stats.strata import STRATA
from dfim_fast.stats.tails import EmpiricalNull, GaussianNull
from dfim_fast.stats.tallied_gaussian import Counted, fit_bins, fit_scores
from dfim_fast.stats.tally import Tally, histogram_of

POOLS = ("global", "task", "distance")
FAMILIES = ("global", "task")
CORRECTIONS = ("bh", "by")


@dataclass(frozen=True)
class _Judged:
    """Levels of a pool of tests with their p and q."""

    levels: np.ndarray
    p: np.ndarray
    q: np.ndarray


class TalliedSignificance:
    """Judges tests by a null, both tallied in pools ``task * STRATA + stratum``.

    Parameters
    ----------
    null, scores : Tally
    tasks : sequence of str
    exact : bool
        Whether levels are scores; bins if not.
    pool : {"global", "task", "distance"}
        Null values that judge a score: all, those of its task, or those of its task and bin of
        distance.
    family : {"global", "task"}
        Tests corrected together.
    correction : {"bh", "by"}
    alpha : float
    null_kind : str
    null_model : {"empirical", "gaussian"}
    held_out : Tally, optional
        The half of the null that the Gaussian of the other half is held against.

    Attributes
    ----------
    fit : dict of str to GaussianNull, or None
        The Gaussian of each pool.

    Raises
    ------
    SettingsError
        For an unknown option, or where nothing was tested.
    NullError
        Where a pool has tests and no null, or a Gaussian is to be fitted to equal values.
    """

    checked = True  # scores and null come of one run, with one set of settings
    absolute = False

    def __init__(
        self,
        null: Tally,
        scores: Tally,
        tasks: Sequence[str],
        *,
        exact: bool,
        pool: str = "task",
        family: str = "task",
        correction: str = "bh",
        alpha: float = 0.05,
        masked: int = 0,
        null_kind: str = "dinucleotide",
        null_model: str = "empirical",
        held_out: Tally | None = None,
    ) -> None:
        check_options(pool, family, correction, alpha, null_model)
        self.null_model = null_model
        self.fit: dict[str, GaussianNull] | None = {} if null_model == "gaussian" else None
        self.tasks, self.exact = list(tasks), exact
        self.pool, self.family, self.correction, self.alpha = pool, family, correction, alpha
        self.null_kind, self.masked = null_kind, masked
        self.tests = scores.size()
        if not self.tests:
            raise SettingsError(
                "no tested cells: all scores are masked; look at the window, and for N in the "
                "regions"
            )
        groups = self._groups()
        self._number = {own: n for n, group in enumerate(groups) for own in group}
        levels, low, high, sizes = [], [], [], []
        for group in groups:
            seen, counts = scores.pooled(group)
            values, times = null.pooled(group)
            if len(seen) and not len(values):
                raise NullError(
                    f"pool={pool!r}: the null has no values for task "
                    f"{self.tasks[group[0] // STRATA]!r} at some distance where scores were "
                    "tested; take the null from more regions, or pool wider"
                )
            if len(seen):
                sizes.append(int(times.sum()))
            if null_model == "empirical":
                ends = self._p(seen, values, times)
            else:
                half = (held_out or Tally(len(null.levels))).pooled(group)
                ends = self._gaussian_p(str(group[0]), seen, (values, times), half)
            levels.append((seen, counts))
            low.append(ends[0])
            high.append(ends[1])
        self.pools, self.null_size = len(sizes), min(sizes)
        self.smallest_p = 1 / (self.null_size + 1)
        q_high, self.called, self.families = self._correct(groups, levels, high)
        self.called_at_most = self.called if exact else self._correct(groups, levels, low)[1]
        self._judged = [
            _Judged(seen, p, q) for (seen, _), p, q in zip(levels, high, q_high, strict=True)
        ]

    def judge(
        self, task: np.ndarray, stratum: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """p and q (n,) of scores (n,) that were tallied.

        Parameters
        ----------
        task, stratum : ndarray (n,) of int
        values : ndarray (n,)
        """
        p, q = np.empty(len(values)), np.empty(len(values))
        group = np.array([self._number[i] for i in range(len(self._number))])
        of = group[np.asarray(task, np.int64) * STRATA + stratum]
        level = values.astype(np.float64) if self.exact else bin_of(values.astype(np.float64))
        for number in np.unique(of):
            own, judged = of == number, self._judged[number]
            at = np.searchsorted(judged.levels, level[own])
            p[own], q[own] = judged.p[at], judged.q[at]
        return p, q

    def report(self) -> list[str]:
        """Describe null, test and outcome, a line each."""
        lines = report_lines(self, self.called, 0)
        if not self.exact:
            lines.append(
                f"counted in bins at most {2.0**-BITS:.1%} wide: p and q are upper bounds, and "
                f"exact ones would call {self.called:,} to {self.called_at_most:,} tests "
                "significant"
            )
        return lines

    def _groups(self) -> list[list[int]]:
        """Tallied pools that make up each pool of the null."""
        every = range(len(self.tasks) * STRATA)
        if self.pool == "global":
            return [list(every)]
        if self.pool == "task":
            return [list(every[k * STRATA : (k + 1) * STRATA]) for k in range(len(self.tasks))]
        return [[number] for number in every]

    def _p(
        self, levels: np.ndarray, values: np.ndarray, times: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of p of each level."""
        if not len(levels):
            return np.empty(0), np.empty(0)
        if self.exact:
            p = EmpiricalNull(np.repeat(values, times), absolute=False).p(levels)
            return p, p
        edges = LogHistogram.edges()
        bins = levels.astype(np.int64)
        left, right = edges[bins], edges[bins + 1]
        # the last number before the outer edge still lies in the bin
        inner = np.where(left >= 0, left, np.where(right <= 0, right, 0.0))
        outer = np.where(left >= 0, np.nextafter(right, 0), np.nextafter(left, 0))
        null = histogram_of(values, times)
        low = np.minimum(null.p_bounds(outer)[0], null.p_bounds(inner)[0])
        return low, null.p_bounds(inner)[1]

    def _gaussian_p(
        self, name: str, levels: np.ndarray, null: Counted, held_out: Counted
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `_p`, under a Gaussian, which is kept."""
        if not len(levels):
            return np.empty(0), np.empty(0)
        assert self.fit is not None
        if self.exact:
            self.fit[name] = fit_scores(null, held_out)
            p = self.fit[name].p(levels)[0]
            return p, p
        binned = fit_bins(null, held_out)
        self.fit[name] = binned.fitted
        return binned.p_bounds(levels.astype(np.int64))

    def _correct(
        self,
        groups: list[list[int]],
        levels: list[tuple[np.ndarray, np.ndarray]],
        p: list[np.ndarray],
    ) -> tuple[list[np.ndarray], int, int]:
        """q of each level, how many tests are significant, and in how many families."""
        of = [group[0] // STRATA if self.family == "task" else 0 for group in groups]
        families = {key: DistinctP() for key in of}
        for key, (_, counts), own in zip(of, levels, p, strict=True):
            families[key].add(own, counts)
        q = [
            families[key].q(own, self.correction) if len(own) else np.empty(0)
            for key, own in zip(of, p, strict=True)
        ]
        called = sum(
            int(counts[own <= self.alpha].sum()) for own, (_, counts) in zip(q, levels, strict=True)
        )
        held = {key for key, (seen, _) in zip(of, levels, strict=True) if len(seen)}
        return q, called, len(held)


def check_options(
    pool: str, family: str, correction: str, alpha: float, null_model: str = "empirical"
) -> None:
    """Refuse options that `TalliedSignificance` does not know.

    Raises
    ------
    SettingsError
    """
    for option, value, known in (
        ("pool", pool, POOLS),
        ("family", family, FAMILIES),
        ("correction", correction, CORRECTIONS),
    ):
        if value not in known:
            choices = ", ".join(map(repr, known))
            raise SettingsError(f"{option}={value!r} is not known here; choose one of {choices}")
    check_settings(null_model, "task", family, correction, alpha)

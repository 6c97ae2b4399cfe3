"""Significance of maps too large for memory: the same numbers as `significance`, in passes.

The null comes first, sequence by sequence. Then every sequence of scores is given its p-values,
and in a last pass, once all are known, its q-values. What is kept between the passes is the null
and the distinct p-values with how many tests gave each, from which Benjamini-Hochberg and the
decoy rate follow exactly.

Both are bounded. Null values beyond a stated number are counted in `LogHistogram` instead, and the
p reported is then the upper bound; distinct p-values beyond a stated number are rounded up to
fewer digits. Which of the two happened depends on what was added, never on how it was cut.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from dfim_fast.errors import NullError, SettingsError
from dfim_fast.stats.distinct import EXACT_P, DistinctP
from dfim_fast.stats.outcome import report_lines
from dfim_fast.stats.pool import Pool
from dfim_fast.stats.significance import check_settings
from dfim_fast.stats.tails import GaussianNull

EXACT_VALUES = 1 << 26  # null values kept as they are: 0.5 GB once sorted


class StreamedSignificance:
    """Judges signed scores sequence by sequence; settings as in `significance`.

    Call `add_null` for every sequence, then `p` for every sequence, then `q`. With
    ``pool="sequence"`` the p of a sequence may be asked for as soon as its own null is in, and with
    ``family="sequence"`` its q as soon as its p.

    Parameters
    ----------
    tasks : sequence of str
    null_model, pool, family, correction, alpha
        As in `significance`.
    null_kind : str
        For the report.
    exact_values, exact_p : int
        Null values, and distinct p-values, that are kept as they are.

    Raises
    ------
    SettingsError
        For an unknown option, or a decoy rate over families that several pools make up: that needs
        all scores at once.
    """

    checked = True  # the caller compares provenance, part by part
    absolute = False

    def __init__(
        self,
        tasks: Sequence[str],
        null_model: str = "empirical",
        pool: str = "task",
        family: str = "task",
        correction: str = "bh",
        alpha: float = 0.05,
        null_kind: str = "dinucleotide",
        exact_values: int = EXACT_VALUES,
        exact_p: int = EXACT_P,
    ) -> None:
        check_settings(null_model, pool, family, correction, alpha)
        breadth = {"sequence": 0, "task": 1, "global": 1 if len(tasks) == 1 else 2}
        if correction == "decoy" and breadth[pool] < breadth[family]:
            raise SettingsError(
                f"correction='decoy': family={family!r} is wider than pool={pool!r}, which needs "
                f"all scores in memory; use family={pool!r}, another correction, or "
                "dfim_fast.significance"
            )
        self.tasks = list(tasks)
        self.null_model, self.pool, self.family = null_model, pool, family
        self.correction, self.alpha, self.null_kind = correction, float(alpha), null_kind
        self.tests = self.masked = self.called = self.beyond = 0
        self._exact_values, self._exact_p, self._held = exact_values, exact_p, 0
        self._pools: dict[Hashable, Pool] = {}
        self._families: dict[Hashable, DistinctP] = {}
        self._sizes: list[int] = []
        self._fits: dict[Hashable, GaussianNull] = {}
        self._family_keys: set[Hashable] = set()
        self.binned = self.rounded = False

    @property
    def pools(self) -> int:
        """Pools that judged a test."""
        return len(self._sizes)

    @property
    def families(self) -> int:
        """Families with a test."""
        return len(self._family_keys)

    @property
    def null_size(self) -> int:
        """Null values in the smallest pool that judged a test."""
        return min(self._sizes, default=0)

    @property
    def smallest_p(self) -> float:
        """Smallest p that counting in that pool can give."""
        return 1 / (self.null_size + 1)

    @property
    def fit(self) -> dict[Hashable, GaussianNull] | None:
        """Gaussian of each pool, or None for the empirical null."""
        return self._fits if self.null_model == "gaussian" else None

    def add_null(self, task: int, sequence: int, rows: Sequence[np.ndarray]) -> None:
        """Add the tested null values of one sequence.

        Parameters
        ----------
        task, sequence : int
        rows : sequence of ndarray, (n,)
            For each of its shuffles.
        """
        pool = self._pools.setdefault(self._key(self.pool, task, sequence), Pool())
        pool.add(sequence, rows)
        self._held += sum(len(row) for row in rows)
        self.binned = self._held > self._exact_values and self.pool != "sequence"
        if self.binned:
            for each in self._pools.values():
                each.bin()

    def p(self, task: int, sequence: int, values: np.ndarray, masked: int = 0) -> np.ndarray:
        """p-values of the tested scores of one sequence, which are counted for its family.

        Parameters
        ----------
        task, sequence : int
        values : ndarray, (n,)
        masked : int
            Cells of the sequence that are not tested, for the report.

        Returns
        -------
        ndarray, (n,), float64

        Raises
        ------
        NullError
            If the pool has no null value, or is constant where a Gaussian is to be fitted.
        """
        self.tests += len(values)
        self.masked += masked
        if not len(values):
            return np.empty(0)
        pool = self._closed(task, sequence)
        found = pool.p(values)
        key = self._key(self.family, task, sequence)
        family = self._families.setdefault(key, DistinctP(self._exact_p))
        family.add(self._ranked(pool, values, found))
        self._family_keys.add(key)
        if self.pool == "sequence" and self.correction != "decoy":  # judges nothing more
            del self._pools[self._key(self.pool, task, sequence)]
        return found

    def q(self, task: int, sequence: int, values: np.ndarray, p: np.ndarray) -> np.ndarray:
        """q-values of one sequence; its scores and p-values (n,) as they went into `p`."""
        if not len(values):
            return np.empty(0)
        own = self._key(self.pool, task, sequence)
        pool = self._pools.get(own)
        ranked = p if pool is None else self._ranked(pool, values, p)
        key = self._key(self.family, task, sequence)
        size = pool.size if pool is not None else 0
        family = self._families[key]
        found = family.q(ranked, self.correction, size)
        self.rounded |= family.rounded
        self.called += int(np.count_nonzero(found <= self.alpha))
        self.beyond += int(np.count_nonzero(found == 0))
        if self.family == "sequence":  # nothing more will be asked of it
            del self._families[key]
            if self.pool == "sequence":
                self._pools.pop(own, None)
        return found

    def neg_log10_p(
        self, task: int, sequence: int, values: np.ndarray, p: np.ndarray
    ) -> np.ndarray:
        """-log10 p of some scores; exact where a Gaussian p underflows to 0."""
        fit = self._fits.get(self._name(self.pool, task, sequence))
        return np.maximum(-np.log10(p), 0.0) if fit is None else fit.p(values)[1]

    def report(self) -> list[str]:
        """Describe null, test, fit and outcome, a line each; after the last `q`."""
        lines = report_lines(self, self.called, self.beyond)
        if self.binned:
            lines.append(
                f"the null has more than {self._exact_values} values: counted in bins at most "
                "0.4% wide, p are upper bounds"
            )
        if self.rounded:
            lines.append(
                f"more than {self._exact_p} distinct p-values: rounded up for the correction"
            )
        return lines

    def _key(self, level: str, task: int, sequence: int) -> Hashable:
        return {"global": "all", "task": task, "sequence": (task, sequence)}[level]

    def _name(self, level: str, task: int, sequence: int) -> Hashable:
        key = self._key(level, task, sequence)
        if isinstance(key, tuple):
            return self.tasks[task], sequence
        return key if key == "all" else self.tasks[task]

    def _closed(self, task: int, sequence: int) -> Pool:
        """The pool of a sequence, ready to judge."""
        key = self._key(self.pool, task, sequence)
        name = self._name(self.pool, task, sequence)
        pool = self._pools.get(key)
        if pool is None or not pool.size:
            raise NullError(
                f"pool={self.pool!r}: the null has no values for pool {name!r}; make more null "
                "maps of each sequence, or pool wider"
            )
        if pool.closed:
            return pool
        low, high = pool.extent()
        if self.null_model == "gaussian" and low == high:
            raise NullError(
                f"null_model='gaussian': all {pool.size} null values in pool {name!r} equal "
                f"{low:g}, so sd is 0; use null_model='empirical' or a null with spread"
            )
        pool.close(self.null_model == "gaussian", self.correction == "decoy")
        self._sizes.append(pool.size)
        if pool.fitted is not None:
            self._fits[name] = pool.fitted
        return pool

    def _ranked(self, pool: Pool, values: np.ndarray, p: np.ndarray) -> np.ndarray:
        """The p-values that the correction ranks: the decoy rate counts, whatever judges."""
        if self.correction == "decoy" and self.null_model == "gaussian":
            return pool.counted.p(values)
        return p

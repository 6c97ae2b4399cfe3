"""Running sums of interactions by base and position (the paper's section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfim_fast.errors import SettingsError
from dfim_fast.maps.labelled import SHOWN, table_html
from dfim_fast.maps.request import Request
from dfim_fast.maps.storage import MEMORY_SHARE, physical_memory
from dfim_fast.plan.planner import choose, whole_number
from dfim_fast.sequence.one_hot import UNKNOWN

LETTERS = "ACGT"


@dataclass(eq=False)
class Aggregate:
    """FIS of every (alpha, s, gamma, beta, t), over the sequences with alpha at s and beta at t.

    S sources, T targets (offsets with ``window=``). With a list of tasks all sums and means carry a
    leading task axis.

    Attributes
    ----------
    sum, sum_absolute, sum_of_squares : ndarray (4 alpha, S, 4 gamma, 4 beta, T) float64
        Of FIS and of |FIS|.
    count : ndarray (4 alpha, S, 4 beta, T) int64
        Sequences, or anchors.
    sources : ndarray (S,) int
        Positions, or offsets from the anchors' centres.
    targets : ndarray (T,) int
        Positions; offsets from the source with ``window=``; offsets from the anchors' centres.
    reach : ndarray (K, S, T) of bool
        Cells the architecture can connect; all True for anchors.
    absolute : bool
        Whether ``mean`` is of |FIS|.
    n : int
        Sequences, or anchors, taken in.
    task_names : list of str
    several : bool
    relative : bool
        Whether targets are offsets from the source.
    """

    sum: np.ndarray
    sum_absolute: np.ndarray
    sum_of_squares: np.ndarray
    count: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    reach: np.ndarray
    absolute: bool
    n: int
    task_names: list[str]
    several: bool
    relative: bool

    def __repr__(self) -> str:
        return (
            f"Aggregate({self.n} sequences, {len(self.sources)} sources x {len(self.targets)} "
            f"targets, mean of {'|FIS|' if self.absolute else 'FIS'}, "
            f"tasks {', '.join(self.task_names)})"
        )

    def _repr_html_(self) -> str:
        """What the sums are of, and the strongest mean interactions of the first task."""
        best = self.marginal().stack(["target", "base"], future_stack=True).dropna()
        strongest = best.abs().sort_values(ascending=False, kind="stable").index[:SHOWN]
        rows = [
            [f"{base} at {source}", f"{letter} at {target}", f"{best[key]:.3g}"]
            for key in strongest for source, base, target, letter in [key]
        ]  # fmt: skip
        return table_html(repr(self), ["source", "target", "mean"], rows,
                          f"the strongest, {self.task_names[0]}")  # fmt: skip

    @property
    def mean(self) -> np.ndarray:
        """Mean of |FIS| or of FIS (4, S, 4, 4, T); NaN where nothing was seen or can be."""
        return self._mean(self.sum_absolute if self.absolute else self.sum)

    @property
    def standard_deviation(self) -> np.ndarray:
        """Of the same values over the sequences."""
        square = self._mean(self.sum_of_squares)
        return np.sqrt(np.maximum(square - self.mean**2, 0))

    def marginal(self, minimum: int = 1, alpha: str | None = None, task: int = 0) -> pd.DataFrame:
        """The largest mean over the three mutants: the paper's Fig. 8.

        Parameters
        ----------
        minimum : int
            Sequences that a cell needs; NaN with fewer.
        alpha : {"A", "C", "G", "T"}, optional
            One of the four maps before the maximum is taken: that of this observed source base.
        task : int
            Which of several tasks.

        Returns
        -------
        DataFrame (4S, 4T)
            Rows (source, observed base), or with ``alpha`` (source, mutant base); columns
            (target, base).

        Raises
        ------
        SettingsError
        """
        whole_number("minimum", minimum, 1)
        mean = self.mean[task] if self.several else self.mean
        mean = np.where((self.count >= minimum)[:, :, None], mean, np.nan)
        if alpha is not None:
            choose("alpha", alpha, tuple(LETTERS))
            best = mean[LETTERS.index(alpha)].swapaxes(0, 1)  # gamma, s, beta, t
        else:
            found = np.isfinite(mean)
            best = np.where(found, mean, -np.inf).max(axis=2)
            best = np.where(found.any(axis=2), best, np.nan)
        s, t = len(self.sources), len(self.targets)
        rows = pd.MultiIndex.from_product([self.sources, list(LETTERS)], names=["source", "base"])
        columns = pd.MultiIndex.from_product(
            [self.targets, list(LETTERS)], names=["target", "base"]
        )
        values = best.transpose(1, 0, 3, 2).reshape(4 * s, 4 * t)
        return pd.DataFrame(values, index=rows, columns=columns)

    def _mean(self, total: np.ndarray) -> np.ndarray:
        mutated = ~np.eye(4, dtype=bool)[:, None, :, None, None]  # alpha, s, gamma, beta, t
        count = np.where(mutated, self.count[:, :, None], 0)
        reach = self.reach if self.several else self.reach[0]
        seen = (count > 0) & reach[..., None, :, None, None, :]
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=seen)

    def add(self, fis: np.ndarray, alpha: np.ndarray, beta: np.ndarray, apart: np.ndarray) -> None:
        """Take in one sequence.

        Parameters
        ----------
        fis : ndarray (K, S, 4, T)
        alpha : ndarray (S,) int
            Bases at the sources; 4 for none.
        beta : ndarray (S, T) int
            Bases at the targets; likewise.
        apart : ndarray (S, T) of bool
            False where the target is the source, or none.
        """
        s, t = np.nonzero(apart & (alpha < UNKNOWN)[:, None] & (beta < UNKNOWN))
        a, b = alpha[s], beta[s, t]
        self.count[a, s, b, t] += 1
        # the cells of one sequence differ, so that plain indexing adds each once
        values = fis[:, s, :, t].astype(np.float64)  # (cells, K, 4)
        cell = np.index_exp[a, s, :, b, t]
        for total, part in (
            (self.sum, values), (self.sum_absolute, np.abs(values)),
            (self.sum_of_squares, values**2),
        ):  # fmt: skip
            if self.several:
                for k in range(len(total)):
                    total[k][cell] += part[:, k]
            else:
                total[cell] += part[:, 0]


def empty(
    request: Request,
    sources: np.ndarray,
    targets: np.ndarray,
    reach: np.ndarray,
    absolute: bool,
    relative: bool,
) -> Aggregate:
    """An aggregate that has seen nothing.

    Raises
    ------
    SettingsError
        If memory cannot hold it.
    """
    s, t, tasks = len(sources), len(targets), len(request.plan.tasks)
    needed = 8 * 16 * s * t * (12 * tasks + 1)
    limit = MEMORY_SHARE * physical_memory()
    if needed > limit:
        raise SettingsError(
            f"the sums of {s} sources x {t} targets would take {needed / 1e9:.1f} GB, but memory "
            f"allows {limit / 1e9:.1f} GB; use window=, fewer sources or targets, or anchors="
        )
    shape = ((tasks,) if request.several else ()) + (4, s, 4, 4, t)
    return Aggregate(
        sum=np.zeros(shape),
        sum_absolute=np.zeros(shape),
        sum_of_squares=np.zeros(shape),
        count=np.zeros((4, s, 4, t), np.int64),
        sources=np.asarray(sources),
        targets=np.asarray(targets),
        reach=reach,
        absolute=absolute,
        n=0,
        task_names=list(request.settings["tasks"]),
        several=request.several,
        relative=relative,
    )

"""A check on maps: the interaction of two mutations, measured by making both (SEMANTICS 2.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from dfim_fast.maps.interaction import InteractionMap
from dfim_fast.maps.model import Model
from dfim_fast.sequence.one_hot import from_codes


@dataclass(frozen=True)
class Agreement:
    """FIS against double-mutant ISM over some cells.

    Attributes
    ----------
    rank : float
        Spearman's correlation; NaN where either is constant.
    sign : float
        Share of cells, of those where neither is zero, with equal signs.
    cells : int
    """

    rank: float
    sign: float
    cells: int

    def __str__(self) -> str:
        rank = "undefined" if np.isnan(self.rank) else f"{self.rank:.2f}"
        return f"rank correlation {rank}, same sign {100 * self.sign:.0f}% ({self.cells} cells)"


def double_mutant_ism(
    model: Model, maps: InteractionMap, cells: np.ndarray, task: int = 0
) -> np.ndarray:
    """How much the effect of mutating t changes when s is mutated.

    ``[Y(X) - Y(X_t)] - [Y(X_s) - Y(X_st)]``, the mean over the three mutants of t: what FIS(t | s)
    approximates with one backward pass for all t.

    Parameters
    ----------
    model : Model
    maps : InteractionMap
    cells : ndarray (P, 4) of int
        Sequence, source index, mutant base, target position.
    task : int
        Which of the maps' tasks.

    Returns
    -------
    ndarray (P,) float64
    """
    batch, column = [], maps.plan.tasks[task]
    for n, s, base, target in cells:
        original = maps.sequences[n]
        mutant = original.copy()
        mutant[maps.sources[s]] = base
        batch += [original, mutant]
        for other in range(4):
            if other != original[target]:
                for codes in (original, mutant):
                    both = codes.copy()
                    both[target] = other
                    batch.append(both)
    scores = model.predict(from_codes(np.stack(batch)))[:, column].astype(np.float64)
    scores = scores.reshape(len(cells), 4, 2)  # (original or t mutated three ways) x (s or not)
    effect = scores[:, :1] - scores[:, 1:]
    return (effect[:, :, 0] - effect[:, :, 1]).mean(axis=1)


def compare(fis: np.ndarray, ism: np.ndarray) -> Agreement:
    """Rank and sign agreement of two scores of the same cells."""
    constant = len(fis) < 3 or np.ptp(fis) == 0 or np.ptp(ism) == 0
    rank = float("nan") if constant else float(spearmanr(fis, ism).statistic)
    both = (fis != 0) & (ism != 0)
    sign = float((np.sign(fis[both]) == np.sign(ism[both])).mean()) if both.any() else float("nan")
    return Agreement(rank, sign, len(fis))

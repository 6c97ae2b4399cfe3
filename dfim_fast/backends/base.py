"""What every backend does, and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants
from dfim_fast.sequence.references import make_references
from dfim_fast.sequence.shuffle import Shuffled


@dataclass
class SequenceMap:
    """The map of one sequence. K tasks, S sources, W targets, L positions.

    Arrays are in the backend's own precision: float64 in reference, float32 elsewhere.

    Attributes
    ----------
    fis : ndarray (K, S, 4, W)
        Original minus mutant importance; 0 in the slot of the observed base and at N.
    standard_error : ndarray like fis, or None
        Over groups of references; None with fewer than two.
    self_effect, mutant_predictions : ndarray (K, S, 4)
        In the slot of the observed base: 0, and the original's prediction.
    attributions : ndarray (K, L)
        Importance of the original's observed bases.
    predictions : ndarray (K,)
    reference_predictions : ndarray (K,) float32 or None
        Mean over the references.
    delta_error : float or None
        Largest |sum C - (Y - Y_reference)| over original and mutants, relative to sum |C|; None
        where the rule is not additive.
    fold_spread, sign_agreement : ndarray like fis, or None
        Standard deviation over folds, and the share of them with the sign of fis, their mean; None
        for a single network.
    """

    fis: np.ndarray
    standard_error: np.ndarray | None
    self_effect: np.ndarray
    mutant_predictions: np.ndarray
    attributions: np.ndarray
    predictions: np.ndarray
    reference_predictions: np.ndarray | None
    delta_error: float | None
    fold_spread: np.ndarray | None = None
    sign_agreement: np.ndarray | None = None


Into = tuple[np.ndarray, np.ndarray | None]  # zeros for ``fis`` and ``standard_error``


@dataclass
class Effects:
    """What chosen mutants of one sequence change at chosen targets.

    G groups of references, K tasks, M mutants, W targets, L positions. Groups stay apart so that
    the standard error of a sum over targets can be had: it does not follow from those of its parts.

    Attributes
    ----------
    lost : ndarray (G, K, M, W)
        Original minus mutant importance; 0 inside the mutated span and where the target is -1.
    own : ndarray (G, K, M)
        The same, summed over the mutated span.
    mutant_predictions : ndarray (K, M)
    attributions : ndarray (G, K, L)
        Importance of the original's observed bases.
    predictions : ndarray (K,)
    weights : ndarray (G,)
        Share of each group in the mean.
    delta_error : float or None
        Largest error of summation-to-delta that was looked at, relative to sum |C|.
    by_fold : tuple of Effects
        Of which these are the means; empty for a single network.
    """

    lost: np.ndarray
    own: np.ndarray
    mutant_predictions: np.ndarray
    attributions: np.ndarray
    predictions: np.ndarray
    weights: np.ndarray
    delta_error: float | None
    by_fold: tuple[Effects, ...] = ()

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean (...) of values (G, ...) over the groups, float64."""
        return weighted(self.weights, values.astype(np.float64))

    def standard_error(self, values: np.ndarray) -> np.ndarray:
        """Standard error (...) of that mean; NaN with a single group."""
        groups = len(self.weights)
        if groups < 2:
            return np.full(values.shape[1:], np.nan)
        off = values.astype(np.float64) - self.mean(values)
        return np.sqrt(self.mean(off**2) / (groups - 1))


class Backend(ABC):
    """A machine that carries out plans. One object serves one plan."""

    name: str
    dtype: type  # of the results
    chunk = 1  # sequences that are handed over together
    folds = 1  # networks whose mean it gives

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @property
    def plans(self) -> list[Plan]:
        """The plan of each network."""
        return [self.plan]

    def preparation(self) -> str | None:
        """What a user should know before the first map, if it takes long; None otherwise."""
        return None

    def references(
        self, x: np.ndarray, references: Any, n_references: int, gc: float, random_state: int
    ) -> Any:
        """References of x (N, 4, L), for the methods below: (N, R, 4, L), or what stands for it.

        A backend that draws shuffles itself need not bring them here first.
        """
        return make_references(x, references, n_references, gc, random_state)

    def shuffled(self, shuffles: Shuffled) -> np.ndarray:
        """Codes (N * n, L) of shuffles, for inputs; a backend may draw them itself, to the bit."""
        return shuffles.codes()

    @abstractmethod
    def maps(
        self, x: np.ndarray, references: np.ndarray | None, into: Sequence[Into] | None = None
    ) -> Iterator[SequenceMap]:
        """Interaction maps of x (N, 4, L), references (N, R, 4, L), in order.

        A backend may write ``fis`` and ``standard_error`` of sequence n into the zeros ``into[n]``
        and return those arrays.
        """

    @abstractmethod
    def effects(
        self,
        x: np.ndarray,
        references: np.ndarray | None,
        mutants: Sequence[Mutants],
        targets: Sequence[np.ndarray],
    ) -> Iterator[Effects]:
        """Any mutants of x (N, 4, L) at any targets (W,) or (M, W), -1 for none, in order.

        The plan's own sources and targets play no part.
        """

    @abstractmethod
    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        """Importance (K, L, 4) and summation-to-delta error of each sequence, in order."""

    @abstractmethod
    def predictions(self, x: np.ndarray) -> np.ndarray:
        """Scores (N, K) of x (N, 4, L)."""


def weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weighted sum of values (G, ...) over the first axis, in its order whatever the shape."""
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total += weight * value
    return total

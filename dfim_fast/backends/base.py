"""What every backend does, and what it gives back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dfim_fast.plan.plan import Plan


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
    """

    fis: np.ndarray
    standard_error: np.ndarray | None
    self_effect: np.ndarray
    mutant_predictions: np.ndarray
    attributions: np.ndarray
    predictions: np.ndarray
    reference_predictions: np.ndarray | None
    delta_error: float | None


class Backend(ABC):
    """A machine that carries out plans. One object serves one plan."""

    name: str
    dtype: type  # of the results
    chunk = 1  # sequences that are handed over together

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def preparation(self) -> str | None:
        """What a user should know before the first map, if it takes long; None otherwise."""
        return None

    @abstractmethod
    def maps(self, x: np.ndarray, references: np.ndarray | None) -> Iterator[SequenceMap]:
        """Interaction maps of x (N, L, 4), references (N, R, L, 4), in order."""

    @abstractmethod
    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        """Importance (K, L, 4) and summation-to-delta error of each sequence, in order."""

    @abstractmethod
    def predictions(self, x: np.ndarray) -> np.ndarray:
        """Scores (N, K) of x (N, L, 4)."""

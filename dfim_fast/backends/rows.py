"""From the importance of mutants to the rows of a map: the same arithmetic for every backend."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.base import SequenceMap
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants


class MapBuilder:
    """Collects the mutants' importance of one sequence, tile by tile, into a SequenceMap.

    Parameters
    ----------
    plan : Plan
    mutants : Mutants
    original : ndarray (G, K, L)
        Importance of the original, per group of references (G = 1 for gradients).
        Its dtype, the backend's own precision, is that of the map.
    predictions : ndarray (K,)
    """

    def __init__(
        self, plan: Plan, mutants: Mutants, original: np.ndarray, predictions: np.ndarray
    ) -> None:
        self.plan, self.mutants, self.original = plan, mutants, original
        self.weights = group_weights(plan)
        tasks, sources, width = len(plan.tasks), len(plan.sources), plan.targets.shape[1]
        shape = (tasks, sources, 4, width)
        dtype = original.dtype
        spread = np.zeros(shape, dtype) if len(original) > 1 else None
        self.map = SequenceMap(
            fis=np.zeros(shape, dtype),
            standard_error=spread,
            self_effect=np.zeros(shape[:3], dtype),
            mutant_predictions=np.zeros(shape[:3], dtype),
            attributions=np.einsum("g,gkl->kl", self.weights, original).astype(dtype),
            predictions=predictions.astype(dtype),
            reference_predictions=None,
            delta_error=None,
        )
        self.map.mutant_predictions[:] = self.map.predictions[:, None, None]

    def add(self, index: np.ndarray, lost: np.ndarray, predictions: np.ndarray) -> None:
        """Enter mutants ``index`` (B,): importance lost (G, K, B, L), predictions (K, B)."""
        source, base = self.mutants.slot[index].T
        start = self.mutants.start[index]
        columns = self.plan.targets[source]
        shape = (*lost.shape[:2], *columns.shape)
        picked = np.take_along_axis(lost, np.broadcast_to(np.maximum(columns, 0), shape), 3)
        last = start + self.mutants.width[index]
        own = (columns >= start[:, None]) & (columns < last[:, None])
        dead = own | (columns < 0) | ~self.plan.reach[:, source]
        picked = np.where(dead[None], 0, picked)
        mean = np.einsum("g,gkbw->kbw", self.weights, picked)
        self.map.fis[:, source, base] = mean
        if self.map.standard_error is not None:
            off = (picked - mean[None]) ** 2
            variance = np.einsum("g,gkbw->kbw", self.weights, off) / (len(self.weights) - 1)
            self.map.standard_error[:, source, base] = np.sqrt(variance)
        rows = np.arange(lost.shape[3])
        inside = (rows >= start[:, None]) & (rows < last[:, None])
        lost_mean = np.einsum("g,gkbl->kbl", self.weights, lost)
        self.map.self_effect[:, source, base] = np.where(inside[None], lost_mean, 0).sum(2)
        self.map.mutant_predictions[:, source, base] = predictions


def group_weights(plan: Plan) -> np.ndarray:
    """Share (G,) of each group of references in the mean; sizes differ by one at most."""
    groups = max(plan.groups, 1)
    sizes = np.bincount(np.arange(max(plan.n_references, 1)) % groups, minlength=groups)
    return sizes / sizes.sum()


def delta_error(importance: np.ndarray, scores: np.ndarray, expected: np.ndarray) -> float:
    """Largest error of summation-to-delta, relative to the sum of |C|.

    Parameters
    ----------
    importance : ndarray (..., L)
    scores : ndarray (...)
        Y(X).
    expected : ndarray, broadcast against scores
        Mean of Y(R) over the references.
    """
    total = np.abs(importance).sum(axis=-1, dtype=np.float64)
    off = np.abs(importance.sum(axis=-1, dtype=np.float64) - (scores - expected))
    # what rounding of the two scores alone can leave counts for nothing, or a sequence that is
    # its own reference (every C zero) would show an infinite relative error
    rounding = 64 * np.finfo(importance.dtype).eps * np.abs(scores)
    off = np.maximum(off - rounding, 0)
    return float(np.max(np.divide(off, total, out=off, where=total > 0), initial=0.0))

"""From the importance of mutants to the rows of a map: the same arithmetic for every backend."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.base import Effects, SequenceMap, weighted
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
    expected : ndarray (K,) or None
        Mean score of the references.
    """

    def __init__(
        self,
        plan: Plan,
        mutants: Mutants,
        original: np.ndarray,
        predictions: np.ndarray,
        expected: np.ndarray | None,
    ) -> None:
        self.plan, self.mutants = plan, mutants
        tasks, sources, width = len(plan.tasks), len(plan.sources), plan.targets.shape[1]
        shape = (tasks, sources, 4, width)
        dtype = original.dtype
        self.map = SequenceMap(
            fis=np.zeros(shape, dtype),
            standard_error=np.zeros(shape, dtype) if len(original) > 1 else None,
            self_effect=np.zeros(shape[:3], dtype),
            mutant_predictions=np.zeros(shape[:3], dtype),
            attributions=self.mean(original),
            predictions=predictions.astype(dtype),
            reference_predictions=expected,
            delta_error=None,
        )
        self.map.mutant_predictions[:] = self.map.predictions[:, None, None]
        # with every position a target, the mutants' sums can be checked too
        self.complete = covers_all(plan)
        if plan.additive and expected is not None:
            self.map.delta_error = delta_error(self.map.attributions, predictions, expected)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean over the groups, the first axis."""
        return group_mean(self.plan, values)

    def add(
        self, index: np.ndarray, lost: np.ndarray, own: np.ndarray, predictions: np.ndarray
    ) -> None:
        """Enter mutants ``index`` (B,).

        Parameters
        ----------
        index : ndarray (B,)
        lost : ndarray (G, K, B, W)
            Importance lost at the targets of each mutant's source, per group.
        own : ndarray (G, K, B)
            Importance lost at the mutated positions, per group.
        predictions : ndarray (K, B)
        """
        source, base = self.mutants.slot[index].T
        columns, inside = target_columns(self.plan, self.mutants, index)
        own = self.mean(own)
        dead = inside | (columns < 0) | ~self.plan.reach[:, source]
        picked = np.where(dead[None], lost.dtype.type(0), lost)
        mean = self.mean(picked)
        self.map.fis[:, source, base] = mean
        if self.map.standard_error is not None:
            variance = self.mean((picked - mean[None]) ** 2) / (len(picked) - 1)
            self.map.standard_error[:, source, base] = np.sqrt(variance)
        self.map.self_effect[:, source, base] = own
        self.map.mutant_predictions[:, source, base] = predictions
        if self.map.delta_error is not None and self.complete:
            importance = np.where(inside, 0, self.map.attributions[:, None, columns[0]] - mean)
            kept = np.where(inside, self.map.attributions[:, None, columns[0]], 0).sum(2) - own
            error = delta_error(
                np.concatenate([importance, kept[:, :, None]], axis=2),
                predictions,
                self.map.reference_predictions[:, None],  # type: ignore[index]
            )
            self.map.delta_error = max(self.map.delta_error, error)


class EffectsBuilder:
    """Collects the same, group by group, into Effects; takes what MapBuilder takes.

    Every mutant is a source of its own: the plan's targets are (M, W), slot 0 counts the mutants.
    """

    def __init__(
        self,
        plan: Plan,
        mutants: Mutants,
        original: np.ndarray,
        predictions: np.ndarray,
        expected: np.ndarray | None,
    ) -> None:
        self.plan, self.mutants = plan, mutants
        groups, tasks, _ = original.shape
        many, width = plan.targets.shape
        self.effects = Effects(
            lost=np.zeros((groups, tasks, many, width), original.dtype),
            own=np.zeros((groups, tasks, many), original.dtype),
            mutant_predictions=np.zeros((tasks, many), original.dtype),
            attributions=original,
            predictions=predictions.astype(original.dtype),
            weights=group_weights(plan),
            delta_error=None,
        )
        if plan.additive and expected is not None:
            mean = group_mean(plan, original)
            self.effects.delta_error = delta_error(mean, predictions, expected)

    def add(
        self, index: np.ndarray, lost: np.ndarray, own: np.ndarray, predictions: np.ndarray
    ) -> None:
        """Enter mutants ``index`` (B,); arguments as those of MapBuilder.add."""
        columns, inside = target_columns(self.plan, self.mutants, index)
        self.effects.lost[:, :, index] = np.where(inside | (columns < 0), 0, lost)
        self.effects.own[:, :, index] = own
        self.effects.mutant_predictions[:, index] = predictions


def target_columns(
    plan: Plan, mutants: Mutants, index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Targets (B, W) of some mutants, and whether they lie inside the mutated span."""
    columns = plan.targets[mutants.slot[index, 0]]
    start = mutants.start[index, None]
    return columns, (columns >= start) & (columns < start + mutants.width[index, None])


def covers_all(plan: Plan) -> bool:
    """Whether the targets of every source are all positions, in order."""
    table = plan.targets
    everywhere = table.shape[1] == plan.graph.length and table.strides[0] == 0
    return everywhere and np.array_equal(table[0], np.arange(table.shape[1]))


def at_targets(
    plan: Plan, mutants: Mutants, index: np.ndarray, lost: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Importance lost (G, K, B, L) of whole passes, at the targets and at the mutated positions.

    Returns
    -------
    lost : ndarray (G, K, B, W)
    own : ndarray (G, K, B)
    """
    columns = plan.targets[mutants.slot[index, 0]]
    shape = (*lost.shape[:2], *columns.shape)
    picked = np.take_along_axis(lost, np.broadcast_to(np.maximum(columns, 0), shape), 3)
    start = mutants.start[index, None]
    rows = np.arange(lost.shape[3])
    inside = (rows >= start) & (rows < start + mutants.width[index, None])
    own = np.where(inside, lost, 0).sum(3)
    return picked, own


def group_mean(plan: Plan, values: np.ndarray) -> np.ndarray:
    """Mean (...) of values (G, ...) over the groups of references."""
    return weighted(group_weights(plan).astype(values.dtype), values)


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
    return relative_error(off, total, scores, np.finfo(importance.dtype).eps)


def relative_error(
    off: np.ndarray, total: np.ndarray, scores: np.ndarray, rounding: float
) -> float:
    """Largest error ``off`` relative to the sum of |C|, ``total``.

    Where all C vanish (a sequence that is its own reference) only the rounding of the scores is
    left, and an error relative to nothing says nothing: such entries do not count.
    """
    counted = total > 64 * rounding * np.abs(scores)
    relative = np.divide(off, total, out=np.zeros_like(off), where=counted)
    return float(np.max(relative, initial=0.0))

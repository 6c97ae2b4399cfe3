"""One sequence at work: its activations, its mutants and its references."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.passes import Acts, Passes, contributions
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants


class References:
    """The references of one sequence, their activations kept while the memory budget allows.

    Parameters
    ----------
    passes : Passes
    x : ndarray (R, 4, L) or None
    budget : int
        Bytes that kept activations may take; the rest are computed again when asked for.
    """

    def __init__(self, passes: Passes, x: np.ndarray | None, budget: int) -> None:
        self.passes = passes
        self.x = None if x is None else np.ascontiguousarray(x.swapaxes(1, 2), np.float32)
        self.count = 0 if x is None else len(x)
        self.kept: list[Acts] = []
        self.mean_score: np.ndarray | None = None
        if self.x is not None:
            each = 4 * passes.graph.values(passes.nodes)
            scores = []
            for i in range(self.count):
                acts = passes.forward(self.x[i : i + 1])
                scores.append(passes.scores(acts)[:, 0])
                if (i + 1) * each <= budget:
                    self.kept.append(acts)
            mean = np.mean(scores, axis=0, dtype=np.float64)
            self.mean_score = np.asarray(mean, np.float32)

    def acts(self, i: int) -> Acts:
        """Activations (1, L, C) of reference i."""
        assert self.x is not None
        return self.kept[i] if i < len(self.kept) else self.passes.forward(self.x[i : i + 1])


@dataclass
class Work:
    """What the engines share of one sequence.

    Attributes
    ----------
    rows : ndarray (L, 4) float32
    mutants : Mutants
    acts : dict of ndarray (1, L, C)
        The original's activations.
    references : References
    """

    rows: np.ndarray
    mutants: Mutants
    acts: Acts
    references: References


def importance(plan: Plan, passes: Passes, acts: Acts, references: References) -> np.ndarray:
    """Contributions (G, K, B, L) of B sequences by whole passes, per group of references."""
    x = acts[0]
    if not references.count:
        signals = [passes.signal(t, acts, None, plan.rule) for t in passes.tasks]
        return np.stack(
            [contributions(plan.method, plan.contribution, m, x, None) for m in signals]
        )[None]
    total = np.zeros((plan.groups, len(passes.tasks), *x.shape[:2]), np.float32)
    for i in range(references.count):
        reference = references.acts(i)
        for k, task in enumerate(passes.tasks):
            m = passes.signal(task, acts, reference, plan.rule)
            total[i % plan.groups, k] += contributions(
                plan.method, plan.contribution, m, x, reference[0]
            )
    sizes = np.bincount(np.arange(references.count) % plan.groups).astype(np.float32)
    return total / sizes[:, None, None, None]

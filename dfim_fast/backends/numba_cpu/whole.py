"""Whole passes in batches: for graphs, and layers of graphs, where nothing else pays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dfim_fast.backends.numba_cpu.sequence import Work, importance
from dfim_fast.backends.passes import Passes
from dfim_fast.backends.rows import EffectsBuilder, MapBuilder, at_targets
from dfim_fast.plan.plan import Plan


class WholeEngine:
    """Every mutant through the whole network, a tile at a time.

    Parameters
    ----------
    plan : Plan
    passes : Passes
    in_threads : callable
        ``in_threads(items, call)`` maps over items in parallel.
    """

    def __init__(self, plan: Plan, passes: Passes, in_threads: Callable[..., list]) -> None:
        self.plan, self.passes, self.in_threads = plan, passes, in_threads

    def fill(self, work: Work, original: np.ndarray, builder: MapBuilder | EffectsBuilder) -> None:
        """Enter all mutants; original: (G, K, L)."""
        plan, passes, mutants = self.plan, self.passes, work.mutants

        def run(first: int) -> None:
            index = np.arange(first, min(first + plan.tile, len(mutants)))
            acts = passes.forward(mutants[first : first + plan.tile].apply(work.rows))
            lost = original[:, :, None] - importance(plan, passes, acts, work.references)
            builder.add(index, *at_targets(plan, mutants, index, lost), passes.scores(acts))

        self.in_threads(list(range(0, len(mutants), plan.tile)), run)

"""The plain float64 backend: whole passes, one mutant at a time. Everything is held against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from dfim_fast.backends.base import Backend, Effects, Into, SequenceMap
from dfim_fast.backends.passes import Acts, Passes, contributions, hypothetical
from dfim_fast.backends.rows import EffectsBuilder, MapBuilder, at_targets, delta_error
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.planner import plan_spans
from dfim_fast.sequence.mutants import Mutants, single_nucleotide
from dfim_fast.sequence.one_hot import encode


class ReferenceBackend(Backend):
    """Clarity over speed."""

    name = "reference"
    dtype = np.float64

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.passes = Passes(plan.graph.astype(np.float64), plan.tasks)

    def predictions(self, x: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                self.passes.scores(
                    self.passes.forward(one.astype(np.float64)[None].swapaxes(1, 2))
                )[:, 0]
                for one in x
            ]
        )

    def importance(self, acts: Acts, references: list[Acts]) -> np.ndarray:
        """Contributions (G, K, L) of one sequence, per group of references."""
        plan, passes = self.plan, self.passes
        x = acts[0]
        if not references:
            signals = [passes.signal(t, acts, None, plan.rule) for t in passes.tasks]
            return np.stack(
                [[contributions(plan.method, plan.contribution, m, x, None)[0] for m in signals]]
            )
        groups = plan.groups
        total = np.zeros((groups, len(passes.tasks), x.shape[1]))
        for i, reference in enumerate(references):
            for k, task in enumerate(passes.tasks):
                m = passes.signal(task, acts, reference, plan.rule)
                total[i % groups, k] += contributions(
                    plan.method, plan.contribution, m, x, reference[0]
                )[0]
        return total / np.bincount(np.arange(len(references)) % groups)[:, None, None]

    def maps(
        self, x: np.ndarray, references: np.ndarray | None, into: Sequence[Into] | None = None
    ) -> Iterator[SequenceMap]:
        for one, own in zip(x, repeat(None) if references is None else references, strict=False):
            yield self._map(one, own)

    def effects(
        self,
        x: np.ndarray,
        references: np.ndarray | None,
        mutants: Sequence[Mutants],
        targets: Sequence[np.ndarray],
    ) -> Iterator[Effects]:
        own = repeat(None) if references is None else references
        for one, against, edits, wanted in zip(x, own, mutants, targets, strict=False):
            edits = edits.as_sources()
            plan = plan_spans(self.plan, edits.start, edits.width, wanted)
            yield self._fill(EffectsBuilder, plan, one, against, edits).effects

    def _map(self, one: np.ndarray, references: np.ndarray | None) -> SequenceMap:
        mutants = single_nucleotide(encode(one[None])[0], self.plan.sources)
        return self._fill(MapBuilder, self.plan, one, references, mutants).map

    def _fill(
        self, kind: Any, plan: Plan, one: np.ndarray, references: Any, mutants: Mutants
    ) -> Any:
        passes = self.passes
        rows = one.T.astype(np.float64)
        acts = passes.forward(rows[None])
        against = [
            passes.forward(r.T.astype(np.float64)[None])
            for r in (() if references is None else references)
        ]
        original = self.importance(acts, against)
        expected = np.mean([passes.scores(a)[:, 0] for a in against], axis=0) if against else None
        builder = kind(plan, mutants, original, passes.scores(acts)[:, 0], expected)
        for i in range(len(mutants)):
            mutant = passes.forward(mutants[i : i + 1].apply(rows))
            lost = (original - self.importance(mutant, against))[:, :, None]
            index = np.array([i])
            builder.add(index, *at_targets(plan, mutants, index, lost), passes.scores(mutant))
        return builder

    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical_bases: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        plan, passes = self.plan, self.passes
        for n, one in enumerate(x):
            acts = passes.forward(one.T.astype(np.float64)[None])
            rows = acts[0]
            own: list[Acts | None] = [None]
            if references is not None:
                own = [passes.forward(r.T.astype(np.float64)[None]) for r in references[n]]
            values = np.zeros((len(passes.tasks), plan.graph.length, 4))
            plain = np.zeros(values.shape[:2])
            for against in own:
                for k, task in enumerate(passes.tasks):
                    m = passes.signal(task, acts, against, plan.rule)
                    r = None if against is None else against[0]
                    values[k] += hypothetical(plan.method, plan.contribution, m, r)[0] / len(own)
                    plain[k] += contributions(plan.method, plan.contribution, m, rows, r)[0] / len(
                        own
                    )
            error = None
            if references is not None and plan.additive:
                expected = np.mean([passes.scores(a)[:, 0] for a in own if a], axis=0)
                error = delta_error(plain, passes.scores(acts)[:, 0], expected)
            yield (values if hypothetical_bases else plain[:, :, None] * rows), error

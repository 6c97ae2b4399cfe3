"""Several networks of one question as one backend: means, and how far the networks agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dfim_fast.backends.base import Backend, Effects, Into, SequenceMap
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants
from dfim_fast.sequence.shuffle import Shuffled


class Folds(Backend):
    """The mean over backends that each serve one fold's plan.

    All folds are given the same references, so that their differences are the networks' own.

    Parameters
    ----------
    members : sequence of Backend
        Plans that differ in their graphs only.
    """

    def __init__(self, members: Sequence[Backend]) -> None:
        self.members, self.folds = list(members), len(members)
        reach = np.logical_or.reduce([p.reach for p in self.plans])
        super().__init__(dataclasses.replace(members[0].plan, reach=reach))
        self.name, self.dtype = members[0].name, members[0].dtype
        self.chunk = min(m.chunk for m in members)

    @property
    def plans(self) -> list[Plan]:
        return [m.plan for m in self.members]

    def preparation(self) -> str | None:
        return next((text for m in self.members if (text := m.preparation())), None)

    def references(
        self, x: np.ndarray, references: Any, n_references: int, gc: float, random_state: int
    ) -> Any:
        return self.members[0].references(x, references, n_references, gc, random_state)

    def shuffled(self, shuffles: Shuffled) -> np.ndarray:
        return self.members[0].shuffled(shuffles)

    def predictions(self, x: np.ndarray) -> np.ndarray:
        return self.mean([m.predictions(x) for m in self.members])

    def maps(
        self, x: np.ndarray, references: np.ndarray | None, into: Sequence[Into] | None = None
    ) -> Iterator[SequenceMap]:
        # each fold needs arrays of its own
        for found in zip(*(m.maps(x, references) for m in self.members), strict=True):
            yield self.combine(found)

    def effects(
        self,
        x: np.ndarray,
        references: np.ndarray | None,
        mutants: Sequence[Mutants],
        targets: Sequence[np.ndarray],
    ) -> Iterator[Effects]:
        each = [m.effects(x, references, mutants, targets) for m in self.members]
        for found in zip(*each, strict=True):
            yield Effects(
                lost=self.mean([e.lost for e in found]),
                own=self.mean([e.own for e in found]),
                mutant_predictions=self.mean([e.mutant_predictions for e in found]),
                attributions=self.mean([e.attributions for e in found]),
                predictions=self.mean([e.predictions for e in found]),
                weights=found[0].weights,
                delta_error=largest([e.delta_error for e in found]),
                by_fold=found,
            )

    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        each = [m.attributions(x, references, hypothetical) for m in self.members]
        for found in zip(*each, strict=True):
            yield self.mean([values for values, _ in found]), largest([e for _, e in found])

    def mean(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """Mean over the folds, summed in float64."""
        return np.mean(values, axis=0, dtype=np.float64).astype(self.dtype)

    def combine(self, found: Sequence[SequenceMap]) -> SequenceMap:
        """Means, and of FIS the spread and the agreement in sign."""
        fis = [m.fis for m in found]
        mean = self.mean(fis)
        errors = [m.standard_error for m in found if m.standard_error is not None]
        expected = [m.reference_predictions for m in found if m.reference_predictions is not None]
        return SequenceMap(
            fis=mean,
            # the folds share their references, so their errors do not average out: at most this
            standard_error=self.mean(errors) if errors else None,
            self_effect=self.mean([m.self_effect for m in found]),
            mutant_predictions=self.mean([m.mutant_predictions for m in found]),
            attributions=self.mean([m.attributions for m in found]),
            predictions=self.mean([m.predictions for m in found]),
            reference_predictions=self.mean(expected) if expected else None,
            delta_error=largest([m.delta_error for m in found]),
            fold_spread=np.std(fis, axis=0, ddof=1, dtype=np.float64).astype(self.dtype),
            sign_agreement=np.mean([np.sign(f) == np.sign(mean) for f in fis], axis=0).astype(
                self.dtype
            ),
        )


def largest(errors: Sequence[float | None]) -> float | None:
    """The largest error of the folds that have one."""
    return max((e for e in errors if e is not None), default=None)

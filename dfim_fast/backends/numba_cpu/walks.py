"""Maps from the event walk: only the non-zero changes of a mutant are computed."""

from __future__ import annotations

from weakref import finalize

import numpy as np

from dfim_fast.backends.base import Effects, Into, SequenceMap
from dfim_fast.backends.numba_cpu.events.layout import unsupported
from dfim_fast.backends.numba_cpu.kept import program_of
from dfim_fast.backends.rows import covers_all, group_weights
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants

COPIES = 4  # of a reference's activations: values, multipliers, quotients, padding


class EventEngine:
    """Maps of one plan by event walks.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.program = program_of(plan)
        finalize(self, self.program.memories.rest)
        self.complete, self.additive = covers_all(plan), plan.additive
        # a linear head sends the same gradient down for every mutant
        self.far_is_shared = self.program.head.linear

    @staticmethod
    def unsupported(plan: Plan) -> str | None:
        """Why the walk cannot carry out a plan, or None."""
        if plan.strategy != "events":
            return plan.reason
        needed = held_bytes(plan)
        if needed > plan.memory_limit // 2:  # whatever the threads' own share: same bits for all
            return f"its references would take {needed / 1e6:.0f} MB"
        return unsupported(plan.graph, list(plan.tasks))

    def map(
        self, rows: np.ndarray, own: np.ndarray | None, mutants: Mutants, into: Into | None,
        threads: int,
    ) -> SequenceMap:  # fmt: skip
        """The map of one sequence (L, 4) with its references (R, 4, L)."""
        plan = self.plan
        source, base = mutants.slot.T
        shape = (len(plan.tasks), len(plan.sources), 4)
        found = self.program.run(
            rows,
            None if own is None else np.ascontiguousarray(own.swapaxes(1, 2)),
            mutants.start,
            mutants.width,
            mutants.columns,
            None if self.complete else plan.targets[source],
            threads,
            place=4 * source + base,
            places=4 * len(plan.sources),
            into=None if into is None else flat(into),
        )
        spread = found.standard_error
        return SequenceMap(
            fis=found.fis.reshape(*shape, -1),
            standard_error=None if spread is None else spread.reshape(*shape, -1),
            self_effect=found.self_effect.reshape(shape),
            mutant_predictions=found.mutant_predictions.reshape(shape),
            attributions=found.attributions,
            predictions=found.predictions,
            reference_predictions=found.reference_predictions,
            delta_error=found.delta_error if self.additive else None,
        )

    def effects(
        self, rows: np.ndarray, own: np.ndarray | None, mutants: Mutants, targets: np.ndarray,
        threads: int,
    ) -> Effects:  # fmt: skip
        """Any mutants of one sequence, (L, 4) with its references (R, 4, L), at any targets.

        Each group of references is a run of its own, which keeps the groups apart.
        """
        plan = self.plan
        groups = max(plan.groups, 1)
        runs = [
            self.program.run(
                rows,
                None if own is None else np.ascontiguousarray(own[g::groups].swapaxes(1, 2)),
                mutants.start,
                mutants.width,
                mutants.columns,
                targets,
                threads,
                )
            for g in range(groups)
        ]
        errors = [run.delta_error for run in runs if run.delta_error is not None and self.additive]
        return Effects(
            lost=np.stack([run.fis for run in runs]),
            own=np.stack([run.self_effect for run in runs]),
            mutant_predictions=runs[0].mutant_predictions,
            attributions=np.stack([run.attributions for run in runs]),
            predictions=runs[0].predictions,
            weights=group_weights(plan),
            delta_error=max(errors, default=None),
        )


def flat(into: Into) -> Into:
    """Arrays (K, S, 4, W) as rows (K, S * 4, W), without a copy."""
    fis, spread = (None if a is None else a.view() for a in into)
    for array in (fis, spread):
        if array is not None:
            array.shape = (len(array), -1, array.shape[3])  # fails where a copy would be needed
    return fis, spread  # type: ignore[return-value]


def held_bytes(plan: Plan) -> int:
    """Memory that the references of one sequence take in the walk."""
    return COPIES * plan.n_references * 4 * plan.graph.values(plan.graph.needed(plan.tasks))

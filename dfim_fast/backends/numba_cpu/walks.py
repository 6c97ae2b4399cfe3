"""Maps from the event walk: only the non-zero changes of a mutant are computed."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.base import SequenceMap
from dfim_fast.backends.numba_cpu.events.layout import unsupported
from dfim_fast.backends.numba_cpu.events.program import compile_events
from dfim_fast.backends.rows import covers_all
from dfim_fast.graph.graph import Graph
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants


class EventEngine:
    """Maps of one plan by event walks.

    Parameters
    ----------
    plan : Plan
    graph : Graph
        In float32.
    """

    def __init__(self, plan: Plan, graph: Graph) -> None:
        self.plan = plan
        self.program = compile_events(
            graph, list(plan.tasks), plan.method, plan.rule, plan.contribution
        )
        self.complete = covers_all(plan)

    @staticmethod
    def unsupported(plan: Plan) -> str | None:
        """Why the walk cannot carry out a plan, or None."""
        if plan.strategy != "events":
            return plan.reason
        return unsupported(plan.graph, list(plan.tasks))

    def map(self, rows: np.ndarray, own: np.ndarray | None, mutants: Mutants) -> SequenceMap:
        """The map of one sequence (L, 4) with its references (R, 4, L)."""
        plan = self.plan
        source, base = mutants.slot.T
        found = self.program.run(
            rows,
            None if own is None else np.ascontiguousarray(own.swapaxes(1, 2)),
            mutants.start,
            mutants.width,
            mutants.columns,
            None if self.complete else plan.targets[source],
            plan.threads,
        )
        tasks, sources, width = len(plan.tasks), len(plan.sources), plan.targets.shape[1]
        result = SequenceMap(
            fis=np.zeros((tasks, sources, 4, width), np.float32),
            standard_error=None,
            self_effect=np.zeros((tasks, sources, 4), np.float32),
            mutant_predictions=np.empty((tasks, sources, 4), np.float32),
            attributions=found.attributions,
            predictions=found.predictions,
            reference_predictions=found.reference_predictions,
            delta_error=found.delta_error if plan.additive else None,
        )
        result.fis[:, source, base] = found.fis
        result.self_effect[:, source, base] = found.self_effect
        result.mutant_predictions[:] = found.predictions[:, None, None]
        result.mutant_predictions[:, source, base] = found.mutant_predictions
        if found.standard_error is not None:
            result.standard_error = np.zeros_like(result.fis)
            result.standard_error[:, source, base] = found.standard_error
        return result

"""The default backend: float32, tiles of mutants of one sequence, threads over tiles."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from dfim_fast.backends.base import Backend, SequenceMap
from dfim_fast.backends.numba_cpu.cones.engine import ConeEngine
from dfim_fast.backends.numba_cpu.overrides import OVERRIDES
from dfim_fast.backends.passes import Acts, Passes, contributions, hypothetical
from dfim_fast.backends.rows import MapBuilder, delta_error, group_weights
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants, single_nucleotide
from dfim_fast.sequence.one_hot import encode


class NumbaBackend(Backend):
    """Whole passes in batches.

    Tiles have one shape, never hold two sequences, and run their matrix products on one thread:
    the bits of a result depend on the sequence and the plan alone.
    """

    name = "numba"
    dtype = np.float32

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.passes = Passes(plan.graph.astype(np.float32), plan.tasks, OVERRIDES)
        nodes = (plan.graph.nodes[i].shape for i in self.passes.nodes)
        self.cones = ConeEngine(plan, self.passes, plan.cones) if plan.cones else None
        self.pass_bytes = 4 * sum(rows * channels for rows, channels in nodes)

    def _in_threads(self, work: list, call) -> list:
        """``call`` on every item of ``work``, in order of the items."""
        with threadpool_limits(1):
            if self.plan.threads == 1 or len(work) == 1:
                return [call(item) for item in work]
            with ThreadPoolExecutor(self.plan.threads) as pool:
                return list(pool.map(call, work))

    def predictions(self, x: np.ndarray) -> np.ndarray:
        tile = self.plan.tile

        def score(first: int) -> np.ndarray:
            rows = padded(x[first : first + tile].swapaxes(1, 2), tile)
            return self.passes.scores(self.passes.forward(rows))[:, : len(x) - first].T

        parts = self._in_threads(list(range(0, len(x), tile)), score)
        return np.concatenate(parts) if parts else np.empty((0, len(self.passes.tasks)), np.float32)

    def importance(self, acts: Acts, references: References) -> np.ndarray:
        """Contributions (G, K, B, L) of a tile."""
        plan, passes, x = self.plan, self.passes, acts[0]
        if not references.count:
            return np.stack(
                [
                    contributions(plan.method, plan.contribution, passes.gradient(t, acts), x, None)
                    for t in passes.tasks
                ]
            )[None]
        total = np.zeros((plan.groups, len(passes.tasks), *x.shape[:2]), np.float32)
        for i in range(references.count):
            reference = references.acts(i)
            for k, task in enumerate(passes.tasks):
                m = passes.multipliers(task, acts, reference, plan.rule)
                total[i % plan.groups, k] += contributions(
                    plan.method, plan.contribution, m, x, reference[0]
                )
        sizes = np.bincount(np.arange(references.count) % plan.groups).astype(np.float32)
        return total / sizes[:, None, None, None]

    def maps(self, x: np.ndarray, references: np.ndarray | None) -> Iterator[SequenceMap]:
        for n, one in enumerate(x):
            yield self._map(one, None if references is None else references[n])

    def _map(self, one: np.ndarray, own: np.ndarray | None) -> SequenceMap:
        plan, passes, tile = self.plan, self.passes, self.plan.tile
        rows = np.ascontiguousarray(one.T, np.float32)
        mutants = single_nucleotide(encode(one[None])[0], plan.sources)
        weights = group_weights(plan).astype(np.float32)
        with threadpool_limits(1):
            references = References(
                passes, own, plan.memory_limit - plan.workspace, self.pass_bytes
            )
            acts = passes.forward(padded(rows[None], tile))
            original = self.importance(acts, references)[:, :, 0]
            predictions = passes.scores(acts)[:, 0]
        builder = MapBuilder(plan, mutants, original, predictions)

        if self.cones is not None:
            errors = self._by_cones(self.cones, builder, rows, mutants, acts, references)
            if errors is not None:
                return self._finished(builder, errors, original, predictions, references)

        def run(first: int) -> float:
            part = mutants[first : first + tile]
            acts = passes.forward(padded(part.apply(rows), tile))
            scores = passes.scores(acts)[:, : len(part)]
            importance = self.importance(acts, references)[:, :, : len(part)]
            builder.add(
                np.arange(first, first + len(part)), original[:, :, None] - importance, scores
            )
            return self._delta(np.tensordot(weights, importance, 1), scores, references)

        errors = self._in_threads(list(range(0, len(mutants), tile)), run)
        return self._finished(builder, errors, original, predictions, references)

    def _by_cones(
        self,
        cones: ConeEngine,
        builder: MapBuilder,
        rows: np.ndarray,
        mutants: Mutants,
        acts: Acts,
        references: References,
    ) -> list[float] | None:
        """Fill the map from dense cones; None where the head's basis would be too large."""
        weights = group_weights(self.plan).astype(np.float32)
        original = builder.map.attributions
        errors: list[float] = []

        def deliver(index: np.ndarray, lost: np.ndarray, scores: np.ndarray) -> None:
            builder.add(index, lost, scores)
            importance = original[:, None] - np.tensordot(weights, lost, 1)
            errors.append(self._delta(importance, scores, references))

        one = {i: a[:1] for i, a in acts.items()}
        against = [references.acts(i) for i in range(references.count)]
        done = cones.run(rows, mutants, one, against, self._in_threads, deliver)
        return errors if done else None

    def _finished(
        self,
        builder: MapBuilder,
        errors: list[float],
        original: np.ndarray,
        predictions: np.ndarray,
        references: References,
    ) -> SequenceMap:
        """The map, with what holds for the sequence as a whole."""
        weights = group_weights(self.plan).astype(np.float32)
        errors.append(
            self._delta(
                np.tensordot(weights, original, 1)[:, None], predictions[:, None], references
            )
        )
        builder.map.reference_predictions = references.mean_score
        builder.map.delta_error = max(errors) if self.plan.additive else None
        return builder.map

    def _delta(self, importance: np.ndarray, scores: np.ndarray, references: References) -> float:
        if references.mean_score is None:
            return 0.0
        return delta_error(importance, scores, references.mean_score[:, None])

    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical_bases: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        plan, passes = self.plan, self.passes
        for n, one in enumerate(x):
            rows = np.ascontiguousarray(one.T, np.float32)[None]
            with threadpool_limits(1):
                own = References(
                    passes,
                    None if references is None else references[n],
                    plan.memory_limit - plan.workspace,
                    self.pass_bytes,
                )
                acts = passes.forward(padded(rows, plan.tile))
                plain = np.tensordot(
                    group_weights(plan).astype(np.float32), self.importance(acts, own)[:, :, 0], 1
                )
                error = self._delta(plain[:, None], passes.scores(acts)[:, :1], own)
                values = (
                    self._hypothetical(acts, own)
                    if hypothetical_bases
                    else plain[:, :, None] * rows
                )
            yield values, error if plan.additive else None

    def _hypothetical(self, acts: Acts, references: References) -> np.ndarray:
        """Mean over references of every base's importance (K, L, 4), for the tile's first row."""
        plan, passes = self.plan, self.passes
        count = max(references.count, 1)
        values = np.zeros((len(passes.tasks), plan.graph.length, 4), np.float32)
        for i in range(count):
            against = references.acts(i) if references.count else None
            for k, task in enumerate(passes.tasks):
                m = (
                    passes.gradient(task, acts)
                    if against is None
                    else passes.multipliers(task, acts, against, plan.rule)
                )
                r = None if against is None else against[0]
                values[k] += hypothetical(plan.method, plan.contribution, m, r)[0] / count
        return values


class References:
    """The references of one sequence, their activations kept while the memory budget allows.

    Parameters
    ----------
    passes : Passes
    x : ndarray (R, 4, L) or None
    budget : int
        Bytes that kept activations may take; the rest are computed again when asked for.
    each : int
        Bytes of one reference's activations.
    """

    def __init__(self, passes: Passes, x: np.ndarray | None, budget: int, each: int) -> None:
        self.passes = passes
        self.x = None if x is None else np.ascontiguousarray(x.swapaxes(1, 2), np.float32)
        self.count = 0 if x is None else len(x)
        self.kept: list[Acts] = []
        self.mean_score: np.ndarray | None = None
        if self.x is not None:
            scores = []
            for i in range(self.count):
                acts = passes.forward(self.x[i : i + 1])
                scores.append(passes.scores(acts)[:, 0])
                if (i + 1) * each <= budget:
                    self.kept.append(acts)
            self.mean_score = np.asarray(np.mean(scores, axis=0, dtype=np.float64), np.float32)

    def acts(self, i: int) -> Acts:
        """Activations of reference i."""
        assert self.x is not None
        return self.kept[i] if i < len(self.kept) else self.passes.forward(self.x[i : i + 1])


def padded(rows: np.ndarray, tile: int) -> np.ndarray:
    """Rows (n, L, 4) as a full tile: the last one repeated."""
    rows = np.ascontiguousarray(rows, np.float32)
    missing = tile - len(rows)
    return rows if not missing else np.concatenate([rows, rows[-1:].repeat(missing, 0)])

"""The default backend: float32, one sequence at a time, threads over tiles of its mutants."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from threading import Lock
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from dfim_fast.backends.base import Backend, Effects, Into, SequenceMap
from dfim_fast.backends.numba_cpu.cones.engine import ConeEngine
from dfim_fast.backends.numba_cpu.convolution import _convolve
from dfim_fast.backends.numba_cpu.events.walk import walk
from dfim_fast.backends.numba_cpu.kept import single_precision
from dfim_fast.backends.numba_cpu.overrides import OVERRIDES
from dfim_fast.backends.numba_cpu.sequence import References, Work, importance
from dfim_fast.backends.numba_cpu.walks import EventEngine, held_bytes
from dfim_fast.backends.numba_cpu.whole import WholeEngine
from dfim_fast.backends.passes import Passes, hypothetical
from dfim_fast.backends.rows import EffectsBuilder, MapBuilder, delta_error, group_mean
from dfim_fast.jit import is_ready
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.planner import FEW, plan_spans
from dfim_fast.sequence.mutants import Mutants, single_nucleotide, spans
from dfim_fast.sequence.one_hot import codes_of

AHEAD = 2  # sequences under way or ready for each lane: so that lanes seldom wait
CHUNK = 8  # sequences handed over for each lane


class OneThread:
    """While any caller is inside, libraries whose threads must stay out of ours have one each."""

    def __init__(self) -> None:
        self.inside, self.lock = 0, Lock()

    @cached_property
    def libraries(self) -> ThreadpoolController:
        """Found once."""
        return ThreadpoolController()

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.limits = self.libraries.limit(limits=1)
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.limits.restore_original_limits()


one_thread = OneThread()


class NumbaBackend(Backend):
    """Event walks, cones or whole passes, as the plan says.

    Tiles never hold two sequences, every row of a matrix product is computed alike, and the few
    products left to BLAS run on one thread: results depend on the sequence and the plan alone.
    """

    name = "numba"
    dtype = np.float32

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.passes = Passes(single_precision(plan.graph), plan.tasks, OVERRIDES)
        self.events = None if EventEngine.unsupported(plan) else EventEngine(plan)
        self.whole = WholeEngine(plan, self.passes, self.in_threads)
        self.cones = ConeEngine(plan, self.passes, plan.cones) if plan.cones else None
        if self.events is not None:
            self.chunk = CHUNK * self.lanes

    def preparation(self) -> str | None:
        main = walk if self.events else _convolve
        if is_ready(main):
            return None
        return "compiling for this processor: some 15 seconds at first use, kept on disk after"

    def in_threads(
        self, items: list, call: Callable[[Any], Any], threads: int | None = None
    ) -> list:
        """``call`` on every item, in the order of the items; on all threads, or some."""
        threads = threads or self.plan.threads
        if threads == 1 or len(items) == 1:
            return [call(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(call, items))

    @staticmethod
    def side_by_side(count: int, call: Callable[[int], Any], lanes: int) -> Iterator[Any]:
        """``call`` on 0, 1, 2, ..., results in order, a few ahead of whoever takes them."""
        with one_thread:
            if lanes == 1:
                yield from map(call, range(count))
                return
            with ThreadPoolExecutor(lanes) as pool:
                ahead: deque[Future] = deque()
                for n in range(count):
                    ahead.append(pool.submit(call, n))
                    if len(ahead) > AHEAD * lanes:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()

    def predictions(self, x: np.ndarray) -> np.ndarray:
        tile = self.plan.tile

        def score(first: int) -> np.ndarray:
            rows = np.ascontiguousarray(x[first : first + tile].swapaxes(1, 2), np.float32)
            return self.passes.scores(self.passes.forward(rows)).T

        with one_thread:
            parts = self.in_threads(list(range(0, len(x), tile)), score)
        return np.concatenate(parts) if parts else np.empty((0, len(self.passes.tasks)), np.float32)

    def maps(
        self, x: np.ndarray, references: np.ndarray | None, into: Sequence[Into] | None = None
    ) -> Iterator[SequenceMap]:
        lanes = 1 if self.events is None else max(1, min(self.lanes, len(x)))

        def one(n: int) -> SequenceMap:
            own = None if references is None else references[n]
            return self._map(x[n], own, None if into is None else into[n], lanes)

        yield from self.side_by_side(len(x), one, lanes)

    def effects(
        self,
        x: np.ndarray,
        references: np.ndarray | None,
        mutants: Sequence[Mutants],
        targets: Sequence[np.ndarray],
    ) -> Iterator[Effects]:
        lanes = max(1, min(self.lanes, len(x)))

        def one(n: int) -> Effects:
            own = None if references is None else references[n]
            return self._effects(x[n], own, mutants[n], targets[n], lanes)

        yield from self.side_by_side(len(x), one, lanes)

    @cached_property
    def lanes(self) -> int:
        """Sequences that are walked side by side; memory bounds their number."""
        each = held_bytes(self.plan)
        if self.events is not None:
            program, mutants = self.events.program, 3 * len(self.plan.sources)
            each += program.basis_bytes(self.plan.n_references) + program.kept_bytes(mutants)
        return max(1, min(self.plan.threads, self.plan.memory_limit // max(each, 1)))

    def _effects(
        self,
        one: np.ndarray,
        own: np.ndarray | None,
        mutants: Mutants,
        targets: np.ndarray,
        lanes: int,
    ) -> Effects:
        """One sequence, while ``lanes`` of them are at work."""
        rows = np.ascontiguousarray(one.T, np.float32)
        mutants = mutants.as_sources()
        threads = max(1, self.plan.threads // lanes)
        if self.events is not None and (len(mutants) > FEW or self.events.far_is_shared):
            return self.events.effects(rows, own, mutants, targets, threads)
        plan = plan_spans(self.plan, mutants.start, mutants.width, targets)
        if self.events is not None:
            plan = replace(plan, cones=None)
        plan = replace(plan, threads=threads)
        return self._fill(EffectsBuilder, plan, self._work(one, own, mutants, lanes)).effects

    def _work(
        self, one: np.ndarray, own: np.ndarray | None, mutants: Mutants, lanes: int = 1
    ) -> Work:
        rows = np.ascontiguousarray(one.T, np.float32)
        return Work(
            rows,
            mutants,
            self.passes.forward(rows[None]),
            References(self.passes, own, (self.plan.memory_limit - self.plan.workspace) // lanes),
        )

    def _map(
        self, one: np.ndarray, own: np.ndarray | None, into: Into | None, lanes: int
    ) -> SequenceMap:
        """One sequence, while ``lanes`` of them are at work."""
        mutants = single_nucleotide(codes_of(one), self.plan.sources)
        if self.events is not None:
            rows = np.ascontiguousarray(one.T, np.float32)
            threads = max(1, self.plan.threads // lanes)
            return self.events.map(rows, own, mutants, into, threads)
        return self._fill(MapBuilder, self.plan, self._work(one, own, mutants)).map

    def _fill(self, kind: Any, plan: Plan, work: Work) -> Any:
        """A builder of that kind, filled by cones or else by whole passes."""
        passes, cones, whole = self.passes, self.cones, self.whole
        spread = self.in_threads
        if plan is not self.plan:  # the spans of one sequence
            spread = partial(self.in_threads, threads=plan.threads)
            cones = ConeEngine(plan, passes, plan.cones) if plan.cones else None
            whole = WholeEngine(plan, passes, spread)
        original = importance(plan, passes, work.acts, work.references)[:, :, 0]
        scores = passes.scores(work.acts)[:, 0]
        builder = kind(plan, work.mutants, original, scores, work.references.mean_score)
        if not len(work.mutants):
            return builder
        if cones is None or not cones.fill(work, builder, spread):
            whole.fill(work, original, builder)
        return builder

    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical_bases: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        for n, one in enumerate(x):
            with one_thread:
                found = self._attribution(
                    one, None if references is None else references[n], hypothetical_bases
                )
            yield found

    def _attribution(
        self, one: np.ndarray, own: np.ndarray | None, hypothetical_bases: bool
    ) -> tuple[np.ndarray, float | None]:
        plan, passes = self.plan, self.passes
        work = self._work(one, own, spans([], []))
        original = importance(plan, passes, work.acts, work.references)[:, :, 0]
        scores = passes.scores(work.acts)[:, 0]
        plain = group_mean(plan, original)
        error = None
        if plan.additive and work.references.mean_score is not None:
            error = delta_error(plain, scores, work.references.mean_score)
        if hypothetical_bases:
            return self._hypothetical(work), error
        return plain[:, :, None] * work.rows, error

    def _hypothetical(self, work: Work) -> np.ndarray:
        """Mean over references of every base's importance (K, L, 4)."""
        plan, passes, references = self.plan, self.passes, work.references
        count = max(references.count, 1)
        values = np.zeros((len(passes.tasks), plan.graph.length, 4), np.float32)
        for i in range(count):
            against = references.acts(i) if references.count else None
            for k, task in enumerate(passes.tasks):
                m = passes.signal(task, work.acts, against, plan.rule)
                r = None if against is None else against[0]
                values[k] += hypothetical(plan.method, plan.contribution, m, r)[0] / count
        return values

"""The GPU backend, whatever the device: float32, one sequence after the other."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from dfim_fast.backends.base import Backend, Effects, Into, SequenceMap
from dfim_fast.backends.cuda.device import Device
from dfim_fast.backends.cuda.fused import FusedWalk
from dfim_fast.backends.cuda.layers.all import unsupported
from dfim_fast.backends.cuda.network import Network
from dfim_fast.backends.cuda.results import EffectRows, MapRows, Rows, Targets, own_rows
from dfim_fast.backends.cuda.shuffles import Shuffled, Shuffles
from dfim_fast.backends.cuda.staged import Original, StagedEngine
from dfim_fast.backends.cuda.views import View
from dfim_fast.backends.passes import hypothetical
from dfim_fast.backends.rows import delta_error, group_mean
from dfim_fast.errors import BackendError
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.planner import DEFAULT_MEMORY, plan_spans
from dfim_fast.sequence.mutants import Mutants, single_nucleotide
from dfim_fast.sequence.one_hot import encode

SHARE = 0.5  # of the free memory, where no limit was asked for


class CudaBackend(Backend):
    """Carries out plans on one device.

    Parameters
    ----------
    plan : Plan
    device : Device

    Raises
    ------
    BackendError
        If an operator of the network has no kernels.
    """

    dtype = np.float32
    chunk = 2  # a map is copied out while the next is computed

    def __init__(self, plan: Plan, device: Device) -> None:
        super().__init__(plan)
        self.name, self.device = device.name, device
        why = unsupported(plan.graph, plan.graph.needed(plan.tasks))
        if why is not None:
            raise BackendError(f"backend={self.name!r}: {why}; use backend='numba'")
        self.network = Network(plan, device)
        self.budget = plan.memory_limit
        if plan.memory_limit == DEFAULT_MEMORY:
            self.budget = max(plan.memory_limit, int(SHARE * device.free_memory()))
        self.engine = StagedEngine(self.network, plan, self.budget, plan.cost.mutants)
        self.walk = FusedWalk.of(self.network, plan, self.budget)
        self.targets = Targets(plan, device)

    def references(
        self, x: np.ndarray, references: Any, n_references: int, gc: float, random_state: int
    ) -> Any:
        if isinstance(references, str) and references == "dinucleotide":
            return Shuffles(x, n_references, random_state)
        return super().references(x, references, n_references, gc, random_state)

    def maps(
        self, x: np.ndarray, references: np.ndarray | None, into: Sequence[Into] | None = None
    ) -> Iterator[SequenceMap]:
        own = repeat(None) if references is None else references
        arrays = repeat(None) if into is None else into
        waiting: Callable[[], SequenceMap] | None = None
        for one, against, room in zip(x, own, arrays, strict=False):
            begun = self.on_device(one, against).finish(room)
            if waiting is not None:
                yield waiting()
            waiting = begun
        if waiting is not None:
            yield waiting()

    def on_device(self, one: np.ndarray, references: np.ndarray | Shuffled | None) -> MapRows:
        """The map of one sequence (4, L) with its references (R, 4, L), left on the device."""
        mutants = single_nucleotide(encode(one[None])[0], self.plan.sources)
        also = () if self.walk is None else self.walk.nodes
        original, base, down = self._original(self.engine, one, references, also)
        rows = MapRows(self.engine, self.targets, original, base)
        if self.walk is None:
            self._fill(self.engine, rows, mutants, base, down)
        else:
            self.walk.fill(self.engine, rows, mutants, base, down)
        return rows

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
            engine = StagedEngine(self.network, plan, self.budget, len(edits))
            original, base, down = self._original(engine, one, against)
            spans = Targets(plan, self.device)
            rows = EffectRows(engine, spans, original, base, len(edits))
            self._fill(engine, rows, edits, base, down)
            yield rows.finish()

    def _original(
        self,
        engine: StagedEngine,
        one: np.ndarray,
        own: np.ndarray | Shuffled | None,
        also: Container[int] = (),
    ) -> tuple[Original, list[View], list[dict[int, View]]]:
        """One sequence up and down, with its importance by task."""
        original = engine.original(one.T, own)
        down = [engine.down(task, original, also) for task in self.network.tasks]
        return original, [engine.original_importance(original, d) for d in down], down

    def _fill(
        self,
        engine: StagedEngine,
        rows: Rows,
        mutants: Mutants,
        base: list[View],
        down: list[dict[int, View]],
    ) -> None:
        """Enter all mutants of one sequence."""
        for first in range(0, len(mutants), engine.tile):
            chunk = engine.chunk(rows.original, mutants[first : first + engine.tile])
            scores = engine.scores(chunk.acts, chunk.count)
            for k, task in enumerate(self.network.tasks):
                found = engine.mutant_importance(task, rows.original, down[k], base[k], chunk)
                rows.add(k, first, chunk, found, scores[k])

    def attributions(
        self, x: np.ndarray, references: np.ndarray | None, hypothetical_bases: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        own = repeat(None) if references is None else references
        for one, against in zip(x, own, strict=False):
            original, base, down = self._original(self.engine, one, against)
            rows = MapRows(self.engine, self.targets, original, base)
            plain = group_mean(self.plan, rows.importance)
            error = None
            if self.plan.additive and original.expected is not None:
                error = delta_error(plain, original.scores, original.expected)
            if hypothetical_bases:
                yield self._hypothetical(original, down), error
            else:
                yield plain[:, :, None] * one.T, error

    def _hypothetical(self, original: Original, down: list[dict[int, View]]) -> np.ndarray:
        """Mean over references of every base's importance (K, L, 4)."""
        plan, length = self.plan, self.plan.graph.length
        found, r = [], None
        shape = (self.engine.count, length, 4)
        if original.references is not None:
            r = own_rows(self.device, original.references[0].y, shape)
        for walk in down:
            m = own_rows(self.device, walk[0], shape)
            found.append(hypothetical(plan.method, plan.contribution, m, r).mean(axis=0))
        return np.stack(found)

    def predictions(self, x: np.ndarray) -> np.ndarray:
        width = {i: self.plan.graph.nodes[i].shape[0] for i in self.network.nodes}
        tile = max(1, self.budget // self.network.held_bytes(width))
        scores = []
        for first in range(0, len(x), tile):
            part = x[first : first + tile].swapaxes(1, 2)
            acts = self.engine.whole(self.engine.rows(part), len(part))
            scores.append(self.engine.scores(acts, len(part)).T)
        return np.concatenate(scores)

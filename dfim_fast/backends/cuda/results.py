"""Rows of results on the device: importance lost by mutants, at the targets that were asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from dfim_fast.backends.base import Effects, Into, SequenceMap
from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.staged import Original, Part, StagedEngine
from dfim_fast.backends.cuda.views import View
from dfim_fast.backends.rows import (
    covers_all,
    delta_error,
    group_mean,
    group_weights,
    relative_error,
)
from dfim_fast.plan.plan import Plan


class Targets:
    """What a plan reads, on the device: positions for each source, and which can be reached.

    Parameters
    ----------
    plan : Plan
    device : Device
    """

    def __init__(self, plan: Plan, device: Device) -> None:
        table = plan.targets
        self.shared = table.strides[0] == 0 or len(table) == 1
        self.width = table.shape[1]
        self.columns = device.upload(
            np.ascontiguousarray(table[:1] if self.shared else table, np.int32)
        )
        self.reach = None
        if not plan.reach.all():
            self.reach = device.upload(np.ascontiguousarray(plan.reach, np.uint8))
        self.each = plan.reach[0].size

    def arguments(self, task: int) -> tuple[int, int, int, int]:
        """As the kernels take them."""
        reach = 0 if self.reach is None else self.reach.address + task * self.each
        return self.columns.address, int(self.shared), reach, self.width


class Rows(ABC):
    """Collects the mutants of one sequence, chunk by chunk.

    Parameters
    ----------
    engine : StagedEngine
    targets : Targets
    original : Original
    base : list of View (1, L, G)
        The original's importance, by task.
    """

    def __init__(
        self, engine: StagedEngine, targets: Targets, original: Original, base: list[View]
    ) -> None:
        self.engine, self.device, self.plan = engine, engine.device, engine.plan
        self.targets, self.original = targets, original
        length, groups = self.plan.graph.length, engine.groups
        found = [own_rows(self.device, view, (length, groups)) for view in base]
        self.importance = np.stack([f.T for f in found], axis=1)  # (G, K, L)

    @abstractmethod
    def add(self, task: int, first: int, chunk: Part, importance: View, scores: np.ndarray) -> None:
        """Enter importance and scores (M,) of a chunk, whose mutants count from ``first``."""

    def own_change(self, chunk: Part, importance: View) -> np.ndarray:
        """Importance lost inside the replaced span (G, M)."""
        groups = self.engine.groups
        out = self.device.allocate(4 * chunk.count * groups)
        self.device.launch(
            "own_change",
            chunk.count,
            out.address,
            importance.pack(),
            chunk.first.address,
            chunk.span.address,
            chunk.count,
        )
        return self.device.read(out, (chunk.count, groups)).T


class MapRows(Rows):
    """A SequenceMap: means over the groups of references, each source and base in its place."""

    def __init__(
        self, engine: StagedEngine, targets: Targets, original: Original, base: list[View]
    ) -> None:
        super().__init__(engine, targets, original, base)
        plan, device = self.plan, self.device
        tasks, sources = len(plan.tasks), len(plan.sources)
        self.shape = (tasks, sources, 4, targets.width)
        self.each = 4 * sources * 4 * targets.width  # bytes of one task
        self.fis = zeros(device, tasks * self.each)
        self.error = zeros(device, tasks * self.each) if engine.groups > 1 else None
        attributions = group_mean(plan, self.importance)
        expected = original.expected
        self.map = SequenceMap(
            fis=np.empty(0, np.float32),
            standard_error=None,
            self_effect=np.zeros(self.shape[:3], np.float32),
            mutant_predictions=np.zeros(self.shape[:3], np.float32),
            attributions=attributions,
            predictions=original.scores,
            reference_predictions=expected,
            delta_error=None,
        )
        self.map.mutant_predictions[:] = original.scores[:, None, None]
        if plan.additive and expected is not None:
            self.map.delta_error = delta_error(attributions, original.scores, expected)
        self.sums = self.map.delta_error is not None and covers_all(plan)

    def add(self, task: int, first: int, chunk: Part, importance: View, scores: np.ndarray) -> None:
        source, base = chunk.mutants.slot.T
        place = self.device.upload((4 * source + base).astype(np.int32))
        offset = task * self.each
        self.device.launch(
            "lost_rows",
            chunk.count,
            self.fis.address + offset,
            0 if self.error is None else self.error.address + offset,
            importance.pack(),
            place.address,
            chunk.source.address,
            chunk.first.address,
            chunk.span.address,
            *self.targets.arguments(task),
            self.engine.weights.address,
            chunk.count,
        )
        own = group_mean(self.plan, self.own_change(chunk, importance))
        self.map.self_effect[task, source, base] = own
        self.map.mutant_predictions[task, source, base] = scores
        if self.sums:
            self._check(task, chunk, importance, scores)

    def _check(self, task: int, chunk: Part, importance: View, scores: np.ndarray) -> None:
        """Summation-to-delta of the mutants, from sums over all positions."""
        out = self.device.allocate(8 * chunk.count)
        self.device.launch(
            "importance_sums",
            chunk.count,
            out.address,
            importance.pack(),
            self.engine.weights.address,
            chunk.count,
        )
        total, absolute = self.device.read(out, (chunk.count, 2)).astype(np.float64).T
        assert self.map.reference_predictions is not None and self.map.delta_error is not None
        off = np.abs(total - (scores - self.map.reference_predictions[task]))
        error = relative_error(off, absolute, scores, float(np.finfo(np.float32).eps))
        self.map.delta_error = max(self.map.delta_error, error)

    def finish(self, into: Into | None) -> Callable[[], SequenceMap]:
        """Begin to copy the map out; the call that is returned ends it."""
        kept = into or (np.empty(self.shape, np.float32), None)
        ends = [self.device.fetch(self.fis, kept[0])]
        if self.error is not None:
            spread = np.empty(self.shape, np.float32) if kept[1] is None else kept[1]
            ends.append(self.device.fetch(self.error, spread))

        def end() -> SequenceMap:
            arrays = [fetched() for fetched in ends]
            self.map.fis = arrays[0]
            self.map.standard_error = arrays[1] if len(arrays) > 1 else None
            return self.map

        return end


class EffectRows(Rows):
    """Effects: groups of references kept apart, mutants in their order."""

    def __init__(
        self,
        engine: StagedEngine,
        targets: Targets,
        original: Original,
        base: list[View],
        many: int,
    ) -> None:
        super().__init__(engine, targets, original, base)
        plan, groups, tasks = self.plan, engine.groups, len(self.plan.tasks)
        self.shape = (tasks, groups, many, targets.width)
        self.each = 4 * groups * many * targets.width
        self.lost = zeros(self.device, tasks * self.each)
        self.many = many
        self.effects = Effects(
            lost=np.empty(0, np.float32),
            own=np.zeros((groups, tasks, many), np.float32),
            mutant_predictions=np.zeros((tasks, many), np.float32),
            attributions=self.importance,
            predictions=original.scores,
            weights=group_weights(plan),
            delta_error=None,
        )
        if plan.additive and original.expected is not None:
            mean = group_mean(plan, self.importance)
            self.effects.delta_error = delta_error(mean, original.scores, original.expected)

    def add(self, task: int, first: int, chunk: Part, importance: View, scores: np.ndarray) -> None:
        where = slice(first, first + chunk.count)
        place = self.device.upload(np.arange(first, first + chunk.count, dtype=np.int32))
        self.device.launch(
            "lost_groups",
            chunk.count,
            self.lost.address + task * self.each,
            importance.pack(),
            place.address,
            chunk.source.address,
            chunk.first.address,
            chunk.span.address,
            *self.targets.arguments(task),
            self.many,
            chunk.count,
        )
        self.effects.own[:, task, where] = self.own_change(chunk, importance)
        self.effects.mutant_predictions[task, where] = scores

    def finish(self) -> Effects:
        """Copy the results out."""
        lost = self.device.read(self.lost, self.shape)
        self.effects.lost = np.ascontiguousarray(lost.swapaxes(0, 1))
        return self.effects


def own_rows(device: Device, view: View, shape: tuple[int, ...]) -> np.ndarray:
    """A host copy of what a view's items have of their own."""
    assert view.own is not None
    return device.read(view.own, shape)


def zeros(device: Device, nbytes: int) -> Buffer:
    """Memory that holds zeros."""
    buffer = device.allocate(nbytes)
    device.clear(buffer)
    return buffer

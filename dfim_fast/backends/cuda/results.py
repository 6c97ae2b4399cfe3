"""Rows of results on the device: importance lost by mutants, at the targets that were asked for.

Nothing is read while mutants are worked on: what a block of them gives leaves the device once,
while the next one is computed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from dfim_fast.backends.base import Effects, Into, SequenceMap
from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.edits import Block, Edits
from dfim_fast.backends.cuda.sheet import Sheet
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


class Originals:
    """What the host learns of a batch's sequences.

    Parameters
    ----------
    plan : Plan
    sheet : Sheet
        As Original has it; it begins to leave the device.
    """

    def __init__(self, plan: Plan, sheet: Sheet) -> None:
        self.plan, self._ended = plan, sheet.fetch()
        self._own: dict[str, np.ndarray] = {}

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Importance (G, K, L), scores (K,) and, with references, their mean scores (K,)."""
        if not self._own:
            self._own = self._ended()
        own = self._own
        importance = np.ascontiguousarray(own["importance"][:, number].transpose(2, 0, 1))
        expected = None
        if "expected" in own:
            mean = own["expected"][:, number].mean(axis=1, dtype=np.float64)
            expected = mean.astype(np.float32)
        return importance, own["scores"][:, number].copy(), expected


class Rows(ABC):
    """Collects mutants, part by part.

    Parameters
    ----------
    engine : StagedEngine
    targets : Targets
    original : Original
    edits : Edits
        All of them.
    """

    gained = False  # whether scores are what mutants gain over their original

    def __init__(
        self, engine: StagedEngine, targets: Targets, original: Original, edits: Edits
    ) -> None:
        self.engine, self.device, self.plan = engine, engine.device, engine.plan
        self.targets, self.original, self.edits = targets, original, edits
        tasks, many = len(self.plan.tasks), len(edits)
        self.sheet = Sheet(
            self.device,
            {
                "own": (tasks, many, engine.groups),
                "scores": (tasks, many),
                "sums": (tasks, many, 2),
            },
        )

    def scores(self, task: int, first: int) -> Buffer:
        """Where scores of mutants from ``first`` on go."""
        return self.sheet.part("scores", task, first)

    def add(self, task: int, first: int, part: Part, importance: View) -> None:
        """Enter the importance of some mutants, which count from ``first``."""
        self.device.launch(
            "own_change",
            part.count,
            self.sheet.part("own", task, first).address,
            importance.pack(),
            part.first.address,
            part.span.address,
            part.count,
        )
        self._lost(task, first, part, importance)

    @abstractmethod
    def _lost(self, task: int, first: int, part: Part, importance: View) -> None:
        """What is lost at the targets."""


class Maps:
    """The maps of a batch on the host, filled block by block.

    Parameters
    ----------
    plan : Plan
    originals : Originals
    count : int
        Sequences.
    into : sequence of Into, optional
    """

    def __init__(
        self, plan: Plan, originals: Originals, count: int, into: Sequence[Into] | None
    ) -> None:
        self.plan, self.originals = plan, originals
        tasks, sources, width = len(plan.tasks), len(plan.sources), plan.targets.shape[1]
        self.shape = (tasks, sources, 4, width)
        self.rooms: list[Into] = []
        for number in range(count):
            fis, error = (None, None) if into is None else into[number]
            fis = np.empty(self.shape, np.float32) if fis is None else fis
            if error is None and plan.groups > 1:
                error = np.empty(self.shape, np.float32)
            self.rooms.append((fis, error if plan.groups > 1 else None))
        self.sums = plan.additive and covers_all(plan)
        self.found: dict[int, SequenceMap] = {}

    def of(self, number: int) -> SequenceMap:
        """The map of one sequence, to be completed."""
        if number not in self.found:
            importance, scores, expected = self.originals[number]
            attributions = group_mean(self.plan, importance)
            fis, error = self.rooms[number]
            made = SequenceMap(
                fis=fis,
                standard_error=error,
                self_effect=np.zeros(self.shape[:3], np.float32),
                mutant_predictions=np.zeros(self.shape[:3], np.float32),
                attributions=attributions,
                predictions=scores,
                reference_predictions=expected,
                delta_error=None,
            )
            made.mutant_predictions[:] = scores[:, None, None]
            if self.plan.additive and expected is not None:
                made.delta_error = delta_error(attributions, scores, expected)
            self.found[number] = made
        return self.found[number]


class MapRows(Rows):
    """Rows of maps: means over the groups of references, each source and base in its place."""

    def __init__(
        self,
        engine: StagedEngine,
        targets: Targets,
        original: Original,
        edits: Edits,
        block: Block,
        maps: Maps,
    ) -> None:
        super().__init__(engine, targets, original, edits)
        self.block, self.maps = block, maps
        tasks = len(self.plan.tasks)
        self.each = 4 * targets.width * 4 * block.shape[1]  # bytes of one sequence and task
        self.fis = zeros(self.device, tasks * block.shape[0] * self.each)
        self.error = None
        if engine.groups > 1:
            self.error = zeros(self.device, tasks * block.shape[0] * self.each)
        sequence, sources = edits.owner - block.first, block.shape[1]
        source, base = edits.mutants.slot.T
        self.place = ((sequence * sources + source - block.begin) * 4 + base).astype(np.int32)

    def _lost(self, task: int, first: int, part: Part, importance: View) -> None:
        place = self.device.upload(self.place[first : first + part.count])
        offset = task * self.block.shape[0] * self.each
        self.device.launch(
            "lost_rows",
            part.count,
            self.fis.address + offset,
            0 if self.error is None else self.error.address + offset,
            importance.pack(),
            place.address,
            part.source.address,
            part.first.address,
            part.span.address,
            *self.targets.arguments(task),
            self.engine.weights.address,
            part.count,
        )
        if self.maps.sums:
            self.device.launch(
                "importance_sums",
                part.count,
                self.sheet.part("sums", task, first).address,
                importance.pack(),
                self.engine.weights.address,
                part.count,
            )

    def finish(self) -> Callable[[], list[SequenceMap]]:
        """Begin to copy the rows out; the call that is returned ends it, and gives the maps that
        are then complete."""
        block, ends = self.block, []
        for task in range(len(self.plan.tasks)):
            for number in range(block.shape[0]):
                begin = (task * block.shape[0] + number) * self.each
                fis, error = self.maps.rooms[block.first + number]
                for rows, room in ((self.fis, fis), (self.error, error)):
                    if rows is not None and room is not None:
                        to = room[task, block.begin : block.end]
                        ends.append(self.device.fetch(rows.part(begin, self.each), to))
        small = self.sheet.fetch()

        def end() -> list[SequenceMap]:
            for ended in ends:
                ended()
            own = small()
            numbers = range(block.first, block.last)
            for number in numbers:
                self._enter(number, own)
            last = block.end == len(self.plan.sources)
            return [self.maps.of(number) for number in numbers] if last else []

        return end

    def _enter(self, number: int, own: dict[str, np.ndarray]) -> None:
        """What one sequence's mutants have beside their rows."""
        made, part = self.maps.of(number), self.edits.span_of(number, number + 1)
        source, base = self.edits.mutants.slot[part].T
        scores = own["scores"][:, part]
        if self.gained:
            scores = scores + made.predictions[:, None]
        made.mutant_predictions[:, source, base] = scores
        groups = np.moveaxis(own["own"][:, part], 2, 0)
        made.self_effect[:, source, base] = group_mean(self.plan, groups)
        if self.maps.sums and made.delta_error is not None:
            assert made.reference_predictions is not None
            total, absolute = np.moveaxis(own["sums"][:, part].astype(np.float64), 2, 0)
            off = np.abs(total - (scores - made.reference_predictions[:, None]))
            error = relative_error(off, absolute, scores, float(np.finfo(np.float32).eps))
            made.delta_error = max(made.delta_error, error)


class EffectRows(Rows):
    """Effects of one sequence: groups of references kept apart, mutants in their order."""

    def __init__(
        self, engine: StagedEngine, targets: Targets, original: Original, edits: Edits
    ) -> None:
        super().__init__(engine, targets, original, edits)
        groups, tasks, many = engine.groups, len(self.plan.tasks), len(edits)
        self.shape = (tasks, groups, many, targets.width)
        self.each = 4 * groups * many * targets.width
        self.lost = zeros(self.device, tasks * self.each)

    def _lost(self, task: int, first: int, part: Part, importance: View) -> None:
        place = self.device.upload(np.arange(first, first + part.count, dtype=np.int32))
        self.device.launch(
            "lost_groups",
            part.count,
            self.lost.address + task * self.each,
            importance.pack(),
            place.address,
            part.source.address,
            part.first.address,
            part.span.address,
            *self.targets.arguments(task),
            self.shape[2],
            part.count,
        )

    def finish(self) -> Callable[[], Effects]:
        """Begin to copy the results out; the call that is returned ends it."""
        plan = self.plan
        ended = self.device.fetch(self.lost, np.empty(self.shape, np.float32))
        small, originals = self.sheet.fetch(), Originals(plan, self.original.sheet)

        def end() -> Effects:
            importance, scores, expected = originals[0]
            own = small()
            error = None
            if plan.additive and expected is not None:
                error = delta_error(group_mean(plan, importance), scores, expected)
            return Effects(
                lost=np.ascontiguousarray(ended().swapaxes(0, 1)),
                own=np.ascontiguousarray(own["own"].transpose(2, 0, 1)),
                mutant_predictions=own["scores"].copy(),
                attributions=importance,
                predictions=scores,
                weights=group_weights(plan),
                delta_error=error,
            )

        return end


def zeros(device: Device, nbytes: int) -> Buffer:
    """Memory that holds zeros."""
    buffer = device.allocate(nbytes)
    device.clear(buffer)
    return buffer

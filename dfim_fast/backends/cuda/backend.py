"""The GPU backend, whatever the device: float32, a batch of sequences after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from dfim_fast.backends.base import Backend, Effects, Into, SequenceMap
from dfim_fast.backends.cuda.device import Device
from dfim_fast.backends.cuda.edits import Block, of_one, single_bases
from dfim_fast.backends.cuda.fused import FusedWalk
from dfim_fast.backends.cuda.layers.all import unsupported
from dfim_fast.backends.cuda.network import Network
from dfim_fast.backends.cuda.results import (
    EffectRows,
    MapRows,
    Maps,
    Originals,
    Rows,
    Targets,
)
from dfim_fast.backends.cuda.sheet import Sheet
from dfim_fast.backends.cuda.shuffles import Shuffles, one_hot_rows
from dfim_fast.backends.cuda.staged import Original, StagedEngine
from dfim_fast.backends.cuda.views import View
from dfim_fast.backends.passes import hypothetical
from dfim_fast.backends.rows import delta_error, group_mean
from dfim_fast.errors import BackendError
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.planner import DEFAULT_MEMORY, plan_spans
from dfim_fast.sequence.mutants import Mutants
from dfim_fast.sequence.one_hot import encode
from dfim_fast.sequence.random import content_keys
from dfim_fast.sequence.shuffle import Shuffled

SHARE = 0.5  # of the free memory, where no limit was asked for
# Of the budget that the originals of a batch may take, and its results: a sixteenth each, and two
# batches are on the way at a time. Half is for the mutants of one launch, a quarter for the basis
# of a hidden head.
OWN_SHARE = 16
FULL = 1 << 17  # mutants against references that keep a GPU busy
MOST = 16  # sequences of a batch
PRECISIONS = {"": 0, "tf32": 1, "3xtf32": 3}  # products on tensor cores; none: float32


class CudaBackend(Backend):
    """Carries out plans on one device.

    Parameters
    ----------
    plan : Plan
    device : Device
    precision : str
        One of PRECISIONS, of products with the weights of convolutions and dense layers.

    Raises
    ------
    BackendError
        If an operator of the network has no kernels.
    """

    dtype = np.float32

    def __init__(self, plan: Plan, device: Device, precision: str = "") -> None:
        super().__init__(plan)
        self.name, self.device = device.name, device
        why = unsupported(plan.graph, plan.graph.needed(plan.tasks))
        if why is not None:
            raise BackendError(f"backend={self.name!r}: {why}; use backend='numba'")
        self.network = Network(plan, device, PRECISIONS[precision])
        self.budget = plan.memory_limit
        if plan.memory_limit == DEFAULT_MEMORY:
            self.budget = max(plan.memory_limit, int(SHARE * device.free_memory()))
        self.engine = StagedEngine(self.network, plan, self.budget, plan.cost.mutants)
        self.walk = FusedWalk.of(self.network, plan, self.budget)
        self.targets = Targets(plan, device)
        self.batch, self.sources = self._sizes()
        self.chunk = 2 * self.batch  # one is copied out while the next is computed

    def _sizes(self) -> tuple[int, int]:
        """Sequences of a batch, and sources whose results leave together."""
        plan, room = self.plan, self.budget // OWN_SHARE
        sources, spread = len(plan.sources), 1 + (plan.groups > 1)
        each = 16 * len(plan.tasks) * plan.targets.shape[1] * spread  # bytes of one source
        pairs = plan.cost.mutants * max(plan.n_references, 1)
        fitting = min(
            MOST,
            FULL // max(pairs, 1),
            room // (sources * each),
            room // self.engine.bytes_of_original,
        )
        return max(1, fitting), max(1, min(sources, room // each))

    def references(
        self, x: np.ndarray, references: Any, n_references: int, gc: float, random_state: int
    ) -> Any:
        if isinstance(references, str) and references == "dinucleotide":
            return Shuffles.of(x, n_references, random_state)
        return super().references(x, references, n_references, gc, random_state)

    def shuffled(self, shuffles: Shuffled) -> np.ndarray:
        each, found = 4 * shuffles.n * shuffles.length, []
        batch = max(1, self.budget // each)  # codes and what is at hand while they are drawn
        keys = content_keys(
            shuffles.random_state, shuffles.purpose, (c.tobytes() for c in shuffles.originals)
        )
        drawn = Shuffles(shuffles.originals, keys, shuffles.n)
        for first in range(0, len(drawn), batch):
            part = drawn[first : first + batch]
            shape = (len(part) * shuffles.n, shuffles.length)
            found.append(self.device.read(part.draw_codes(self.device), shape, np.int8))
        return np.concatenate(found)

    def maps(
        self, x: np.ndarray, references: Any, into: Sequence[Into] | None = None
    ) -> Iterator[SequenceMap]:
        waiting: Callable[[], list[SequenceMap]] | None = None
        for part in self._batches(len(x)):
            room = None if into is None else into[part]
            for rows in self.on_device(x[part], _of(references, part), room):
                begun = rows.finish()
                if waiting is not None:
                    yield from waiting()
                waiting = begun
        if waiting is not None:
            yield from waiting()

    def _batches(self, count: int) -> Iterator[slice]:
        for first in range(0, count, self.batch):
            yield slice(first, min(first + self.batch, count))

    def on_device(
        self, x: np.ndarray, references: Any, into: Sequence[Into] | None = None
    ) -> Iterator[MapRows]:
        """Maps of a batch (B, 4, L) with its references (B, R, 4, L), block after block of them
        left on the device."""
        codes = encode(x)
        edits = single_bases(codes, self.plan.sources)
        keep = self.engine.bases if self.walk is None else self.walk.nodes
        original = self.engine.original(codes, references, keep)
        maps = Maps(self.plan, Originals(self.plan, original.sheet), len(x), into)
        sources = len(self.plan.sources)
        for begin in range(0, sources, self.sources):
            end = min(begin + self.sources, sources)
            whole = end - begin == sources
            for first in range(0, len(x), len(x) if whole else 1):
                last = len(x) if whole else first + 1
                block = Block(first, last, begin, end)
                rows = MapRows(
                    self.engine, self.targets, original, edits.within(block), block, maps
                )
                if self.walk is None:
                    self._fill(self.engine, rows)
                else:
                    self.walk.fill(self.engine, rows)
                yield rows

    def effects(
        self,
        x: np.ndarray,
        references: Any,
        mutants: Sequence[Mutants],
        targets: Sequence[np.ndarray],
    ) -> Iterator[Effects]:
        codes = encode(x)
        waiting: Callable[[], Effects] | None = None
        for n, (own, wanted) in enumerate(zip(mutants, targets, strict=True)):
            edits = of_one(own.as_sources())
            plan = plan_spans(self.plan, edits.mutants.start, edits.mutants.width, wanted)
            engine = StagedEngine(self.network, plan, self.budget, len(edits))
            part = slice(n, n + 1)
            original = engine.original(codes[part], _of(references, part), engine.bases)
            rows = EffectRows(engine, Targets(plan, self.device), original, edits)
            self._fill(engine, rows)
            begun = rows.finish()
            if waiting is not None:
                yield waiting()
            waiting = begun
        if waiting is not None:
            yield waiting()

    def _fill(self, engine: StagedEngine, rows: Rows) -> None:
        """Enter all mutants, as many at a time as the memory holds."""
        for first in range(0, len(rows.edits), engine.tile):
            edits = rows.edits[first : first + engine.tile]
            chunk = engine.chunk(rows.original, edits)
            for k, task in enumerate(self.network.tasks):
                engine.score(task, chunk.acts, chunk.count, rows.scores(k, first))
                found = engine.mutant_importance(k, rows.original, chunk)
                rows.add(k, first, chunk, found)

    def attributions(
        self, x: np.ndarray, references: Any, hypothetical_bases: bool
    ) -> Iterator[tuple[np.ndarray, float | None]]:
        for part in self._batches(len(x)):
            original = self.engine.original(encode(x[part]), _of(references, part), {0})
            found = Originals(self.plan, original.sheet)
            bases = self._hypothetical(original) if hypothetical_bases else None
            for number, one in enumerate(x[part]):
                importance, scores, expected = found[number]
                plain, error = group_mean(self.plan, importance), None
                if self.plan.additive and expected is not None:
                    error = delta_error(plain, scores, expected)
                if bases is not None:
                    yield bases[number], error
                else:
                    yield plain[:, :, None] * one.T, error

    def _hypothetical(self, original: Original) -> np.ndarray:
        """Mean over references of every base's importance (B, K, L, 4)."""
        plan, found, r = self.plan, [], None
        shape = (original.count, self.engine.count, plan.graph.length, 4)
        if original.references is not None:
            r = self._own(original.references[0].y, shape)
        for walk in original.down:
            m = self._own(walk[0], shape)
            found.append(
                [
                    hypothetical(
                        plan.method, plan.contribution, m[b], None if r is None else r[b]
                    ).mean(axis=0)
                    for b in range(original.count)
                ]
            )
        return np.stack(found, axis=1)

    def _own(self, view: View, shape: tuple[int, ...]) -> np.ndarray:
        """A host copy of what a view's items have of their own."""
        assert view.own is not None
        return self.device.read(view.own, shape)

    def predictions(self, x: np.ndarray) -> np.ndarray:
        width = {i: self.plan.graph.nodes[i].shape[0] for i in self.network.nodes}
        tile = max(1, self.budget // self.network.held_bytes(width))
        codes, scores = encode(x), []
        for first in range(0, len(x), tile):
            part = codes[first : first + tile]
            rows = one_hot_rows(self.device, self.device.upload(part), *part.shape)
            acts = self.engine.whole(rows, len(part))
            sheet = Sheet(self.device, {"scores": (len(self.network.tasks), len(part))})
            for k, task in enumerate(self.network.tasks):
                self.engine.score(task, acts, len(part), sheet.part("scores", k))
            scores.append(sheet.fetch()()["scores"].T)
        return np.concatenate(scores)


def _of(references: Any, part: slice) -> Any:
    """Those of some sequences; None for gradients."""
    return None if references is None else references[part]

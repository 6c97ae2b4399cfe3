"""Maps, null, p and q of a list of sequences, block by block, in a store.

Nothing is held for all sequences at once but what `StreamedSignificance` bounds. Pass 1 computes
maps and null and writes the maps; pass 2 judges every cell by the complete null; pass 3 corrects
for all tests and finds the strongest.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.store import MapStore, block_size
from dfim_fast.io.tables import FOLD_COLUMNS, Strongest, interaction_table
from dfim_fast.maps.interaction import InteractionMap, interaction_map
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import make_request
from dfim_fast.scale.pictures import Sample
from dfim_fast.sequence.one_hot import from_codes
from dfim_fast.stats.null import NullMap, null_map
from dfim_fast.stats.provenance import check_match
from dfim_fast.stats.streamed import StreamedSignificance

RESULT_BYTES = 256_000_000  # of maps and nulls held at a time
BLOCKS = 100  # a run is cut into about as many, so that its progress shows

_DEFAULTS = {
    name: option.default
    for name, option in inspect.signature(interaction_map).parameters.items()
    if option.default is not option.empty and name not in ("out", "progress")
}


@dataclass(frozen=True)
class Judging:
    """How maps are judged; names as in `significance` and `null_map`."""

    n_null: int = 1
    null_model: str = "empirical"
    pool: str = "task"
    family: str = "task"
    correction: str = "bh"
    alpha: float = 0.05


@dataclass
class _State:
    """What the passes hand on."""

    store: MapStore | None = None
    first: InteractionMap | None = None
    delta: float | None = None
    null_predictions: list[np.ndarray] = field(default_factory=list)


class Passes:
    """The passes over the sequences, in their order."""

    def __init__(
        self,
        model: Model,
        names: list[str],
        codes: np.ndarray,
        settings: dict[str, Any],
        judging: Judging,
        judge: StreamedSignificance,
    ) -> None:
        self.model, self.names, self.codes = model, names, codes
        self.settings, self.judging, self.judge = settings, judging, judge
        # refuses what cannot be computed before a folder or a progress bar appears
        self.request = make_request(
            model, from_codes(codes[:1]), **{**_DEFAULTS, **self._settings(slice(0, 1))}
        )
        plan = self.request.plan
        self.cells = len(plan.tasks) * len(plan.sources) * 4 * plan.targets.shape[1]
        self.sample = Sample(judge.tasks, self.cells * len(names))
        self.state = _State()

    @property
    def store(self) -> MapStore:
        assert self.state.store is not None
        return self.state.store

    @property
    def maps(self) -> InteractionMap:
        """All sequences, read from the store when asked for."""
        assert self.state.first is not None
        return self.store.as_maps(self.state.first, self.state.delta)

    @property
    def null_predictions(self) -> np.ndarray:
        """Scores of the shuffles, (K, N * n)."""
        return np.concatenate(self.state.null_predictions, axis=1)

    def parts(self) -> Iterator[slice]:
        """Blocks of sequences to compute: within memory, and enough of them to show progress."""
        n = len(self.names)
        block = block_size(4 * self.cells, n)
        each = 12 + 8 * (self.request.backend.folds > 1)
        held = RESULT_BYTES // max(1, each * self.cells * (1 + self.judging.n_null))
        size = block * max(1, min(held, -(-n // BLOCKS)) // block)
        for first in range(0, n, size):
            yield slice(first, min(first + size, n))

    def compute(self, path: Path, progress: bool) -> None:
        """Pass 1: maps to the store, nulls to the judge."""
        self.request.announce(progress)
        with _bar(len(self.names), "maps and null", progress) as bar:
            for part in self.parts():
                maps, null = self._both(part)
                self._keep(path, part, maps)
                self._add_null(part, null, len(maps.task_names), maps.several)
                if self.judging.pool == "sequence":  # its own null is all it waits for
                    self._judge(
                        part,
                        _tasks_first(maps.fis, maps.several),
                        _tasks_first(maps.mask, maps.several),
                    )
                bar.update(part.stop - part.start)

    def judge_all(self, progress: bool) -> None:
        """Pass 2: p, by the complete null."""
        if self.judging.pool == "sequence":
            self._check_tests()
            return
        with _bar(len(self.names), "p-values", progress) as bar:
            for part in self.store.blocks():
                self._judge(part, self.store.read("fis", part), self.store.read("mask", part))
                bar.update(part.stop - part.start)
        self._check_tests()

    def correct_all(self, top: int, progress: bool) -> tuple[pd.DataFrame, list[tuple[int, int]]]:
        """Pass 3: q; the table, and (sequence, task) to draw, strongest first."""
        strongest, store = Strongest(top), self.store
        ranked: dict[int, tuple[bool, float, int]] = {}
        names = [
            name
            for name in ("standard_error", *FOLD_COLUMNS, "p", "q", "mutant_predictions")
            if name in store
        ]
        with _bar(len(self.names), "corrections", progress) as bar:
            for part in store.blocks():
                fis, mask = store.read("fis", part), store.read("mask", part)
                others = {name: store.read(name, part) for name in names}
                if self.judging.family != "sequence":
                    others["q"] = self._q(part, fis, mask, others["p"])
                    store.write("q", part, others["q"])
                significant = others["q"] <= self.judging.alpha
                store.write("significant", part, significant)
                for k in range(len(fis)):
                    for i, n in enumerate(range(part.start, part.stop)):
                        own = {name: values[k, i] for name, values in others.items()}
                        self._rank(ranked, n, k, fis[k, i], mask[k, i], significant[k, i])
                        self._collect(
                            strongest,
                            k,
                            n,
                            fis[k, i],
                            mask[k, i],
                            {**own, "significant": significant[k, i]},
                        )
                bar.update(part.stop - part.start)
        order = sorted(ranked, key=lambda n: (not ranked[n][0], -ranked[n][1], n))
        return self._table(strongest), [(n, ranked[n][2]) for n in order]

    def _settings(self, part: slice) -> dict[str, Any]:
        """Settings of some sequences: their own names and references."""
        settings = {**self.settings, "names": self.names[part]}
        given = settings.get("references")
        if isinstance(given, np.ndarray) and given.ndim == 4:
            if len(given) != len(self.names):
                raise InputError(
                    f"references have shape {given.shape}: {len(given)} sets for "
                    f"{len(self.names)} sequences; give one set for each, or (R, 4, L) for all"
                )
            settings["references"] = given[part]
        return settings

    def _both(self, part: slice) -> tuple[InteractionMap, NullMap]:
        """Maps and null maps of some sequences."""
        settings = {**self._settings(part), "progress": False}
        x = from_codes(self.codes[part])
        maps = interaction_map(self.model, x, **settings)
        finite = (
            np.isfinite(maps.fis)
            .reshape(-1, len(maps.names), self.cells // len(self.judge.tasks))
            .all(axis=(0, 2))
        )
        if not finite.all():
            raise InputError(
                f"sequence {self.names[part.start + int(np.argmin(finite))]!r}: the model's "
                "numbers overflow there and its map is not finite; look at model.predict of it"
            )
        null = null_map(self.model, x, n=self.judging.n_null, **settings)
        check_match(maps.provenance, null.provenance)
        return maps, null

    def _keep(self, path: Path, part: slice, maps: InteractionMap) -> None:
        state = self.state
        if state.store is None:
            state.store = MapStore.create(path, maps, self.names, self.codes)
            empty = np.empty(0)
            state.first = replace(
                maps,
                fis=empty,
                standard_error=None,
                fold_spread=None,
                sign_agreement=None,
                self_effect=empty,
                mutant_predictions=empty,
                attributions=empty,
            )
        state.store.write_maps(part, maps)
        if maps.summation_to_delta is not None:
            state.delta = max(state.delta or 0.0, maps.summation_to_delta)

    def _add_null(self, part: slice, null: NullMap, tasks: int, several: bool) -> None:
        fis, mask = _tasks_first(null.fis, several), _tasks_first(null.mask, several)
        self.state.null_predictions.append(_tasks_first(null.predictions, several))
        for k in range(tasks):
            for i, n in enumerate(range(part.start, part.stop)):
                rows = [fis[k, j][mask[k, j]] for j in np.flatnonzero(null.sequence == i)]
                self.judge.add_null(k, n, rows)
                for row in rows:
                    self.sample.null(k, row)

    def _judge(self, part: slice, fis: np.ndarray, mask: np.ndarray) -> None:
        """Write p of a block (K, n, ...), and q where a sequence is corrected by itself."""
        p = np.full(fis.shape, np.nan)
        q = np.full(fis.shape, np.nan) if self.judging.family == "sequence" else None
        for k in range(len(fis)):
            for i, n in enumerate(range(part.start, part.stop)):
                tested = mask[k, i]
                values = fis[k, i][tested]
                p[k, i][tested] = self.judge.p(k, n, values, tested.size - len(values))
                if q is not None:
                    q[k, i][tested] = self.judge.q(k, n, values, p[k, i][tested])
        self.store.write("p", part, p)
        if q is not None:
            self.store.write("q", part, q)

    def _q(self, part: slice, fis: np.ndarray, mask: np.ndarray, p: np.ndarray) -> np.ndarray:
        q = np.full(fis.shape, np.nan)
        for k in range(len(fis)):
            for i, n in enumerate(range(part.start, part.stop)):
                tested = mask[k, i]
                q[k, i][tested] = self.judge.q(k, n, fis[k, i][tested], p[k, i][tested])
        return q

    def _check_tests(self) -> None:
        if not self.judge.tests:
            raise SettingsError(
                f"no tested cells: all {self.judge.masked} scores are masked; look at sources, "
                "targets and window, and for N in the sequences"
            )

    def _rank(
        self,
        ranked: dict[int, tuple[bool, float, int]],
        n: int,
        k: int,
        fis: np.ndarray,
        mask: np.ndarray,
        significant: np.ndarray,
    ) -> None:
        """Remember a sequence's strongest task: by a significant cell, else by any."""
        passed = bool(significant.any())
        strength = np.abs(fis[significant if passed else mask])
        if len(strength):
            found = (passed, float(strength.max()), k)
            if n not in ranked or found[:2] > ranked[n][:2]:
                ranked[n] = found

    def _collect(
        self,
        strongest: Strongest,
        k: int,
        n: int,
        fis: np.ndarray,
        mask: np.ndarray,
        own: dict[str, np.ndarray],
    ) -> None:
        self.sample.scores(k, fis[mask])
        own["mutant_prediction"] = own.pop("mutant_predictions")[..., None]
        strongest.add(k, n, fis, mask, own)

    def _table(self, strongest: Strongest) -> pd.DataFrame:
        cells, store = dict(strongest.cells()), self.store
        everything = slice(0, len(store))
        if cells:
            cells["neg_log10_p"] = np.zeros(len(strongest))
            row = cells["task"] * len(store) + cells["sequence"]
            order = np.argsort(row, kind="stable")
            for own in np.split(order, np.flatnonzero(np.diff(row[order])) + 1):
                k, n = int(cells["task"][own[0]]), int(cells["sequence"][own[0]])
                cells["neg_log10_p"][own] = self.judge.neg_log10_p(
                    k, n, cells["fis"][own], cells["p"][own]
                )
        assert self.state.first is not None
        return interaction_table(
            cells,
            names=self.names,
            task_names=self.judge.tasks,
            sequences=self.codes,
            sources=self.state.first.sources,
            targets=self.state.first.targets,
            attributions=store.read("attributions", everything),
            predictions=store.read("predictions", everything),
        )


def _tasks_first(array: Any, several: bool) -> np.ndarray:
    array = np.asarray(array)
    return array if several else array[None]


def _bar(total: int, what: str, progress: bool) -> tqdm:
    return tqdm(total=total, desc=what, unit="seq", disable=not progress, dynamic_ncols=True)

"""The whole job for a list of sequences: maps, null, significance, tables and figures in a folder.

Nothing is held for all sequences at once but what `StreamedSignificance` bounds. Pass 1 computes
maps and null block by block and writes the maps; pass 2 judges every cell by the complete null;
pass 3 corrects for all tests and finds the strongest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.output import new_folder
from dfim_fast.io.store import MapStore, block_size
from dfim_fast.io.tables import Strongest, interaction_table, write_tables
from dfim_fast.maps.diagnostics import diagnose
from dfim_fast.maps.interaction import InteractionMap, interaction_map
from dfim_fast.maps.model import Model
from dfim_fast.scale.describe import provenance, summary
from dfim_fast.scale.pictures import Sample, draw
from dfim_fast.sequence.one_hot import encode, from_codes
from dfim_fast.stats.null import NullMap, null_map
from dfim_fast.stats.provenance import check_match
from dfim_fast.stats.streamed import StreamedSignificance

MARKER = "maps.zarr"
RESULT_BYTES = 256_000_000  # of maps and nulls held at a time
BLOCKS = 100  # a run is cut into about as many, so that its progress shows


@dataclass(frozen=True)
class Judging:
    """How maps are judged; names as in `significance` and `null_map`."""

    n_null: int = 1
    null_model: str = "empirical"
    pool: str = "task"
    family: str = "task"
    correction: str = "bh"
    alpha: float = 0.05


@dataclass(frozen=True)
class Finished:
    """A run that is complete.

    Attributes
    ----------
    out : Path
    lines : list of str
        The summary, as written to ``summary.txt``.
    table : DataFrame
        The strongest interactions.
    """

    out: Path
    lines: list[str]
    table: pd.DataFrame


@dataclass
class _State:
    """What the passes hand on."""

    store: MapStore | None = None
    first: InteractionMap | None = None
    delta: float | None = None
    null_predictions: list[np.ndarray] = field(default_factory=list)


def run_maps(
    model: Model,
    names: Sequence[str],
    sequences: Sequence[str],
    out: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any],
    judging: Judging | None = None,
    figures: int = 5,
    top: int = 100_000,
    overwrite: bool = False,
    progress: bool = True,
) -> Finished:
    """Compute, judge, write and draw; ``out`` appears when all of it is done.

    Parameters
    ----------
    model : Model
    names, sequences : sequence of str, (N,)
    out : path
        The folder to make: ``maps.zarr``, ``interactions.parquet`` and ``.tsv.gz``, ``figures/``,
        ``summary.txt``.
    settings : mapping
        Of `interaction_map`.
    judging : Judging, optional
    figures : int
        Sequences drawn, strongest first.
    top : int
        Rows of the table.
    overwrite : bool
        Replace an earlier result, once this one is complete.
    progress : bool
        Show sequences per second and the time left.

    Returns
    -------
    Finished

    Raises
    ------
    InputError, SettingsError, BackendError, NullError
        As `interaction_map`, `null_map` and `significance`.
    OutputError
        If ``out`` exists, cannot be written, or the disk is full.
    """
    judging = judging or Judging()
    for option, value, least in (("n_null", judging.n_null, 1), ("figures", figures, 0),
                                 ("top", top, 0)):
        if value < least:
            raise SettingsError(f"{option}={value}: pass an integer of at least {least}")
    task = settings.get("task", 0)
    tasks = [model.task_names[i] for i in model.graph.task_indices(task)]
    judge = StreamedSignificance(tasks, judging.null_model, judging.pool, judging.family,
                                 judging.correction, judging.alpha)
    codes = encode(list(sequences), model.sequence_length, names)
    run = _Run(model, list(names), codes, dict(settings), judging, judge)
    with new_folder(out, MARKER, overwrite) as folder:
        run.compute(folder / MARKER, progress)
        run.judge_all(progress)
        table, ranking = run.correct_all(top, progress)
        store, maps = run.store, run.maps
        nulls = SimpleNamespace(predictions=run.null_predictions)
        diagnostics = diagnose(model, maps, null=nulls)
        report = judge.report()
        about = provenance(model, maps, judging, judge, report, diagnostics)
        store.describe(about)
        write_tables(folder, table, {key: about[key] for key in ("model", "settings", "null")})
        drawn = draw(folder / "figures", store, ranking[:figures], run.sample, judge)
        lines = summary(Path(out), about, names, table, drawn, top)
        (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Finished(Path(out), lines, table)


class _Run:
    """The passes over the sequences."""

    def __init__(
        self, model: Model, names: list[str], codes: np.ndarray, settings: dict[str, Any],
        judging: Judging, judge: StreamedSignificance,
    ) -> None:
        self.model, self.names, self.codes = model, names, codes
        self.settings, self.judging, self.judge = settings, judging, judge
        length = model.sequence_length
        rows, columns = (length if settings.get(name) is None else len(settings[name])
                         for name in ("sources", "targets"))
        window = settings.get("window")
        width = columns if window is None else 2 * window + 1
        self.cells = len(judge.tasks) * rows * 4 * width  # of one sequence
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
        held = RESULT_BYTES // max(1, 12 * self.cells * (1 + self.judging.n_null))
        size = block * max(1, min(held, -(-n // BLOCKS)) // block)
        for first in range(0, n, size):
            yield slice(first, min(first + size, n))

    def compute(self, path: Path, progress: bool) -> None:
        """Pass 1: maps to the store, nulls to the judge."""
        with _bar(len(self.names), "maps and null", progress) as bar:
            for part in self.parts():
                maps, null = self._both(part)
                self._keep(path, part, maps)
                self._add_null(part, null, len(maps.task_names), maps.several)
                if self.judging.pool == "sequence":  # its own null is all it waits for
                    self._judge(part, _tasks_first(maps.fis, maps.several),
                                _tasks_first(maps.mask, maps.several))
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
        names = [name for name in ("standard_error", "p", "q", "mutant_predictions")
                 if name in store]
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
                        self._collect(strongest, k, n, fis[k, i], mask[k, i],
                                      {**own, "significant": significant[k, i]})
                bar.update(part.stop - part.start)
        order = sorted(ranked, key=lambda n: (not ranked[n][0], -ranked[n][1], n))
        return self._table(strongest), [(n, ranked[n][2]) for n in order]

    def _both(self, part: slice) -> tuple[InteractionMap, NullMap]:
        """Maps and null maps of some sequences."""
        settings = {**self.settings, "names": self.names[part], "progress": False}
        given = settings.get("references")
        if isinstance(given, np.ndarray) and given.ndim == 4:
            if len(given) != len(self.names):
                raise InputError(
                    f"references have shape {given.shape}: {len(given)} sets for "
                    f"{len(self.names)} sequences; give one set for each, or (R, 4, L) for all")
            settings["references"] = given[part]
        x = from_codes(self.codes[part])
        maps = interaction_map(self.model, x, **settings)
        finite = np.isfinite(maps.fis).reshape(-1, len(maps.names), self.cells // len(
            self.judge.tasks)).all(axis=(0, 2))
        if not finite.all():
            raise InputError(
                f"sequence {self.names[part.start + int(np.argmin(finite))]!r}: the model's "
                "numbers overflow there and its map is not finite; look at model.predict of it")
        null = null_map(self.model, x, n=self.judging.n_null, **settings)
        check_match(maps.provenance, null.provenance)
        return maps, null

    def _keep(self, path: Path, part: slice, maps: InteractionMap) -> None:
        state = self.state
        if state.store is None:
            state.store = MapStore.create(path, maps, self.names, self.codes)
            empty = np.empty(0)
            state.first = replace(maps, fis=empty, standard_error=None, self_effect=empty,
                                  mutant_predictions=empty, attributions=empty)
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
                "targets and window, and for N in the sequences")

    def _rank(
        self, ranked: dict[int, tuple[bool, float, int]], n: int, k: int, fis: np.ndarray,
        mask: np.ndarray, significant: np.ndarray,
    ) -> None:
        """Remember a sequence's strongest task: by a significant cell, else by any."""
        passed = bool(significant.any())
        strength = np.abs(fis[significant if passed else mask])
        if len(strength):
            found = (passed, float(strength.max()), k)
            if n not in ranked or found[:2] > ranked[n][:2]:
                ranked[n] = found

    def _collect(
        self, strongest: Strongest, k: int, n: int, fis: np.ndarray, mask: np.ndarray,
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
                    k, n, cells["fis"][own], cells["p"][own])
        assert self.state.first is not None
        return interaction_table(
            cells, names=self.names, task_names=self.judge.tasks, sequences=self.codes,
            sources=self.state.first.sources, targets=self.state.first.targets,
            attributions=store.read("attributions", everything),
            predictions=store.read("predictions", everything))


def _tasks_first(array: Any, several: bool) -> np.ndarray:
    array = np.asarray(array)
    return array if several else array[None]


def _bar(total: int, what: str, progress: bool) -> tqdm:
    return tqdm(total=total, desc=what, unit="seq", disable=not progress, dynamic_ncols=True)

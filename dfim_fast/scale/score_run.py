"""How a long run goes: what is left is done chunk by chunk, kept at once, and then put together."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast import __version__
from dfim_fast.errors import DfimError
from dfim_fast.io.run_record import recording
from dfim_fast.io.score_store import LOG, ScoreStore
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request
from dfim_fast.plan.planner import whole_number
from dfim_fast.scale.workers import Runner
from dfim_fast.sequence.random import content_keys
from dfim_fast.stats.tallied import check_options

Arrays = Mapping[str, np.ndarray]
LOG_EVERY = 60.0  # seconds
CAUGHT_UP = 4  # finished pieces taken in when one comes: a resumed run has many, and workers wait


class Interrupted(KeyboardInterrupt):
    """An end that was asked for; the store can be gone on with."""


@dataclass(frozen=True)
class Scored:
    """A finished run of `score`.

    Attributes
    ----------
    store : Path
        The folder.
    summary : list of str
        What was done and found, as in ``results/summary.txt``.
    """

    store: Path
    summary: list[str]

    @property
    def interactions(self) -> pd.DataFrame:
        """The table of the results, read from the store."""
        (table,) = (self.store / "results").glob("*.parquet")
        return pd.read_parquet(table)


@dataclass(frozen=True)
class Judging:
    """How a run is judged; names as in `score`."""

    null_regions: int
    n_null: int
    null_model: str
    pool: str
    family: str
    correction: str
    alpha: float

    def check(self) -> None:
        """Refuse what cannot be judged.

        Raises
        ------
        SettingsError
        """
        check_options(self.pool, self.family, self.correction, self.alpha, self.null_model)
        for option in ("null_regions", "n_null"):
            whole_number(option, getattr(self, option), 1)


def sample(names: list[str], size: int, random_state: int) -> np.ndarray:
    """Which (N,) of some names are among ``size`` drawn ones; it depends on nothing else."""
    keys = content_keys(random_state, "null regions",
                        [f"{i}:{name}".encode() for i, name in enumerate(names)])  # fmt: skip
    chosen = np.zeros(len(names), bool)
    chosen[np.argsort(keys, kind="stable")[:size]] = True
    return chosen


def file_hash(path: str | os.PathLike[str]) -> str:
    """First digits of the SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


@dataclass
class Job:
    """A run, whatever it is over: its rows, what is done with them, and what is made of that.

    Attributes
    ----------
    unit : str
        What a row is, for people.
    rows, chunk : int
    settings : dict
        All that the results depend on.
    work : Task
    gather : callable
        Begins to write results into a folder; pieces are handed to what it returns (`Gathered`).
    finish : callable
        Writes the rest; returns lines of the summary.
    model : Model
    """

    unit: str
    rows: int
    chunk: int
    settings: dict[str, Any]
    work: Any
    gather: Callable[[Path], Any]
    finish: Callable[[ScoreStore, Path, Any], list[str]]
    model: Model


def run_job(
    job: Job, out: str | os.PathLike[str], runner: Runner, *, resume: bool, progress: bool
) -> Scored:
    """Do what is left of a job, and write its results when nothing is.

    Raises
    ------
    Interrupted
        After SIGINT or SIGTERM, when the chunks under way are kept.
    DfimError
    """
    store = ScoreStore(out)
    with store.open(job.settings, resume), recording("score") as record:
        if store.finished:
            store.drop_parts()
            return Scored(store.path, _summary_of(store))
        left = list(store.gaps(job.rows, job.chunk, runner.workers))
        rows = sum(last - first for first, last in left)
        store.log(f"begun: {rows} of {job.rows} {job.unit}s to do, in {len(left)} chunks")
        try:
            with store.new_results() as folder:
                pieces = _InOrder(store, job.gather(folder))
                engine = _compute(job, store, runner, left, rows, pieces, progress)
                began = time.perf_counter()
                pieces.take(len(pieces.waiting))
                lines = job.finish(store, folder, pieces.gathered)
                (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            record.write(store.path / LOG, str(job.model))
            took = time.perf_counter() - began
            store.log(f"results written in {took:.1f} s; engine {engine:.1f} s")
            store.drop_parts()
        except (DfimError, KeyboardInterrupt) as error:
            store.log(f"ended: {error}")
            raise
    return Scored(store.path, lines)


def _summary_of(store: ScoreStore) -> list[str]:
    text = (store.results / "summary.txt").read_text(encoding="utf-8")
    return text.splitlines()


class _InOrder:
    """Hands finished pieces on in the order of their rows, each as soon as all before it are there.

    Attributes
    ----------
    gathered : Gathered
        Who takes them.
    waiting : dict of int to (int, Path)
        Pieces not handed on: first row, last row (left out) and file.
    """

    def __init__(self, store: ScoreStore, gathered: Any) -> None:
        self.gathered = gathered
        self._store, self._next = store, 0
        self.waiting = {first: (last, path) for first, last, path in store.parts()}

    def add(self, first: int, last: int, path: Path, arrays: Arrays) -> None:
        """Take in a piece that has just been finished, now or when its turn comes."""
        self.waiting[first] = last, path
        self.take(CAUGHT_UP, {path: arrays})

    def take(self, most: int, at_hand: Mapping[Path, Arrays] = MappingProxyType({})) -> None:
        """Hand on at most so many pieces; those that are not at hand are read."""
        for _ in range(most):
            first = self._next
            if first not in self.waiting:
                return
            self._next, path = self.waiting.pop(first)
            arrays = at_hand[path] if path in at_hand else self._store.read(path)
            self.gathered.take(first, self._next, arrays)


def _compute(
    job: Job, store: ScoreStore, runner: Runner, left: list[tuple[int, int]], rows: int,
    pieces: _InOrder, progress: bool,
) -> float:  # fmt: skip
    """Do chunks and keep what they give; the seconds that engines took."""
    if not left:
        return 0.0
    engine, done, logged = 0.0, 0, time.monotonic()
    with (
        _stoppable() as stopped,
        tqdm(total=job.rows, initial=job.rows - rows, unit=f" {job.unit}s", desc="score",
             disable=not progress, dynamic_ncols=True, smoothing=0.05) as bar,
    ):  # fmt: skip
        for number, (arrays, seconds) in runner.run(job.work, left, stopped):
            first, last = left[number]
            pieces.add(first, last, store.add(first, last, arrays), arrays)
            engine += seconds
            done += last - first
            bar.update(last - first)
            if time.monotonic() - logged > LOG_EVERY:
                logged = time.monotonic()
                store.log(f"{done} of {rows} {job.unit}s done")
    store.log(f"{done} of {rows} {job.unit}s done, the engine took {engine:.1f} s for them")
    if done < rows:
        raise Interrupted(
            f"interrupted after {job.rows - rows + done:,} of {job.rows:,} {job.unit}s, which are "
            f"kept in {store.path}; go on with --resume"
        )
    return engine


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Ask for an end at the first SIGINT or SIGTERM, and end at once at the second."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return

    def ask(*_: object) -> None:
        if stop.is_set():
            raise Interrupted("interrupted at once; finished chunks are kept: go on with --resume")
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def common_settings(
    kind: str, request: Request, genome: str | os.PathLike[str], judging: Judging
) -> dict[str, Any]:
    """What every run's results depend on; flat, for a message that names differences."""
    model, plan = request.model, request.plan
    return {
        "kind": kind, "dfim_fast": __version__, "model": model.hash,
        "model_name": Path(model.name).name,
        "genome": file_hash(genome), "genome_name": Path(genome).name,
        **request.settings, "backend_used": request.backend.name, "folds": request.backend.folds,
        "sources": plan.sources.tolist(), "memory_limit": plan.memory_limit,
        **{name: getattr(judging, name) for name in Judging.__dataclass_fields__},
    }  # fmt: skip

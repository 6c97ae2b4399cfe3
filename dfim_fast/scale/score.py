"""Interactions of as many regions of a genome as there are: streamed, resumable, in a store."""

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
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast import __version__
from dfim_fast.errors import DfimError, SettingsError
from dfim_fast.io.regions import read_windows
from dfim_fast.io.run_record import RunRecord, recording
from dfim_fast.io.score_store import LOG, ScoreStore, check_store
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request
from dfim_fast.scale.cluster import DaskRunner
from dfim_fast.scale.score_results import (
    Outcome,
    tallies,
    write_judged,
    write_regions,
)
from dfim_fast.scale.score_work import RegionWork, make_score_request
from dfim_fast.scale.workers import Processes, Runner, Serial, visible_gpus
from dfim_fast.sequence.random import content_keys
from dfim_fast.stats.map_scan import Cells
from dfim_fast.stats.tallied import TalliedSignificance, check_options

KEEP = ("significant", "maps")
EXACT_SCORES = 1 << 24  # of tests and null: as many are judged as they are, not in bins
CHUNK_CELLS = 1 << 27  # of a chunk, about; a kill loses no more
LARGEST_CHUNK = 4096  # regions
LOG_EVERY = 60.0  # seconds
SHOWN = 10


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
        check_options(self.pool, self.family, self.correction, self.alpha)
        for option in ("null_regions", "n_null"):
            whole(option, getattr(self, option), 1)


def whole(option: str, value: Any, least: int) -> None:
    """Refuse anything but a whole number of at least ``least``.

    Raises
    ------
    SettingsError
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise SettingsError(f"{option}={value!r}: pass an integer of at least {least}")


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


def make_runner(workers: int, threads: int | None, scheduler: str | None, backend: str) -> Runner:
    """Who does the chunks.

    Raises
    ------
    SettingsError
        If both workers and a scheduler are asked for.
    """
    if scheduler is not None:
        if workers > 1:
            raise SettingsError(
                f"workers={workers} and scheduler={scheduler!r}: a scheduler has workers of its "
                "own; give one or the other"
            )
        return DaskRunner(scheduler)
    gpus = visible_gpus() if backend in ("cupy", "native") else []
    if len(gpus) > 1 and workers == 1:
        workers = len(gpus)
    if workers == 1:
        return Serial(threads)
    return Processes(workers, threads, gpus)


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
    finish : callable
        Writes the results into a folder; returns lines of the summary.
    model : Model
    """

    unit: str
    rows: int
    chunk: int
    settings: dict[str, Any]
    work: Any
    finish: Callable[[ScoreStore, Path, RunRecord], list[str]]
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
        left = list(store.gaps(job.rows, job.chunk))
        rows = sum(last - first for first, last in left)
        store.log(f"begun: {rows} of {job.rows} {job.unit}s to do, in {len(left)} chunks")
        try:
            engine = _compute(job, store, runner, left, rows, progress)
            began = time.perf_counter()
            with store.new_results() as folder:
                lines = job.finish(store, folder, record)
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


def _compute(
    job: Job, store: ScoreStore, runner: Runner, left: list[tuple[int, int]], rows: int,
    progress: bool,
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
            store.add(first, last, arrays)
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
        "kind": kind, "dfim_fast": __version__, "model": model.hash, "model_name": Path(model.name).name,
        "genome": file_hash(genome), "genome_name": Path(genome).name,
        **request.settings, "backend_used": request.backend.name, "folds": request.backend.folds,
        "sources": plan.sources.tolist(), "memory_limit": plan.memory_limit,
        **{name: getattr(judging, name) for name in Judging.__dataclass_fields__},
    }  # fmt: skip


def region_job(
    model: Model,
    genome: str | os.PathLike[str],
    bed: str | os.PathLike[str],
    settings: Mapping[str, Any],
    judging: Judging,
    *,
    fit: str,
    stride: int | None,
    ends: str,
    strands: str,
    top: int,
    keep: str,
    chunk: int | None,
    progress: bool,
) -> Job:
    """Whole maps of BED regions.

    Raises
    ------
    InputError, SettingsError, BackendError
    """
    whole("top", top, 0)
    if keep not in KEEP:
        raise SettingsError(f"keep={keep!r} is not known; choose from {', '.join(KEEP)}")
    given = {**settings, "threads": None}
    if isinstance(given.get("references"), np.ndarray) and given["references"].ndim == 4:
        raise SettingsError(
            "references: an own set for each sequence is no setting of a run that may be cut "
            "anywhere; give (R, 4, L) for all, or the name of a kind"
        )
    request = make_score_request(model, given, None)
    request.announce(progress)
    windows = read_windows(bed, genome, model.sequence_length, fit=fit, stride=stride, ends=ends,
                           strands=strands)  # fmt: skip
    n, plan = len(windows), request.plan
    names = [windows.name(row) for row in range(n)]
    sampled = sample(names, judging.null_regions, request.settings["random_state"])
    shuffles = int(sampled.sum()) * judging.n_null
    cells = len(plan.tasks) * len(plan.sources) * 4 * plan.targets.shape[1]
    exact = cells * (n + shuffles) <= EXACT_SCORES
    own = {key: value for key, value in given.items() if key != "threads"}
    work = RegionWork(model, windows, own, sampled, judging.n_null, top, exact, keep == "maps")
    about = {
        **common_settings("regions", request, genome, judging),
        "bed": file_hash(bed), "bed_name": Path(bed).name, "fit": fit, "stride": stride,
        "ends": ends, "strands": strands, "top": top, "keep": keep,
    }  # fmt: skip
    where = Cells.of(plan.sources, plan.targets, plan.reach)

    def finish(store: ScoreStore, folder: Path, record: RunRecord) -> list[str]:
        null, scores, masked = tallies(store)
        judge = TalliedSignificance(
            null, scores, request.settings["tasks"], exact=exact, pool=judging.pool,
            family=judging.family, correction=judging.correction, alpha=judging.alpha,
            masked=masked,
        )  # fmt: skip
        write_judged(folder, judge, null, scores)
        outcome = write_regions(store, folder, windows, where, judge, about, SHOWN)
        cost = f"null: {shuffles:,} shuffles of {int(sampled.sum()):,} of {n:,} regions, " \
            f"{shuffles / n:.1%} more maps to compute"
        return region_summary(request, about, n, windows.skipped, outcome, cost)

    size = chunk or int(np.clip(CHUNK_CELLS // max(cells, 1), 1, LARGEST_CHUNK))
    return Job("region", n, size, about, work, finish, model)


def region_summary(
    request: Request, about: Mapping[str, Any], n: int, skipped: int, outcome: Outcome, cost: str
) -> list[str]:
    """Lines for people; no path and no time, since those differ where results do not."""
    judge = outcome.judge
    model = request.model
    lines = [
        f"dfim_fast {__version__}: interactions of {n:,} regions of {model.sequence_length:,} bp "
        f"({about['bed_name']} on {about['genome_name']})"
        + (f"; {skipped:,} left out at the ends of contigs" if skipped else ""),
        f"model: {model.name} ({model.hash}), scored at the {model.head}, "
        f"tasks {', '.join(judge.tasks)}",
        f"method: {about['method']}"
        + (f", {about['references']} references" if about["method"] == "deeplift" else "")
        + (f", targets within {about['window']} bp" if about["window"] is not None else "")
        + f", random_state {about['random_state']}, backend {about['backend_used']}",
        "",
        "Significance",
        f"  {cost}",
        *(f"  {line}" for line in judge.report()),
        f"  in the table: {outcome.rows:,} of these"
        + ("" if outcome.rows >= judge.called else f", the {about['top']} strongest of each "
           "region, task and bin of distance; --top keeps more"),
        "",
        "Strongest",
    ]  # fmt: skip
    for row in outcome.strongest.to_dict("records"):
        lines.append(
            f"  {row['chrom']}:{row['source']} {row['source_base']}>{row['mutant']}: "
            f"{row['target_base']} at {row['target']} ({row['distance']} bp away) "
            f"{'loses' if row['fis'] > 0 else 'gains'} {abs(row['fis']):.3g}, q {row['q']:.2g}"
            + (f" [{row['task']}]" if len(judge.tasks) > 1 else "")
        )
    if outcome.strongest.empty:
        lines.append("  none is significant")
    if outcome.delta_error is not None:
        lines += ["", f"Summation-to-delta is off by {outcome.delta_error:.1e} of the sum of "
                  "|importance| at most"]  # fmt: skip
    return lines


def score(
    model: Model,
    genome: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    bed: str | os.PathLike[str],
    fit: str = "centre",
    stride: int | None = None,
    ends: str = "error",
    strands: str = "forward",
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
    task: Any = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    sources: Any = None,
    targets: Any = None,
    window: int | None = None,
    backend: str = "auto",
    memory_limit: int | None = None,
    null_regions: int = 1000,
    n_null: int = 1,
    pool: str = "task",
    family: str = "task",
    correction: str = "bh",
    alpha: float = 0.05,
    top: int = 100,
    keep: str = "significant",
    chunk: int | None = None,
    workers: int = 1,
    threads: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Scored:
    """Interactions of the regions of a BED file, as many as there are, in a store on disk.

    Regions are read when they are needed, and results written chunk by chunk: killed at any moment,
    the run goes on with ``resume=True`` and ends with the same bytes. These depend neither on
    ``chunk`` nor on ``workers``, ``threads`` or ``scheduler``.

    Parameters
    ----------
    model : Model
    genome : path
        FASTA with its index, plain or bgzipped, or 2bit.
    out : path
        The store, a folder: ``results`` appears in it when all is done.
    bed : path
    fit, stride, ends, strands
        How windows lie over regions: "centre" or "tile"; at ends of contigs "error", "pad" or
        "skip"; "forward", "bed" or "both" strands.
    method, references, n_references, gc, random_state, task, contribution, maxpool, epsilon,
    sources, targets, window, backend, memory_limit
        As in `interaction_map`.
    null_regions, n_null : int
        The null is made of ``n_null`` shuffles of as many regions, drawn at random.
    pool : {"task", "distance", "global"}
        Null values that judge a score: those of its task, of its task and bin of distance (under
        20, 20-50, 50-100, 100-200, 200 bp and more), or all.
    family : {"task", "global"}
        Tests corrected together: all of the run, not only those that are kept.
    correction : {"bh", "by"}
    alpha : float
    top : int
        Interactions kept of each region, task and bin of distance, strongest first; the significant
        ones of these make the table, and the summary says how many more there are.
    keep : {"significant", "maps"}
        "maps" keeps every score too, in ``maps.zarr``; use ``window`` with it.
    chunk : int, optional
        Regions done at a time, by size of a map as a rule.
    workers : int
        Processes, that share the processors; for a GPU backend one for each GPU as a rule.
    threads : int, optional
        Of each worker.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers then do the work.
    resume : bool
        Go on with a store of the same settings.
    progress : bool

    Returns
    -------
    Scored

    Raises
    ------
    InputError, SettingsError, BackendError, NullError
    OutputError
        If the store is another run's, was made with other settings, or cannot be written.
    Interrupted
        After Ctrl-C; what was finished is kept.
    """
    check_store(Path(out), resume)
    whole("workers", workers, 1)
    if chunk is not None:
        whole("chunk", chunk, 1)
    judging = Judging(null_regions, n_null, pool, family, correction, alpha)
    judging.check()
    settings = {
        "method": method, "references": references, "n_references": n_references, "gc": gc,
        "random_state": random_state, "task": task, "contribution": contribution,
        "maxpool": maxpool, "epsilon": epsilon, "sources": sources, "targets": targets,
        "window": window, "backend": backend, "memory_limit": memory_limit,
    }  # fmt: skip
    job = region_job(
        model, genome, bed, settings, judging, fit=fit, stride=stride, ends=ends, strands=strands,
        top=top, keep=keep, chunk=chunk, progress=progress,
    )  # fmt: skip
    runner = make_runner(workers, threads, scheduler, job.settings["backend_used"])
    return run_job(job, out, runner, resume=resume, progress=progress)

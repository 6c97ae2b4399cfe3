"""Interactions of as many regions of a genome as there are: streamed, resumable, in a store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast import __version__
from dfim_fast.errors import SettingsError
from dfim_fast.io.regions import read_windows
from dfim_fast.io.run_record import RunRecord
from dfim_fast.io.score_store import ScoreStore, check_store
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request
from dfim_fast.scale.score_results import (
    Outcome,
    tallies,
    write_judged,
    write_regions,
)
from dfim_fast.scale.score_run import (
    Job,
    Judging,
    Scored,
    common_settings,
    file_hash,
    make_runner,
    run_job,
    sample,
    whole,
)
from dfim_fast.scale.score_work import RegionWork, make_score_request
from dfim_fast.stats.map_scan import Cells
from dfim_fast.stats.tallied import TalliedSignificance

KEEP = ("significant", "maps")
EXACT_SCORES = 1 << 24  # of tests and null: as many are judged as they are, not in bins
CHUNK_CELLS = 1 << 27  # of a chunk, about; a kill loses no more
LARGEST_CHUNK = 4096  # regions
SHOWN = 10


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

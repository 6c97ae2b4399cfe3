"""What a run is over: regions, variants or motif pairs, and what is made of its pieces."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast import __version__
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.exports import write_bed, write_bedpe, write_bigwig
from dfim_fast.io.motifs import read_motifs
from dfim_fast.io.regions import Windows, read_windows
from dfim_fast.io.score_store import ScoreStore
from dfim_fast.io.vcf import read_vcf
from dfim_fast.maps.request import Request
from dfim_fast.plan.planner import whole_number
from dfim_fast.scale.pictures import file_name
from dfim_fast.scale.score_results import (
    TABLE,
    GatheredRegions,
    Outcome,
    attribution_windows,
    write_judged,
    write_table,
)
from dfim_fast.scale.score_run import (
    Job,
    Judging,
    common_settings,
    file_hash,
    sample,
)
from dfim_fast.scale.score_tables import (
    TABLES,
    GatheredRows,
    MotifWork,
    TableWork,
    VariantWork,
    usable,
    write_rows,
)
from dfim_fast.scale.score_work import RegionWork
from dfim_fast.stats.map_scan import Cells
from dfim_fast.stats.strata import STRATA
from dfim_fast.stats.tallied import TalliedSignificance

UNITS = {"variants": "variant", "motifs": "region"}
TABLE_CHUNK = 256  # variants or regions
EXPORTS = ("bedpe", "bed", "bigwig")
KEEP = ("significant", "maps")
EXACT_SCORES = 1 << 24  # of tests and null: as many are judged as they are, not in bins
CHUNK_CELLS = 1 << 27  # of a chunk, about; a kill loses no more
LARGEST_CHUNK = 4096  # regions
SHOWN = 10


def region_job(
    request: Request,
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
    export: tuple[str, ...],
    chunk: int | None,
    progress: bool,
) -> Job:
    """Whole maps of BED regions.

    Raises
    ------
    InputError, SettingsError, BackendError
    """
    whole_number("top", top, 0)
    if keep not in KEEP:
        raise SettingsError(f"keep={keep!r} is not known; choose from {', '.join(KEEP)}")
    for form in export:
        if form not in EXPORTS:
            raise SettingsError(f"export={form!r} is not known; choose from {', '.join(EXPORTS)}")
    model = request.model
    request.announce(progress)
    windows = read_windows(bed, genome, model.sequence_length, fit=fit, stride=stride, ends=ends,
                           strands=strands)  # fmt: skip
    n, plan = len(windows), request.plan
    names = [windows.name(row) for row in range(n)]
    sampled = sample(names, judging.null_regions, request.settings["random_state"])
    shuffles = int(sampled.sum()) * judging.n_null
    cells = len(plan.tasks) * len(plan.sources) * 4 * plan.targets.shape[1]
    exact = cells * (n + shuffles) <= EXACT_SCORES
    work = RegionWork(
        model, windows, dict(settings), sampled, judging.n_null, top, exact, keep == "maps",
        judging.null_model == "gaussian",
    )
    about = {
        **common_settings("regions", request, genome, judging),
        "bed": file_hash(bed), "bed_name": Path(bed).name, "fit": fit, "stride": stride,
        "ends": ends, "strands": strands, "top": top, "keep": keep, "export": sorted(set(export)),
    }  # fmt: skip
    where = Cells.of(plan.sources, plan.targets, plan.reach)

    def gather(folder: Path) -> GatheredRegions:
        return GatheredRegions(folder, windows, where, request.settings["tasks"], about)

    def finish(store: ScoreStore, folder: Path, gathered: Any) -> list[str]:
        gathered.close()
        judge = TalliedSignificance(
            gathered.null, gathered.scores, request.settings["tasks"], exact=exact,
            pool=judging.pool, family=judging.family, correction=judging.correction,
            alpha=judging.alpha, masked=gathered.masked, null_model=judging.null_model,
            held_out=gathered.held_out,
        )  # fmt: skip
        write_judged(folder, judge, gathered)
        outcome = write_table(store, gathered, judge, SHOWN)
        write_exports(folder, windows, judge.tasks, export)
        cost = f"null: {shuffles:,} shuffles of {int(sampled.sum()):,} of {n:,} regions, " \
            f"{shuffles / n:.1%} more maps to compute"
        return region_summary(request, about, n, windows.skipped, outcome, cost)

    size = chunk or int(np.clip(CHUNK_CELLS // max(cells, 1), 1, LARGEST_CHUNK))
    return Job("region", n, size, about, work, gather, finish, model)


def write_exports(
    folder: Path, windows: Windows, tasks: list[str], forms: tuple[str, ...]
) -> None:
    """Write results as genome browsers read them; bigWigs for each task, where there are several.

    Raises
    ------
    OutputError
    """
    if "bedpe" in forms:
        write_bedpe(folder / "interactions.bedpe", folder / TABLE)
    if "bed" in forms:
        write_bed(folder / "interactions.bed", folder / TABLE)
    if "bigwig" in forms:
        sizes = dict(zip(windows.contigs, windows.sizes.tolist(), strict=True))
        for k, task in enumerate(tasks):
            own = f".{file_name(task)}" if len(tasks) > 1 else ""
            for name, strongest in (("attributions", False), ("strongest", True)):
                write_bigwig(
                    folder / f"{name}{own}.bw", sizes,
                    attribution_windows(folder, windows, k, strongest),
                    join="strongest" if strongest else "mean",
                )  # fmt: skip


def table_job(
    request: Request,
    genome: str | os.PathLike[str],
    rows_of: str | os.PathLike[str],
    settings: Mapping[str, Any],
    judging: Judging,
    *,
    motifs: str | os.PathLike[str] | None,
    threshold: float,
    flank: int | None,
    windows: Mapping[str, Any],
    chunk: int | None,
) -> Job:
    """Variants of a VCF, or motif pairs of BED regions where ``motifs`` are given.

    Raises
    ------
    InputError, SettingsError, BackendError
    """
    model = request.model
    tasks, length = request.settings["tasks"], model.sequence_length
    kind = "variants" if motifs is None else "motifs"
    about = {**common_settings(kind, request, genome, judging),
             kind if motifs is None else "bed": file_hash(rows_of),
             "rows_name": Path(rows_of).name}  # fmt: skip
    work: TableWork
    if motifs is None:
        found = read_vcf(rows_of)
        variants, sound = usable(found, genome, length)
        names = [f"{v.chrom}:{v.pos}" for v in variants.itertuples()]
        left_out = len(found) - len(variants)
        about["flank"] = flank
    else:
        where = read_windows(rows_of, genome, length, **windows)
        names = [where.name(row) for row in range(len(where))]
        sound, left_out = np.ones(len(names), bool), where.skipped
        about |= {**windows, "motifs": file_hash(motifs), "threshold": threshold}
    sampled = np.zeros(len(names), bool)
    sampled[sound] = sample([name for name, own in zip(names, sound, strict=True) if own],
                            judging.null_regions, request.settings["random_state"])  # fmt: skip
    common = (model, dict(settings), tasks, sampled, judging.n_null)
    if motifs is None:
        work = VariantWork(*common, os.fspath(genome), variants, flank)
    else:
        work = MotifWork(*common, where, read_motifs(motifs), threshold)

    def gather(folder: Path) -> GatheredRows:
        return GatheredRows(len(tasks) * STRATA, EXACT_SCORES)

    def finish(store: ScoreStore, folder: Path, gathered: Any) -> list[str]:
        if not gathered.scores.size():
            raise InputError(
                f"{rows_of}: no region holds two motifs at p <= {threshold:g}; raise the threshold"
            )
        judge = TalliedSignificance(
            gathered.null, gathered.scores, tasks, exact=gathered.exact, pool=judging.pool,
            family=judging.family, correction=judging.correction, alpha=judging.alpha,
            masked=gathered.masked,
            null_kind="matched" if motifs is None else "dinucleotide",
            null_model=judging.null_model, held_out=gathered.held_out,
        )  # fmt: skip
        write_judged(folder, judge, gathered)
        rows, best = write_rows(store, folder / TABLES[kind], judge, about, SHOWN)
        shown = ("variant", "source", "target", "task", "distance", "fis", "q")
        return [
            f"dfim_fast {__version__}: {rows:,} rows of {len(names):,} {UNITS[kind]}s "
            f"({about['rows_name']} on {about['genome_name']})"
            + (f"; {left_out:,} left out at the ends of contigs" if left_out else ""),
            f"model: {about['model_name']} ({model.hash}), scored at the {model.head}, "
            f"tasks {', '.join(tasks)}; method: {about['method']}, backend "
            f"{about['backend_used']}",
            "",
            "Significance",
            *(f"  {line}" for line in judge.report()),
            "",
            "Strongest",
            *(
                "  " + ", ".join(f"{name} {row[name]:.3g}" if isinstance(row[name], float)
                                 else f"{name} {row[name]}" for name in shown if name in row)
                for row in best.to_dict("records")
            ),
        ]  # fmt: skip

    return Job(UNITS[kind], len(names), chunk or TABLE_CHUNK, about, work, gather, finish, model)


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

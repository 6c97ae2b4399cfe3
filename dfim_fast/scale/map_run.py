"""The whole job for a list of sequences: maps, significance, tables and figures in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from dfim_fast.errors import SettingsError
from dfim_fast.io.output import check_new, new_folder
from dfim_fast.io.run_record import RunRecord, recording
from dfim_fast.io.tables import write_tables
from dfim_fast.maps.diagnostics import diagnose
from dfim_fast.maps.model import Model
from dfim_fast.report import REPORT, write_report
from dfim_fast.scale.describe import provenance, summary
from dfim_fast.scale.passes import Judging, Passes
from dfim_fast.scale.pictures import draw, keep_nulls
from dfim_fast.sequence.one_hot import encode
from dfim_fast.stats.streamed import StreamedSignificance

MARKER = "maps.zarr"


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
    report: bool = True,
    also: Callable[[Path, RunRecord], list[str]] | None = None,
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
    report : bool
        Write ``report.html``.
    also : callable, optional
        Given the unfinished folder to write into, and its record; returns further lines of the
        summary.

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
    check_new(out, MARKER, overwrite)
    judging = judging or Judging()
    for option, value, least in (
        ("n_null", judging.n_null, 1),
        ("figures", figures, 0),
        ("top", top, 0),
    ):
        if value < least:
            raise SettingsError(f"{option}={value}: pass an integer of at least {least}")
    task = settings.get("task", 0)
    tasks = [model.task_names[i] for i in model.graph.task_indices(task)]
    judge = StreamedSignificance(
        tasks, judging.null_model, judging.pool, judging.family, judging.correction, judging.alpha
    )
    codes = encode(list(sequences), model.sequence_length, names)
    run = Passes(model, list(names), codes, dict(settings), judging, judge)
    with recording("map") as record, new_folder(out, MARKER, overwrite) as folder:
        run.compute(folder / MARKER, progress)
        run.judge_all(progress)
        table, ranking = run.correct_all(top, progress)
        store, maps = run.store, run.maps
        nulls = SimpleNamespace(predictions=run.null_predictions)
        diagnostics = diagnose(model, maps, null=nulls)
        about = provenance(model, maps, judging, judge, judge.report(), diagnostics)
        store.describe(about)
        write_tables(folder, table, {key: about[key] for key in ("model", "settings", "null")})
        keep_nulls(record, run.sample, judge)
        drawn = draw(folder / "figures", store, ranking[:figures], run.sample, judge)
        lines = summary(Path(out), about, names, table, drawn, top)
        if also is not None:
            lines += ["", *also(folder, record)]
        lines += finish(folder, Path(out), record, model, lines, report)
    return Finished(Path(out), lines, table)


def finish(
    folder: Path, out: Path, record: RunRecord, model: Model, lines: Sequence[str], report: bool
) -> list[str]:
    """Write what stands at the end of every run: the summary, the record, the report.

    Parameters
    ----------
    folder, out : Path
        What is written into, and what it will be called.
    record : RunRecord
    model : Model
    lines : sequence of str
        Of the summary so far.
    report : bool

    Returns
    -------
    list of str
        The last line of the summary; none without a report.
    """
    last = [f"  {out / REPORT}: all of this to look at; open it in a browser"] if report else []
    (folder / "summary.txt").write_text("\n".join([*lines, *last]) + "\n", encoding="utf-8")
    record.write(folder, str(model))
    if report:
        write_report(folder)
    return last

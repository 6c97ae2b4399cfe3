"""The sections of a run of `dfim-fast score`: from its store, however many regions it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import OutputError
from dfim_fast.io.score_store import LOG, SETTINGS, ScoreStore
from dfim_fast.report import charts
from dfim_fast.report.blocks import Chart, Charts, Column, Facts, Notes, Section, Table
from dfim_fast.stats.histogram import LogHistogram
from dfim_fast.stats.strata import STRATA
from dfim_fast.stats.tally import Tally

ROWS = 2000  # of the table in the page
BINS = 80
STRATUM_NAMES = ("under 20 bp", "20 to 50 bp", "50 to 100 bp", "100 to 200 bp", "200 bp and more")
_WIDE = (
    Column("chrom", "contig", "text"),
    Column("source", "source", "text"),
    Column("mutant", "becomes", "text"),
    Column("target", "target", "text"),
    Column("variant", "variant", "text"),
    Column("distance", "bp away", "integer"),
    Column("fis", "FIS"),
    Column("standard_error", "± SE"),
    Column("relative", "of target"),
    Column("p", "p", "p"),
    Column("q", "q"),
    Column("task", "task", "text"),
)


def is_store(folder: Path) -> bool:
    """Whether a folder is a store of `score`, finished or not."""
    return (folder / SETTINGS).is_file() and (folder / LOG).is_dir()


def score_page(folder: Path) -> tuple[str, str, Facts, list[Section]]:
    """Title, a line on what was found, the settings, and the sections.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    OutputError
        If the run is not finished, or its results cannot be read.
    """
    store = ScoreStore(folder)
    settings = store.settings()
    if not store.finished:
        raise OutputError(
            f"{folder}: this run of score is not finished; go on with it by --resume, then make "
            "the report"
        )
    try:
        numbers = json.loads((store.results / "significance.json").read_text(encoding="utf-8"))
        (path,) = store.results.glob("*.parquet")
        table = strongest(path)
        with np.load(store.results / "histograms.npz") as file:
            arrays = dict(file)
    except (OSError, ValueError) as error:
        raise OutputError(f"{store.results}: cannot be read ({error}); restore it") from None
    null, scores = Tally.from_arrays(arrays, "null"), Tally.from_arrays(arrays, "scores")
    lead = f"{numbers['significant']:,} of {numbers['tests']:,} tests are significant."
    sections = [
        Section("strongest", "Strongest interactions", [_table(table, len(numbers["tasks"]) > 1)]),
        Section("significance", "Significance", [
            Notes(numbers["report"]),
            Charts([
                Chart(f"null-{k}", charts.null_and_scores(
                    _linear(null, scores, k, numbers["exact"], task)),
                    f"Scores of {task} against the null, which is what shuffled sequences give.")
                for k, task in enumerate(numbers["tasks"])
            ]),
            *_strata(numbers),
        ]),
    ]  # fmt: skip
    return "Genome-wide interactions", lead, _facts(settings), sections


def strongest(path: Path) -> pd.DataFrame:
    """Rows of largest \\|FIS\\| of a table, read a row group at a time."""
    import pyarrow.parquet as pq

    best = pd.DataFrame()
    file = pq.ParquetFile(path)
    for number in range(file.num_row_groups):
        best = pd.concat([best, file.read_row_group(number).to_pandas()], ignore_index=True)
        order = np.argsort(-best["fis"].abs().to_numpy(), kind="stable")[:ROWS]
        best = best.iloc[order].reset_index(drop=True)
    return best if len(best) else file.schema_arrow.empty_table().to_pandas()


def _table(table: pd.DataFrame, several: bool) -> Any:
    if table.empty:
        return Notes(["Nothing is significant."])
    columns = [
        column for column in _WIDE
        if column.name in table and table[column.name].notna().any()
        and (column.name != "task" or several)
    ]  # fmt: skip
    shown = table[[column.name for column in columns]].copy()
    for column in columns:
        if column.type == "text":
            shown[column.name] = shown[column.name].astype(str)
    rows = [list(row) for row in shown.astype(object).itertuples(index=False, name=None)]
    return Table(
        "interactions", columns, rows,
        f"The {len(rows):,} strongest; all are in the results. Positions are on the contig, from "
        "0. FIS above zero: the target loses importance.",
        size="fis",
    )  # fmt: skip


def _linear(null: Tally, scores: Tally, task: int, exact: bool, label: str) -> dict[str, Any]:
    """Histograms with even bins of the tallies of a task."""
    edges = LogHistogram.edges()
    found = []
    for tally in (null, scores):
        levels, counts = tally.pooled(range(task * STRATA, (task + 1) * STRATA))
        if not exact:
            bins = levels.astype(np.int64)
            levels = np.where(edges[bins] >= 0, edges[bins], edges[bins + 1])
        found.append((levels, counts))
    every = np.concatenate([levels for levels, _ in found])
    largest = max(float(np.abs(every).max(initial=0)), 1e-12)
    even = np.linspace(-largest, largest, BINS + 1)
    counted = [np.histogram(levels, even, weights=counts)[0].tolist() for levels, counts in found]
    return {"label": label, "edges": even.tolist(), "null": counted[0], "scores": counted[1],
            "fit": None}  # fmt: skip


def _strata(numbers: dict[str, Any]) -> list[Any]:
    rows = [
        [row["task"], STRATUM_NAMES[row["stratum"]], row["tests"], row["null"]]
        for row in numbers["strata"] if row["tests"]
    ]  # fmt: skip
    columns = (
        Column("task", "task", "text"),
        Column("distance", "distance", "text"),
        Column("tests", "tests", "integer"),
        Column("null", "null values", "integer"),
    )
    return [Table("strata", columns, rows, "Tests and null values by distance.")]


def _facts(settings: dict[str, Any]) -> Facts:
    references = f", {settings['references']} references" * (settings["method"] == "deeplift")
    rows = [
        ("Model", f"{settings['model_name']} ({settings['model']})"),
        ("Scored", f"{settings['target']}; {', '.join(settings['tasks'])}"),
        ("Over", f"{settings.get('bed_name') or settings.get('rows_name')} on "
         f"{settings['genome_name']}"),
        ("Method", settings["method"] + references),
        ("Null", f"{settings['n_null']} of each of {settings['null_regions']:,} at most; pool "
         f"{settings['pool']}, {settings['correction']} at {settings['alpha']:g}"),
        ("Computed by", f"{settings['backend_used']}, dfim_fast {settings['dfim_fast']}; "
         f"random_state {settings['random_state']}"),
    ]  # fmt: skip
    return Facts(rows)

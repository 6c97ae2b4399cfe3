"""The sections of nucleotide maps: from the folder that `dfim-fast map` made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.io.store import MapStore
from dfim_fast.maps.request import DELTA_BOUND
from dfim_fast.plan.plan import compares
from dfim_fast.report import charts
from dfim_fast.report.blocks import Chart, Charts, Column, Explorer, Facts, Notes, Section, Table
from dfim_fast.report.map_summary import MapSummary, summarize
from dfim_fast.report.views import LEVELS, UNTESTED, build_views

STORE, TABLE = "maps.zarr", "interactions.parquet"
ROWS = 2000  # of the table in the page

COLUMNS = (
    Column("sequence", "sequence", "text"),
    Column("change", "mutant", "text"),
    Column("base", "target", "text"),
    Column("distance", "bp away", "integer"),
    Column("fis", "FIS"),
    Column("standard_error", "± SE"),
    Column("relative", "of target"),
    Column("p", "p", "p"),
    Column("q", "q"),
    Column("significant", "significant", "flag"),
    Column("task", "task", "text"),
)


def map_sections(folder: Path, record: Mapping[str, Any]) -> list[Section]:
    """Strongest interactions, maps to explore, and what all maps show together.

    Parameters
    ----------
    folder : Path
    record : mapping
        Of `read_record`.

    Raises
    ------
    OutputError
        If the store cannot be read.
    """
    store = MapStore.open(folder / STORE)
    about = store.attributes
    table = _strongest(folder)
    several = len(about["task_names"]) > 1
    sections = []
    if table.empty:
        sections.append(Section("strongest", "Strongest interactions", [
            Notes(["The table of this run is empty: no row was asked for (--top 0), or no cell "
                   "differs from zero."])]))  # fmt: skip
    else:
        views = build_views(store, table)
        shown = {(view["name"], view["task"]) for view in views}
        sections += [
            Section("strongest", "Strongest interactions", [_table(table, several, shown)],
                    lead="Each row: one base is mutated, and the importance of another changes. "
                    "Choose a row to see it in the map below."),
            Section("explore", "Map and tracks", [Explorer(views, _common(store))],
                    lead="The map holds, for each source and target, the strongest of the three "
                    "mutants. Point at a cell, or move with the arrow keys: the tracks show the "
                    "importance of every base before and after that mutation."),
        ]  # fmt: skip
    for k, summary in enumerate(summarize(store)):
        name = about["task_names"][k]
        nulls = [own for own in record.get("nulls", ()) if own["label"] == name]
        own = (name, f"-{k}") if several else ("", "")
        sections += _of_all(store, summary, nulls, about, *own)
    return sections


def _strongest(folder: Path) -> pd.DataFrame:
    """Rows of the page: of each source and target only the strongest mutant."""
    table = pd.read_parquet(folder / TABLE)
    own = ["task", "sequence", "source", "target"]
    return table.drop_duplicates(own).head(ROWS).reset_index(drop=True)


def _table(table: pd.DataFrame, several: bool, shown: set[tuple[str, str]]) -> Table:
    made = table.assign(
        change=[f"{a}{s}{b}" for a, s, b in
                zip(table["source_base"], table["source"], table["mutant"], strict=True)],
        base=[f"{a}{t}" for a, t in zip(table["target_base"], table["target"], strict=True)],
    )  # fmt: skip
    columns = [
        column
        for column in COLUMNS
        if (column.name != "task" or several)
        and (column.name != "standard_error" or table["standard_error"].notna().any())
    ]
    names = [column.name for column in columns]
    rows = [list(row) for row in made[names].itertuples(index=False, name=None)]
    links = [
        [sequence, task, int(source), mutant, int(target)] if (sequence, task) in shown else None
        for sequence, task, source, mutant, target in made[
            ["sequence", "task", "source", "mutant", "target"]
        ].itertuples(index=False, name=None)
    ]
    return Table(
        "interactions", columns, [[*row, link] for row, link in zip(rows, links, strict=True)],
        f"The {len(rows):,} strongest pairs of source and target, each with its strongest mutant; "
        "all mutants are in interactions.tsv.gz, every cell in maps.zarr. FIS above zero: the "
        "target loses importance.",
        link="explorer", flag="significant", size="fis",
    )  # fmt: skip


def _common(store: MapStore) -> dict[str, Any]:
    """What all views share."""
    targets = np.asarray(store.group["targets"])
    return {
        "sources": np.asarray(store.group["sources"]).tolist(),
        "targets": targets.tolist(),
        "window": store.attributes["settings"]["window"],
        "levels": LEVELS,
        "untested": UNTESTED,
        "alpha": store.attributes["null"]["alpha"],
    }


def _of_all(
    store: MapStore, summary: MapSummary, nulls: list[Mapping[str, Any]], about: Mapping[str, Any],
    task: str, suffix: str,
) -> list[Section]:  # fmt: skip
    """What the maps of one task show together, and how they were judged."""
    of = f", {task}" if task else ""
    seen = f"{summary.sequences:,} of {summary.total:,} sequences" if (
        summary.sequences < summary.total
    ) else f"all {summary.total:,} sequences"  # fmt: skip
    together = [
        Chart(f"distance{suffix}", charts.distance(summary.by_distance()),
              f"Strength of interactions by distance, over {seen}."),
        *_aggregate(store, summary, seen, suffix),
    ]  # fmt: skip
    charts_of_null = [
        Chart(f"null{suffix}", charts.null_and_scores(own),
              "Scores against the null, which is what shuffled sequences give. Scores count where "
              "they reach beyond it.")
        for own in nulls
    ]  # fmt: skip
    if summary.p_counts.sum():
        expected, found = summary.quantiles()
        charts_of_null += [
            Chart(f"p{suffix}", charts.p_histogram(summary.p_counts),
                  f"p of all tested cells, over {seen}. A peak at 0 beside an even rest is what "
                  "real interactions among many that are none look like."),
            Chart(f"qq{suffix}", charts.qq(expected, found),
                  "Points above the line are stronger than chance would give. A straight end at "
                  "the top right is the smallest p that this null can give."),
        ]  # fmt: skip
    judged: list[Any] = [Notes(about["significance"]["report"])]
    if charts_of_null:
        judged.append(Charts(charts_of_null))
    return [
        Section(f"together{suffix}", f"All sequences together{of}", together),
        Section(f"significance{suffix}", f"Significance{of}", judged),
        *_adds_up(summary, about, of, suffix),
    ]


def _aggregate(store: MapStore, summary: MapSummary, seen: str, suffix: str) -> list[Chart]:
    if summary.total < 2:
        return []
    values = summary.aggregate()
    sources = np.asarray(store.group["sources"])
    targets = np.asarray(store.group["targets"])
    window = store.attributes["settings"]["window"]
    columns = np.arange(-window, window + 1) if window is not None else targets
    x, y = (
        axis[:: -(-len(axis) // size)] for axis, size in zip((columns, sources), values.T.shape,
                                                             strict=True)
    )  # fmt: skip
    pooled = "" if values.shape == (len(sources), len(columns)) else (
        "; neighbouring positions are pooled"
    )  # fmt: skip
    figure = charts.square_map(
        values, x.tolist(), y.tolist(), "target" if window is None else "target minus source",
        "source", "mean |FIS|",
    )  # fmt: skip
    return [
        Chart(f"aggregate{suffix}", figure,
              f"Mean over {seen} of the strongest of the three mutants, by position{pooled}. It "
              "says something where sequences are aligned, as around a motif or a peak.")
    ]  # fmt: skip


def _adds_up(
    summary: MapSummary, about: Mapping[str, Any], of: str, suffix: str
) -> list[Section]:
    error = about["summation_to_delta"]
    if error is None or not summary.totals:
        return []
    verdict = "as it has to be" if error <= DELTA_BOUND else "which is more than rounding explains"
    return [
        Section(f"adds-up{suffix}", f"Does importance add up{of}?", [
            Chart(f"delta{suffix}", charts.delta(np.array(summary.expected),
                                                 np.array(summary.totals), summary.names),
                  "Importance of all bases of a sequence against the difference in score from its "
                  f"references. Over all originals and mutants they differ by {error:.1e} of the "
                  f"sum of |importance| at most, {verdict}."),
        ])
    ]  # fmt: skip


def map_facts(folder: Path) -> tuple[str, Facts, Notes]:
    """A line on what was done, the settings, and the diagnostics."""
    store = MapStore.open(folder / STORE)
    about = store.attributes
    model, settings, null = about["model"], about["settings"], about["null"]
    called = about["significance"]
    references = str(settings["references"])
    if references == "dinucleotide":
        references = f"{settings['n_references']} dinucleotide shuffles"
    rows = [
        ("Model", f"{model['name']} ({model['hash']})"),
        ("Scored", f"{model['target']}; {', '.join(about['task_names'])}"),
        ("Sequences", f"{len(store):,} of {model['sequence_length']:,} bp"),
        ("Method", settings["method"]
         + (f", {references}" if compares(settings["method"]) else "")),
        ("Targets", "all" if settings["window"] is None else f"within {settings['window']} bp"),
        ("Null", f"{null['kind']}, {null['n_null']} a sequence, {null['null_model']}; "
         f"{null['correction']} at {null['alpha']:g}"),
        ("Computed by", f"{settings['backend_used']}, {settings['threads']} threads; random_state "
         f"{settings['random_state']}"),
        ("Versions", ", ".join(f"{name} {v}" for name, v in about["versions"].items() if v)),
    ]  # fmt: skip
    lead = (
        f"{called['significant']:,} of {called['tests']:,} tested cells are significant, in "
        f"{len(store):,} sequence{'s' * (len(store) != 1)}."
    )
    return lead, Facts(rows), Notes(about["diagnostics"])

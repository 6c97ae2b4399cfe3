"""The sections of motif pairs: which motif loses importance without which other one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.report import charts
from dfim_fast.report.blocks import Chart, Charts, Column, Notes, Section, Table

ROWS = 3000  # of the table in the page, strongest first
KINDS = 25  # kinds of pairs drawn
DISTANCE_POINTS = 5000
P_BINS = 50

COLUMNS = (
    Column("sequence", "sequence", "text"),
    Column("source", "taken away", "text"),
    Column("target", "reads", "text"),
    Column("distance", "bp apart", "integer"),
    Column("fis", "FIS"),
    Column("standard_error", "± SE"),
    Column("relative", "of target"),
    Column("p", "p (paper's null)", "p"),
    Column("q", "q"),
    Column("p_matched", "p (matched null)", "p"),
    Column("q_matched", "q (matched)"),
    Column("significant", "significant (paper's)", "flag"),
    Column("significant_matched", "significant (matched)", "flag"),
    Column("task", "task", "text"),
)
SUMMARY = (
    Column("source", "taken away", "text"),
    Column("target", "reads", "text"),
    Column("pairs", "pairs", "integer"),
    Column("fis", "median FIS"),
    Column("relative", "of target"),
    Column("distance", "median bp apart", "integer"),
    Column("significant", "significant, paper's null"),
    Column("significant_matched", "significant, matched null"),
    Column("task", "task", "text"),
)


def motif_sections(
    table: pd.DataFrame, record: Mapping[str, Any], report: Mapping[str, Any] | None = None
) -> list[Section]:
    """Kinds of pairs, every pair, distance, and how they were judged.

    Parameters
    ----------
    table : DataFrame
        Of `motif_interactions`, judged.
    record : mapping
        Of `read_record`.
    report : mapping, optional
        What `significance` says of each null.
    """
    several = table["task"].nunique() > 1
    kinds = _kinds(table)
    first = table[table["task"] == table["task"].iloc[0]]
    return [
        Section("pairs", "Which motifs need each other", [
            _matrix(first), _strips(first, kinds), _summary(kinds, several)],
            lead="One motif is taken away; what importance does the other lose?"),
        Section("all-pairs", "Every pair", [_rows(table, several), _distance(first)]),
        Section("pair-significance", "How pairs were judged", _judged(first, record, report or {})),
    ]  # fmt: skip


def _kinds(table: pd.DataFrame) -> pd.DataFrame:
    columns = [
        name
        for name in ("fis", "relative", "distance", "significant", "significant_matched")
        if name in table
    ]
    how = {name: "mean" if name.startswith("signif") else "median" for name in columns}
    grouped = table.groupby(["source", "target", "task"], sort=False)
    found = grouped.agg(how).assign(pairs=grouped.size())
    order = found["fis"].abs().sort_values(ascending=False, kind="stable").index
    return found.loc[order].reset_index()


def _matrix(table: pd.DataFrame) -> Chart:
    order = sorted({*table["source"], *table["target"]})
    square = table.pivot_table(index="source", columns="target", values="fis", aggfunc="median")
    square = square.reindex(index=order, columns=order)
    figure = charts.square_map(square.to_numpy(float), order, order, "target", "source",
                               "median FIS", signed=True)  # fmt: skip
    figure.update_layout(height=min(700, 200 + 40 * len(order)))
    figure.update_yaxes(automargin=True, type="category")
    figure.update_xaxes(type="category")
    return Chart("matrix", figure, "Median importance that the target (column) loses when the "
                 "source (row) is taken away. Grey: no such pair.")  # fmt: skip


def _strips(table: pd.DataFrame, kinds: pd.DataFrame) -> Chart:
    own = dict(list(table.groupby(["source", "target"])["fis"]))
    shown = [pair for pair in zip(kinds["source"], kinds["target"], strict=True) if pair in own]
    groups = {f"{a} → {b}": own[a, b].to_numpy() for a, b in dict.fromkeys(shown[:KINDS])}
    return Chart("strips", charts.strips(groups, "FIS: importance the target loses"),
                 f"The {len(groups)} strongest kinds of pairs; a box holds the middle half.",
                 )  # fmt: skip


def _summary(kinds: pd.DataFrame, several: bool) -> Table:
    columns = [c for c in SUMMARY if c.name in kinds and (several or c.name != "task")]
    rows = [list(row) for row in kinds[[c.name for c in columns]].itertuples(index=False)]
    return Table("kinds", columns, rows, "Kinds of pairs, strongest first; shares significant run "
                 "from 0 to 1.", size="fis")  # fmt: skip


def _rows(table: pd.DataFrame, several: bool) -> Table:
    order = table["fis"].abs().sort_values(ascending=False, kind="stable").index[:ROWS]
    columns = [
        c
        for c in COLUMNS
        if c.name in table
        and (several or c.name != "task")
        and (c.name != "standard_error" or table["standard_error"].notna().any())
    ]
    own = table.loc[order, [c.name for c in columns]]
    flag = next((name for name in ("significant_matched", "significant") if name in own), "")
    kept = "" if len(order) == len(table) else f" of {len(table):,}, the strongest"
    return Table("pair-rows", columns, [list(row) for row in own.itertuples(index=False)],
                 f"{len(order):,} ordered pairs{kept}.", flag=flag, size="fis")  # fmt: skip


def _distance(table: pd.DataFrame) -> Chart:
    own = table[table["reachable"]]
    own = own.iloc[:: max(1, -(-len(own) // DISTANCE_POINTS))]
    flag = next((name for name in ("significant_matched", "significant") if name in own), None)
    text = [f"{row.sequence}: {row.source} → {row.target}" for row in own.itertuples()]
    strong = own[flag] if flag else np.zeros(len(own), dtype=bool)
    figure = charts.points(own["distance"], own["fis"], text, strong,
                           "bases between the two motifs", "FIS")  # fmt: skip
    return Chart("pair-distance", figure, "FIS by distance, a point for each pair; significance "
                 "by the matched null where it was computed.")  # fmt: skip


def _judged(
    table: pd.DataFrame, record: Mapping[str, Any], report: Mapping[str, Any]
) -> list[Notes | Charts]:
    blocks: list[Notes | Charts] = []
    for kind, question, column in (
        ("dinucleotide", "The paper's null, shuffled sequences: are there strong features at all?",
         "p"),
        ("matched", "The matched null, spans without a motif: does this pair interact?",
         "p_matched"),
    ):  # fmt: skip
        if column not in table:
            continue
        blocks.append(Notes([question, *report.get(kind, ())]))
        label = f"pairs, {kind}"
        drawn = [
            Chart(f"null-{kind}", charts.null_and_scores(own), f"Scores of pairs against the "
                  f"{kind} null.")
            for own in record.get("nulls", ()) if own["label"] == label
        ]  # fmt: skip
        p = table[column].dropna().to_numpy()
        if len(p):
            figure = charts.p_histogram(np.histogram(p, P_BINS, (0, 1))[0])
            drawn.append(Chart(f"p-{kind}", figure, f"p of all pairs by the {kind} null."))
        if drawn:
            blocks.append(Charts(drawn))
    if not blocks:
        blocks.append(Notes(["No null was computed (--null none)."]))
    return blocks

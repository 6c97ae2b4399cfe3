"""The sections of variants: what each allele does to the bases and motifs around it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dfim_fast.report import charts
from dfim_fast.report.blocks import Chart, Column, Profiles, Section, Table

VARIANTS, EXPLAINED = "variants.parquet", "explained.parquet"
ROWS = 2000  # alleles in the page, strongest first
PROFILES = 300  # of them with every target

COLUMNS = (
    Column("variant", "variant", "text"),
    Column("id", "id", "text"),
    Column("effect", "effect"),
    Column("fis", "strongest FIS"),
    Column("at", "on base", "text"),
    Column("self_effect", "self"),
    Column("prediction", "score, ref"),
    Column("mutant_prediction", "score, alt"),
    Column("task", "task", "text"),
)


def variant_sections(folder: Path, record: Mapping[str, Any]) -> list[Section]:
    """A table of alleles, the bases each acts on, and its effect in parts where they are known.

    Parameters
    ----------
    folder : Path
    record : mapping
        Of `read_record`; not used, as variants have no null.
    """
    table = pd.read_parquet(folder / VARIANTS)
    parts = None
    if (folder / EXPLAINED).is_file():
        parts = pd.read_parquet(folder / EXPLAINED)
    sizes = table["fis"].abs().groupby([table["variant"], table["task"]], sort=False).idxmax()
    best = table.loc[sizes.to_numpy()]
    order = best["effect"].abs().sort_values(ascending=False, kind="stable").index
    best = best.loc[order].reset_index(drop=True)
    several = table["task"].nunique() > 1
    shown = best.head(ROWS)
    blocks: list[Any] = [_table(shown, several, len(best)), *_profiles(shown, table, parts)]
    scatter = charts.points(
        best["effect"], best["max_abs_fis"], best["variant"],
        best["max_abs_fis"] > best["max_abs_fis"].quantile(0.9),
        "effect on the score (alternate minus reference)", "strongest |FIS|",
    )  # fmt: skip
    for trace, name in zip(scatter.data, ("others", "the strongest tenth"), strict=True):
        trace.name = name
    figure = Chart("effects", scatter, "Variants high up change what the model reads around them; "
                   "those far from the middle change its answer.")  # fmt: skip
    return [
        Section("alleles", "Variants", blocks,
                lead="Choose a row to see which bases gain or lose importance with that allele."),
        Section("all-alleles", "All variants together", [figure]),
    ]  # fmt: skip


def _table(best: pd.DataFrame, several: bool, total: int) -> Table:
    made = best.assign(
        at=[f"{base} at {offset:+d}" for base, offset in
            zip(best["target_base"], best["offset"], strict=True)]
    )  # fmt: skip
    columns = [
        c
        for c in COLUMNS
        if (several or c.name != "task") and (c.name != "id" or best["id"].notna().any())
    ]
    rows = [list(row) for row in made[[c.name for c in columns]].itertuples(index=False)]
    kept = "" if total == len(rows) else f" of {total:,}"
    return Table(
        "variant-rows", columns,
        [[*row, i if i < PROFILES else None] for i, row in enumerate(rows)],
        f"{len(rows):,} alleles{kept}, strongest effect first. FIS above zero: the base loses "
        "importance with the alternate allele.",
        link="profile", size="effect",
    )  # fmt: skip


def _profiles(
    best: pd.DataFrame, table: pd.DataFrame, parts: pd.DataFrame | None
) -> list[Profiles]:
    chosen = best.head(PROFILES)[["variant", "task"]]
    keys = list(chosen.itertuples(index=False, name=None))
    own = dict(list(table.merge(chosen).groupby(["variant", "task"], sort=False)))
    entries = []
    for key in keys:
        rows = own[key].sort_values("offset", kind="stable")
        entries.append({
            "title": key[0], "x": rows["offset"].tolist(),
            "y": [float(f"{v:.4g}") for v in rows["delta_importance"]],
            "label": rows["target_base"].tolist(),
        })  # fmt: skip
    found = [
        Profiles("profile", entries, ("bases from the variant", "importance gained (−FIS)"),
                 "Importance that each base around the variant gains (above zero) or loses.")
    ]  # fmt: skip
    if parts is not None:
        split = dict(list(parts.merge(chosen).groupby(["variant", "task"], sort=False)))
        found.append(Profiles("parts", [_parts(key[0], split.get(key)) for key in keys],
                     ("", "part of the effect on the score"),
                     "The effect in its parts, which add up to it exactly."))  # fmt: skip
    return found


def _parts(title: str, rows: pd.DataFrame | None) -> dict[str, Any]:
    if rows is None:
        return {"title": title, "x": [], "y": [], "label": []}
    names = ["the variant itself" if kind == "self" else str(part)
             for kind, part in zip(rows["kind"], rows["part"], strict=True)]  # fmt: skip
    # the same motif twice would otherwise share a bar
    x = [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names)]
    values = [float(f"{v:.4g}") for v in rows["delta_importance"]]
    return {"title": title, "x": x, "y": values, "label": names}

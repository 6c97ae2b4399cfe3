"""The whole job for variants: scores, explanations, tables, figures and a VCF in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import SettingsError
from dfim_fast.io.motifs import read_motifs, scan
from dfim_fast.io.output import check_new, new_folder
from dfim_fast.io.run_record import recording
from dfim_fast.io.tables import write_tables
from dfim_fast.io.vcf import cut_variants, read_vcf, write_vcf
from dfim_fast.maps.model import Model
from dfim_fast.maps.variant import COLUMNS, PARTS
from dfim_fast.scale.describe import counted, heading, settings_used
from dfim_fast.scale.map_run import Finished, finish
from dfim_fast.scale.pictures import file_name
from dfim_fast.scale.variants import check_contigs, explain_variants, variant_interactions
from dfim_fast.sequence.one_hot import encode

MARKER = "variants.parquet"
SHOWN = 10
FIELDS = {
    "DFIM_EFFECT": ("A", "Float", "Predicted score with ALT minus with REF"),
    "DFIM_MAX": ("A", "Float", "Largest |FIS| on a base around the variant"),
    "DFIM_TARGET": ("A", "Integer", "Position (1-based, reference) of that base"),
    "DFIM_SELF": ("A", "Float", "Part of DFIM_EFFECT from the changed bases themselves"),
    "DFIM_MOTIFS": ("A", "String", "Parts of DFIM_EFFECT from motifs, strongest first: name:part"),
    "DFIM_REST": ("A", "Float", "Part of DFIM_EFFECT from the rest of the sequence"),
}
# What a name in a VCF may not hold, as it parts fields and values.
_CLEAN = str.maketrans(dict.fromkeys(" ;,=|", "_"))


def run_variants(
    model: Model,
    genome: str | os.PathLike[str],
    vcf: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    flank: int | None = 15,
    explain: bool = False,
    features: pd.DataFrame | None = None,
    settings: Mapping[str, Any],
    figures: int = 5,
    overwrite: bool = False,
    progress: bool = True,
    report: bool = True,
) -> Finished:
    """Compute, explain, write and draw; ``out`` appears when all of it is done.

    Parameters
    ----------
    model : Model
    genome, vcf : path
    out : path
        The folder to make: ``variants.parquet`` and ``.tsv.gz`` (a row per variant, allele, task
        and target), ``by_variant.tsv``, ``variants.vcf``, ``summary.txt``; with ``explain``
        ``explained.parquet`` and ``.tsv.gz``, and ``figures/``.
    flank : int, optional
        Bases on each side that are read; None for all.
    explain : bool
        Split every effect.
    features : DataFrame, optional
        Motifs to split it into: ``chrom``, ``start``, ``end``, ``name``.
    settings : mapping
        Of `variant_interactions`.
    figures : int
        Variants drawn, strongest effect first.
    overwrite : bool
    progress : bool
    report : bool
        Write ``report.html``.

    Returns
    -------
    Finished

    Raises
    ------
    InputError, SettingsError, BackendError, OutputError
    """
    check_new(out, MARKER, overwrite)
    if features is not None and not explain:
        raise SettingsError("features are for --explain; add it, or leave them out")
    variants = read_vcf(vcf)
    if features is not None:
        check_contigs(features, variants)
    with recording("variants") as record, new_folder(out, MARKER, overwrite) as folder:
        table = variant_interactions(model, genome, variants, flank, progress=progress, **settings)
        about = {"model": {"name": model.name, "hash": model.hash},
                 "provenance": table.attrs["provenance"]}  # fmt: skip
        write_tables(folder, table, about, "variants", COLUMNS)
        strongest = table[table["strongest"]].drop(columns="strongest")
        strongest.to_csv(folder / "by_variant.tsv", sep="\t", index=False, float_format="%.6g")
        parts = None
        drawn: list[str] = []
        if explain:
            parts = explain_variants(
                model, genome, variants, features, progress=progress, **settings
            )
            write_tables(folder, parts, about, "explained", PARTS)
            drawn = _draw(folder / "figures", parts, figures)
        write_vcf(
            vcf,
            folder / "variants.vcf",
            _fields(explain),
            _values(variants, table, parts, model.sequence_length // 2),
        )
        lines = _summary(Path(out), model, table, strongest, parts, settings, drawn)
        lines += finish(folder, Path(out), record, model, lines, report)
    return Finished(Path(out), lines, table)


def found_motifs(
    motifs: str | os.PathLike[str],
    genome: str | os.PathLike[str],
    vcf: str | os.PathLike[str],
    length: int,
    threshold: float,
) -> pd.DataFrame:
    """Motif instances around variants, on the genome.

    Returns
    -------
    DataFrame
        chrom, start, end, name, strand, score, p; each instance once.

    Raises
    ------
    InputError, SettingsError
    """
    names, sequences, _ = cut_variants(read_vcf(vcf), genome, length)
    found = scan(read_motifs(motifs), encode(sequences, length, names), threshold)
    places = [name.rsplit(":", 1) for name in names]
    chrom = np.array([chrom for chrom, _ in places], dtype=object)[found["sequence"]]
    start = np.array([int(span.split("-")[0]) for _, span in places])[found["sequence"]]
    placed = found.drop(columns="sequence").assign(
        chrom=chrom, start=found["start"] + start, end=found["end"] + start
    )
    return placed.drop_duplicates(["chrom", "start", "end", "name", "strand"], ignore_index=True)


def _fields(explain: bool) -> dict[str, tuple[str, str, str]]:
    return dict(FIELDS if explain else list(FIELDS.items())[:3])


def _values(
    variants: pd.DataFrame, table: pd.DataFrame, parts: pd.DataFrame | None, middle: int
) -> dict[int, dict[str, tuple[Any, ...]]]:
    """INFO of each record, a value for each alternate allele; of the first task.

    ``middle`` is where a variant stands in its sequence.
    """
    own = table[table["task"] == table["task"].iloc[0]]
    sizes = own["fis"].abs().groupby(own["variant"], sort=False).idxmax()
    best = own.loc[sizes].set_index("variant")
    explained = {} if parts is None else {
        name: rows for name, rows in parts[parts["task"] == own["task"].iloc[0]].groupby("variant")
    }  # fmt: skip
    values = {}
    for row in variants.itertuples():
        names = [f"{row.chrom}:{row.pos}:{row.ref}:{alt}" for alt in row.alt.split(",")]
        if any(name not in best.index for name in names):
            continue
        found = best.loc[names]
        moved = found["target"] - middle + row.pos
        fields: dict[str, tuple[Any, ...]] = {
            "DFIM_EFFECT": _floats(found["effect"]),
            "DFIM_MAX": _floats(found["fis"].abs()),
            "DFIM_TARGET": tuple(int(v) for v in moved),
        }
        if explained:
            each = [explained[name] for name in names]
            fields["DFIM_SELF"] = _floats(_part(rows, "self") for rows in each)
            fields["DFIM_MOTIFS"] = tuple(_motifs(rows) for rows in each)
            fields["DFIM_REST"] = _floats(_part(rows, "rest") for rows in each)
        values[int(row.record)] = fields
    return values


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)


def _part(rows: pd.DataFrame, kind: str) -> float:
    return float(rows.loc[rows["kind"] == kind, "delta_importance"].sum())


def _motifs(rows: pd.DataFrame) -> str:
    own = rows[rows["kind"] == "motif"].sort_values(
        "delta_importance", key=abs, ascending=False, kind="stable"
    )
    named = zip(own["part"], own["delta_importance"], strict=True)
    return "|".join(f"{str(n).translate(_CLEAN)}:{d:.4g}" for n, d in named) or "."


def _draw(folder: Path, parts: pd.DataFrame, count: int) -> list[str]:
    from dfim_fast.plot import plot_waterfall, save

    each = parts.groupby(["variant", "task"], sort=False)["effect"].first()
    strongest = each.abs().sort_values(ascending=False, kind="stable").index[:count]
    if not len(strongest):
        return []
    folder.mkdir()
    files = []
    for number, (variant, task) in enumerate(strongest, start=1):
        rows = parts[(parts["variant"] == variant) & (parts["task"] == task)]
        page: Any = plot_waterfall(rows).figure
        files.append(save(page, folder / f"{number}_{file_name(variant)}.png"))
    return [path.name for path in files]


def _summary(
    out: Path,
    model: Model,
    table: pd.DataFrame,
    strongest: pd.DataFrame,
    parts: pd.DataFrame | None,
    settings: Mapping[str, Any],
    figures: list[str],
) -> list[str]:
    tasks = list(table["task"].unique())
    lines = [
        *heading(
            f"{counted(table['variant'].nunique(), 'allele')}, read with "
            f"{model.sequence_length} bp around each",
            {"name": model.name, "hash": model.hash, "target": str(model.head)},
            tasks,
            settings_used(settings, table.attrs["provenance"]),
        ),
        "",
        "Strongest interactions: the base that gains or loses most, and the effect of the allele",
    ]
    top = strongest.sort_values("max_abs_fis", ascending=False, kind="stable").head(SHOWN)
    for row in top.to_dict("records"):
        verb = "loses" if row["fis"] > 0 else "gains"
        lines.append(
            f"  {row['variant']}: {row['target_base']} at {row['offset']:+d} {verb} "
            f"{abs(row['fis']):.3g}; score {row['prediction']:.3g} -> "
            f"{row['mutant_prediction']:.3g}" + (f" [{row['task']}]" if len(tasks) > 1 else "")
        )
    files = [
        f"  {out / 'variants.tsv.gz'} (and .parquet): every allele and target, a row each",
        f"  {out / 'by_variant.tsv'}: the strongest target of each variant",
        f"  {out / 'variants.vcf'}: the VCF with what was found in INFO"
        + (f" (of {tasks[0]})" if len(tasks) > 1 else ""),
    ]
    if parts is not None:
        files.append(f"  {out / 'explained.tsv.gz'} (and .parquet): every effect in its parts")
    return [*lines, "", "Files", *files, *(f"  {out / 'figures' / name}" for name in figures)]

"""The whole job for pairs of motifs: scores, both nulls, tables and figures in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dfim_fast.errors import SettingsError
from dfim_fast.io.output import check_new, new_folder
from dfim_fast.io.run_record import recording
from dfim_fast.io.tables import write_tables
from dfim_fast.maps.model import Model
from dfim_fast.maps.motif import motif_interactions
from dfim_fast.maps.pairs import COLUMNS
from dfim_fast.scale.describe import counted, heading, settings_used
from dfim_fast.scale.map_run import Finished, finish
from dfim_fast.sequence.one_hot import encode, from_codes
from dfim_fast.stats.distance import distance_bins
from dfim_fast.stats.null import null_map
from dfim_fast.stats.significance import check_settings, significance

MARKER = "motif_pairs.parquet"
SHOWN = 12  # kinds of pairs in the summary and in the figure
# Name of a null -> suffix of its columns.
NULLS = {"dinucleotide": "", "matched": "_matched"}
JUDGED = {
    "p": "p-value under dinucleotide-shuffled sequences: are there strong features at all",
    "q": "p corrected for many tests",
    "significant": "q <= alpha",
    "p_matched": "p-value under spans of the same width that hold no feature: does this pair "
    "interact",
    "q_matched": "the same, corrected",
    "significant_matched": "q_matched <= alpha",
}


@dataclass(frozen=True)
class PairJudging:
    """How pairs are judged; names as in `significance` and `null_map`."""

    nulls: tuple[str, ...] = tuple(NULLS)
    n_null: int = 1
    n_matched: int = 5
    null_model: str = "empirical"
    correction: str = "bh"
    alpha: float = 0.05


def run_motifs(
    model: Model,
    names: Sequence[str],
    sequences: Sequence[str],
    features: pd.DataFrame,
    out: str | os.PathLike[str],
    *,
    settings: Mapping[str, Any],
    judging: PairJudging | None = None,
    overwrite: bool = False,
    progress: bool = True,
    report: bool = True,
) -> Finished:
    """Compute, judge, write and draw; ``out`` appears when all of it is done.

    Parameters
    ----------
    model : Model
    names, sequences : sequence of str, (N,)
    features : DataFrame
        As in `motif_interactions`.
    out : path
        The folder to make: ``motif_pairs.parquet`` and ``.tsv.gz``, ``by_motif.tsv``,
        ``features.tsv``, ``figures/``, ``summary.txt``.
    settings : mapping
        Of `motif_interactions`.
    judging : PairJudging, optional
    overwrite : bool
        Replace an earlier result, once this one is complete.
    progress : bool
    report : bool
        Write ``report.html``.

    Returns
    -------
    Finished

    Raises
    ------
    InputError, SettingsError, BackendError, NullError, OutputError
    """
    check_new(out, MARKER, overwrite)
    judging = judging or PairJudging()
    unknown = [kind for kind in judging.nulls if kind not in NULLS]
    if unknown:
        raise SettingsError(f"null={unknown[0]!r} is not known; choose from {', '.join(NULLS)}")
    check_settings(judging.null_model, "task", "task", judging.correction, judging.alpha)
    x = from_codes(encode(list(sequences), model.sequence_length, names))
    given = {**settings, "names": list(names), "progress": progress}
    with recording("motifs") as record, new_folder(out, MARKER, overwrite) as folder:
        table = motif_interactions(model, x, features, **given)
        provenance = table.attrs["provenance"]
        reports = {}
        for kind in judging.nulls:
            n = judging.n_null if kind == "dinucleotide" else judging.n_matched
            null: Any = null_map(model, x, kind, n, features=features, **given)
            reports[kind] = judge(
                table, null, kind, judging.null_model, correction=judging.correction,
                alpha=judging.alpha,
            )  # fmt: skip
            record.add_null(f"pairs, {kind}", null["fis"], table["fis"])
        by_motif = by_kind(table)
        about = {"model": {"name": model.name, "hash": model.hash}, "provenance": provenance,
                 "significance": reports}  # fmt: skip
        write_tables(folder, table, about, "motif_pairs", {**COLUMNS, **JUDGED})
        by_motif.to_csv(folder / "by_motif.tsv", sep="\t", index=False, float_format="%.6g")
        features.to_csv(folder / "features.tsv", sep="\t", index=False, float_format="%.6g")
        figures = _draw(folder / "figures", table, by_motif)
        lines = _summary(Path(out), model, names, table, by_motif, settings, reports, figures)
        lines += finish(folder, Path(out), record, model, lines, report)
    return Finished(Path(out), lines, table)


def judge(
    table: pd.DataFrame, null: Any, kind: str, null_model: str, **options: Any
) -> list[str]:
    """Add p, q and significant of one kind of null to a table of pairs; what `significance` says.

    Parameters
    ----------
    table : DataFrame
        Of `motif_interactions`.
    null : DataFrame
        Of `null_map`.
    kind : str
        Of NULLS: it names the columns.
    null_model : str
    **options
        Of `significance`.
    """
    found = significance(table, null, null_model, **options)
    for name in ("p", "q", "significant"):
        table[f"{name}{NULLS[kind]}"] = getattr(found, name)
    return found.report().splitlines()


def by_kind(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind of pair and task, strongest median first."""
    shares = {
        name: (name, "mean") for name in JUDGED if name.startswith("signif") and name in table
    }
    found = table.groupby(["source", "target", "task"], sort=False).agg(
        pairs=("fis", "size"),
        reachable=("reachable", "mean"),
        median_fis=("fis", "median"),
        lower_fis=("fis", lambda fis: fis.quantile(0.25)),
        upper_fis=("fis", lambda fis: fis.quantile(0.75)),
        median_relative=("relative", "median"),
        median_distance=("distance", "median"),
        **shares,
    )
    order = found["median_fis"].abs().sort_values(ascending=False, kind="stable").index
    return found.loc[order].reset_index()


def _draw(folder: Path, table: pd.DataFrame, by_motif: pd.DataFrame) -> list[str]:
    """Figures of the first task; names of the files."""
    from dfim_fast.plot import plot_distance_bins, plot_motif_pairs, save

    folder.mkdir()
    own = table[table["task"] == table["task"].iloc[0]]
    kinds = by_motif[by_motif["task"] == table["task"].iloc[0]].head(SHOWN)
    shown = own.merge(kinds[["source", "target"]], on=["source", "target"])
    tests = {
        label: name
        for label, name in (
            ("shuffled sequences", "significant"), ("matched spans", "significant_matched")
        )
        if name in own
    }  # fmt: skip
    files = []
    if tests:
        page = plot_motif_pairs(
            shown, tests, title="Take one motif away: what does the other lose?"
        )
        files.append(save(page, folder / "motif_pairs.png"))
    strongest = own.merge(kinds[["source", "target"]].head(1), on=["source", "target"])
    if (strongest["reachable"] & (strongest["overlap"] == 0) & (strongest["distance"] < 200)).any():
        bins = distance_bins(strongest.drop(columns="task"))
        name = " → ".join(kinds.iloc[0][["source", "target"]])
        axes = plot_distance_bins(
            {label: values for (_, label), values in bins.values.items()}, bins.tests,
            label=f"FIS of {name}",
        )  # fmt: skip
        own_page: Any = axes.figure
        files.append(save(own_page, folder / "distance.png"))
    return [path.name for path in files]


def _summary(
    out: Path,
    model: Model,
    names: Sequence[str],
    table: pd.DataFrame,
    by_motif: pd.DataFrame,
    settings: Mapping[str, Any],
    reports: Mapping[str, Sequence[str]],
    figures: Sequence[str],
) -> list[str]:
    several = table["task"].nunique() > 1
    lines = [
        *heading(
            f"pairs of motifs in {counted(len(names), 'sequence')} of {model.sequence_length} bp",
            {"name": model.name, "hash": model.hash, "target": str(model.head)},
            list(table["task"].unique()),
            settings_used(settings, table.attrs["provenance"]),
        ),
        f"source motifs become: {table.attrs['provenance']['mutant_rule']}",
        f"{len(table):,} ordered pairs; {int((~table['reachable']).sum()):,} cannot interact by "
        "architecture and are not tested",
        "",
    ]
    for kind, report in reports.items():
        question = "has the sequence strong features?" if kind == "dinucleotide" else (
            "does this pair interact?"
        )  # fmt: skip
        lines += [f"Significance, {kind} null: {question}", *(f"  {line}" for line in report), ""]
    lines.append("Kinds of pairs, strongest first: median FIS, share of the target's importance, "
                 "share significant")  # fmt: skip
    for row in by_motif.head(SHOWN).to_dict("records"):
        shares = ", ".join(
            f"{100 * row[f'significant{suffix}']:.0f}% ({kind})"
            for kind, suffix in NULLS.items() if f"significant{suffix}" in row
        )  # fmt: skip
        lines.append(
            f"  {row['source']} -> {row['target']}: {row['median_fis']:+.3g}, "
            f"{row['median_relative']:.0%}, {row['pairs']:,} pairs"
            + (f", {shares}" if shares else "")
            + (f" [{row['task']}]" if several else "")
        )
    return [
        *lines,
        "",
        "Files",
        f"  {out / 'motif_pairs.tsv.gz'} (and .parquet): every pair, a row each",
        f"  {out / 'by_motif.tsv'}: every kind of pair",
        f"  {out / 'features.tsv'}: the motifs that were used",
        *(f"  {out / 'figures' / name}" for name in figures),
    ]

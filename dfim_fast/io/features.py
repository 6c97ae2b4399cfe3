"""Features from tables: our own, BED, FIMO's and Fi-NeMo's hits."""

from __future__ import annotations

import csv
import os
import re
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError
from dfim_fast.io.text import read_lines

# Column names of each form of table -> ours; `stop` of FIMO is 1-based and part of the hit.
_FORMS = {
    "FIMO": {"sequence_name": "sequence", "start": "start", "stop": "end", "motif_id": "name",
             "strand": "strand", "score": "score"},
    "Fi-NeMo": {"chr": "sequence", "start": "start", "end": "end", "motif_name": "name",
                "strand": "strand", "hit_coefficient": "score"},
    "table": {"sequence": "sequence", "chrom": "sequence", "start": "start", "end": "end",
              "name": "name", "strand": "strand", "score": "score",
              "replacement": "replacement"},
}  # fmt: skip
_BED = ("sequence", "start", "end", "name", "score", "strand")
_NEEDED = {"FIMO": ("sequence_name", "start", "stop", "motif_id"),
           "Fi-NeMo": ("chr", "start", "end", "motif_name"),
           "table": ("start", "end", "name")}  # fmt: skip
_REGION = re.compile(r"(.+):([0-9]+)-([0-9]+)")
SHOWN = 3


def read_features(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read features, of sequences or of a genome.

    Parameters
    ----------
    path : path
        Plain or gzipped, told apart by its columns: a tab- or comma-separated table with
        ``sequence`` or ``chrom``, ``start``, ``end`` (0-based, half-open), ``name`` and perhaps
        ``strand``, ``score``, ``replacement``; a BED with names; ``fimo.tsv``, 1-based; Fi-NeMo's
        ``hits.tsv``, or other hits of modisco-lite's motifs as BED.

    Returns
    -------
    DataFrame
        sequence, start, end (0-based, half-open), name, perhaps strand, score and replacement.

    Raises
    ------
    InputError
        If the file is missing, empty or none of these.
    """
    lines = [
        line for line in read_lines(path, "feature")
        if line.strip() and not line.startswith(("#", "track", "browser"))
    ]  # fmt: skip
    if not lines:
        raise InputError(f"{path}: empty; wanted at least one feature")
    mark = "\t" if "\t" in lines[0] else "," if "," in lines[0] else None
    rows = [line.split() for line in lines] if mark is None else list(
        csv.reader(lines, delimiter=mark)
    )  # fmt: skip
    head = [cell.strip() for cell in rows[0]]
    form = next((form for form, names in _NEEDED.items() if set(names) <= set(head)), None)
    if form == "table" and not {"sequence", "chrom"} & set(head):
        form = None
    if form is None:
        return _bed(path, rows)
    short = [i for i, row in enumerate(rows) if len(row) < len(head)]
    if short:
        raise InputError(
            f"{path}, row {short[0]}: {len(rows[short[0]])} columns; the first line has {len(head)}"
        )
    table = pd.DataFrame([row[: len(head)] for row in rows[1:]], columns=head)
    if table.empty:
        raise InputError(f"{path}: only a line of names; wanted at least one feature")
    if form == "FIMO" and "motif_alt_id" in table.columns:
        named = table["motif_alt_id"].str.strip() != ""
        table["motif_id"] = table["motif_alt_id"].where(named, table["motif_id"])
    table = table[[name for name in _FORMS[form] if name in head]].rename(columns=_FORMS[form])
    return _numbers(path, table, 1 if form == "FIMO" else 0)


def _bed(path: str | os.PathLike[str], rows: list[list[str]]) -> pd.DataFrame:
    width = min(len(row) for row in rows)
    if width < 4:
        raise InputError(
            f"{path}: {width} columns; wanted BED with names (chrom, start, end, name), a table "
            "with a line of names (sequence, start, end, name), fimo.tsv or Fi-NeMo's hits.tsv"
        )
    width = min(width, len(_BED))
    return _numbers(path, pd.DataFrame([row[:width] for row in rows], columns=_BED[:width]), 0)


def _numbers(path: str | os.PathLike[str], table: pd.DataFrame, first: int) -> pd.DataFrame:
    """Positions as numbers; ``first`` is what the file calls the first base."""
    for name in ("start", "end"):
        values = pd.to_numeric(table[name], errors="coerce")
        bad = (values.isna() | (values != values.round())).to_numpy()
        if bad.any():
            i = int(np.argmax(bad))
            raise InputError(f"{path}, feature {i}: {name} is {table[name].iloc[i]!r}; wanted a "
                             "whole number")  # fmt: skip
        table[name] = values.astype(np.int64)
    table["start"] -= first
    if "score" in table.columns:
        table["score"] = pd.to_numeric(table["score"], errors="coerce")
    return table


def place_features(
    features: pd.DataFrame, names: Sequence[str], length: int, where: str = "features"
) -> pd.DataFrame:
    """Features of a genome, or of sequences, on the sequences.

    Parameters
    ----------
    features : DataFrame
        As `read_features` returns it.
    names : sequence of str, (N,)
        Of the sequences; ``chrom:start-end`` where they were cut from a genome.
    length : int
    where : str
        For messages.

    Returns
    -------
    DataFrame
        ``sequence`` an index, positions on it. Features that name a contig come once for each
        sequence that holds all of them; those that no sequence holds are left out with a warning.

    Raises
    ------
    InputError
        If none is left.
    """
    index = {name: i for i, name in enumerate(names)}
    known = features["sequence"].isin(index).to_numpy()
    if known.all():
        return features.assign(sequence=features["sequence"].map(index))
    contigs: dict[str, list[tuple[int, int]]] = {}
    for i, name in enumerate(names):
        region = _REGION.fullmatch(name)
        if region:
            contigs.setdefault(region[1], []).append((int(region[2]), i))
    parts = [features[known].assign(sequence=features["sequence"][known].map(index))]
    rest = features[~known]
    for chrom, own in rest.groupby("sequence", sort=False):
        for start, i in contigs.get(str(chrom), []):
            inside = own[(own["start"] >= start) & (own["end"] <= start + length)]
            parts.append(inside.assign(
                sequence=i, start=inside["start"] - start, end=inside["end"] - start
            ))  # fmt: skip
    placed = pd.concat(parts).astype({"sequence": np.int64})
    lost = len(features) - placed.index.nunique()
    if placed.empty:
        raise InputError(
            f"{where}: none of the {len(features)} features lies in a sequence (features name "
            f"{', '.join(map(str, features['sequence'].unique()[:SHOWN]))}; sequences are "
            f"{', '.join(names[:SHOWN])}); use the sequences' names, or the contigs they were "
            "cut from"
        )
    if lost:
        warnings.warn(
            f"{where}: {lost} of {len(features)} features lie in no sequence and are left out",
            stacklevel=2,
        )
    return placed.sort_values(["sequence", "start"], kind="stable").reset_index(drop=True)

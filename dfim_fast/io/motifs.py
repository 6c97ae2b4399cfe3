"""Motifs from MEME, JASPAR and HOMER files, and where they stand in sequences."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.text import read_lines
from dfim_fast.sequence.one_hot import UNKNOWN

WANTED = "wanted motifs in MEME, JASPAR or HOMER format"
PSEUDOCOUNT = 1e-4  # of each base's frequency, before the logarithm


def read_motifs(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read position frequencies.

    Parameters
    ----------
    path : path
        MEME (minimal or full), JASPAR (one or many), or HOMER; told apart by content.

    Returns
    -------
    dict of str to ndarray (4, width)
        Frequencies in A, C, G, T, by name; where a name comes twice, by "name (id)".

    Raises
    ------
    InputError
        If the file is missing or holds no motif in one of these formats.
    """
    lines = [line.strip() for line in read_lines(path, "motif")]
    shown = [line for line in lines if line]
    try:
        if shown and shown[0].startswith("MEME"):
            found = _meme(path)
        elif shown and shown[0].startswith(">"):
            # JASPAR begins its rows with a letter; HOMER has a row for each position
            jaspar = len(shown) > 1 and shown[1][:1] in "ACGT"
            found = _biopython(path, "jaspar" if jaspar else "pfm-four-columns")
        else:
            found = []
    except (ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {WANTED}") from None
    motifs: dict[str, np.ndarray] = {}
    names = [name for _, name, _ in found]
    for identity, name, counts in found:
        total = counts.sum(axis=0)
        if not counts.shape[1] or (total <= 0).any() or (counts < 0).any():
            raise InputError(f"{path}: motif {name!r} has an empty or negative position; {WANTED}")
        motifs[name if names.count(name) == 1 else f"{name} ({identity})"] = counts / total
    if not motifs:
        raise InputError(f"{path}: holds no motif; {WANTED}")
    return motifs


def _meme(path: str | os.PathLike[str]) -> list[tuple[str, str, np.ndarray]]:
    from memelite.io import read_meme

    found = []
    for title, frequencies in read_meme(os.fspath(path)).items():
        words = title.split()
        found.append((words[0], words[-1], np.asarray(frequencies, np.float64)))
    return found


def _biopython(path: str | os.PathLike[str], form: str) -> list[tuple[str, str, np.ndarray]]:
    from Bio import motifs

    found = []
    with open(path, encoding="utf-8") as handle:
        for number, motif in enumerate(motifs.parse(handle, form), start=1):
            fields = str(motif.name or f"motif_{number}").split("\t")
            # HOMER: consensus, then name/source
            name = (fields[1] if len(fields) > 1 else fields[0]).split("/")[0]
            identity = getattr(motif, "matrix_id", None) or fields[0]
            counts = np.array([motif.counts[base] for base in "ACGT"], np.float64)
            found.append((str(identity), name, counts))
    return found


def scan(
    motifs: Mapping[str, np.ndarray],
    codes: np.ndarray,
    threshold: float = 1e-4,
) -> pd.DataFrame:
    """Find motif instances by FIMO's rule, both strands, uniform background.

    Of overlapping hits of one motif, also on opposite strands, the one with the lowest p is kept.

    Parameters
    ----------
    motifs : mapping of str to ndarray (4, width)
    codes : ndarray (N, L)
    threshold : float
        Largest p of a hit.

    Returns
    -------
    DataFrame
        sequence (an index), start, end, name, strand, score, p; by sequence and start.

    Raises
    ------
    SettingsError
        If the threshold is no probability.
    InputError
        If nothing is found.
    """
    if not 0 < threshold <= 1:
        raise SettingsError(f"threshold={threshold!r}: wanted a p-value, such as 1e-4")
    from memelite import fimo

    one_hot = np.eye(UNKNOWN + 1, 4, dtype=np.int8)[codes].transpose(0, 2, 1)
    hits = pd.concat(fimo(
        {name: frequencies.copy() for name, frequencies in motifs.items()},
        np.ascontiguousarray(one_hot), threshold=threshold, eps=PSEUDOCOUNT,
    ))  # fmt: skip
    if hits.empty:
        raise InputError(
            f"no motif was found in {len(codes)} sequences at p <= {threshold:g}; "
            "raise the threshold or look at the motifs"
        )
    table = pd.DataFrame({
        "sequence": hits["sequence_name"].to_numpy(np.int64), "start": hits["start"].to_numpy(),
        "end": hits["end"].to_numpy(), "name": hits["motif_name"].to_numpy(object),
        "strand": hits["strand"].to_numpy(object), "score": hits["score"].to_numpy(),
        "p": hits["p-value"].to_numpy(),
    })  # fmt: skip
    known = [
        (codes[n, start:end] < UNKNOWN).all()
        for n, start, end in zip(table["sequence"], table["start"], table["end"], strict=True)
    ]
    return best_hits(table[known])


def best_hits(table: pd.DataFrame) -> pd.DataFrame:
    """Of overlapping hits of one motif the best, by p and then score."""
    order = table.sort_values(["p", "score", "sequence", "start", "strand"],
                              ascending=[True, False, True, True, True])  # fmt: skip
    kept: dict[tuple[int, str], list[tuple[int, int]]] = {}
    rows = []
    for row in order.itertuples():
        spans = kept.setdefault((row.sequence, row.name), [])
        if all(row.end <= start or row.start >= end for start, end in spans):
            spans.append((row.start, row.end))
            rows.append(row.Index)
    found = order.loc[rows].sort_values(["sequence", "start", "name"], kind="stable")
    return found.reset_index(drop=True)

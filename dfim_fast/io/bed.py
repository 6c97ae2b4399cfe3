"""Sequences of BED regions, cut from an indexed genome."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import numpy as np

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.genome import fetch, open_genome, quiet_htslib
from dfim_fast.io.text import read_lines

_OTHER_LETTER = re.compile("[^ACGTN]")


def read_regions(
    bed_path: str | os.PathLike[str], genome_path: str | os.PathLike[str], length: int
) -> tuple[list[str], list[str]]:
    """Cut one sequence of the wanted length around the centre of each BED region.

    The sequence starts at ``(start + end) // 2 - length // 2``; a region that has the length
    already comes as it is.

    Parameters
    ----------
    bed_path : path
        BED, plain or gzipped: 0-based, half-open. Lines that start with ``track``, ``browser`` or
        ``#``, and empty lines, are skipped; columns after the third are not read.
    genome_path : path
        FASTA with its ``.fai`` index beside it (bgzipped: ``.gzi`` too).
    length : int
        Length of every sequence, in bases.

    Returns
    -------
    names : list of str
        ``chrom:start-end``, 0-based and half-open, of the sequence, not of the region in the file.
        Regions with one centre have one name.
    sequences : list of str
        Upper-case, over A, C, G, T, N; the other IUPAC letters of an assembly become N.

    Raises
    ------
    SettingsError
        If ``length`` is below 1.
    InputError
        If a file or index is missing or unreadable, the BED is empty or malformed, a contig is
        not in the genome, or a region or its sequence leaves the contig.
    """
    if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
        raise SettingsError(f"length={length!r}: pass an integer of at least 1")
    names: list[str] = []
    sequences: list[str] = []
    with quiet_htslib(), open_genome(genome_path) as genome:
        sizes = dict(zip(genome.references, genome.lengths, strict=True))
        for where, chrom, start, end in _intervals(bed_path):
            if chrom not in sizes:
                some = ", ".join(list(sizes)[:3])
                raise InputError(
                    f"{where}: {genome_path} has no contig {chrom!r} (it has {some}, ...); "
                    "use the assembly and the contig names that the BED was made with"
                )
            if end > sizes[chrom]:
                raise InputError(
                    f"{where}: {chrom}:{start}-{end} ends past the end of {chrom} "
                    f"({sizes[chrom]} bases); use the assembly that the BED was made with"
                )
            first = (start + end) // 2 - length // 2
            last = first + length
            if first < 0 or last > sizes[chrom]:
                raise InputError(
                    f"{where}: {chrom}:{start}-{end} centred to {length} bases is "
                    f"{chrom}:{first}-{last}, outside {chrom} ({sizes[chrom]} bases); "
                    "remove or move the region"
                )
            name = f"{chrom}:{first}-{last}"
            sequence = fetch(genome, chrom, first, last)
            other = _OTHER_LETTER.search(sequence)
            if len(sequence) != length or other:
                found = f"letter {other.group()!r}" if other else f"{len(sequence)} bases"
                raise InputError(
                    f"{where}: {name}: {genome_path} gives {found}, wanted {length} bases of DNA; "
                    f"its index may be of another file; run: samtools faidx {genome_path}"
                )
            names.append(name)
            sequences.append(sequence)
    if not names:
        raise InputError(f"{bed_path}: empty; wanted at least one BED region")
    return names, sequences


def _intervals(
    bed_path: str | os.PathLike[str],
) -> Iterator[tuple[str, str, int, int]]:
    """Yield (file and line, chrom, start, end)."""
    for number, line in enumerate(read_lines(bed_path, "BED"), start=1):
        # BED is separated by tabs or by blanks; a contig's name holds neither.
        fields = line.split()
        if not fields or fields[0] in ("track", "browser") or fields[0].startswith("#"):
            continue
        where = f"{bed_path}, line {number}"
        shown = "\\t".join(fields[:3])
        if len(fields) < 3:
            raise InputError(
                f"{where}: {len(fields)} columns ({shown!r}); wanted chrom, start, end"
            )
        chrom, start, end = fields[:3]
        if not (_is_count(start) and _is_count(end)):
            raise InputError(
                f"{where}: start {start!r}, end {end!r}; wanted whole numbers of at least 0"
            )
        if int(start) >= int(end):
            raise InputError(
                f"{where}: {chrom}:{start}-{end} is empty or reversed; wanted start < end, "
                "0-based and half-open"
            )
        yield where, chrom, int(start), int(end)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()

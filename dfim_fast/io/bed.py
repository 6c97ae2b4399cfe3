"""Sequences of BED regions, cut from an indexed genome."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pysam

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.text import read_lines

# Assemblies hold a few letters that stand for several bases. They are as unknown as N is.
_AMBIGUOUS_TO_N = str.maketrans("RYSWKMBDHV", "N" * 10)
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
    with _quiet_htslib(), _open_genome(genome_path) as genome:
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
            sequence = _fetch(genome, chrom, first, last)
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


def _open_genome(path: str | os.PathLike[str]) -> pysam.FastaFile:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such genome file; check the path")
    # pysam would build a missing index without a word, beside a file that may not be the user's.
    wanted = [".fai", ".gzi"] if path.suffix in (".gz", ".bgz") else [".fai"]
    for suffix in wanted:
        if not path.with_name(path.name + suffix).is_file():
            raise InputError(
                f"{path}: no index {path.name}{suffix} beside it; run: samtools faidx {path}"
            )
    try:
        return pysam.FastaFile(os.fspath(path))
    except (OSError, ValueError):
        raise InputError(
            f"{path}: cannot be opened as indexed FASTA; wanted plain or bgzipped FASTA "
            f"and its index; run: samtools faidx {path}"
        ) from None


def _fetch(genome: pysam.FastaFile, chrom: str, start: int, end: int) -> str:
    """Return the upper-case bases, fewer than asked for where the index promises too many."""
    try:
        return genome.fetch(chrom, start, end).upper().translate(_AMBIGUOUS_TO_N)
    except (OSError, ValueError):
        return ""


@contextmanager
def _quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing its own lines to stderr beside ours."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)

"""Bases of an indexed genome."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pysam

from dfim_fast.errors import InputError

# Assemblies hold a few letters that stand for several bases. They are as unknown as N is.
_AMBIGUOUS_TO_N = str.maketrans("RYSWKMBDHV", "N" * 10)


def open_genome(path: str | os.PathLike[str]) -> pysam.FastaFile:
    """Open an indexed FASTA.

    Raises
    ------
    InputError
        If the file or its index is missing or unreadable.
    """
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


def fetch(genome: pysam.FastaFile, chrom: str, start: int, end: int) -> str:
    """Return the upper-case bases, fewer than asked for where the index promises too many."""
    try:
        return genome.fetch(chrom, start, end).upper().translate(_AMBIGUOUS_TO_N)
    except (OSError, ValueError):
        return ""


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from writing its own lines to stderr beside ours."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)

"""Bases of a genome: an indexed FASTA, plain or bgzipped, or a 2bit file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import py2bit
import pysam

from dfim_fast.errors import InputError

# Assemblies hold a few letters that stand for several bases. They are as unknown as N is.
_AMBIGUOUS_TO_N = str.maketrans("RYSWKMBDHV", "N" * 10)


_TWO_BIT_MAGIC = (b"\x1a\x41\x27\x43", b"\x43\x27\x41\x1a")  # in either order of bytes


class TwoBit:
    """A 2bit file with the face of an indexed FASTA.

    Attributes
    ----------
    references : tuple of str
        Contigs.
    lengths : tuple of int
    """

    def __init__(self, path: Path) -> None:
        self._file = py2bit.open(os.fspath(path))
        sizes = self._file.chroms()
        self.references = tuple(sizes)
        self.lengths = tuple(sizes.values())

    def fetch(self, chrom: str, start: int, end: int) -> str:
        """Return bases; ValueError where the file does not hold them."""
        try:
            return str(self._file.sequence(chrom, start, end)) if start < end else ""
        except RuntimeError as error:
            raise ValueError(str(error)) from None

    def __enter__(self) -> TwoBit:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


Genome = pysam.FastaFile | TwoBit


def open_genome(path: str | os.PathLike[str]) -> Genome:
    """Open an indexed FASTA or a 2bit file; which it is, its first bytes say.

    Raises
    ------
    InputError
        If the file or its index is missing or unreadable.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such genome file; check the path")
    try:
        with open(path, "rb") as handle:
            magic = handle.read(len(_TWO_BIT_MAGIC[0]))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from None
    if magic in _TWO_BIT_MAGIC:
        try:
            return TwoBit(path)
        except (RuntimeError, MemoryError):
            raise InputError(
                f"{path}: damaged 2bit file; make it with faToTwoBit or fetch it again"
            ) from None
    # pysam would build a missing index without a word, beside a file that may not be the user's.
    wanted = [".fai", ".gzi"] if path.suffix in (".gz", ".bgz") else [".fai"]
    for suffix in wanted:
        if not path.with_name(path.name + suffix).is_file():
            own = "" if os.access(path.parent, os.W_OK) else (
                "; its folder cannot be written to, so link the file into one of yours first"
            )  # fmt: skip
            raise InputError(
                f"{path}: no index {path.name}{suffix} beside it; run: samtools faidx {path}{own}"
            )
    try:
        genome = pysam.FastaFile(os.fspath(path))
    except (OSError, ValueError):
        raise InputError(
            f"{path}: cannot be opened as indexed FASTA; wanted plain or bgzipped FASTA "
            f"and its index; run: samtools faidx {path}"
        ) from None
    if not genome.references:
        raise InputError(f"{path}: holds no contig; wanted FASTA of a genome and its index")
    return genome


def fetch(genome: Genome, chrom: str, start: int, end: int) -> str:
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

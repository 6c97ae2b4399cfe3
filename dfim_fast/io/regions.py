"""Windows of a genome, one for each sequence that a model is to see, read when they are needed."""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.genome import Genome, TwoBit, fetch, open_genome, quiet_htslib
from dfim_fast.io.text import read_lines
from dfim_fast.plan.planner import whole_number

FITS = ("centre", "tile")
ENDS = ("error", "pad", "skip")
STRANDS = ("forward", "bed", "both")

_OTHER_LETTER = re.compile("[^ACGTN]")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True)
class Windows:
    """Where the sequences of BED regions lie; small, whatever the number of bases.

    Attributes
    ----------
    bed, genome : str
        The files, for reading and for messages.
    length : int
        Bases of every window.
    contigs : tuple of str
    sizes : ndarray, (C,) int64
        Bases of each contig.
    contig : ndarray, (N,) int32
        Index into ``contigs``.
    start : ndarray, (N,) int64
        0-based; below 0, or nearer than ``length`` to the contig's end, where a window is padded.
    reverse : ndarray, (N,) bool
        Read from the other strand.
    region : ndarray, (N,) int64
        Which BED region it serves, counted from 0.
    line : ndarray, (N,) int64
        The region's line in the BED.
    skipped : int
        Windows left out because they leave their contig.
    """

    bed: str
    genome: str
    length: int
    contigs: tuple[str, ...]
    sizes: np.ndarray
    contig: np.ndarray
    start: np.ndarray
    reverse: np.ndarray
    region: np.ndarray
    line: np.ndarray
    skipped: int

    def __len__(self) -> int:
        """Return how many windows there are."""
        return len(self.start)

    def name(self, row: int) -> str:
        """``chrom:start-end``, 0-based and half-open, with ``(-)`` on the other strand."""
        start = int(self.start[row])
        strand = "(-)" if self.reverse[row] else ""
        return f"{self.contigs[self.contig[row]]}:{start}-{start + self.length}{strand}"

    def places(self, rows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Positions on the contig, 0-based, of ``offsets`` from the first base that is read.

        Parameters
        ----------
        rows, offsets : ndarray of int, of shapes that go together

        Returns
        -------
        ndarray, int64
        """
        turned = np.where(self.reverse[rows], self.length - 1 - offsets, offsets)
        return np.asarray(self.start[rows] + turned, np.int64)

    def sequences(self, first: int = 0, last: int | None = None) -> list[str]:
        """Read the bases of windows ``first`` to ``last``, the last left out.

        Parameters
        ----------
        first, last : int

        Returns
        -------
        list of str
            Upper-case, over A, C, G, T, N: N past a contig's end and for an assembly's other IUPAC
            letters; as the other strand reads where ``reverse`` says so.

        Raises
        ------
        InputError
            If the genome has gone, or its index promises what it does not hold.
        """
        rows = range(first, len(self) if last is None else min(last, len(self)))
        with quiet_htslib(), open_genome(self.genome) as genome:
            return [self._read(genome, row) for row in rows]

    def _read(self, genome: Genome, row: int) -> str:
        chrom, size = self.contigs[self.contig[row]], int(self.sizes[self.contig[row]])
        start, end = int(self.start[row]), int(self.start[row]) + self.length
        inside = (max(start, 0), max(min(end, size), 0))
        bases = fetch(genome, chrom, *inside)
        other = _OTHER_LETTER.search(bases)
        wanted = inside[1] - inside[0]
        if len(bases) != wanted or other:
            found = f"letter {other.group()!r}" if other else f"{len(bases)} bases"
            advice = "it is damaged: make it with faToTwoBit or fetch it again"
            if not isinstance(genome, TwoBit):
                advice = f"its index may be of another file; run: samtools faidx {self.genome}"
            raise InputError(
                f"{self.bed}, line {self.line[row]}: {self.name(row)}: {self.genome} gives "
                f"{found}, wanted {wanted} bases of DNA; {advice}"
            )
        bases = "N" * (inside[0] - start) + bases + "N" * (end - inside[1])
        return bases.translate(_COMPLEMENT)[::-1] if self.reverse[row] else bases


def read_windows(
    bed: str | os.PathLike[str],
    genome: str | os.PathLike[str],
    length: int,
    *,
    fit: str = "centre",
    stride: int | None = None,
    ends: str = "error",
    strands: str = "forward",
) -> Windows:
    """Lay windows of one length over the regions of a BED file; no base is read yet.

    Parameters
    ----------
    bed : path
        BED, plain or gzipped: 0-based, half-open. Lines that start with ``track``, ``browser`` or
        ``#``, and empty lines, are skipped. Regions may overlap and repeat.
    genome : path
        FASTA with its ``.fai`` index beside it (bgzipped: ``.gzi`` too), or a 2bit file.
    length : int
        Bases of every window.
    fit : {"centre", "tile"}
        Of a region of another length: one window with the region's centre in its middle, at
        ``(start + end) // 2 - length // 2``; or as many as cover a longer one, the last of them
        ending where it ends. A shorter region is centred either way.
    stride : int, optional
        From one tile to the next; the length by default, so that tiles meet.
    ends : {"error", "pad", "skip"}
        What becomes of a window that leaves its contig: refused, filled with N, or left out.
    strands : {"forward", "bed", "both"}
        Which strand the model reads: the genome's, that of the BED's column 6, or each window once
        and its reverse complement next to it.

    Returns
    -------
    Windows

    Raises
    ------
    SettingsError
        If an option has no such value, or ``length`` or ``stride`` is below 1.
    InputError
        If a file or index is missing or unreadable, the BED is empty or malformed, a contig is not
        in the genome, a region leaves it, or a window does and ``ends`` is "error".
    """
    for option, value, known in (("fit", fit, FITS), ("ends", ends, ENDS),
                                 ("strands", strands, STRANDS)):  # fmt: skip
        if value not in known:
            raise SettingsError(f"{option}={value!r}: choose from {', '.join(known)}")
    for option, number in (("length", length), ("stride", length if stride is None else stride)):
        whole_number(option, number, 1)
    if stride is not None and fit != "tile":
        raise SettingsError(f"stride={stride}: goes with fit='tile' only; leave it out")
    with quiet_htslib(), open_genome(genome) as opened:
        contigs, sizes = tuple(opened.references), np.array(opened.lengths, np.int64)
    index = {chrom: i for i, chrom in enumerate(contigs)}
    # a million windows are common; lists of Python numbers would take ten times the room
    columns = [array("q") for _ in range(5)]
    skipped = regions = 0
    for regions, (line, chrom, start, end, strand) in enumerate(_intervals(bed), start=1):
        where = f"{bed}, line {line}"
        if chrom not in index:
            some = ", ".join(contigs[:3])
            raise InputError(
                f"{where}: {genome} has no contig {chrom!r} (it has {some}, ...); "
                "use the assembly and the contig names that the BED was made with"
            )
        size = int(sizes[index[chrom]])
        if end > size:
            raise InputError(
                f"{where}: {chrom}:{start}-{end} ends past the end of {chrom} "
                f"({size} bases); use the assembly that the BED was made with"
            )
        for first in _starts(start, end, length, fit, stride or length):
            if ends != "pad" and (first < 0 or first + length > size):
                if ends == "error":
                    raise InputError(
                        f"{where}: {chrom}:{start}-{end} centred to {length} bases is "
                        f"{chrom}:{first}-{first + length}, outside {chrom} ({size} bases); "
                        "remove or move the region; score can pad or skip such ends"
                    )
                skipped += 1
                continue
            for reverse in _turned(strands, strand, where):
                row = (index[chrom], first, reverse, regions - 1, line)
                for column, entry in zip(columns, row, strict=True):
                    column.append(entry)
    if not regions:
        raise InputError(f"{bed}: empty; wanted at least one BED region")
    contig, first_base, turned, region, lines = (np.array(column) for column in columns)
    if not len(contig):
        raise InputError(
            f"{bed}: all {skipped} windows of {length} bases leave their contigs and are skipped; "
            "pad them, or use other regions"
        )
    return Windows(
        bed=os.fspath(bed), genome=os.fspath(genome), length=int(length), contigs=contigs,
        sizes=sizes, contig=contig.astype(np.int32), start=first_base, reverse=turned.astype(bool),
        region=region, line=lines, skipped=skipped,
    )  # fmt: skip


def _starts(start: int, end: int, length: int, fit: str, stride: int) -> Iterator[int]:
    """First bases of a region's windows."""
    if fit == "centre" or end - start <= length:
        yield (start + end) // 2 - length // 2
        return
    yield from range(start, end - length, stride)
    yield end - length


def _turned(strands: str, strand: str, where: str) -> tuple[bool, ...]:
    """Which readings of a window are wanted: False as it stands, True reverse-complemented."""
    if strands == "both":
        return (False, True)
    if strands == "forward":
        return (False,)
    if strand not in ("+", "-"):
        raise InputError(
            f"{where}: strand {strand!r}; strands='bed' wants + or - in column 6 of every line"
        )
    return (strand == "-",)


def _intervals(bed: str | os.PathLike[str]) -> Iterator[tuple[int, str, int, int, str]]:
    """Yield (line, chrom, start, end, strand) of each region."""
    for number, line in enumerate(read_lines(bed, "BED"), start=1):
        # BED is separated by tabs or by blanks; a contig's name holds neither.
        fields = line.split()
        if not fields or fields[0] in ("track", "browser") or fields[0].startswith("#"):
            continue
        where = f"{bed}, line {number}"
        shown = "\\t".join(fields[:3])
        if len(fields) < 3:
            raise InputError(
                f"{where}: {len(fields)} columns ({shown!r}); wanted chrom, start, end"
            )
        chrom, start, end = fields[:3]
        if not (_is_count(start) and _is_count(end)):
            raise InputError(
                f"{where}: start {start!r}, end {end!r}; wanted whole numbers of at least 0"
                + ("; a header begins with #" if number == 1 else "")
            )
        if int(start) >= int(end):
            raise InputError(
                f"{where}: {chrom}:{start}-{end} is empty or reversed; wanted start < end, "
                "0-based and half-open"
            )
        strand = line.split("\t")[5] if line.count("\t") >= 5 else "".join(fields[5:6])
        yield number, chrom, int(start), int(end), strand.strip()


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit()

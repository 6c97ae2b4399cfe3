"""Sequences of BED regions, cut from a genome."""

from __future__ import annotations

import os

from dfim_fast.io.regions import read_windows


def read_regions(
    bed_path: str | os.PathLike[str], genome_path: str | os.PathLike[str], length: int
) -> tuple[list[str], list[str]]:
    """Cut one sequence of the wanted length around the centre of each BED region.

    All of them at once, for inputs that fit in memory; `read_windows` reads as they are needed.

    Parameters
    ----------
    bed_path, genome_path : path
        As in `read_windows`.
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
    windows = read_windows(bed_path, genome_path, length)
    return [windows.name(row) for row in range(len(windows))], windows.sequences()

"""Sequences from FASTA."""

from __future__ import annotations

import os
import re

from dfim_fast.errors import InputError
from dfim_fast.io.text import read_lines

_OTHER_LETTER = re.compile("[^ACGTN]")


def read_fasta(path: str | os.PathLike[str]) -> tuple[list[str], list[str]]:
    """Read a FASTA file.

    Parameters
    ----------
    path : path
        Plain or gzipped.

    Returns
    -------
    names : list of str
        The first word of each header.
    sequences : list of str
        Upper-case, over A, C, G, T, N; lengths may differ.

    Raises
    ------
    InputError
        If the file is missing, unreadable, empty or not FASTA, a record has no name or no
        sequence, a name comes twice, or a letter is not one of ACGTN.
    """
    names: list[str] = []
    sequences: list[str] = []
    seen: dict[str, int] = {}
    parts: list[str] = []

    for number, line in enumerate(read_lines(path, "FASTA"), start=1):
        line = line.strip()
        if line.startswith(">"):
            if names:
                sequences.append(_joined(path, names[-1], parts))
            words = line[1:].split(maxsplit=1)
            if not words:
                raise InputError(f"{path}, line {number}: a record without a name; write >name")
            name = words[0]
            if name in seen:
                raise InputError(
                    f"{path}, line {number}: the name {name!r} was used in line {seen[name]}; "
                    "make the names unique"
                )
            seen[name] = number
            names.append(name)
            parts = []
        elif line:
            if not names:
                raise InputError(
                    f"{path}, line {number}: starts with {line[:20]!r}; "
                    "FASTA starts with a line >name"
                )
            parts.append(line)
    if not names:
        raise InputError(f"{path}: empty; wanted at least one FASTA record")
    sequences.append(_joined(path, names[-1], parts))
    return names, sequences


def _joined(path: str | os.PathLike[str], name: str, parts: list[str]) -> str:
    sequence = "".join(parts).upper()
    if not sequence:
        raise InputError(f"{path}: record {name!r} has no sequence; remove it or add its letters")
    other = _OTHER_LETTER.search(sequence)
    if other:
        raise InputError(
            f"{path}: record {name!r}, position {other.start()} (0-based): letter "
            f"{other.group()!r} is not one of A, C, G, T, N; replace ambiguous letters by N"
        )
    return sequence

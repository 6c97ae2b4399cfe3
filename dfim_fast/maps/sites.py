"""Variants as edits of sequences, and which position of the mutant is which of the original.

The coordinate map: bases before the change keep their position; bases behind it move by
``len(alt) - len(ref)`` in the mutant, whose end is cut, or filled with the bases that follow the
sequence (N where they are not known). Replaced, deleted and inserted bases are the variant itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError
from dfim_fast.maps.features import row_indices, whole_numbers
from dfim_fast.sequence.one_hot import ALPHABET, UNKNOWN, encode

BASES = "ACGT"


@dataclass(frozen=True)
class Allele:
    """One alternate allele of one variant, without the bases that both alleles share.

    Attributes
    ----------
    variant : int
        Row of the table of variants.
    row : int
        Index of the sequence.
    start : int
        First changed position, 0-based.
    ref, alt : str
        What is replaced, and by what; one of them may be empty.
    given_ref, given_alt : str
        As they were given.
    label : str
        ``chrom:pos:ref:alt``, or the sequence and the 0-based offset where no genome is known.
    """

    variant: int
    row: int
    start: int
    ref: str
    alt: str
    given_ref: str
    given_alt: str
    label: str

    @property
    def end(self) -> int:
        """Behind the last changed position of the original."""
        return self.start + len(self.ref)

    @property
    def shift(self) -> int:
        """How far the bases behind the change move."""
        return len(self.alt) - len(self.ref)

    def mutate(self, codes: np.ndarray, after: str) -> np.ndarray:
        """Codes (L,) of the mutant of a sequence (L,), ``after`` what follows it."""
        tail = encode([after])[0] if after else np.empty(0, np.int8)
        new = encode([self.alt])[0] if self.alt else np.empty(0, np.int8)
        whole = np.concatenate([codes[: self.start], new, codes[self.end :], tail])
        whole = np.concatenate([whole, np.full(max(0, len(codes) - len(whole)), UNKNOWN, np.int8)])
        return whole[: len(codes)]

    def places(self, positions: np.ndarray) -> np.ndarray:
        """Where positions of the original are in the mutant; -1 for the changed ones."""
        moved = np.where(positions < self.start, positions, positions + self.shift)
        return np.where((positions >= self.start) & (positions < self.end), -1, moved)


def check_variants(
    variants: pd.DataFrame, names: Sequence[str], codes: np.ndarray
) -> list[list[Allele]]:
    """Read a table of variants.

    Parameters
    ----------
    variants : DataFrame
        ``sequence`` (name or index) and ``offset`` (0-based position of the first base of ``ref``);
        perhaps ``ref``, ``alt`` (several joined by commas; all three bases where it is missing or
        "."), ``chrom`` and the 1-based ``pos``.
    names : sequence of str, (N,)
    codes : ndarray (N, L)

    Returns
    -------
    list of list of Allele
        By row of the table.

    Raises
    ------
    InputError
        If a column is missing, a row names no sequence or leaves it, letters are no DNA, or ``ref``
        differs from the sequence.
    """
    if not isinstance(variants, pd.DataFrame):
        raise InputError(
            f"variants are of type {type(variants).__name__}; pass a DataFrame with columns "
            "sequence, offset, ref, alt"
        )
    missing = [name for name in ("sequence", "offset") if name not in variants.columns]
    if missing:
        raise InputError(
            f"variants have no column {', '.join(map(repr, missing))} (they have: "
            f"{', '.join(map(str, variants.columns))}); wanted sequence, offset, ref, alt"
        )
    if variants.empty:
        raise InputError("variants: the table is empty; wanted at least one variant")
    rows = row_indices(variants["sequence"], names, "variants")
    offsets = whole_numbers(variants["offset"], "offset", "variants")
    return [
        list(_alleles(variants, i, int(rows[i]), int(offsets[i]), codes[rows[i]], names))
        for i in range(len(variants))
    ]


def _alleles(
    variants: pd.DataFrame, i: int, row: int, start: int, codes: np.ndarray, names: Sequence[str]
) -> Iterator[Allele]:
    """The alleles of one row."""
    where = f"variants, row {i}"
    if not 0 <= start < len(codes):
        raise InputError(
            f"{where}: offset {start} is outside the sequence {names[row]!r}; wanted 0 to "
            f"{len(codes) - 1}"
        )
    found = _text(variants, "ref", i)
    ref = found or ALPHABET[codes[start]]
    there = "".join(ALPHABET[c] for c in codes[start : start + len(ref)])
    if ref != there:
        raise InputError(
            f"{where}: REF is {ref}, but {names[row]!r} has {there or 'nothing'} at offset "
            f"{start}; use the assembly and the positions that the variants were called with"
        )
    if set(ref) - set(BASES):
        raise InputError(f"{where}: there is {ref} at offset {start}, not one of A, C, G, T")
    given = _text(variants, "alt", i)
    if not given and len(ref) > 1:
        raise InputError(f"{where}: REF {ref} has no alt; only of one base all three are tried")
    alts = given.split(",") if given else [b for b in BASES if b != ref]
    for alt in alts:
        if not alt or set(alt) - set(BASES) or alt == ref:
            raise InputError(
                f"{where}: alt {alt!r} of REF {ref}; wanted another sequence of A, C, G, T, "
                "several joined by commas"
            )
        before, middle, new = _trimmed(ref, alt)
        if {"chrom", "pos"} <= set(variants.columns):
            place = f"{variants['chrom'].iloc[i]}:{variants['pos'].iloc[i]}"
        else:
            place = f"{names[row]}:{start}"
        yield Allele(i, row, start + before, middle, new, ref, alt, f"{place}:{ref}:{alt}")


def _text(variants: pd.DataFrame, column: str, i: int) -> str:
    """A cell in capitals; empty where there is none."""
    if column not in variants.columns:
        return ""
    value = variants[column].iloc[i]
    if isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    text = "" if value is None or value != value else str(value).strip().upper()
    return "" if text == "." else text


def _trimmed(ref: str, alt: str) -> tuple[int, str, str]:
    """Without shared bases: how many stood in front, and what is left of both."""
    front = 0
    while front < min(len(ref), len(alt)) and ref[front] == alt[front]:
        front += 1
    ref, alt = ref[front:], alt[front:]
    back = 0
    while back < min(len(ref), len(alt)) and ref[-1 - back] == alt[-1 - back]:
        back += 1
    return front, ref[: len(ref) - back], alt[: len(alt) - back]

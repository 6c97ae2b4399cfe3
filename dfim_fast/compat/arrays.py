"""The original's arrays, (N, L, 4), checked; and its letters."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.sequence.references import check_gc

BASES = ["A", "C", "G", "T"]


def as_rows(sequences: Any, what: str = "sequences") -> np.ndarray:
    """Sequences as float32 (N, L, 4): one-hot, backgrounds and all zero columns.

    Raises
    ------
    InputError
        If the array has another shape, or holds what no column of bases can be.
    """
    try:
        x = np.asarray(sequences)
    except ValueError:
        raise InputError(
            f"{what} are of unequal shape; pass one array (N, length, 4) in A, C, G, T"
        ) from None
    if x.dtype.kind not in "biuf" or x.ndim != 3 or x.shape[2] != 4 or not x.size:
        hint = ""
        if x.ndim == 3 and x.shape[1] == 4:
            hint = "; the channels come second: pass X.transpose(0, 2, 1)"
        raise InputError(
            f"{what} have shape {x.shape} of {x.dtype}, wanted (N, length, 4) in A, C, G, T{hint}"
        )
    rows = np.ascontiguousarray(x, np.float32)
    bad = ~((rows >= 0) & (rows <= 1)).all(axis=2) | (rows.sum(axis=2) > 1 + 1e-4)
    if bad.any():
        row, position = (int(i) for i in np.unravel_index(np.argmax(bad), bad.shape))
        found = ", ".join(f"{v:g}" for v in rows[row, position])
        raise InputError(
            f"{what}: row {row}, position {position} (0-based) holds [{found}]; wanted a base, "
            "frequencies that sum to at most 1, or zeros"
        )
    return rows


def codes_of(rows: np.ndarray) -> np.ndarray:
    """Codes (N, L) int8: 0..3 for a base, 4 for an empty column, 5 for a background."""
    codes = np.where(rows.any(axis=2), 5, 4).astype(np.int8)
    is_base = (rows == 1).any(axis=2) & (rows.sum(axis=2) == 1)
    codes[is_base] = rows[is_base].argmax(axis=1)
    return codes


def background(gc_fraction: float) -> np.ndarray:
    """Frequencies (4,) of A, C, G, T; zeros for 0, which stands for no background at all."""
    check_gc(gc_fraction)
    if not gc_fraction:
        return np.zeros(4, np.float32)
    at, gc = (1 - gc_fraction) / 2, gc_fraction / 2
    return np.array([at, gc, gc, at], np.float32)


def chosen(sequence_index: Any, count: int) -> list[int]:
    """Which sequences are meant: all for None.

    Raises
    ------
    SettingsError
        If one is not there.
    """
    if sequence_index is None:
        return list(range(count))
    wanted = np.atleast_1d(np.asarray(sequence_index))
    if wanted.size and wanted.dtype.kind not in "iu":
        raise SettingsError(f"sequence_index is of {wanted.dtype}; give row numbers of sequences")
    for index in wanted:
        if not 0 <= index < count:
            raise SettingsError(
                f"sequence_index holds {index}; there are {count} sequences, 0 to {count - 1}"
            )
    return [int(index) for index in wanted]

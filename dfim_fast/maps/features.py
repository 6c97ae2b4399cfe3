"""Features: named spans of sequences, checked at the door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError

REQUIRED = ("sequence", "start", "end", "name")
STRANDS = ("+", "-", ".")


@dataclass(frozen=True, eq=False)
class Features:
    """F features, by sequence and in the order of the table within one.

    Attributes
    ----------
    row : ndarray (F,) int
        Index of the sequence.
    start, end : ndarray (F,) int
        0-based, half-open.
    name : ndarray (F,) of str
    strand : ndarray (F,) of str, or None
    replacement : ndarray (F,) of str, or None
        What the features' own column of that name says; empty for none.
    row_of_table : ndarray (F,) of int, or None
        ``row`` in the order of the table they were read from.
    """

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray
    name: np.ndarray
    strand: np.ndarray | None
    replacement: np.ndarray | None
    row_of_table: np.ndarray | None = None

    def __len__(self) -> int:
        """Return F."""
        return len(self.row)

    def by_sequence(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each sequence that has features, and their indices."""
        return by_row(self.row)


def by_row(row: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each value of an ascending array, and where it stands."""
    rows, first = np.unique(row, return_index=True)
    for n, indices in zip(rows, np.split(np.arange(len(row)), first[1:]), strict=True):
        yield int(n), indices


def check_features(features: pd.DataFrame, names: Sequence[str], length: int) -> Features:
    """Read a table of features.

    Parameters
    ----------
    features : DataFrame
        ``sequence`` (name or index), ``start``, ``end`` (0-based, half-open), ``name``, perhaps
        ``strand`` (+, - or .) and ``replacement``.
    names : sequence of str, (N,)
        Of the sequences.
    length : int
        Their length.

    Returns
    -------
    Features

    Raises
    ------
    InputError
        If a column is missing, the table is empty, or a row names no sequence, leaves it or is
        empty.
    """
    if not isinstance(features, pd.DataFrame):
        raise InputError(
            f"features are of type {type(features).__name__}; pass a DataFrame with columns "
            + ", ".join(REQUIRED)
        )
    missing = [name for name in REQUIRED if name not in features.columns]
    if missing:
        raise InputError(
            f"features have no column {', '.join(map(repr, missing))} (they have: "
            f"{', '.join(map(str, features.columns))}); wanted {', '.join(REQUIRED)}"
        )
    if features.empty:
        raise InputError("features: the table is empty; wanted at least one feature")
    row = row_indices(features["sequence"], names, "features")
    start, end = (whole_numbers(features[n], n, "features") for n in ("start", "end"))
    bad = (start < 0) | (end > length) | (start >= end)
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"features, row {i}: {features['name'].iloc[i]!r} is {start[i]}-{end[i]} in sequence "
            f"{names[row[i]]!r}; wanted 0 <= start < end <= {length}, 0-based and half-open"
        )
    strand = None
    if "strand" in features.columns:
        strand = features["strand"].astype(object).where(features["strand"].notna(), ".").to_numpy()
        unknown = ~np.isin(strand.astype(str), STRANDS)
        if unknown.any():
            i = int(np.argmax(unknown))
            raise InputError(f"features, row {i}: strand {strand[i]!r}; wanted one of + - .")
    replacement = None
    if "replacement" in features.columns:
        column = features["replacement"]
        replacement = column.astype(object).where(column.notna(), "").to_numpy()
    order = np.argsort(row, kind="stable")
    return Features(
        row[order],
        start[order],
        end[order],
        features["name"].astype(str).to_numpy(dtype=object)[order],
        None if strand is None else strand[order],
        None if replacement is None else replacement[order],
        row,
    )


def row_indices(column: pd.Series, names: Sequence[str], what: str) -> np.ndarray:
    """Indices of the sequences that a column of a table of ``what`` names, or else is.

    Raises
    ------
    InputError
    """
    index = {name: i for i, name in enumerate(names)}
    found = column.astype(str).map(index)
    lost = found.isna().to_numpy()
    if lost.any() and column.dtype.kind in "iu":
        found = column.where((column >= 0) & (column < len(names)))
        lost = found.isna().to_numpy()
    if lost.any():
        i = int(np.argmax(lost))
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise InputError(
            f"{what}, row {i}: there is no sequence {column.iloc[i]!r} (there are {shown}); "
            f"use a sequence's name, or its index from 0 to {len(names) - 1}"
        )
    return found.to_numpy().astype(np.int64)


def whole_numbers(column: pd.Series, name: str, what: str) -> np.ndarray:
    """A column of whole numbers of a table of ``what``.

    Raises
    ------
    InputError
    """
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values) | (values != np.round(values))
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(f"{what}, row {i}: {name} is {column.iloc[i]!r}; wanted a whole number")
    return values.astype(np.int64)

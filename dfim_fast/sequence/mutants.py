"""Mutants as edits of one sequence: what the engine needs, without copying the sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dfim_fast.errors import InputError
from dfim_fast.sequence.one_hot import UNKNOWN

_BASES = np.eye(4, dtype=np.float32)[:, None]  # each as the only column of a span
_OTHERS = np.vstack([1 - np.eye(4), np.zeros((UNKNOWN + 1 - 4, 4))]).astype(bool)  # of each code


@dataclass(frozen=True)
class Mutants:
    """M mutants of one sequence, each with one span replaced.

    Attributes
    ----------
    start : ndarray, (M,) int32
        First changed position, 0-based.
    width : ndarray, (M,) int32
        Changed positions, at least 1.
    columns : ndarray, (M, wmax, 4) float32
        The new columns, in A, C, G, T; those at and beyond ``width`` are not read.
    slot : ndarray, (M, 2) int32
        Where the mutant's results go: the index of its source, and its mutant base.
    """

    start: npt.NDArray[np.int32]
    width: npt.NDArray[np.int32]
    columns: npt.NDArray[np.float32]
    slot: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Return M."""
        return len(self.start)

    def __getitem__(self, part: slice) -> Mutants:
        """Return some of the mutants."""
        return Mutants(self.start[part], self.width[part], self.columns[part], self.slot[part])

    def as_sources(self) -> Mutants:
        """Return the same edits, each a source of its own: slot (m, 0)."""
        number = np.arange(len(self), dtype=np.int32)
        slot = np.stack([number, np.zeros_like(number)], axis=1)
        return Mutants(self.start, self.width, self.columns, slot)

    def apply(self, x: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Write the mutants out.

        Parameters
        ----------
        x : ndarray, (L, 4)
            The sequence, in position, channel order.

        Returns
        -------
        ndarray, (M, L, 4), of the type of ``x``

        Raises
        ------
        InputError
            If a span leaves the sequence.
        """
        length = x.shape[0]
        outside = (self.start < 0) | (self.start + self.width > length)
        if outside.any():
            m = int(np.argmax(outside))
            raise InputError(
                f"mutant {m} changes positions {self.start[m]}..{self.start[m] + self.width[m]} "
                f"(0-based, half-open) of a sequence of length {length}; keep it inside"
            )
        mutants = np.repeat(x[None], len(self), axis=0)
        for offset in range(self.columns.shape[1]):
            (rows,) = np.nonzero(offset < self.width)
            mutants[rows, self.start[rows] + offset] = self.columns[rows, offset]
        return mutants


def single_nucleotide(codes: npt.NDArray[np.int8], sources: npt.ArrayLike) -> Mutants:
    """Return every single-nucleotide mutant at the given sources.

    Parameters
    ----------
    codes : ndarray, (L,) int8
        0..3 for A, C, G, T; 4 for N.
    sources : array, (S,) int
        Positions to mutate, 0-based.

    Returns
    -------
    Mutants
        The three other bases of each source, ordered by source, then base. A source at N has none.

    Raises
    ------
    InputError
        If a source is outside the sequence or not an integer.
    """
    positions = np.asarray(sources)
    if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
        raise InputError(
            f"sources have shape {positions.shape} and type {positions.dtype}; "
            "wanted a list of integer positions (S,)"
        )
    positions = positions.astype(np.int64)
    outside = (positions < 0) | (positions >= len(codes))
    if outside.any():
        found = positions[int(np.argmax(outside))]
        raise InputError(
            f"source {found} is outside the sequence; wanted positions 0..{len(codes) - 1}"
        )
    source, base = np.nonzero(_OTHERS[np.asarray(codes)[positions]])
    slot = np.empty((len(source), 2), np.int32)
    slot[:, 0], slot[:, 1] = source, base
    return Mutants(
        start=positions[source].astype(np.int32),
        width=np.ones(len(source), dtype=np.int32),
        columns=_BASES[base],
        slot=slot,
    )


def spans(starts: Sequence[int], columns: Sequence[npt.NDArray[np.floating]]) -> Mutants:
    """Return mutants with a span each replaced.

    Parameters
    ----------
    starts : sequence of int, (M,)
        First replaced positions.
    columns : sequence of ndarray, (width, 4)
        What stands there instead, in A, C, G, T.

    Returns
    -------
    Mutants
        Slot (m, 0).
    """
    width = np.array([len(new) for new in columns], dtype=np.int32)
    padded = np.zeros((len(columns), int(width.max(initial=1)), 4), dtype=np.float32)
    for row, new in zip(padded, columns, strict=True):
        row[: len(new)] = new
    slot = np.zeros((len(width), 2), dtype=np.int32)
    slot[:, 0] = np.arange(len(width))
    return Mutants(np.array(starts, dtype=np.int32), width, padded, slot)

"""Mutants of a batch of sequences, in one list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.sequence.mutants import Mutants
from dfim_fast.sequence.one_hot import UNKNOWN


@dataclass(frozen=True)
class Edits:
    """M mutants, those of one sequence after those of the one before.

    Attributes
    ----------
    mutants : Mutants
    owner : ndarray (M,) int32
        Whose they are: numbers of sequences within the batch.
    """

    mutants: Mutants
    owner: np.ndarray

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, part: slice) -> Edits:
        return Edits(self.mutants[part], self.owner[part])

    def span_of(self, first: int, last: int) -> slice:
        """Where the mutants of sequences first to last stand."""
        begin, end = np.searchsorted(self.owner, (first, last))
        return slice(int(begin), int(end))

    def within(self, block: Block) -> Edits:
        """Those of some sequences at some sources."""
        part = self[self.span_of(block.first, block.last)]
        source = part.mutants.slot[:, 0]
        if block.last - block.first > 1:
            return part  # all sources
        begin, end = np.searchsorted(source, (block.begin, block.end))
        return part[int(begin) : int(end)]


@dataclass(frozen=True)
class Block:
    """Mutants whose results leave the device together.

    Attributes
    ----------
    first, last : int
        Sequences of the batch; several of them with all their sources only.
    begin, end : int
        Sources.
    """

    first: int
    last: int
    begin: int
    end: int

    @property
    def shape(self) -> tuple[int, int]:
        """Sequences and sources."""
        return self.last - self.first, self.end - self.begin


def single_bases(codes: np.ndarray, sources: np.ndarray) -> Edits:
    """Every single-nucleotide mutant of codes (B, L) at sources (S,), ordered by sequence, source
    and base; as sequence/mutants.py lists those of one sequence."""
    observed = codes[:, sources]
    mutated = (np.arange(4) != observed[..., None]) & (observed != UNKNOWN)[..., None]
    owner, source, base = (found.astype(np.int32) for found in np.nonzero(mutated))
    mutants = Mutants(
        start=sources[source].astype(np.int32),
        width=np.ones(len(source), np.int32),
        columns=np.eye(4, dtype=np.float32)[base][:, None, :],
        slot=np.stack([source, base], axis=1),
    )
    return Edits(mutants, owner)


def of_one(mutants: Mutants) -> Edits:
    """Any mutants of a batch of one sequence."""
    return Edits(mutants, np.zeros(len(mutants), np.int32))

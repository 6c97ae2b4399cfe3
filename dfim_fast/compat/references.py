"""References as the original package makes them: one background for all, or shuffles."""

from __future__ import annotations

import numpy as np

from dfim_fast.compat.arrays import background
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.random import STREAM_WORDS, bounded, content_keys, start_stream
from dfim_fast.sequence.shuffle import dinucleotide_shuffle


class Constant:
    """The same reference for all: a background, or zeros.

    Parameters
    ----------
    gc : float
        0 for zeros.
    """

    count = 1

    def __init__(self, gc: float) -> None:
        self.column = background(gc)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """References (N, 1, 4, L) of x (N, 4, L); zero where x is."""
        known = np.any(x, axis=1)[:, None, None]
        found: np.ndarray = known * self.column[:, None]
        return found.astype(np.float32)


class Shuffles:
    """Shuffles of each sequence, of its bases or of its dinucleotides.

    Parameters
    ----------
    kind : {"random", "dinuc"}
    count : int
    seed : int
    strict : bool
        The original seeded every shuffle alike: all references of a sequence are one, and sequences
        of a length share a permutation.
    """

    def __init__(self, kind: str, count: int, seed: int, strict: bool = False) -> None:
        self.kind, self.seed, self.strict = kind, seed, strict
        self.count = whole_number("num_refs_per_seq", count, 1)
        if strict:
            self.count = 1

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """References (N, R, 4, L) of x (N, 4, L)."""
        if self.kind == "dinuc":
            # a background is no base: it stays in place, with no reference
            return dinucleotide_shuffle(x == 1, self.count, self.seed)
        if self.strict:
            return shared_permutation(x, self.seed)[:, None]
        return np.stack([shuffle_columns(one, self.count, self.seed) for one in x])


def shuffle_columns(
    one: np.ndarray, count: int, seed: int, purpose: str = "reference"
) -> np.ndarray:
    """Shuffles (count, 4, L) of the columns of x (4, L); empty ones stay in place."""
    (places,) = np.nonzero(one.any(axis=0))
    columns = np.ascontiguousarray(one[:, places])
    (key,) = content_keys(seed, f"{purpose}, columns", [columns.tobytes()])
    found = np.zeros((count, *one.shape), np.float32)
    stream = np.empty(STREAM_WORDS, np.uint32)
    for k in range(count):
        start_stream(stream, key, np.uint64(k))
        order = np.arange(len(places))
        for last in range(len(places) - 1, 0, -1):
            other = int(bounded(stream, last + 1))
            order[last], order[other] = order[other], order[last]
        found[k][:, places] = columns[:, order]
    return found


def shared_permutation(x: np.ndarray, seed: int) -> np.ndarray:
    """All of x (N, 4, L) in one shuffled order of positions, drawn from their length alone."""
    positions = np.arange(1.0, x.shape[2] + 1)[None]
    order = shuffle_columns(positions, 1, seed, "shared")[0, 0].astype(int) - 1
    return np.ascontiguousarray(x[:, :, order])

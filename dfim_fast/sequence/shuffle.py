"""Dinucleotide shuffles, drawn uniformly.

A sequence is an Eulerian trail from its first to its last base on the multigraph whose edges are
its dinucleotides; every other trail between the same ends is a shuffle. A trail leaves each base
for the last time along one edge, and these last exits form an arborescence rooted at the last
base. So a uniform trail is a uniform arborescence (Wilson's loop-erased random walk) and a uniform
order of the remaining edges. Equal edges are exchangeable in equally many ways in every sequence,
so uniform over trails is uniform over sequences.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dfim_fast.errors import SettingsError
from dfim_fast.jit import entry, kernel
from dfim_fast.sequence.one_hot import UNKNOWN, encode, from_codes
from dfim_fast.sequence.random import STREAM_WORDS, bounded, content_keys, start_stream


def dinucleotide_shuffle(
    X: Any, n: int = 20, random_state: int = 0, purpose: str = "reference"
) -> npt.NDArray[np.float32]:
    """Shuffle sequences, keeping their first and last base and every dinucleotide count.

    Each shuffle is drawn uniformly from all sequences with those counts and ends. N stays in
    place, and each run of A, C, G, T between N's shuffles alone. The shuffles of a sequence depend
    only on ``random_state``, ``purpose``, the sequence itself and the shuffle's number, so equal
    sequences get equal shuffles, and shuffle k does not change with ``n``.

    Parameters
    ----------
    X : list of str, str, or one-hot array, (N, 4, L) or (4, L)
    n : int
        Shuffles of each sequence.
    random_state : int
        Seed.
    purpose : str
        Another purpose gives other shuffles from the same seed.

    Returns
    -------
    ndarray, (N, n, 4, L) float32

    Raises
    ------
    InputError
        If ``X`` is not valid DNA.
    SettingsError
        If ``n`` is below 1 or ``random_state`` no integer.

    Examples
    --------
    >>> import dfim_fast
    >>> shuffles = dfim_fast.dinucleotide_shuffle(["ACGTACCGTTGCA"], n=3)
    >>> shuffles.shape, int(shuffles.sum())
    ((1, 3, 4, 13), 39)
    """
    shuffled = shuffle_codes(encode(X), n, random_state, purpose)
    sequences, _, length = shuffled.shape
    return from_codes(shuffled.reshape(-1, length)).reshape(sequences, n, 4, length)


class Shuffled:
    """Shuffles of each sequence as sequences of their own, drawn when they are needed.

    Whatever takes sequences takes this: as an array it is their one-hot, (N * n, 4, L), the n
    shuffles of a sequence neighbours. A backend that draws shuffles itself is given what is to be
    drawn instead.

    Parameters
    ----------
    X, n, random_state, purpose
        As in :func:`dinucleotide_shuffle`.

    Raises
    ------
    InputError, SettingsError
        As :func:`dinucleotide_shuffle`.
    """

    def __init__(self, X: Any, n: int, random_state: int, purpose: str) -> None:
        check_count(n)
        self.originals, self.n = encode(X), int(n)
        self.random_state, self.purpose = random_state, purpose

    def __len__(self) -> int:
        return len(self.originals) * self.n

    @property
    def length(self) -> int:
        """L."""
        return int(self.originals.shape[1])

    def codes(self) -> npt.NDArray[np.int8]:
        """Codes (N * n, L), drawn here."""
        drawn = shuffle_codes(self.originals, self.n, self.random_state, self.purpose)
        return drawn.reshape(len(self), self.length)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return from_codes(self.codes()).astype(dtype or np.float32, copy=False)


def check_count(n: object) -> None:
    """Refuse a number of shuffles that is none.

    Raises
    ------
    SettingsError
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise SettingsError(f"n={n!r} shuffles: pass an integer of at least 1")


def shuffle_codes(
    codes: npt.NDArray[np.int8], n: int = 20, random_state: int = 0, purpose: str = "reference"
) -> npt.NDArray[np.int8]:
    """Do the work of :func:`dinucleotide_shuffle` on codes, at a sixteenth of the memory.

    Parameters
    ----------
    codes : ndarray, (N, L) int8
        As :func:`dfim_fast.sequence.one_hot.encode` returns them.
    n, random_state, purpose
        As in :func:`dinucleotide_shuffle`.

    Returns
    -------
    ndarray, (N, n, L) int8

    Raises
    ------
    SettingsError
        If ``n`` is below 1 or ``random_state`` no integer.
    """
    check_count(n)
    codes = np.ascontiguousarray(codes, dtype=np.int8)
    keys = content_keys(random_state, purpose, (row.tobytes() for row in codes))
    out = np.empty((codes.shape[0], n, codes.shape[1]), dtype=np.int8)
    stream, edges = np.zeros(STREAM_WORDS, np.uint32), np.zeros(codes.shape[1], np.int8)
    _shuffle_all(codes, keys, stream, edges, np.zeros((8, 4), np.int64), out)
    return out


@entry
def _shuffle_all(codes: Any, keys: Any, stream: Any, edges: Any, bases: Any, out: Any) -> None:
    """Fill out (N, n, L) with shuffles of codes (N, L) under keys (N,).

    The others are room for what a shuffle needs: creating arrays here takes long to compile.
    """
    length = codes.shape[1]
    for i in range(codes.shape[0]):
        for k in range(out.shape[1]):
            start_stream(stream, keys[i], np.uint64(k))
            first = 0
            while first < length:
                if codes[i, first] == UNKNOWN:
                    out[i, k, first] = UNKNOWN
                    first += 1
                    continue
                end = first + 1
                while end < length and codes[i, end] != UNKNOWN:
                    end += 1
                run, shuffled = codes[i, first:end], out[i, k, first:end]
                _shuffle_run(run, stream, edges, bases, shuffled)
                first = end


@kernel
def _shuffle_run(run: Any, stream: Any, edges: Any, bases: Any, out: Any) -> None:
    """Write one uniform shuffle of a run (L,) without N into out (L,).

    Room: edges (>= L,) int8, bases (8, 4) int64.
    """
    length, counts, begin, last_exit = run.shape[0], bases[:4], bases[4], bases[5]
    for v in range(4):
        for u in range(4):
            counts[v, u] = 0
    for p in range(length - 1):
        counts[run[p], run[p + 1]] += 1
    _arborescence(counts, run[length - 1], stream, bases[6], bases[7], last_exit)

    # The exits of base v are edges from begin[v] on: shuffled, then the tree's edge.
    stop = 0
    for v in range(4):
        begin[v] = stop
        if last_exit[v] >= 0:
            counts[v, last_exit[v]] -= 1
        for u in range(4):
            for _ in range(counts[v, u]):
                edges[stop] = u
                stop += 1
        for p in range(stop - 1, begin[v], -1):
            q = begin[v] + bounded(stream, p - begin[v] + 1)
            edges[p], edges[q] = edges[q], edges[p]
        if last_exit[v] >= 0:
            edges[stop] = last_exit[v]
            stop += 1

    base = run[0]
    out[0] = base
    for p in range(1, length):
        edge = begin[base]
        begin[base] = edge + 1
        base = edges[edge]
        out[p] = base


@kernel
def _arborescence(
    counts: Any, root: Any, stream: Any, exits: Any, in_tree: Any, successor: Any
) -> None:
    """Draw a uniform spanning arborescence towards root, edge (v, u) present counts[v, u] times.

    Writes the successor of each base, (4,) int64; -1 for the root and for bases without exits.
    """
    for v in range(4):
        successor[v], in_tree[v], exits[v] = -1, 0, 0
        for u in range(4):
            # A self-loop is always erased from the walk, so it is never taken; long homopolymers
            # would otherwise hold the walk for as many steps as they are long.
            exits[v] += counts[v, u] if u != v else 0
    in_tree[root] = 1
    for start in range(4):
        if exits[start] == 0:
            continue
        v = start
        while in_tree[v] == 0:
            # Only the latest exit of each base is kept: this erases the loops.
            rest = bounded(stream, exits[v])
            u = 0
            while u == v or rest >= counts[v, u]:
                if u != v:
                    rest -= counts[v, u]
                u += 1
            successor[v] = u
            v = u
        v = start
        while in_tree[v] == 0:
            in_tree[v] = 1
            v = successor[v]

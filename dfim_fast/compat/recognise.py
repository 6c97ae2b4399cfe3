"""Which rows of an array are mutants of which others.

A mutant differs from its original at one position, or in one span that holds no base any more
(background frequencies or zeros). Rows are looked up by eight blocks of their sequence, so that
finding the original of one row does not take a comparison with all others.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pandas as pd

from dfim_fast.compat.arrays import BASES, codes_of
from dfim_fast.errors import InputError

BLOCKS = 8


def find_originals(rows: np.ndarray, key: pd.DataFrame | None = None) -> np.ndarray:
    """For each row its original (n,) int64: another row, itself, or -1 for none.

    Parameters
    ----------
    rows : ndarray (n, L, 4)
    key : DataFrame, optional
        What `generate_mutants_and_key` gives beside the rows; without it they tell by themselves.
    """
    codes = codes_of(rows)
    if key is None:
        return by_content(codes)
    origin = by_key(key, len(rows))
    for row in np.flatnonzero((origin >= 0) & (origin != np.arange(len(rows)))):
        if not is_mutant(codes[row], codes[origin[row]]):
            origin[row] = row if np.all(codes[row] <= len(BASES)) else -1
    return origin


def is_mutant(row: np.ndarray, original: np.ndarray) -> bool:
    """Whether codes (L,) differ at one position, or in one span that holds no base any more."""
    (where,) = np.nonzero(row != original)
    if len(where) <= 1:
        return True
    inside = row[where[0] : where[-1] + 1]
    return bool((inside >= len(BASES)).all())


def by_key(key: pd.DataFrame, count: int) -> np.ndarray:
    """Originals as a key states them.

    Raises
    ------
    InputError
        If the key is of another array.
    """
    places = key["array_ind"].to_numpy(np.int64)
    if len(places) != count or sorted(places) != list(range(count)):
        raise InputError(
            f"mutated_seq_key names {len(places)} rows, the array has {count}; pass the key that "
            "was made with this array"
        )
    first = key[key["label"] == "original"].set_index("seq")["array_ind"]
    origin = np.empty(count, np.int64)
    origin[places] = key["seq"].map(first).fillna(-1).to_numpy(np.int64)
    return origin


def by_content(codes: np.ndarray) -> np.ndarray:
    """Originals as the rows themselves show them; of rows alike the first is the original."""
    count, length = codes.shape
    origin = np.full(count, -1, np.int64)
    edges = np.linspace(0, length, min(BLOCKS, length) + 1).astype(int).tolist()
    blocks = list(pairwise(edges))
    based = np.logical_and.reduceat(codes < len(BASES), edges[:-1], axis=1)
    index: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    whole = np.all(codes <= len(BASES), axis=1)
    # rows of bases first: a background may stand before its original
    for row in [*np.flatnonzero(whole), *np.flatnonzero(~whole)]:
        own = codes[row]
        names = [(b, own[first:last].tobytes()) for b, (first, last) in enumerate(blocks)]
        # a changed base spoils one block, so of any two that hold bases only one is whole
        kept = [index.get(names[b], ()) for b in np.flatnonzero(based[row])]
        for other in sorted({r for rows in sorted(kept, key=len)[:2] for r in rows}):
            if is_mutant(own, codes[other]):
                origin[row] = other
                break
        else:
            if whole[row]:
                origin[row] = row
                for name in names:
                    index[name].append(int(row))
    return origin

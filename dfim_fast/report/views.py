"""Maps packed for the page to explore: whole for the strongest sequences, by rows for others.

FIS is rounded to LEVELS steps of a sequence's largest, which makes weak cells zeros that gzip packs
away; p and q are kept once for each level, the largest of the cells that are rounded alike.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.io.store import MapStore

LEVELS = 2000
UNTESTED = -32768
WHOLE_BYTES = 8_000_000  # of packed whole maps in a page
WHOLE_CELLS = 12_000_000  # more than that a browser draws too slowly
WHOLE, ROWS = 24, 400  # sequences with whole maps, and rows of others


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as one base64 text of gzip.

    Parameters
    ----------
    arrays : mapping of ndarray
        float32, int16, int32 or uint8.

    Returns
    -------
    dict
        ``data``, and ``parts``: name, type, shape and first byte of each.
    """
    parts, content, at = [], [], 0
    # the widest first, so that each array starts at a multiple of its own size
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):
        raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        parts.append({"name": name, "type": array.dtype.name, "shape": array.shape, "at": at})
        content.append(raw)
        at += len(raw)
    packed = gzip.compress(b"".join(content), 6, mtime=0)
    return {"data": base64.b64encode(packed).decode("ascii"), "parts": parts}


def build_views(store: MapStore, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Views of the sequences and tasks of a table, in the order of their first row.

    Parameters
    ----------
    store : MapStore
    table : DataFrame
        Of the strongest interactions: sequence, task, source, mutant.

    Returns
    -------
    list of dict
        ``name``, ``task``, ``bases``, ``prediction``, ``whole``, and `pack` of ``fis`` (R, T)
        int16 in steps of ``step``, ``row`` (R, 2) index of source and mutant, ``p`` and ``q``
        (2 LEVELS + 1), ``attributions`` (L,), ``self_effect`` and ``mutant_prediction`` (R,).
    """
    attributes = store.attributes
    tasks = list(attributes["task_names"])
    index = {name: n for n, name in enumerate(store.names)}
    rank = {int(source): i for i, source in enumerate(store.group["sources"][:])}  # type: ignore
    wanted: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row in table[["sequence", "task", "source", "mutant"]].itertuples(index=False):
        key = index[row.sequence], tasks.index(row.task)
        wanted.setdefault(key, []).append((rank[int(row.source)], "ACGT".index(row.mutant)))
    views: list[dict[str, Any]] = []
    left, rows = WHOLE_BYTES, ROWS
    for n, k in wanted:
        one = store.sequence(n)
        whole = len(views) < WHOLE and left > 0 and one.fis.size <= WHOLE_CELLS
        some = None if whole else list(dict.fromkeys(wanted[n, k]))[:rows]
        if some is not None and not some:
            break
        view = _view(store, one, k, some)
        left -= len(view["data"]) if whole else 0
        rows -= 0 if some is None else len(some)
        views.append(view)
    return views


def _view(
    store: MapStore, one: Any, k: int, some: Iterable[tuple[int, int]] | None
) -> dict[str, Any]:
    """One sequence and task, all its mutants or some."""

    def own(name: str) -> np.ndarray:
        array = getattr(one, name)
        return array[k, 0] if store.several else array[0]

    fis, mask = own("fis"), own("mask")
    if some is None:
        source, mutant = np.nonzero(mask.any(axis=2))
    else:
        source, mutant = np.array(list(some)).T
    values, tested = fis[source, mutant], mask[source, mutant]
    step = float(np.abs(values, where=tested, out=np.zeros_like(values)).max()) / LEVELS or 1.0
    level = np.rint(values / step).clip(-LEVELS, LEVELS).astype(np.int16)
    judged = {
        name: _by_level(level[tested], own(name)[source, mutant][tested])
        for name in ("p", "q")
        if name in store
    }
    arrays: dict[str, np.ndarray] = {
        "fis": np.where(tested, level, UNTESTED).astype(np.int16),
        "row": np.stack([source, mutant], axis=1).astype(np.int16),
        "attributions": own("attributions").astype(np.float32),
        "self_effect": own("self_effect")[source, mutant].astype(np.float32),
        "mutant_prediction": own("mutant_predictions")[source, mutant].astype(np.float32),
        **judged,
    }
    codes = one.sequences[0]
    return {
        "name": one.names[0],
        "task": one.task_names[k],
        "bases": "".join("ACGTN"[code] for code in codes),
        "prediction": float(own("predictions")),
        "whole": some is None,
        "step": step,
        **pack(arrays),
    }


def _by_level(level: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Largest value of the cells at each level, float32; NaN at levels without a cell."""
    found = np.full(2 * LEVELS + 1, -np.inf)
    np.maximum.at(found, level.astype(np.int64) + LEVELS, values)
    return np.where(np.isfinite(found), found, np.nan).astype(np.float32)

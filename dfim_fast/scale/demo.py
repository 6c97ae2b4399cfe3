"""What the demonstration found, in words."""

from __future__ import annotations

import os
from itertools import combinations

import numpy as np
import pandas as pd

from dfim_fast.io.store import MapStore


def found_between_motifs(
    store_path: str | os.PathLike[str], motifs_path: str | os.PathLike[str]
) -> list[str]:
    """Count significant interactions between embedded motifs.

    Parameters
    ----------
    store_path : path
        Maps of some of the sequences, all positions.
    motifs_path : path
        Table of sequence, start, end, name: where the simulation put motifs.

    Returns
    -------
    list of str
        A line for each pair of motifs, the pair with most first, and one for the pairs together.
    """
    store = MapStore.open(store_path)
    motifs = pd.read_csv(motifs_path, sep="\t")
    kinds = sorted(motifs["name"].unique())
    tested = dict.fromkeys(combinations(kinds, 2), 0)
    called, strongest = dict(tested), dict.fromkeys(tested, 0.0)
    for n, name in enumerate(store.names):
        own = motifs[motifs["sequence"] == name].set_index("name")
        part = slice(n, n + 1)
        fis, mask, significant = (
            store.read(array, part)[0, 0] for array in ("fis", "mask", "significant")
        )
        for pair in tested:
            if not set(pair) <= set(own.index):
                continue
            first, second = (slice(own.loc[kind, "start"], own.loc[kind, "end"]) for kind in pair)
            for source, target in ((first, second), (second, first)):
                cells = np.s_[source, :, target]
                tested[pair] += int(mask[cells].sum())
                called[pair] += int(significant[cells].sum())
                strongest[pair] = max(strongest[pair], float(np.abs(fis[cells]).max()))
    order = sorted(tested, key=lambda pair: -called[pair])
    lines = [
        f"  {' x '.join(pair)}: {called[pair]} of {tested[pair]} interactions are significant "
        f"({called[pair] / max(1, tested[pair]):.0%}), the strongest FIS is {strongest[pair]:.3f}"
        for pair in order
    ]
    best, total = order[0], sum(called.values())
    return [
        f"{called[best]} of the {total} significant interactions between two motifs are between "
        f"{best[0]} and {best[1]}:",
        *lines,
    ]

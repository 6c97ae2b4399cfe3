"""What one thread writes while it walks: windows of new values and of differences, flags, lists."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dfim_fast.backends.numba_cpu.events.columns import CHANNELS, PITCH, SPANS
from dfim_fast.backends.numba_cpu.events.layout import SLACK, Builder, aligned


class Work(NamedTuple):
    """One thread's memory; addresses where whole vectors are used.

    Attributes
    ----------
    new, difference : int
        Blobs of the mutant's values and of the differences in what is propagated back. Rows hold
        something only where flagged.
    winner : int
        Winners of the mutant's max pools, in the rows flagged there.
    changed, moved : ndarray uint8
        Which rows of ``new`` and ``difference`` are in use.
    spans, counts : ndarray int64
        Per node, the intervals in which ``changed`` may be set.
    back_spans, back_counts : ndarray int64
        The same for ``moved``.
    both, both_count : ndarray int64
        Scratch list.
    band, band_count : ndarray int64
        Positions at which the mutant's importance differs.
    channel, value : ndarray
        Entries of the row in hand.
    scratch : int
        One row.
    """

    new: int
    difference: int
    winner: int
    changed: np.ndarray
    moved: np.ndarray
    spans: np.ndarray
    counts: np.ndarray
    back_spans: np.ndarray
    back_counts: np.ndarray
    both: np.ndarray
    both_count: np.ndarray
    band: np.ndarray
    band_count: np.ndarray
    channel: np.ndarray
    value: np.ndarray
    scratch: int


def make_work(builder: Builder) -> tuple[Work, list[np.ndarray]]:
    """Memory for one thread, and the arrays that own it."""
    nodes = len(builder.table)
    widest = int(max(builder.table[:, CHANNELS].max(), builder.table[:, PITCH].max())) + 16
    owned = [aligned(builder.floats + SLACK), aligned(builder.floats + SLACK),
             aligned(builder.winners + SLACK), aligned(widest + SLACK)]
    new, difference, winner, scratch = (int(a.ctypes.data) for a in owned)
    work = Work(
        new, difference, winner,
        np.zeros(builder.rows + 8, np.uint8), np.zeros(builder.rows + 8, np.uint8),
        np.zeros((nodes, 2 * SPANS + 2), np.int64), np.zeros(nodes, np.int64),
        np.zeros((nodes, 2 * SPANS + 2), np.int64), np.zeros(nodes, np.int64),
        np.zeros((1, 2 * SPANS + 2), np.int64), np.zeros(1, np.int64),
        np.zeros((1, 2 * SPANS + 2), np.int64), np.zeros(1, np.int64),
        np.zeros(widest, np.int64), np.zeros(widest, np.float32), scratch,
    )
    return work, owned

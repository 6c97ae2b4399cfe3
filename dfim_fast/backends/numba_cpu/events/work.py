"""What one thread writes while it walks: windows of new values and of differences, flags, lists."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import LIST
from dfim_fast.backends.numba_cpu.events.arriving import MOST
from dfim_fast.backends.numba_cpu.events.backward import backward
from dfim_fast.backends.numba_cpu.events.columns import (
    BASE,
    BASE_ROWS,
    CHAIN,
    CHANNELS,
    PITCH,
    ROWS,
)
from dfim_fast.backends.numba_cpu.events.finish import FRAME, GROUP, WIDE
from dfim_fast.backends.numba_cpu.events.forward import forward
from dfim_fast.backends.numba_cpu.events.layout import SLACK, Builder, aligned
from dfim_fast.backends.numba_cpu.events.pull import ADDRESSES


class Work:
    """One thread's memory and its header (see ``fields``).

    Attributes
    ----------
    header : ndarray int64
    address : int
        Of the header: what compiled functions are given.
    """

    def __init__(self, builder: Builder) -> None:
        nodes = len(builder.table)
        widest = int(max(builder.table[:, CHANNELS].max(), builder.table[:, PITCH].max())) + 16
        longest = int(builder.table[:, ROWS].max())
        most = int((builder.table[:, ROWS] * builder.table[:, CHANNELS]).max()) + 16
        most_padded = int((np.maximum(builder.table[:, ROWS], 2) * builder.table[:, PITCH]).max())
        self.header = np.zeros(f.SIZE, np.int64)
        self.address = int(self.header.ctypes.data)
        self.header[f.SELF] = self.address
        self.header[[f.FORWARD, f.BACKWARD]] = forward.address, backward.address
        self.owned: list[np.ndarray] = []
        self.new = aligned(builder.floats + SLACK)
        bases = builder.table[(builder.table[:, CHAIN] & BASE_ROWS) != 0]
        self.bases = [slice(r[BASE], r[BASE] + r[ROWS] * r[PITCH]) for r in bases]
        for field, array in (
            (f.NEW, self.new),
            (f.DIFFERENCE, aligned(builder.floats + SLACK)),
            (f.WINNER, aligned(builder.winners + SLACK)),
            (f.SCRATCH, aligned(widest + SLACK)),
            (f.MEAN, aligned(int(builder.table[0, ROWS]) + SLACK)),
            (f.SPREAD, aligned(int(builder.table[0, ROWS]) + SLACK)),
            (f.CHANGED, np.zeros(builder.rows + 8, np.uint8)),
            (f.MOVED, np.zeros(builder.rows + 8, np.uint8)),
            (f.SPANS, np.zeros(nodes * LIST, np.int64)),
            (f.COUNTS, np.zeros(nodes, np.int64)),
            (f.BACK_SPANS, np.zeros(nodes * LIST, np.int64)),
            (f.BACK_COUNTS, np.zeros(nodes, np.int64)),
            (f.BOTH, np.zeros(LIST, np.int64)),
            (f.BOTH_COUNT, np.zeros(1, np.int64)),
            (f.BAND, np.zeros(LIST, np.int64)),
            (f.BAND_COUNT, np.zeros(1, np.int64)),
            (f.CHANNEL, np.zeros(most, np.int64)),
            (f.VALUE, np.zeros(most, np.float32)),
            (f.PLACES, np.zeros(most, np.int32)),
            (f.LIST, self.entries(most, longest)),
            (f.NEXT_LIST, self.entries(most, longest)),
            (f.DELTA, aligned(most_padded + SLACK)),
            (f.SUMS, aligned(16 * GROUP * 4)),
            (f.FRAME, np.zeros(FRAME, np.int64)),
            (f.ZEROS, aligned(16 * WIDE)),
            (f.NEED, np.zeros(2 * nodes, np.int64)),
            (f.U_LIST, np.zeros(MOST + 32, np.int32)),
            (f.FUNCTIONS, ADDRESSES),
        ):
            self.owned.append(array)
            self.header[field] = array.ctypes.data

    def take_bases(self, acts: np.ndarray) -> None:
        """Copy the original's bases to where the mutants' will stand."""
        for part in self.bases:
            self.new[part] = acts[part]

    def entries(self, most: int, rows: int) -> np.ndarray:
        """An empty list of entries."""
        code, starts = np.zeros(most + 16, np.int32), np.zeros(rows + 2, np.int64)
        self.owned += [code, starts]
        return np.array([code.ctypes.data, starts.ctypes.data, 0, 0, 0], np.int64)

    def set_epsilon(self, epsilon: float) -> None:
        """Enter a float."""
        self.header[f.EPSILON : f.EPSILON + 1].view(np.float32)[0] = epsilon


class Crew:
    """Works of one thread, one for each mutant of a group.

    Attributes
    ----------
    works : list of Work
    addresses : ndarray (group,) int64
    address : int
        Of ``addresses``.
    """

    def __init__(self, builder: Builder, group: int) -> None:
        self.works = [Work(builder) for _ in range(group)]
        self.addresses = np.array([w.address for w in self.works], np.int64)
        self.address = int(self.addresses.ctypes.data)

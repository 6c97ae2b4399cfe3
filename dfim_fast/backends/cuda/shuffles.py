"""References that are shuffled on the device: only the sequences' codes go there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.sequence.one_hot import encode
from dfim_fast.sequence.random import content_keys

LANES = 32


@dataclass(frozen=True)
class Shuffled:
    """Dinucleotide shuffles of one sequence, not drawn yet.

    Attributes
    ----------
    codes : ndarray (L,) int8
    key : ndarray (1,) uint64
    count : int
    """

    codes: np.ndarray
    key: np.ndarray
    count: int

    def draw(self, device: Device) -> Buffer:
        """One-hot shuffles (R, L, 4), as sequence/shuffle.py draws them to the bit."""
        length, count = len(self.codes), self.count
        codes, keys = device.upload(self.codes), device.upload(self.key)
        shuffled, edges = (device.allocate(count * length) for _ in range(2))
        drawn = (shuffled.address, edges.address, codes.address, keys.address)
        device.launch("shuffle", -(-count // LANES), *drawn, length, count, count)
        x = device.allocate(16 * count * length)
        device.launch("one_hot", count, x.address, shuffled.address, length, count)
        return x


class Shuffles:
    """Those of several sequences, in place of an array (N, R, 4, L).

    Parameters
    ----------
    x : ndarray (N, 4, L)
    count : int
    random_state : int
    """

    def __init__(self, x: Any, count: int, random_state: int) -> None:
        self.codes, self.count = encode(x), count
        self.keys = content_keys(random_state, "reference", (row.tobytes() for row in self.codes))

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[Shuffled]:
        for i, row in enumerate(self.codes):
            yield Shuffled(row, self.keys[i : i + 1], self.count)

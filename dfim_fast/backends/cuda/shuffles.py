"""Sequences that are shuffled on the device: only codes, a byte for each base, cross the bus."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.sequence.one_hot import encode
from dfim_fast.sequence.random import content_keys

LANES = 32


class Shuffles:
    """Dinucleotide shuffles of several sequences, not drawn yet; in place of an array
    (N, R, 4, L).

    Parameters
    ----------
    codes : ndarray (N, L) int8
    keys : ndarray (N,) uint64
    count : int
        R.
    """

    def __init__(self, codes: np.ndarray, keys: np.ndarray, count: int) -> None:
        self.codes, self.keys, self.count = codes, keys, count

    @classmethod
    def of(
        cls, x: Any, count: int, random_state: int, purpose: str = "reference"
    ) -> Shuffles:
        """Those of x (N, 4, L), as sequence/shuffle.py draws them, to the bit."""
        codes = encode(x)
        keys = content_keys(random_state, purpose, (row.tobytes() for row in codes))
        return cls(codes, keys, count)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, part: slice) -> Shuffles:
        return Shuffles(self.codes[part], self.keys[part], self.count)

    def draw_codes(self, device: Device) -> Buffer:
        """Codes (N, R, L) of the shuffles."""
        (many, length), count = self.codes.shape, self.count
        codes, keys = device.upload(self.codes), device.upload(self.keys)
        shuffled, edges = (device.allocate(many * count * length) for _ in range(2))
        drawn = (shuffled.address, edges.address, codes.address, keys.address)
        items = many * count
        device.launch("shuffle", -(-items // LANES), *drawn, length, count, items)
        return shuffled

    def draw(self, device: Device) -> Buffer:
        """One-hot shuffles (N, R, L, 4)."""
        many, length = self.codes.shape
        return one_hot_rows(device, self.draw_codes(device), many * self.count, length)


def one_hot_rows(device: Device, codes: Buffer, items: int, length: int) -> Buffer:
    """One-hot rows (items, L, 4) of codes (items, L) on the device."""
    x = device.allocate(16 * items * length)
    device.launch("one_hot", items, x.address, codes.address, length, items)
    return x

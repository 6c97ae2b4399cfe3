"""Rows of activations or gradients: a window of each item's own over a base that items share.

A mutant differs from its sequence only inside its cone. What it has of its own are the rows of a
window; every other row is read from the base, the original's. A whole pass is the case in which
the window holds all rows. Kernels see no difference, so cones and whole passes give equal bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dfim_fast.backends.cuda.device import Buffer
from dfim_fast.backends.cuda.signatures import VIEW


@dataclass(frozen=True)
class View:
    """A tensor of many items.

    Attributes
    ----------
    rows, channels : int
        Of the whole tensor.
    width : int
        Rows that an item has of its own; ``rows`` without ``start`` for all.
    own : Buffer or None (windows, width, channels) float32
    base : Buffer or None (bases, rows, channels) float32
        Where the rows outside the window stand.
    start : Buffer or None (sources,) int32
        First row of the window of each source.
    source, owner : Buffer or None (windows,) int32
        Source and base of each window.
    member : Buffer or None (items,) int32
        The window of each item; None where item i has window i.
    inner : Buffer or None (sources,) int32
        First row that is computed where the rest of the window is filled otherwise; None: all.
    inner_width : int
        How many rows that are.
    """

    rows: int
    channels: int
    width: int
    own: Buffer | None
    base: Buffer | None = None
    start: Buffer | None = None
    source: Buffer | None = None
    owner: Buffer | None = None
    member: Buffer | None = None
    inner: Buffer | None = None
    inner_width: int = 0

    @property
    def computed(self) -> int:
        """Rows of a window that a layer computes."""
        return self.width if self.inner is None else self.inner_width

    def through(self, member: Buffer | None) -> View:
        """The same windows, looked up by other items."""
        return replace(self, member=member)

    def items(self, first: int, count: int) -> View:
        """Some items of whole tensors, or of a base that all share."""
        if self.own is None:
            return self
        each = 4 * self.rows * self.channels
        return replace(self, own=self.own.part(first * each, count * each))

    def pack(self) -> np.void:
        """As the kernels take it."""
        packed = np.zeros((), VIEW)
        for name in ("own", "base", "start", "source", "owner", "member", "inner"):
            buffer = getattr(self, name)
            packed[name] = 0 if buffer is None else buffer.address
        packed["width"], packed["rows"], packed["channels"] = self.width, self.rows, self.channels
        packed["computed"] = self.computed
        scalar: np.void = packed[()]  # type: ignore[assignment]
        return scalar

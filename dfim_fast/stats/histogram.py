"""Streamed histograms of signed scores: fixed edges, integer counts, exact merges.

Counts are integers on edges that never depend on the data, so histograms of parts of a run add up
to the same bits in any order, however the run was cut. What a bin blurs is bounded, not estimated:
every count and p-value comes as a lower and an upper bound with the exact one between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dfim_fast.errors import InputError

# Octaves [2^k, 2^(k+1)) for LOWEST <= k < HIGHEST, each cut into 2^BITS equal bins: log-spaced to
# within a factor of two, and exact in binary, where powers of 10 would depend on the C library.
LOWEST_EXPONENT = -40
HIGHEST_EXPONENT = 20
BITS = 8
RELATIVE_WIDTH = 2.0**-BITS  # no bin is wider than this share of its inner edge

SIDE = (HIGHEST_EXPONENT - LOWEST_EXPONENT) << BITS  # bins of one sign
CENTRE = SIDE + 1
BINS = 2 * SIDE + 3  # beyond -2^HIGHEST, negative, centre, positive, beyond 2^HIGHEST
_SHIFT = 52 - BITS  # mantissa bits of a float64 that do not choose the bin
_FIRST = (1023 + LOWEST_EXPONENT) << BITS  # number of the first bin, counted from float64 zero
SHIFT_OF_FLOAT32 = 23 - BITS  # the same of a float32: the bins are the same
FIRST_OF_FLOAT32 = (127 + LOWEST_EXPONENT) << BITS
_LAYOUT = (LOWEST_EXPONENT, HIGHEST_EXPONENT, BITS)
_CHUNK = 1 << 20


class LogHistogram:
    """Histogram of signed values on fixed, symmetric, log-spaced edges.

    Magnitudes below 2^-40 share the centre bin, those from 2^20 on the outermost ones; between
    them a bin spans at most 2^-8 (0.4%) of its value. Memory is 240 KiB whatever is added.

    Attributes
    ----------
    counts : ndarray, (30723,), int64
        From the most negative bin to the most positive. Positive bins hold their lower edge,
        negative bins their upper one.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64)

    @property
    def n(self) -> int:
        """Number of values added."""
        return int(self.counts.sum())

    @staticmethod
    def edges() -> np.ndarray:
        """Edges of all bins, (30724,) float64; the outermost are infinite."""
        octave = np.ldexp(1.0, np.arange(LOWEST_EXPONENT, HIGHEST_EXPONENT))
        inner = (octave[:, None] * (1 + RELATIVE_WIDTH * np.arange(1 << BITS))).ravel()
        positive = np.append(inner, [2.0**HIGHEST_EXPONENT, np.inf])
        return np.concatenate([-positive[::-1], positive])

    def add(self, values: Any, mask: Any = None) -> None:
        """Count values.

        Parameters
        ----------
        values : array of real numbers
            NaN is masked.
        mask : bool array of the same shape, optional
            Only True cells are counted.

        Raises
        ------
        InputError
            For infinite values, or a mask of another shape. Nothing is counted then.
        """
        array = np.asarray(values)
        if mask is not None:
            if np.shape(mask) != array.shape:
                raise InputError(
                    f"the mask has shape {np.shape(mask)}, the values {array.shape}; "
                    "pass one cell of mask for each value"
                )
            array = array[np.asarray(mask, dtype=bool)]
        flat = array.ravel()
        counts = np.zeros_like(self.counts)
        for first in range(0, len(flat), _CHUNK):
            chunk = flat[first : first + _CHUNK].astype(np.float64)
            chunk = chunk[~np.isnan(chunk)]
            if np.isinf(chunk).any():
                raise InputError(
                    "infinite values cannot be counted; mask them (NaN) or look at the model's "
                    "predictions for these sequences"
                )
            counts += np.bincount(bin_of(chunk), minlength=BINS)
        self.counts += counts

    def merge(self, *others: LogHistogram) -> LogHistogram:
        """Return a new histogram of everything counted in this one and the others."""
        merged = LogHistogram()
        for part in (self, *others):
            merged.counts += part.counts
        return merged

    def count_at_least(self, t: Any) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on the number of values >= t.

        Parameters
        ----------
        t : array of real numbers, not NaN

        Returns
        -------
        low, high : ndarray, int64, shaped like t
            They differ by the count of the one bin that holds t.
        """
        t = np.asarray(t, dtype=np.float64)
        from_bin = np.append(np.cumsum(self.counts[::-1])[::-1], 0)
        bins = bin_of(t)
        return from_bin[bins + 1], from_bin[bins]

    def count_at_most(self, t: Any) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on the number of values <= t; as :meth:`count_at_least`."""
        t = np.asarray(t, dtype=np.float64)
        before_bin = np.append(0, np.cumsum(self.counts))
        bins = bin_of(t)
        return before_bin[bins], before_bin[bins + 1]

    def median_bounds(self) -> tuple[float, float]:
        """Edges between which the median lies.

        Raises
        ------
        InputError
            If nothing was added.
        """
        n = self._some()
        upto = np.cumsum(self.counts)
        first = int(np.searchsorted(upto, (n - 1) // 2, side="right"))
        last = int(np.searchsorted(upto, n // 2, side="right"))
        edges = self.edges()
        return float(edges[first]), float(edges[last + 1])

    def p_bounds(self, values: Any, absolute: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on the empirical p of values, with the counted values as the null.

        The p between them is that of :func:`dfim_fast.stats.significance.significance`:
        ``(1 + #{|null - m| >= |v - m|}) / (n + 1)`` with m the median of the null, or
        ``(1 + #{null >= v}) / (n + 1)``.

        Parameters
        ----------
        values : array of real numbers
        absolute : bool
            Absolute scores, tested on their upper side.

        Returns
        -------
        low, high : ndarray, float64, shaped like values
            NaN where the value is NaN. The bounds differ by the bins of v, of the median and of
            the point as far from it on the other side.

        Raises
        ------
        InputError
            If nothing was added.
        """
        n = self._some()
        v = np.asarray(values, dtype=np.float64)
        masked = np.isnan(v)
        v = np.where(masked, 0.0, v)
        low, high = self.count_at_least(v) if absolute else self._beyond(v)
        return (
            np.where(masked, np.nan, (1 + low) / (n + 1)),
            np.where(masked, np.nan, (1 + high) / (n + 1)),
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return ``layout`` (3,) and ``counts`` (30723,), int64, for storing."""
        return {"layout": np.array(_LAYOUT, dtype=np.int64), "counts": self.counts.copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> LogHistogram:
        """Rebuild a histogram from what :meth:`to_arrays` returned.

        Raises
        ------
        InputError
            If it was counted on other edges, or its counts are no non-negative integers.
        """
        layout = tuple(np.asarray(arrays["layout"]).tolist())
        counts = np.asarray(arrays["counts"])
        if layout != _LAYOUT or counts.shape != (BINS,):
            raise InputError(
                f"the stored histogram has layout {layout} and {counts.size} bins, wanted "
                f"{_LAYOUT} and {BINS}; it was counted on other edges, count again"
            )
        if counts.dtype.kind not in "iu" or (counts < 0).any():
            raise InputError(
                f"the stored histogram ({counts.dtype}) does not hold non-negative integers; "
                "count again"
            )
        histogram = cls()
        histogram.counts += counts.astype(np.int64)
        return histogram

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogHistogram) and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # counts change

    def __repr__(self) -> str:
        return f"LogHistogram(n={self.n}, relative bin width <= {RELATIVE_WIDTH:.2g})"

    def _some(self) -> int:
        n = self.n
        if not n:
            raise InputError("the histogram is empty; add null values first")
        return n

    def _beyond(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bounds on the number of values at least as far from the median as v."""
        below, above = self.median_bounds()
        if not (np.isfinite(below) and np.isfinite(above)):
            return np.zeros(v.shape, dtype=np.int64), np.full(v.shape, self.n)
        # The exact definition compares rounded distances, and mirror points are rounded here: make
        # room for both.
        slack = 8 * np.finfo(np.float64).eps * (np.abs(v) + max(abs(below), abs(above)))
        mirror_low, mirror_high = 2 * below - v - slack, 2 * above - v + slack
        right_low = self.count_at_least(v)[0] + self.count_at_most(mirror_low)[0]
        right_high = self.count_at_least(v - slack)[1] + self.count_at_most(mirror_high)[1]
        left_low = self.count_at_most(v)[0] + self.count_at_least(mirror_high)[0]
        left_high = self.count_at_most(v + slack)[1] + self.count_at_least(mirror_low)[1]
        # Between the median's bounds v can lie on either side, no farther than their width.
        width = above - below
        inner = self.count_at_least(above + width)[0] + self.count_at_most(below - width)[0]
        is_right, is_left = v >= above, v <= below
        low = np.where(is_right, right_low, np.where(is_left, left_low, inner))
        high = np.where(is_right, right_high, np.where(is_left, left_high, self.n))
        return low, np.minimum(high, self.n)


def bin_of(values: np.ndarray) -> np.ndarray:
    """Number of the bin of each value, float64 without NaN.

    The exponent and the first bits of the mantissa of a positive float64, read as an integer, are
    its bin: no logarithm, nothing to round.
    """
    magnitude = np.abs(values).view(np.int64) >> _SHIFT
    step = np.clip(magnitude - _FIRST + 1, 0, SIDE + 1)
    return np.where(values < 0, CENTRE - step, CENTRE + step)

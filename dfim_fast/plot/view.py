"""Which stretch of a long sequence to draw letter by letter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Bases of context beside an interaction, so that a motif at its end is seen whole.
MARGIN = 12
# Share of all letters that each side gets where one view cannot hold everything.
_SIDE = 0.48
# A second stretch is opened for one that holds more than this share of the weight.
_UNSEEN = 0.2
# Noise may not push a window aside: this share of the best is as good.
_NEARLY = 0.98


def _best_window(low: int, high: int, width: int, weight: NDArray[np.float64]) -> tuple[int, int]:
    """Most centred window of `width` around low..high (half-open) that holds nearly all it can."""
    length = weight.size
    width = min(max(width, high - low), length)
    starts = np.arange(max(0, high - width), min(low, length - width) + 1)
    held = np.concatenate([[0.0], np.cumsum(weight)])
    score = held[starts + width] - held[starts]
    off_centre = np.abs(2 * starts + width - (low + high)).astype(np.float64)
    off_centre[score < _NEARLY * score.max()] = np.inf
    best = int(starts[np.argmin(off_centre)])
    return best, best + width


def _densest(width: int, weight: NDArray[np.float64]) -> tuple[int, int, float]:
    """Window of `width` with the most weight, moved to have it in the middle, and that weight."""
    held = np.concatenate([[0.0], np.cumsum(weight)])
    score = held[width:] - held[:-width]
    at = int(np.argmax(score))
    share = weight[at : at + width]
    if not share.any():
        return at, at + width, 0.0
    centre = at + round(float(np.average(np.arange(width), weights=share)))
    start = min(max(0, centre - width // 2), weight.size - width)
    return start, start + width, float(score[at])


def choose_view(
    source: tuple[int, int], target: int, weight: NDArray[np.float64], max_letters: int
) -> list[tuple[int, int]]:
    """Choose the stretches in which source and target can be read as letters.

    Parameters
    ----------
    source : (start, stop)
    target : int
    weight : numpy.ndarray, shape (L,)
        What is worth seeing, such as squared FIS; not negative.
    max_letters : int
        The most letters that are legible side by side.

    Returns
    -------
    list of (start, stop)
        One stretch; or two in order, where source and target lie too far apart for one, or where
        one would leave much of the weight out of sight.
    """
    length = weight.size
    side = int(_SIDE * max_letters)
    if length <= max_letters:
        return [(0, length)]
    margin = min(MARGIN, max_letters // 5)

    def around(first: int, last: int) -> tuple[int, int]:
        return max(0, first - margin), min(length, last + margin)

    near, far = around(*source), around(target, target + 1)
    both = min(near[0], far[0]), max(near[1], far[1])
    if both[1] - both[0] <= max_letters:
        one = _best_window(*both, max_letters, weight)
        unseen = weight.copy()
        unseen[slice(*one)] = 0.0
        low, high, weight_there = _densest(side, unseen)
        if weight_there <= _UNSEEN * weight.sum():
            return [one]
        near, far = both, (low, high)
    left, right = sorted(_best_window(*anchor, side, weight) for anchor in (near, far))
    if right[0] <= left[1]:
        return [(left[0], max(left[1], right[1]))]
    return [left, right]

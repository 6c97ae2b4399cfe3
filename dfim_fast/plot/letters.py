"""Importance tracks drawn as base letters.

One `PathCollection` holds every letter of a track, so that a kilobase takes a few hundredths of a
second; one artist per letter, as logo packages make them, takes several seconds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from numpy.typing import ArrayLike, NDArray

from dfim_fast.errors import InputError
from dfim_fast.plot.style import (
    BASE_COLORS,
    BASES,
    INK,
    check_codes,
    check_track,
    new_axes,
    open_frame,
    value_limits,
)

_LETTER_WIDTH = 0.94


@cache
def glyph(base: str) -> Path:
    """Return the outline of a letter stretched to the unit square."""
    # The font that ships with Matplotlib: the same letters on every machine.
    outline = TextPath(
        (0, 0), base, size=1, prop=FontProperties(family="DejaVu Sans", weight="bold")
    )
    box = outline.get_extents()
    vertices = (np.asarray(outline.vertices) - [box.x0, box.y0]) / [box.width, box.height]
    return Path(vertices, outline.codes, readonly=True)


def _letter(base: int, position: float, bottom: float, height: float) -> Path:
    """Outline of one letter; a negative height hangs it upside down from `bottom`."""
    unit = glyph(BASES[base])
    corner = (position - _LETTER_WIDTH / 2, bottom)
    return Path(np.asarray(unit.vertices) * (_LETTER_WIDTH, height) + corner, unit.codes)


def _stack(
    heights: NDArray[np.float64],
) -> tuple[list[tuple[int, int, float, float]], float, float]:
    """Letters of a (4, L) array, the largest of each column outermost.

    Returns
    -------
    letters : list of (base, column, bottom, height)
    low, high : float
        The lowest and highest edge of a stack.
    """
    values = np.where(np.isfinite(heights), heights, 0.0)
    order = np.argsort(np.abs(values), axis=0, kind="stable")
    letters: list[tuple[int, int, float, float]] = []
    low = high = 0.0
    for column in range(values.shape[1]):
        above = below = 0.0
        for base in order[:, column]:
            height = float(values[base, column])
            if height > 0:
                letters.append((int(base), column, above, height))
                above += height
            elif height < 0:
                letters.append((int(base), column, below, height))
                below += height
        low, high = min(low, below), max(high, above)
    return letters, low, high


def plot_letters(
    heights: ArrayLike,
    codes: ArrayLike | None = None,
    *,
    start: float = 0,
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw an importance track as base letters; negative letters hang upside down.

    Parameters
    ----------
    heights : array_like, shape (L,) or (4, L)
        Importance of the observed base of each position, or of all four bases (A, C, G, T), which
        are stacked. Zeros and NaN draw nothing.
    codes : array_like of int, shape (L,), optional
        Observed bases, 0..3 for A, C, G, T and 4 for N, which is never drawn. Needed with (L,)
        heights only.
    start : float
        Position of the first letter; each letter is centred on its position.
    ylim : tuple of float, optional
        Limits of the importance axis; by default they fit the letters.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        Shapes that do not fit each other, or codes outside 0..4.

    Examples
    --------
    >>> ax = plot_letters([0.5, -1.0, 2.0], [0, 3, 2])
    >>> [float(edge) for edge in ax.get_xlim()]
    [-0.5, 2.5]
    """
    values = np.asarray(heights, dtype=np.float64)
    if values.ndim == 2 and values.shape[0] == 4:
        if codes is not None:
            raise InputError(
                f"codes: found codes beside heights of shape {values.shape}, wanted none, as "
                "(4, L) heights name their bases; leave codes out or pass (L,) heights"
            )
        letters, low, high = _stack(values)
        limits = value_limits([np.array([low, high])])
    elif values.ndim == 1 and codes is not None:
        bases = check_codes(codes)
        values = check_track(values, bases.size, "heights")
        drawn = np.flatnonzero(np.isfinite(values) & (values != 0.0) & (bases < 4))
        letters = [(int(bases[i]), int(i), 0.0, float(values[i])) for i in drawn]
        limits = value_limits([values[drawn]])
    else:
        raise InputError(
            f"heights: found shape {values.shape} {'without' if codes is None else 'with'} codes, "
            "wanted (L,) with codes or (4, L) without; pass the codes of the sequence"
        )
    if ax is None:
        ax = new_axes((13.3, 1.8))
    collection = PathCollection(
        [_letter(base, start + column, bottom, height) for base, column, bottom, height in letters],
        facecolors=[BASE_COLORS[BASES[letter[0]]] for letter in letters],
        edgecolors="none",
        linewidths=0,
        zorder=3,
    )
    # Snapped to pixels, a narrow T would weigh more than any other letter.
    collection.set_snap(False)
    ax.add_collection(collection, autolim=False)
    ax.axhline(0.0, color=INK, linewidth=0.8, zorder=2)
    ax.set_xlim(start - 0.5, start + values.shape[-1] - 0.5)
    ax.set_ylim(*(limits if ylim is None else ylim))
    open_frame(ax)
    return ax

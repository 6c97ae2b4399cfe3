"""Importance of a sequence, of its mutant, what was lost, and the significant part of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot.letters import plot_letters
from dfim_fast.plot.style import (
    BASES,
    GREY,
    LABEL_SIZE,
    SHADE,
    check_codes,
    check_track,
    position_ticks,
    value_limits,
    value_ticks,
)

Source = int | tuple[int, int]


def source_span(source: Source, length: int) -> tuple[int, int]:
    """Return a source, a position or a half-open (start, stop), as (start, stop).

    Raises
    ------
    InputError
        It is empty or lies outside the sequence.
    """
    first, last = source if isinstance(source, tuple) else (int(source), int(source) + 1)
    if not 0 <= first < last <= length:
        raise InputError(
            f"source: found {source}, wanted a position or a (start, stop) within 0..{length}; "
            "positions count from 0"
        )
    return int(first), int(last)


def source_name(codes: NDArray[np.int8], source: Source) -> str:
    """Name a source as figures do: ``C120`` for a base, ``118-127`` for a span."""
    first, last = source_span(source, codes.size)
    return f"{BASES[codes[first]]}{first}" if last - first == 1 else f"{first}\u2013{last - 1}"


def mutation_words(codes: NDArray[np.int8], mutant: NDArray[np.int8], source: Source) -> str:
    """Say what the mutant changes: ``C120 becomes A``, or ``118-127 is replaced``."""
    first, last = source_span(source, codes.size)
    name = source_name(codes, source)
    if last - first == 1:
        return f"{name} becomes {BASES[mutant[first]]}"
    return f"{name} is replaced"


def mutation_arrow(codes: NDArray[np.int8], mutant: NDArray[np.int8], source: Source) -> str:
    """Short form for titles and rows: ``C120`` arrow ``A``."""
    first, last = source_span(source, codes.size)
    name = source_name(codes, source)
    if last - first == 1:
        return f"{name}\u2192{BASES[mutant[first]]}"
    return f"{name} replaced"


def _row_label(ax: Axes, text: str) -> None:
    ax.set_ylabel(
        text, rotation=0, ha="right", va="center", multialignment="right", fontsize=LABEL_SIZE
    )


def plot_tracks(
    codes: ArrayLike,
    original: ArrayLike,
    mutant: ArrayLike,
    mutant_codes: ArrayLike,
    fis: ArrayLike,
    source: Source,
    significant: ArrayLike | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    axes: Sequence[Axes] | NDArray[np.object_] | None = None,
) -> NDArray[np.object_]:
    """Draw what one mutation does to the importance of every other base (the paper's Fig. 4, 5).

    Rows: importance in the original, importance in the mutant, their difference (FIS, importance
    lost), and, where `significant` is given, the significant part of the difference. The first
    two rows share a value axis, and so do the last two. The source is shaded in every row and
    stays empty in the differences, as a base does not interact with itself.

    Parameters
    ----------
    codes, mutant_codes : array_like of int, shape (L,)
        Bases of the original and of the mutant: 0..3 for A, C, G, T, 4 for N.
    original, mutant : array_like, shape (L,)
        Importance of the observed bases; NaN where unknown.
    fis : array_like, shape (L,)
        Importance lost at each target; NaN or 0 where not tested.
    source : int or (start, stop)
        The mutated position, or a half-open span.
    significant : array_like of bool, shape (L,), optional
        Targets whose FIS is significant.
    start, stop : int
        The positions drawn, half-open; by default the whole sequence.
    axes : sequence of matplotlib.axes.Axes, optional
        Three axes, or four with `significant`; by default on a figure of their own.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes

    Raises
    ------
    InputError
        Shapes, codes or positions that do not fit the sequence.
    SettingsError
        A number of axes that is not the number of rows.

    Examples
    --------
    >>> import numpy as np
    >>> from dfim_fast.plot import plot_tracks
    >>> original, mutant = np.array([0.5, 1, 1, 0.2]), np.array([0.1, 0.2, 0.1, 0.2])
    >>> axes = plot_tracks([0, 2, 1, 3], original, mutant, [3, 2, 1, 3], original - mutant, 0)
    >>> axes[0].figure.savefig("tracks.png")
    """
    bases, mutant_bases = check_codes(codes), check_codes(mutant_codes, "mutant_codes")
    length = bases.size
    if mutant_bases.size != length:
        raise InputError(
            f"mutant_codes: found {mutant_bases.size} positions, wanted {length} as in codes; "
            "a mutant has the length of its original"
        )
    first, last = source_span(source, length)
    before = check_track(original, length, "original")
    after = check_track(mutant, length, "mutant")
    lost = check_track(fis, length, "fis").copy()
    lost[first:last] = np.nan
    stop = length if stop is None else stop
    if not 0 <= start < stop <= length:
        raise InputError(
            f"start, stop: found {start}, {stop}, wanted 0 <= start < stop <= {length}; "
            "positions count from 0 and stop is the first one left out"
        )
    words = mutation_words(bases, mutant_bases, source)
    rows = [
        (before, bases, "importance\nin the original"),
        (after, mutant_bases, f"importance with\n{mutation_arrow(bases, mutant_bases, source)}"),
        (lost, bases, "importance lost\nwhen " + words.replace(" ", "\n", 1)),
    ]
    if significant is not None:
        chosen = check_track(significant, length, "significant") != 0
        rows.append((np.where(chosen, lost, np.nan), bases, "significant\npart of it"))

    if axes is None:
        figure = Figure(figsize=(13.3, 1.25 * len(rows) + 0.5), layout="constrained")
        axes = figure.subplots(len(rows), 1, sharex=True)
        figure.align_ylabels(list(axes))
    panels = np.asarray(axes, dtype=object).ravel()
    if panels.size != len(rows):
        raise SettingsError(
            f"axes: found {panels.size}, wanted {len(rows)}, one per row; pass as many axes, "
            "or none for a new figure"
        )
    view = slice(start, stop)
    importance = value_limits([before[view], after[view]])
    difference = value_limits([lost[view]])
    for row, (ax, (values, letters, label)) in enumerate(zip(panels, rows, strict=True)):
        plot_letters(
            values[view],
            letters[view],
            start=start,
            ylim=importance if row < 2 else difference,
            ax=ax,
        )
        ax.axvspan(first - 0.5, last - 0.5, color=SHADE, linewidth=0, zorder=0)
        _row_label(ax, label)
        value_ticks(ax.yaxis, 3)
        ax.xaxis.set_major_locator(position_ticks(10))
        ax.set_xlim(start - 0.5, stop - 0.5)
        if row < len(rows) - 1:
            ax.tick_params(labelbottom=False)
    if significant is not None and not np.any(np.nan_to_num(rows[3][0][view])):
        panels[3].text(
            0.5, 0.5, "no significant target here", transform=panels[3].transAxes,
            ha="center", va="center", fontsize=LABEL_SIZE, color=GREY,
        )  # fmt: skip
    panels[-1].set_xlabel("position in the sequence (from 0)", fontsize=LABEL_SIZE)
    return panels

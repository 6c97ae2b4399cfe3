"""Letter stacks, tracks one above the other, and maps of elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot.letters import plot_letters
from dfim_fast.plot.style import (
    INK,
    LABEL_SIZE,
    TICK_SIZE,
    UNTESTED_FACE,
    new_axes,
    position_ticks,
    value_limits,
)

BITS = 2.0  # that a base can tell


def plot_stacks(
    heights: ArrayLike,
    ylabel: str = "bits",
    figsize: tuple[float, float] = (12, 6),
    *,
    information_content: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw letters of these heights on top of each other.

    Parameters
    ----------
    heights : array_like (L, 4)
        In A, C, G, T.
    ylabel : str
    figsize : tuple of float
        Inches.
    information_content : bool
        Heights are frequencies: scale each column to its information, in bits against 1/4 each.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        For another shape, or frequencies that do not sum to 1.
    """
    values = stack(heights, "letter_heights")
    if information_content:
        if (values < 0).any() or not np.allclose(values.sum(axis=1), 1, atol=1e-3):
            raise InputError(
                "letter_heights: information content is of frequencies that sum to 1 at every "
                "position; normalise them, or pass information_content=False"
            )
        entropy = -(values * np.log2(np.where(values > 0, values, 1))).sum(axis=1)
        values = values * (BITS - entropy)[:, None]
    if ax is None:
        ax = new_axes(figsize)
    plot_letters(values.T, ax=ax)
    ax.set_ylabel(ylabel, fontsize=LABEL_SIZE)
    ax.xaxis.set_major_locator(position_ticks(12))
    return ax


def stack(heights: ArrayLike, name: str) -> np.ndarray:
    """Heights (L, 4), checked."""
    values = np.asarray(heights, np.float64)
    if values.ndim != 2 or values.shape[1] != 4 or not len(values):
        raise InputError(f"{name}: found shape {values.shape}, wanted (positions, 4) in A, C, G, T")
    return values


def plot_stacked_tracks(
    tracks: Sequence[ArrayLike],
    titles: Sequence[str],
    *,
    tick_interval: int = 1,
    track_height: float = 3,
    mark: float | None = None,
) -> Figure:
    """Draw letter tracks one above the other.

    Parameters
    ----------
    tracks : list of array_like (L, 4)
    titles : list of str
    tick_interval : int
        Positions from tick to tick.
    track_height : float
        Inches.
    mark : float, optional
        Position of a vertical line through all of them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError, SettingsError
    """
    values = [stack(track, f"track {i}") for i, track in enumerate(tracks)]
    if not values or len(values) != len(titles) or len({len(v) for v in values}) > 1:
        raise InputError(
            f"{len(values)} tracks of lengths {sorted({len(v) for v in values})} and "
            f"{len(titles)} titles; wanted a title for each, and tracks of one length"
        )
    if tick_interval < 1:
        raise SettingsError(f"x_tick_interval={tick_interval}: wanted at least 1")
    length = len(values[0])
    size = (min(max(8.0, 0.22 * length), 30.0), track_height * len(values))
    figure = Figure(figsize=size, layout="constrained")
    limits = value_limits([np.array([stacked_range(v)]).ravel() for v in values])
    for ax, track, title in zip(
        np.ravel(figure.subplots(len(values), 1, squeeze=False)), values, titles, strict=True
    ):
        plot_letters(track.T, ax=ax, ylim=limits)
        ax.set_title(title, fontsize=LABEL_SIZE, loc="left")
        ax.set_xticks(np.arange(0, length, tick_interval))
        if mark is not None:
            ax.axvline(mark, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
    return figure


def stacked_range(track: np.ndarray) -> tuple[float, float]:
    """The lowest and the highest end of stacked letters."""
    low = np.minimum(track, 0).sum(axis=1).min()
    return float(low), float(np.maximum(track, 0).sum(axis=1).max())


def plot_element_map(
    values: ArrayLike,
    figsize: tuple[float, float] = (10, 3),
    cmap: str = "plasma",
    *,
    unscored: float = -1,
    label: str = "interaction score",
) -> Axes:
    """Draw a map of elements: rows are mutated, columns respond; unscored cells are grey.

    Parameters
    ----------
    values : array_like (rows, columns), or DataFrame with names
    figsize : tuple of float
        Inches.
    cmap : str
    unscored : float
        The value of cells that were not scored.
    label : str
        Of the colour bar.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError, SettingsError
    """
    found = np.asarray(values, np.float64)
    if found.ndim != 2 or not found.size:
        raise InputError(
            f"map_array: found shape {found.shape}, wanted (mutated elements, responses); reduce "
            "other maps to two axes first"
        )
    if cmap not in colormaps:
        raise SettingsError(f"cmap={cmap!r} is unknown to Matplotlib; the default is 'plasma'")
    colors = colormaps[cmap].with_extremes(bad=UNTESTED_FACE)
    ax = new_axes(figsize)
    image = ax.imshow(np.ma.masked_where(found == unscored, found), cmap=colors, aspect="auto")
    if isinstance(values, pd.DataFrame):
        ax.set_xticks(range(found.shape[1]), [str(c) for c in values.columns], rotation=30)
        for tick in ax.get_xticklabels():
            tick.set_horizontalalignment("right")
        ax.set_yticks(range(found.shape[0]), [str(r) for r in values.index])
    else:
        ax.xaxis.set_major_locator(position_ticks(10))
        ax.yaxis.set_major_locator(position_ticks(6))
    ax.tick_params(labelsize=TICK_SIZE)
    ax.set_xlabel("responding element", fontsize=LABEL_SIZE)
    ax.set_ylabel("mutated element", fontsize=LABEL_SIZE)
    bar = ax.figure.colorbar(image, ax=ax)
    bar.set_label(label, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    return ax

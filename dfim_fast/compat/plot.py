"""Letter stacks, tracks and maps: the original package's `plot`, drawn by this one's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from dfim_fast.errors import InputError


def plot_bases(
    letter_heights: Any, figsize: tuple[float, float] = (12, 6), ylab: str = "bits"
) -> Any:
    """Draw letters of heights (L, 4); returns the figure."""
    from dfim_fast.plot.stacks import plot_stacks

    return plot_stacks(letter_heights, ylab, figsize).figure


def plot_bases_on_ax(
    letter_heights: Any, ax: Any, show_ticks: bool = True, ylab: str | None = None
) -> Any:
    """Draw letters of heights (L, 4) on axes, and return them."""
    from dfim_fast.plot.stacks import plot_stacks

    plot_stacks(letter_heights, ylab or "", ax=ax)
    if not show_ticks:
        ax.set_xticks([])
        ax.set_yticks([])
    return ax


def plot_pwm(
    letter_heights: Any,
    figsize: tuple[float, float] = (12, 6),
    ylab: str = "bits",
    information_content: bool = True,
) -> Any:
    """Draw a motif's frequencies (L, 4), scaled to their information; returns the figure."""
    from dfim_fast.plot.stacks import plot_stacks

    return plot_stacks(
        letter_heights, ylab, figsize, information_content=information_content
    ).figure


def add_letters_to_axis(ax: Any, letter_heights: Any) -> Any:
    """Draw letters on axes: heights (L, 4), or for each position its (letter, height) pairs."""
    from dfim_fast.plot.stacks import plot_stacks

    heights = letter_heights
    if len(heights) and not hasattr(heights, "shape"):
        first = next((pairs for pairs in heights if len(pairs)), ())
        if first and isinstance(first[0], Sequence) and isinstance(first[0][0], str):
            heights = [as_heights(pairs) for pairs in letter_heights]
    return plot_stacks(heights, "", ax=ax)


def as_heights(pairs: Sequence[tuple[str, float]]) -> list[float]:
    """Heights in A, C, G, T of (letter, height) pairs."""
    found = dict.fromkeys("ACGT", 0.0)
    for letter, height in pairs:
        if letter not in found:
            raise InputError(f"letter {letter!r} is none of A, C, G, T")
        found[letter] += float(height)
    return list(found.values())


def plot_delta_tracks(
    track_list: Sequence[Any],
    title_list: Sequence[str],
    x_tick_interval: int = 1,
    track_height: float = 3,
    axvline_loc: float | None = None,
    plot_file: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw tracks (L, 4) one above the other, on one scale; returns the figure.

    Parameters
    ----------
    track_list : list of array (L, 4)
        Such as the profiles of `compute_delta_profiles`.
    title_list : list of str
    x_tick_interval : int
    track_height : float
        Inches.
    axvline_loc : float, optional
        Position of a vertical line, such as the mutation.
    plot_file : path, optional
        A PNG to write, too.

    Raises
    ------
    InputError, SettingsError, OutputError
    """
    from dfim_fast.plot.stacks import plot_stacked_tracks
    from dfim_fast.plot.style import save

    figure = plot_stacked_tracks(
        track_list,
        title_list,
        tick_interval=x_tick_interval,
        track_height=track_height,
        mark=axvline_loc,
    )
    if plot_file is not None:
        save(figure, plot_file)
    return figure


def plot_dfim(map_array: Any, figsize: tuple[float, float] = (10, 3), cmap: str = "plasma") -> Any:
    """Draw a map of `compute_dfim`, unscored cells (-1) grey; returns the figure."""
    from dfim_fast.plot.stacks import plot_element_map

    return plot_element_map(map_array, figsize, cmap).figure

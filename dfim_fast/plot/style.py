"""Colours, sizes and small helpers that every figure shares; nothing here uses pyplot."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from dfim_fast.errors import InputError, OutputError, SettingsError

BASES = "ACGTN"

# Green, blue, gold and red as in the field, with lightness and hue moved until every pair stays at
# least 24 CIELAB units apart under protanopia, deuteranopia and tritanopia.
BASE_COLORS = {"A": "#12A06F", "C": "#1F5FBF", "G": "#F0A500", "T": "#B2182B", "N": "#9A9A9A"}

# Orange above zero, purple below, white at zero: distinct for every colour vision. Ends earlier
# than ColorBrewer's PuOr, whose last steps are both nearly black on a projector.
DIVERGING = LinearSegmentedColormap.from_list(
    "purple_orange", ["#542788", "#998EC3", "#D8DAEB", "#FFFFFF", "#FEE0B6", "#F1A340", "#B35806"]
)
PURPLE, ORANGE = "#542788", "#B35806"

INK = "#222222"
GREY = "#8A8A8A"
SHADE = "#DDE3EA"
UNTESTED_FACE = "#E6E6E6"
UNTESTED_EDGE = "#C2C2C2"

LABEL_SIZE = 13
TICK_SIZE = 12


def new_axes(figsize: tuple[float, float]) -> Axes:
    """Axes on a figure of their own, which pyplot never hears of.

    Parameters
    ----------
    figsize : tuple of float
        Width and height in inches.
    """
    return Figure(figsize=figsize, layout="constrained").subplots()


def open_frame(ax: Axes) -> None:
    """Take away the top and right spines and set label sizes readable from the back of a room."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=TICK_SIZE)


def value_ticks(axis: Axis, count: int, symmetric: bool = False) -> None:
    """Tick values at round numbers, written out in full: no factor stands above the axis."""
    axis.set_major_locator(MaxNLocator(count, min_n_ticks=2, symmetric=symmetric))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "\u2212")))


def position_ticks(count: int) -> MaxNLocator:
    """Tick whole positions at steps of 1, 2 or 5 times a power of ten."""
    return MaxNLocator(count, integer=True, steps=[1, 2, 5, 10])


def check_codes(codes: ArrayLike, name: str = "codes") -> NDArray[np.int8]:
    """Return base codes as an (L,) int8 array.

    Raises
    ------
    InputError
        Not one-dimensional, or a value outside 0..4.
    """
    array = np.asarray(codes)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"{name}: found shape {array.shape} of {array.dtype}, wanted (L,) integers 0..4 "
            "for A, C, G, T, N; pass one row of the codes"
        )
    if array.size and (array.min() < 0 or array.max() > 4):
        bad = int(np.flatnonzero((array < 0) | (array > 4))[0])
        raise InputError(
            f"{name}: found {array[bad]} at position {bad}, wanted 0..4 for A, C, G, T, N; "
            "encode the sequence again"
        )
    return array.astype(np.int8)


def check_track(values: ArrayLike, length: int, name: str) -> NDArray[np.float64]:
    """Return one value per position as (L,) float64.

    Raises
    ------
    InputError
        The shape is not (length,).
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (length,):
        raise InputError(
            f"{name}: found shape {array.shape}, wanted ({length},), one value per position of "
            "the sequence; pass the row of this sequence"
        )
    return array


def value_limits(tracks: Iterable[NDArray[np.float64]]) -> tuple[float, float]:
    """Limits of a value axis that hold zero and every finite value, with a little air.

    Returns
    -------
    tuple of float
        (low, high); (0, 1) where everything is zero.
    """
    low = high = 0.0
    for track in tracks:
        finite = track[np.isfinite(track)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    span = high - low
    if span == 0.0:
        return 0.0, 1.0
    air = 0.06 * span
    return (low - air if low < 0 else 0.0), (high + air if high > 0 else 0.0)


def save(fig: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG at 150 dots per inch; the same figure gives the same bytes.

    Nothing half-written is left: the file appears under its name only when complete.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    path : str or path-like
        Ends in ``.png``.

    Returns
    -------
    pathlib.Path
        Where the figure was written.

    Raises
    ------
    SettingsError
        The name does not end in ``.png``.
    OutputError
        The file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise SettingsError(
            f"figure {target}: found suffix '{target.suffix}', wanted '.png'; rename it, or call "
            "fig.savefig for other formats"
        )
    buffer = io.BytesIO()
    # Matplotlib would write its version into the file: equal figures must be equal files.
    fig.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    part = target.with_name(target.name + ".part")
    try:
        part.write_bytes(buffer.getvalue())
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"figure {target}: cannot be written ({error.strerror}); check the folder and the "
            "space on its disk"
        ) from error
    return target

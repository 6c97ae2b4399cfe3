"""Null against scores, and interaction strength by distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot.interaction import check_cells
from dfim_fast.plot.style import LABEL_SIZE, ORANGE, PURPLE, TICK_SIZE, new_axes, open_frame


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[np.isfinite(array)]
    if not array.size:
        raise InputError(f"{name}: found no finite value, wanted at least one; pass tested cells")
    return array


def _mean_and_sd(fit: Any, null: NDArray[np.float64]) -> tuple[float, float]:
    if fit is None:
        mean, sd = float(null.mean()), float(null.std())
    else:
        try:
            mean, sd = (float(value) for value in fit)
        except (TypeError, ValueError):
            raise SettingsError(
                f"fit: found {fit!r}, wanted (mean, standard deviation), None to fit the null "
                "here, or False for no curve"
            ) from None
    if not (np.isfinite(mean) and np.isfinite(sd) and sd >= 0):
        raise SettingsError(
            f"fit: found mean {mean}, standard deviation {sd}, wanted finite numbers and a "
            "standard deviation of 0 or more; fit the null again"
        )
    return mean, sd


def _count(value: float, _: int) -> str:
    """A number of cells, written out: 1,000,000, or 0.1 where a scaled null goes below one."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def plot_null(
    null_values: ArrayLike,
    scores: ArrayLike,
    fit: tuple[float, float] | bool | None = None,
    *,
    bins: int = 80,
    ax: Axes | None = None,
) -> Axes:
    """Draw the null and the scores as histograms with logarithmic counts.

    Where the two differ in size the null is scaled to the number of scores, so that bins compare.

    Parameters
    ----------
    null_values, scores : array_like
        FIS of tested cells, any shape; NaN is left out.
    fit : (mean, standard deviation), None or False
        The Gaussian drawn through the null; None fits it here, False leaves it out.
    bins : int
        Bins over the range of both.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        No finite value.
    SettingsError
        A fit that is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> from dfim_fast.plot import plot_null
    >>> rng = np.random.default_rng(0)
    >>> plot_null(rng.normal(size=1000), rng.normal(size=1000) + 1).figure.savefig("null.png")
    """
    null, observed = _finite(null_values, "null_values"), _finite(scores, "scores")
    low, high = min(null.min(), observed.min()), max(null.max(), observed.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    scale = observed.size / null.size
    if ax is None:
        ax = new_axes((8.5, 5.2))
    label = "null" if scale == 1.0 else f"null, scaled to {observed.size:,} scores"
    counts = np.histogram(null, edges)[0] * scale
    ax.stairs(counts, edges, fill=True, color="#C9CDD2", label=label)
    ax.stairs(np.histogram(observed, edges)[0], edges, color=PURPLE, linewidth=2.2, label="scores")
    floor = 0.5 * min(1.0, scale)
    if fit is not False:
        mean, sd = _mean_and_sd(fit, null)
        if sd > 0:
            # Finer than the bins, and only where the curve stays above the floor of the axis.
            x = np.linspace(low, high, 2001)
            peak = observed.size * (edges[1] - edges[0]) / (sd * np.sqrt(2 * np.pi))
            curve = peak * np.exp(-0.5 * ((x - mean) / sd) ** 2)
            ax.plot(
                x, np.where(curve > floor, curve, np.nan), color=ORANGE, linewidth=2.2,
                linestyle="--", label="Gaussian fit of the null",
            )  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    ax.set_xlim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    ax.yaxis.set_major_formatter(FuncFormatter(_count))
    ax.set_xlabel("FIS: importance lost", fontsize=LABEL_SIZE)
    ax.set_ylabel("cells", fontsize=LABEL_SIZE)
    open_frame(ax)
    ax.legend(frameon=False, fontsize=TICK_SIZE)
    return ax


def plot_distance(
    fis: ArrayLike,
    sources: ArrayLike,
    targets: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    bin_width: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Draw the mean absolute FIS by the distance between source and target.

    Parameters
    ----------
    fis : array_like, shape (S, T) or (N, S, T)
        Importance lost, one value per cell; T is 2w+1 for a window.
    sources : array_like of int, shape (S,)
    targets : array_like of int, shape (T,) or (S, 2w+1)
    mask : array_like of bool, like `fis`, optional
        True where a cell was tested.
    bin_width : int
        Base pairs per point.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        Shapes that do not fit each other, or no tested cell.
    SettingsError
        `bin_width` below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from dfim_fast.plot import plot_distance
    >>> plot_distance(np.eye(5), range(5), range(5)).figure.savefig("distance.png")
    """
    if bin_width < 1:
        raise SettingsError(f"bin_width: found {bin_width}, wanted at least 1 base pair")
    values = np.asarray(fis)
    stack = values[None] if values.ndim == 2 else values
    masks = None if mask is None else np.broadcast_to(np.asarray(mask, dtype=bool), values.shape)
    sums = np.zeros(0)
    counts = np.zeros(0)
    for n, one in enumerate(stack):
        # One sequence at a time: a stack of maps is large and its distances all the same.
        own = None if masks is None else (masks if masks.ndim == 2 else masks[n])
        cells = check_cells(one, sources, targets, own)
        distance = np.abs(cells.targets - cells.sources[:, None])[cells.tested] // bin_width
        size = max(int(distance.max(initial=-1)) + 1, sums.size)
        sums = np.pad(sums, (0, size - sums.size))
        counts = np.pad(counts, (0, size - counts.size))
        sums += np.bincount(distance, np.abs(cells.values[cells.tested]), minlength=size)
        counts += np.bincount(distance, minlength=size)
    seen = np.flatnonzero(counts)
    if not seen.size:
        raise InputError("mask: found no tested cell, wanted at least one; pass the map's own mask")
    if ax is None:
        ax = new_axes((8.5, 4.8))
    middle = seen * bin_width + (bin_width - 1) / 2
    ax.plot(middle, sums[seen] / counts[seen], color=PURPLE, linewidth=2.0)
    ax.set_xlabel("distance between source and target (bp)", fontsize=LABEL_SIZE)
    ax.set_ylabel("mean |FIS|", fontsize=LABEL_SIZE)
    ax.set_ylim(bottom=0.0)
    ax.set_xlim(left=0.0)
    open_frame(ax)
    return ax

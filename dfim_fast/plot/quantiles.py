"""Quantiles of p-values: scores against their null."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from dfim_fast.errors import InputError
from dfim_fast.plot.style import GREY, LABEL_SIZE, ORANGE, new_axes, open_frame

POINTS = 1000  # of a curve
SMALLEST = 1e-300  # p drawn: smaller ones underflow


def plot_quantiles(p: ArrayLike, null_p: ArrayLike, *, ax: Axes | None = None) -> Axes:
    """Draw the quantiles of -log10 p of scores against those of the null.

    Parameters
    ----------
    p, null_p : array_like
        p-values, any shape; NaN is left out.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If either holds no p-value.
    """
    curves = []
    for name, values in (("p", p), ("null_p", null_p)):
        array = np.asarray(values, np.float64).ravel()
        array = array[~np.isnan(array)]
        if not array.size or array.min() < 0 or array.max() > 1:
            raise InputError(f"{name}: wanted p-values between 0 and 1, at least one")
        curves.append(-np.log10(np.maximum(array, SMALLEST)))
    count = min(POINTS, *(len(c) for c in curves))
    share = (np.arange(count) + 0.5) / count
    observed, expected = (np.quantile(c, share) for c in curves)
    if ax is None:
        ax = new_axes((6.0, 6.0))
    top = 1.05 * max(observed[-1], expected[-1], 1e-3)
    ax.plot([0, top], [0, top], color=GREY, linewidth=1.2, zorder=1)
    ax.plot(expected, observed, "o", color=ORANGE, markersize=4, zorder=2, clip_on=False)
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    ax.set_xlabel("null, \u2212log10 p", fontsize=LABEL_SIZE)
    ax.set_ylabel("scores, \u2212log10 p", fontsize=LABEL_SIZE)
    open_frame(ax)
    return ax

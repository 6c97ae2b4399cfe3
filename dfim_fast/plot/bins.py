"""Interaction scores in bins of distance (the paper's Fig. 3B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from dfim_fast.errors import InputError
from dfim_fast.plot.style import (
    GREY,
    INK,
    LABEL_SIZE,
    PURPLE,
    SHADE,
    TICK_SIZE,
    new_axes,
    open_frame,
    value_ticks,
)

STARS = ((1e-4, "****"), (1e-3, "***"), (1e-2, "**"), (0.05, "*"))


def plot_distance_bins(
    values: Mapping[str, NDArray[np.float64]],
    tests: pd.DataFrame | None = None,
    *,
    unreachable: Sequence[str] = (),
    label: str = "FIS: importance the target loses",
    ax: Axes | None = None,
) -> Axes:
    """Draw a box for each bin of distance, and how the nearest differs from the others.

    Parameters
    ----------
    values : mapping of str to ndarray
        Scores of each bin, nearest first.
    tests : DataFrame, optional
        ``nearer``, ``farther`` and ``p`` of `distance_bins`; neighbouring bins are marked.
    unreachable : sequence of str
        Bins that the architecture cannot connect: shaded, and said so.
    label : str
        Of the scores.
    ax : matplotlib.axes.Axes, optional
        By default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes
        Boxes are quartiles, whiskers the 5th and 95th percentile.

    Raises
    ------
    InputError
        If no bin holds a score.
    """
    if not any(len(v) for v in values.values()):
        raise InputError("values: found no score in any bin, wanted at least one")
    if ax is None:
        ax = new_axes((8.0, 5.2))
    names = list(values)
    for x, name in enumerate(names):
        if name in unreachable:
            ax.axvspan(x - 0.5, x + 0.5, color=SHADE, linewidth=0, zorder=0)
            ax.annotate("out of\nthe model's\nreach", (x, 0.5), xycoords=("data", "axes fraction"),
                        ha="center", va="center", fontsize=TICK_SIZE, color=GREY)  # fmt: skip
        elif len(values[name]):
            ax.boxplot(
                values[name], positions=[x], widths=0.6, whis=(5, 95), showfliers=False,
                patch_artist=True, boxprops={"facecolor": "#C9C2DD", "edgecolor": PURPLE},
                medianprops={"color": INK, "linewidth": 2.2}, whiskerprops={"color": PURPLE},
                capprops={"color": PURPLE},
            )  # fmt: skip
    counted = [f"{name}\n({len(values[name]):,})" for name in names]
    ax.set_xticks(range(len(names)), counted)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=0)
    if tests is not None:
        _brackets(ax, names, tests)
    ax.set_xlabel("distance between the motifs in bp (pairs)", fontsize=LABEL_SIZE)
    ax.set_ylabel(label, fontsize=LABEL_SIZE)
    value_ticks(ax.yaxis, 6)
    open_frame(ax)
    return ax


def _brackets(ax: Axes, names: list[str], tests: pd.DataFrame) -> None:
    """What the Mann-Whitney test says of neighbouring bins, above them."""
    low, high = ax.get_ylim()
    step = 0.06 * (high - low)
    for x, (near, far) in enumerate(pairwise(names)):
        row = tests[(tests["nearer"] == near) & (tests["farther"] == far)]
        if row.empty:
            continue
        p = float(row["p"].iloc[0])
        text = next((stars for limit, stars in STARS if p < limit), "n.s.")
        y = high + step
        ax.plot([x + 0.05, x + 0.05, x + 0.95, x + 0.95],
                [y, y + 0.3 * step, y + 0.3 * step, y], color=INK, linewidth=1.0)  # fmt: skip
        ax.annotate(text, (x + 0.5, y + 0.3 * step), ha="center", va="bottom", fontsize=TICK_SIZE)
    ax.set_ylim(low, high + 2.6 * step)

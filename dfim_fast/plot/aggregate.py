"""Aggregate interactions of bases by position (the paper's Fig. 8)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from dfim_fast.maps.position_sums import Aggregate
from dfim_fast.plot.style import (
    BASE_COLORS,
    DIVERGING,
    LABEL_SIZE,
    TICK_SIZE,
    UNTESTED_FACE,
    new_axes,
)

RISING = LinearSegmentedColormap.from_list(
    "white_purple", ["#FFFFFF", "#D8DAEB", "#998EC3", "#542788", "#2D004B"]
)


def plot_aggregate(
    table: pd.DataFrame | Aggregate,
    *,
    position: Callable[[int], str] = str,
    limit: float | None = None,
    title: str = "",
    bar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of (source, base) against (target, base).

    Parameters
    ----------
    table : DataFrame or Aggregate
        Of `Aggregate.marginal`, which is what is drawn of an aggregate; cells that are NaN are
        grey.
    position : callable
        How a position is written.
    limit : float, optional
        Value of the darkest colour; the largest of the table by default.
    title : str
    bar : bool
        Draw a scale.
    ax : matplotlib.axes.Axes, optional
        By default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from dfim_fast.plot import plot_aggregate
    >>> index = pd.MultiIndex.from_product([[-1, 1], list("ACGT")], names=["source", "base"])
    >>> table = pd.DataFrame(np.arange(64.0).reshape(8, 8), index=index, columns=index)
    >>> plot_aggregate(table).figure.savefig("aggregate.png")
    """
    table = table.marginal() if isinstance(table, Aggregate) else table
    values = table.to_numpy(float)
    if ax is None:
        ax = new_axes((9.0, 8.0))
    top = limit if limit is not None else float(np.nanmax(np.abs(values), initial=0)) or 1.0
    signed = bool(np.nanmin(values, initial=0) < 0)
    ax.set_facecolor(UNTESTED_FACE)
    image = ax.imshow(values, cmap=DIVERGING if signed else RISING, vmin=-top if signed else 0,
                      vmax=top, aspect="equal", interpolation="nearest")  # fmt: skip
    for axis, index in ((ax.yaxis, table.index), (ax.xaxis, table.columns)):
        axis.set_ticks(range(len(index)), [base for _, base in index])
        axis.set_tick_params(length=0, labelsize=TICK_SIZE - 4, pad=1)
        for label, (_, base) in zip(axis.get_ticklabels(), index, strict=True):
            label.set_color(BASE_COLORS[base])
            label.set_fontweight("bold")
    for index, horizontal in ((table.columns, True), (table.index, False)):
        places = index.get_level_values(0)[::4]
        for i, place in enumerate(places):
            at = 4 * i + 1.5
            xy = (at, -0.05) if horizontal else (-0.035, at)
            ax.annotate(position(place), xy, ha="center" if horizontal else "right", va="center",
                        xycoords=("data", "axes fraction") if horizontal
                        else ("axes fraction", "data"), fontsize=TICK_SIZE - 2,
                        annotation_clip=False)  # fmt: skip
            if i:
                line = ax.axvline if horizontal else ax.axhline
                line(4 * i - 0.5, color="white", linewidth=0.6)
    ax.set_xlabel("target", fontsize=LABEL_SIZE, labelpad=30)
    ax.set_ylabel("mutated source", fontsize=LABEL_SIZE, labelpad=48)
    ax.spines[:].set_visible(False)
    if title:
        ax.set_title(title, fontsize=LABEL_SIZE, loc="left")
    if bar:
        scale = ax.figure.colorbar(image, ax=ax, shrink=0.7, pad=0.02)
        scale.set_label("mean |FIS|" if not signed else "mean FIS", fontsize=LABEL_SIZE)
        scale.outline.set_visible(False)
        scale.ax.tick_params(labelsize=TICK_SIZE)
    return ax

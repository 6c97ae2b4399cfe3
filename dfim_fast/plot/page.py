"""Parts of a page for one sequence: placing, title, overview, flags and breaks of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import NDArray

from dfim_fast.plot.style import (
    GREY,
    INK,
    LABEL_SIZE,
    SHADE,
    TICK_SIZE,
    open_frame,
    position_ticks,
    value_limits,
)

# Inches.
WIDTH, LEFT, RIGHT = 13.33, 2.5, 1.55
# Characters of a name that fit the title.
_NAME = 64


class Page:
    """Places panels by their distance in inches from the left and the top of a figure.

    Attributes
    ----------
    height : float
        Inches.
    figure : matplotlib.figure.Figure
    """

    def __init__(self, height: float) -> None:
        self.height = height
        self.figure = Figure(figsize=(WIDTH, height))

    def across(self, x: float) -> float:
        """Inches from the left as a fraction of the figure."""
        return x / WIDTH

    def down(self, y: float) -> float:
        """Inches from the top as the fraction from the bottom that Matplotlib wants."""
        return 1.0 - y / self.height

    def panel(self, left: float, top: float, width: float, height: float, label: str) -> Axes:
        """Add axes whose top left corner and size are given in inches."""
        rectangle = (
            self.across(left),
            self.down(top + height),
            width / WIDTH,
            height / self.height,
        )
        return self.figure.add_axes(rectangle, label=label)


def mark_break(left: Axes, right: Axes) -> None:
    """Open the frame between two stretches of one axis and put the usual slashes there."""
    slash: dict[str, Any] = {
        "marker": [(-1, -2), (1, 2)],
        "markersize": 9,
        "linestyle": "none",
        "color": INK,
        "clip_on": False,
    }
    # A panel with a closed frame, the map, keeps it.
    right.spines["left"].set_visible(right.spines["right"].get_visible())
    right.tick_params(left=False, labelleft=False)
    left.plot([1], [0], transform=left.transAxes, **slash)
    right.plot([0], [0], transform=right.transAxes, **slash)


def draw_overview(ax: Axes, original: NDArray[np.float64], view: Sequence[tuple[int, int]]) -> None:
    """Whole sequence as one silhouette, the stretches shown below it shaded."""
    values = np.nan_to_num(original)
    edges = np.arange(values.size + 1) - 0.5
    ax.stairs(values, edges, fill=True, color=GREY, zorder=2)
    ax.axhline(0.0, color=INK, linewidth=0.8)
    for start, stop in view:
        ax.axvspan(start - 0.5, stop - 0.5, color=SHADE, linewidth=0, zorder=0)
    open_frame(ax)
    ax.set_xlim(-0.5, values.size - 0.5)
    ax.set_ylim(*value_limits([values]))
    ax.spines["bottom"].set_visible(False)
    ax.xaxis.tick_top()
    ax.xaxis.set_major_locator(position_ticks(10))
    ax.tick_params(axis="x", length=0, labelsize=TICK_SIZE)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.set_ylabel("whole sequence", rotation=0, ha="right", va="center", fontsize=LABEL_SIZE)


def zoom_shade(page: Page, overview: Axes, panel: Axes, stretch: tuple[int, int]) -> None:
    """Shade from a stretch of the overview down to the panel that enlarges it."""
    above, below = overview.get_position(), panel.get_position()
    length = overview.get_xlim()[1] + 0.5
    left, right = (above.x0 + above.width * edge / length for edge in stretch)
    # The lower edge stays above the panel: the names of source and target stand between.
    low = below.y1 + 0.28 / page.height
    page.figure.add_artist(
        Polygon(
            [(left, above.y0), (right, above.y0), (below.x1, low), (below.x0, low)],
            facecolor=SHADE,
            alpha=0.55,
            linewidth=0,
            zorder=0,
        )
    )


def flag(ax: Axes, position: float, text: str, align: str) -> None:
    """Plant a flag above a track, its name running away from the other flag."""
    pole = {"arrowstyle": "-", "linewidth": 1.8, "color": INK, "shrinkA": 0, "shrinkB": 0}
    place: dict[str, Any] = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
    ax.annotate("", (position, 1.0), xytext=(0, 16), arrowprops=pole, **place)
    ax.annotate(
        text, (position, 1.0), xytext=(-4 if align == "right" else 4, 4), ha=align, va="bottom",
        fontsize=LABEL_SIZE, fontweight="bold", color=INK, **place,
    )  # fmt: skip


def draw_title(
    page: Page, name: str, change: str, target: str, prediction: float | None, after: float | None
) -> None:
    parts = [change, target]
    if prediction is not None and after is not None:
        parts.append(f"prediction {prediction:.3g} \u2192 {after:.3g}".replace("-", "\u2212"))
    if len(name) > _NAME:
        name = name[: _NAME - 1] + "\u2026"
    lines = [(0.16, name, 18, "bold"), (0.52, "   \u00b7   ".join(parts), 14, "normal")]
    for top, text, size, weight in lines:
        # A dollar sign in a name is a dollar sign, not mathematics.
        page.figure.text(
            page.across(LEFT), page.down(top), text, ha="left", va="top", fontsize=size,
            fontweight=weight, color=INK, parse_math=False,
        )  # fmt: skip

"""Motif pairs at a glance: how strong each is, and how often each test calls it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dfim_fast.errors import InputError
from dfim_fast.plot.style import (
    GREY,
    INK,
    LABEL_SIZE,
    ORANGE,
    PURPLE,
    SHADE,
    TICK_SIZE,
    open_frame,
    value_ticks,
)

GOLDEN = (5**0.5 - 1) / 2  # its multiples spread points evenly, the same every time
TEST_COLORS = ("#C9CDD2", PURPLE, ORANGE)


def plot_motif_pairs(
    table: pd.DataFrame, tests: Mapping[str, str], negligible: float = 0.0, title: str = ""
) -> Figure:
    """Draw FIS of every pair of motifs, a point each, beside the shares that tests call.

    Parameters
    ----------
    table : DataFrame
        Of `motif_interactions`, with a boolean column for each test.
    tests : mapping of str to str
        What a test is called in the legend, and its column.
    negligible : float
        |FIS| up to this is shaded, and pairs whose mean stays there are grey.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
        A row for each ordered pair of motifs, strongest mean first.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError("table: found no pair of motifs, wanted at least one")
    groups = {pair: rows for pair, rows in table.groupby(["source", "target"], sort=True)}
    order = sorted(groups, key=lambda pair: -abs(groups[pair]["fis"].mean()))
    figure = Figure(figsize=(13.33, 2.1 + 0.45 * len(order)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for y, pair in enumerate(order):
        _points(left, y, groups[pair]["fis"].to_numpy(), negligible)
        _bars(right, y, groups[pair], tests)
    if negligible:
        left.axvspan(-negligible, negligible, color=SHADE, linewidth=0, zorder=0)
        left.annotate(
            f"up to {negligible:g}", (0, 1), xycoords=("data", "axes fraction"), ha="center",
            xytext=(0, 4), textcoords="offset points", fontsize=TICK_SIZE, color=GREY,
        )  # fmt: skip
    left.axvline(0.0, color=INK, linewidth=0.8, zorder=1)
    left.set_ylim(len(order) - 0.4, -0.6)
    left.set_yticks(range(len(order)), [f"{source}  →  {target}" for source, target in order])
    left.tick_params(axis="y", length=0)
    left.set_xlabel("importance the target motif loses (FIS)", fontsize=LABEL_SIZE)
    value_ticks(left.xaxis, 7)
    right.set_xlim(0, 100)
    right.set_xlabel("sequences where it is called significant (%)", fontsize=LABEL_SIZE)
    for ax in (left, right):
        open_frame(ax)
    left.tick_params(axis="y", labelsize=LABEL_SIZE)
    right.legend(frameon=False, fontsize=TICK_SIZE, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    if title:
        figure.suptitle(title, fontsize=18, fontweight="bold", color=INK, ha="left", x=0.01)
    return figure


def _points(ax: Axes, y: int, values: np.ndarray, negligible: float) -> None:
    """One pair's sequences as points, its mean as a bar and in numbers."""
    off = (np.arange(len(values)) * GOLDEN) % 1 - 0.5
    strong = abs(values.mean()) > negligible
    color = ORANGE if strong else GREY
    ax.plot(values, y + 0.5 * off, "o", markersize=4.5, alpha=0.55, color=color, markeredgewidth=0)
    ax.plot([values.mean()] * 2, [y - 0.36, y + 0.36], color=INK, linewidth=2.2)
    text = f"{values.mean():.2f}".replace("-0.00", "0.00").replace("-", "−")
    ax.annotate(
        text, (max(values.max(), negligible), y), xytext=(10, 0), textcoords="offset points",
        va="center", fontsize=TICK_SIZE, fontweight="bold" if strong else "normal", color=INK,
    )  # fmt: skip


def _bars(ax: Axes, y: int, rows: pd.DataFrame, tests: Mapping[str, str]) -> None:
    height = 0.76 / len(tests)
    for i, (label, column) in enumerate(tests.items()):
        share: Any = 100 * rows[column].mean()
        ax.barh(
            y - 0.38 + (i + 0.5) * height, share, height, color=TEST_COLORS[i % len(TEST_COLORS)],
            label=label if y == 0 else None,
        )  # fmt: skip

"""A variant's effect, part by part."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from dfim_fast.errors import InputError
from dfim_fast.plot.style import (
    GREY,
    INK,
    LABEL_SIZE,
    ORANGE,
    PURPLE,
    TICK_SIZE,
    new_axes,
    open_frame,
    value_ticks,
)

PARTS = 8  # motifs drawn by themselves; the weaker ones stand together


def plot_waterfall(parts: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw how the parts of a sequence add up to the effect of one allele.

    Parameters
    ----------
    parts : DataFrame
        Rows of one allele and task of `explain_variants`.
    ax : matplotlib.axes.Axes, optional
        By default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes
        Bars from the score with the reference allele to that with the alternate one; whiskers are
        standard errors over references.

    Raises
    ------
    InputError
        If the rows belong to several alleles or tasks.
    """
    if parts.empty or parts["variant"].nunique() != 1 or parts["task"].nunique() != 1:
        raise InputError(
            "parts: wanted the rows of one allele and one task of explain_variants; "
            "select them by variant and task"
        )
    own = parts.reset_index(drop=True)
    motifs = own[own["kind"] == "motif"]
    strongest = motifs["delta_importance"].abs().sort_values(ascending=False, kind="stable").index
    shown = set(strongest[:PARTS])
    rows = [own.loc[i] for i in own.index if own["kind"][i] == "self" or i in shown]
    bars = [
        (_label(row), float(row["delta_importance"]), float(row["standard_error"])) for row in rows
    ]
    weaker = motifs.drop(index=list(shown))["delta_importance"].sum()
    if len(motifs) > PARTS:
        bars.append((f"{len(motifs) - PARTS} other motifs", float(weaker), np.nan))
    rest = own[own["kind"] == "rest"].iloc[0]
    bars.append(("rest", float(rest["delta_importance"]), float(rest["standard_error"])))
    before = float(own["prediction"].iloc[0])
    if ax is None:
        ax = new_axes((9.5, 1.9 + 0.5 * (len(bars) + 2)))
    level = before
    ax.plot([before] * 2, [-0.4, 0.4], color=INK, linewidth=3)
    for y, (_, delta, error) in enumerate(bars, start=1):
        ax.barh(y, delta, left=level, height=0.62, color=ORANGE if delta > 0 else PURPLE)
        ax.plot([level] * 2, [y - 1 + 0.31, y + 0.31], color=GREY, linewidth=0.8)
        level += delta
        if np.isfinite(error):
            ax.errorbar(level, y, xerr=error, color=INK, capsize=3, linewidth=1.2)
        text = f"{delta:+.2f}".replace("-", "−")
        ax.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center",
                    fontsize=TICK_SIZE)  # fmt: skip
    last = len(bars) + 1
    after = before + float(own["effect"].iloc[0])
    ax.plot([after] * 2, [last - 0.4, last + 0.4], color=INK, linewidth=3)
    ax.plot([level] * 2, [last - 1 + 0.31, last + 0.4], color=GREY, linewidth=0.8)
    for y, value in ((0, before), (last, after)):
        ax.annotate(f"{value:.2f}".replace("-", "−"), (1.01, y), xycoords=("axes fraction", "data"),
                    va="center", fontsize=TICK_SIZE, fontweight="bold")  # fmt: skip
    ref, alt = own["ref"].iloc[0], own["alt"].iloc[0]
    names = [f"with {ref}", *(name for name, _, _ in bars), f"with {alt}"]
    ax.set_yticks(range(last + 1), names)
    ax.set_ylim(last + 0.6, -0.6)
    steps = before + np.cumsum([0.0, *(delta for _, delta, _ in bars)])
    low, high = min(steps.min(), after), max(steps.max(), after)
    air = 0.08 * (high - low) or 1.0
    ax.set_xlim(low - air, high + air)
    ax.set_xlabel(f"predicted score ({own['task'].iloc[0]})", fontsize=LABEL_SIZE)
    ax.set_title(str(own["variant"].iloc[0]), fontsize=LABEL_SIZE, loc="left", color=INK)
    value_ticks(ax.xaxis, 6)
    open_frame(ax)
    ax.tick_params(axis="y", length=0, labelsize=LABEL_SIZE)
    return ax


def _label(row: pd.Series) -> str:
    return "the variant itself" if row["kind"] == "self" else str(row["part"])

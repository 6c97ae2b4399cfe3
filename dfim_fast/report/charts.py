"""The report's charts, as plotly figures; colours of light and dark are set by the page itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from dfim_fast.plot.style import PURPLE

# Both are seen on white and on black.
LINE, SECOND = "#7B5FC0", "#D9731A"
PALE = "rgba(140,150,165,0.45)"
RISING = [[0.0, "rgba(128,128,128,0)"], [0.35, "#998EC3"], [0.7, PURPLE], [1.0, "#2D004B"]]


def _figure(traces: Sequence[Any], x: str, y: str, height: int = 360, **layout: Any) -> go.Figure:
    figure = go.Figure(data=list(traces))
    figure.update_layout(
        height=height, margin={"l": 64, "r": 16, "t": 16, "b": 52}, template="none",
        xaxis={"title": {"text": x}, "zeroline": False}, yaxis={"title": {"text": y}},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        **layout,
    )  # fmt: skip
    return figure


def distance(by_distance: Mapping[str, np.ndarray], unit: str = "bp") -> go.Figure:
    """Mean and largest |FIS| at each distance between source and target.

    Parameters
    ----------
    by_distance : mapping
        ``distance`` (D,), ``mean`` and ``largest`` (D,).
    """
    at = by_distance["distance"]
    traces = [
        go.Scatter(x=at, y=by_distance[name], name=label, mode="lines", line={"color": color},
                   hovertemplate="%{x} bp: %{y:.3g}<extra>" + label + "</extra>")
        for name, label, color in (
            ("mean", "mean |FIS|", LINE), ("largest", "largest |FIS|", SECOND)
        )
    ]  # fmt: skip
    figure = _figure(traces, f"distance between source and target ({unit})", "|FIS|")
    figure.update_yaxes(type="log", exponentformat="power")
    return figure


def points(
    x: ArrayLike, y: ArrayLike, text: ArrayLike, strong: ArrayLike, xtitle: str, ytitle: str
) -> go.Figure:  # fmt: skip
    """Points, those that are significant in colour."""
    traces = []
    flag = np.asarray(strong, dtype=bool)
    for own, label, color in ((~flag, "not significant", PALE), (flag, "significant", SECOND)):
        traces.append(go.Scatter(
            x=np.asarray(x)[own], y=np.asarray(y)[own], text=np.asarray(text, dtype=object)[own],
            mode="markers", name=label, marker={"color": color, "size": 7},
            hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
        ))  # fmt: skip
    return _figure(traces, xtitle, ytitle)


def null_and_scores(record: Mapping[str, Any]) -> go.Figure:
    """The null against the scores, with the Gaussian that was fitted or would be.

    Parameters
    ----------
    record : mapping
        One of ``nulls`` of `io.run_record.RunRecord`.
    """
    edges = np.asarray(record["edges"])
    null, scores = np.asarray(record["null"], float), np.asarray(record["scores"], float)
    scale = scores.sum() / null.sum()
    middle = (edges[1:] + edges[:-1]) / 2
    name = "null" if scale == 1 else f"null, scaled to {int(scores.sum()):,} scores"
    traces = [
        go.Bar(x=middle, y=null * scale, width=np.diff(edges), name=name, marker={"color": PALE},
               hovertemplate="FIS %{x:.3g}: %{y:,.0f}<extra>null</extra>"),
        go.Scatter(x=middle, y=np.where(scores > 0, scores, np.nan), name="scores", mode="lines",
                   line={"color": LINE, "shape": "hvh", "width": 2.2},
                   hovertemplate="FIS %{x:.3g}: %{y:,.0f}<extra>scores</extra>"),
    ]  # fmt: skip
    floor = 0.5 * min(1.0, scale)
    mean, sd = record["fit"] or _moments(middle, null)
    if sd > 0:
        x = np.linspace(edges[0], edges[-1], 1001)
        peak = scores.sum() * (edges[1] - edges[0]) / (sd * np.sqrt(2 * np.pi))
        curve = peak * np.exp(-0.5 * ((x - mean) / sd) ** 2)
        traces.append(go.Scatter(
            x=x, y=np.where(curve > floor, curve, np.nan), mode="lines", hoverinfo="skip",
            name="Gaussian fit of the null", line={"color": SECOND, "dash": "dash"},
        ))  # fmt: skip
    figure = _figure(traces, "FIS: importance lost", "cells", bargap=0)
    top = max(scores.max(), (null * scale).max())
    figure.update_yaxes(type="log", range=[np.log10(floor), np.log10(2 * top)], dtick=1)
    return figure


def _moments(middle: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    mean = float(np.average(middle, weights=counts))
    return mean, float(np.sqrt(np.average((middle - mean) ** 2, weights=counts)))


def p_histogram(counts: np.ndarray) -> go.Figure:
    """How often p falls into each of B equal parts of 0..1; flat where nothing interacts."""
    edges = np.linspace(0, 1, len(counts) + 1)
    flat = counts.sum() / len(counts)
    traces = [
        go.Bar(x=(edges[1:] + edges[:-1]) / 2, y=counts, width=np.diff(edges),
               marker={"color": LINE}, name="p", hovertemplate="p %{x:.2f}: %{y:,}<extra></extra>"),
        go.Scatter(x=[0, 1], y=[flat, flat], mode="lines", name="if nothing interacted",
                   line={"color": SECOND, "dash": "dash"}, hoverinfo="skip"),
    ]  # fmt: skip
    return _figure(traces, "p", "tests", bargap=0)


def qq(expected: np.ndarray, observed: np.ndarray) -> go.Figure:
    """Quantiles of -log10 p against those of evenly spread p."""
    top = float(max(expected.max(initial=1), 1))
    traces = [
        go.Scatter(x=[0, top], y=[0, top], mode="lines", name="if nothing interacted",
                   line={"color": SECOND, "dash": "dash"}, hoverinfo="skip"),
        go.Scatter(x=expected, y=observed, mode="markers", name="tests",
                   marker={"color": LINE, "size": 5},
                   hovertemplate="expected %{x:.2f}, found %{y:.2f}<extra></extra>"),
    ]  # fmt: skip
    return _figure(traces, "expected -log10 p", "found -log10 p")


def delta(expected: np.ndarray, found: np.ndarray, names: Sequence[str]) -> go.Figure:
    """The sum of importance against the difference from the references that it should be."""
    low, high = float(min(expected.min(), 0)), float(max(expected.max(), 0))
    traces = [
        go.Scatter(x=[low, high], y=[low, high], mode="lines", name="equal",
                   line={"color": SECOND, "dash": "dash"}, hoverinfo="skip"),
        go.Scatter(x=expected, y=found, text=list(names), mode="markers", name="sequences",
                   marker={"color": LINE, "size": 7},
                   hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>"),
    ]  # fmt: skip
    return _figure(traces, "score minus mean score of the references", "sum of importance")


def square_map(
    values: np.ndarray, x: Sequence[Any], y: Sequence[Any], xtitle: str, ytitle: str, label: str,
    signed: bool = False,
) -> go.Figure:  # fmt: skip
    """A heat map, the first row on top; signed ones are centred at zero."""
    top = float(np.nanmax(np.abs(values), initial=0)) or 1.0
    scale = {"colorscale": "PuOr", "reversescale": True, "zmin": -top, "zmax": top} if signed else {
        "colorscale": RISING, "zmin": 0, "zmax": top
    }  # fmt: skip
    trace = go.Heatmap(
        z=[[None if np.isnan(v) else float(f"{v:.4g}") for v in row] for row in values.tolist()],
        x=list(x), y=list(y), meta="signed" if signed else "rising", hoverongaps=False,
        colorbar={"title": {"text": label, "side": "right"}, "thickness": 14, "outlinewidth": 0},
        hovertemplate=f"{ytitle} %{{y}}<br>{xtitle} %{{x}}<br>{label} %{{z}}<extra></extra>",
        **scale,
    )  # fmt: skip
    figure = _figure([trace], xtitle, ytitle, height=560)
    figure.update_yaxes(autorange="reversed")
    return figure


def strips(groups: Mapping[str, np.ndarray], xtitle: str) -> go.Figure:
    """A box with its points for each group, the first on top."""
    traces = [
        go.Box(x=values, name=name, boxpoints="all" if len(values) <= 300 else False, jitter=0.6,
               pointpos=0, marker={"color": SECOND, "size": 4, "opacity": 0.5},
               line={"color": LINE, "width": 1.5}, fillcolor="rgba(0,0,0,0)", showlegend=False,
               hoveron="boxes", orientation="h")
        for name, values in groups.items()
    ]  # fmt: skip
    figure = _figure(traces, xtitle, "", height=120 + 34 * len(groups))
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(zeroline=True)
    return figure

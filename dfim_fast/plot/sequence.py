"""One sequence on one page: letters of original, mutant and difference above the heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot.interaction import (
    QUANTILE,
    Cells,
    check_cells,
    colour_bar,
    plot_interaction_map,
)
from dfim_fast.plot.page import (
    LEFT,
    RIGHT,
    WIDTH,
    Page,
    draw_overview,
    draw_title,
    flag,
    mark_break,
    zoom_shade,
)
from dfim_fast.plot.style import (
    BASES,
    DIVERGING,
    INK,
    LABEL_SIZE,
    check_codes,
    check_track,
    position_ticks,
    value_limits,
)
from dfim_fast.plot.tracks import Source, mutation_arrow, plot_tracks, source_name, source_span
from dfim_fast.plot.view import choose_view

# Inches from the top down: every panel is placed by hand, so that position axes agree to the pixel.
_TITLE, _OVERVIEW, _ZOOM, _FLAGS = 1.05, 0.6, 0.6, 0.3
_ROW, _ROW_GAP, _MAP_GAP, _MAP, _FOOT = 0.95, 0.14, 0.2, 3.1, 0.75
# Between two stretches, and from the axes to their row labels.
_BREAK, _LABEL = 0.22, 0.78


def _check_view(view: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    stretches = [(int(start), int(stop)) for start, stop in view]
    edges = [edge for stretch in stretches for edge in stretch]
    if not edges or edges[0] < 0 or edges[-1] > length or np.any(np.diff(edges) <= 0):
        raise InputError(
            f"view: found {stretches}, wanted (start, stop) stretches in order, apart and within "
            f"0..{length}; positions count from 0"
        )
    return stretches


def _weight(
    lost: NDArray[np.float64], significant: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Squared FIS of the significant targets, or of all where none is."""
    weight = np.nan_to_num(lost) ** 2
    if significant is not None and np.any(weight[significant] > 0):
        weight = np.where(significant, weight, 0.0)
    return weight


@dataclass(frozen=True)
class _Scene:
    """What the page shows, checked: tracks of (L,), the source as given and as a span."""

    bases: NDArray[np.int8]
    mutant_bases: NDArray[np.int8]
    original: NDArray[np.float64]
    mutant: NDArray[np.float64]
    lost: NDArray[np.float64]
    significant: NDArray[np.bool_] | None
    source: Source
    span: tuple[int, int]
    target: int | None
    cells: Cells
    stretches: list[tuple[int, int]]

    @property
    def rows(self) -> int:
        return 3 if self.significant is None else 4

    @property
    def whole(self) -> bool:
        return self.stretches == [(0, self.bases.size)]

    @property
    def colour_limit(self) -> float:
        """Where the colours end: fitted to the cells on show."""
        return self.cells.within(self.stretches).limit(QUANTILE)

    @property
    def centre(self) -> float:
        """Middle of the source."""
        return (self.span[0] + self.span[1] - 1) / 2

    @property
    def map_row(self) -> float | None:
        """Where the source stands on the source axis of the map; None where it is no row of it."""
        if self.cells.by_position:
            return self.centre
        found = np.flatnonzero(np.sort(self.cells.sources) == self.span[0])
        return float(found[0]) if found.size else None

    @property
    def target_name(self) -> str:
        return "" if self.target is None else f"{BASES[self.bases[self.target]]}{self.target}"

    def limits(self, *tracks: NDArray[np.float64]) -> tuple[float, float]:
        """Value limits over every stretch, so that a broken axis keeps one scale."""
        return value_limits(track[start:stop] for track in tracks for start, stop in self.stretches)


def _draw_tracks(
    page: Page, scene: _Scene, stretch: tuple[int, int], column: int, box: tuple[float, ...]
) -> list[Axes]:
    """Draw the letter rows of one stretch; `box` is left, top and width in inches."""
    left, top, width = box
    axes = [
        page.panel(left, top + row * (_ROW + _ROW_GAP), width, _ROW, f"track {row}.{column}")
        for row in range(scene.rows)
    ]
    plot_tracks(
        scene.bases, scene.original, scene.mutant, scene.mutant_bases, scene.lost, scene.source,
        scene.significant, start=stretch[0], stop=stretch[1], axes=axes,
    )  # fmt: skip
    importance = scene.limits(scene.original, scene.mutant)
    difference = scene.limits(scene.lost)
    for row, ax in enumerate(axes):
        ax.set_ylim(*(importance if row < 2 else difference))
        ax.tick_params(labelbottom=False)
        ax.set_xlabel("")
        if column:
            ax.set_ylabel("")
        else:
            # All row labels end at one line, however wide the tick labels are.
            middle = (ax.get_position().y0 + ax.get_position().y1) / 2
            ax.yaxis.set_label_coords(
                page.across(LEFT - _LABEL), middle, transform=page.figure.transFigure
            )
    return axes


def _draw_maps(
    page: Page, scene: _Scene, stretch: tuple[int, int], column: int, box: tuple[float, ...]
) -> list[Axes]:
    """Draw the heat map under one stretch, one panel per stretch of sources."""
    left, top, width = box
    cells = scene.cells
    # Sources far apart get a row each and no position axis: one panel, whatever the stretches.
    bands: list[tuple[int | None, int | None]] = [(None, None)]
    shares = np.ones(1)
    if cells.by_position:
        bands = [*scene.stretches]
        shares = np.array([stop - start for start, stop in scene.stretches], dtype=np.float64)
    heights = (_MAP - _BREAK * (len(bands) - 1)) * shares / shares.sum()
    axes = []
    for row, (band, height) in enumerate(zip(bands, heights, strict=True)):
        ax = page.panel(left, top, width, float(height), f"map {row}.{column}")
        plot_interaction_map(
            cells.values, cells.sources, cells.targets, cells.tested,
            start=stretch[0], stop=stretch[1], source_start=band[0], source_stop=band[1],
            limit=scene.colour_limit, colorbar=False, ax=ax,
        )  # fmt: skip
        ax.set_ylabel("")
        if row < len(bands) - 1:
            ax.tick_params(labelbottom=False)
            ax.set_xlabel("")
        _mark_cell(ax, scene, stretch)
        axes.append(ax)
        top += float(height) + _BREAK
    return axes


def _mark_cell(ax: Axes, scene: _Scene, stretch: tuple[int, int]) -> None:
    """Ring the cell of the mutant above and its strongest target; point at its row."""
    row = scene.map_row
    bottom, top = ax.get_ylim()
    if row is None or not top < row < bottom:
        return
    if scene.target is not None and stretch[0] <= scene.target < stretch[1]:
        ax.plot(
            [scene.target], [row], "o", markersize=15, markerfacecolor="none",
            markeredgecolor=INK, markeredgewidth=1.6, clip_on=False,
        )  # fmt: skip
    if stretch == scene.stretches[-1]:
        ax.annotate(
            "\u25c0", (1.0, row), xycoords=ax.get_yaxis_transform(), xytext=(1, 0),
            textcoords="offset points", ha="left", va="center", fontsize=9, color=INK,
        )  # fmt: skip


def _draw_flags(scene: _Scene, panels: list[Axes]) -> None:
    """Name source and target above the first row of letters."""
    to_left = scene.target is None or scene.centre <= scene.target
    sides = ("right", "left") if to_left else ("left", "right")
    named = [(scene.centre, f"source {source_name(scene.bases, scene.source)}", sides[0])]
    if scene.target is not None:
        named.append((float(scene.target), f"target {scene.target_name}", sides[1]))
    for position, text, side in named:
        for ax, (start, stop) in zip(panels, scene.stretches, strict=True):
            if start <= position < stop:
                flag(ax, position, text, side)


def _draw(page: Page, scene: _Scene, letters_top: float, map_top: float) -> None:
    full = WIDTH - LEFT - RIGHT
    overview = None
    if not scene.whole:
        overview = page.panel(LEFT, _TITLE, full, _OVERVIEW, "overview")
        draw_overview(overview, scene.original, scene.stretches)
    room = full - _BREAK * (len(scene.stretches) - 1)
    shown = sum(stop - start for start, stop in scene.stretches)
    left = LEFT
    first_row: list[Axes] = []
    previous: list[Axes] = []
    for column, stretch in enumerate(scene.stretches):
        width = room * (stretch[1] - stretch[0]) / shown
        tracks = _draw_tracks(page, scene, stretch, column, (left, letters_top, width))
        maps = _draw_maps(page, scene, stretch, column, (left, map_top, width))
        for ax in tracks + maps:
            # About one tick label per inch and a bit, whatever the width of the stretch.
            ax.xaxis.set_major_locator(position_ticks(max(3, round(width))))
        if overview is not None:
            zoom_shade(page, overview, tracks[0], stretch)
        for one, two in zip(previous, tracks + maps, strict=False):
            mark_break(one, two)
        previous = tracks + maps
        first_row.append(tracks[0])
        left += width + _BREAK
    _draw_flags(scene, first_row)

    frame = page.panel(LEFT, map_top, full, _MAP, "map frame")
    frame.set_axis_off()
    colour_bar(frame, scene.cells, scene.colour_limit, DIVERGING)
    page.figure.text(
        page.across(LEFT - _LABEL), page.down(map_top + _MAP / 2),
        "interaction map:\nsource position", ha="right", va="center", fontsize=LABEL_SIZE,
        multialignment="right",
    )  # fmt: skip


def plot_sequence(
    codes: ArrayLike,
    original: ArrayLike,
    mutant: ArrayLike,
    mutant_codes: ArrayLike,
    fis: ArrayLike,
    source: Source,
    interactions: ArrayLike,
    sources: ArrayLike,
    targets: ArrayLike,
    *,
    mask: ArrayLike | None = None,
    significant: ArrayLike | None = None,
    target: int | None = None,
    name: str = "",
    prediction: float | None = None,
    mutant_prediction: float | None = None,
    view: Sequence[tuple[int, int]] | None = None,
    max_letters: int = 120,
) -> Figure:
    """Draw one sequence as the paper's Figs. 1, 4 and 5 do, on one position axis.

    From the top: the whole sequence, where it is too long for letters; importance in the original
    and in one mutant as letters; the importance that the mutation takes from every other base; the
    significant part of it; the interaction map of the same stretch. Where source and target lie
    too far apart for one legible stretch the axis is broken in two.

    Parameters
    ----------
    codes, mutant_codes : array_like of int, shape (L,)
        Bases of the original and of the mutant: 0..3 for A, C, G, T, 4 for N.
    original, mutant : array_like, shape (L,)
        Importance of the observed bases; NaN where unknown.
    fis : array_like, shape (L,)
        Importance lost at each target in this mutant; NaN or 0 where not tested.
    source : int or (start, stop)
        The mutated position, or a half-open span.
    interactions : array_like, shape (S, T) or (S, 2w+1)
        The map below: as a rule the signed maximum over the mutants.
    sources, targets, mask
        Of the map, as in `plot_interaction_map`.
    significant : array_like of bool, shape (L,), optional
        Targets whose FIS in this mutant is significant; without it the row is left out.
    target : int, optional
        The target to point out; by default the one of largest absolute FIS, among significant
        ones if there are any.
    name : str
        Title.
    prediction, mutant_prediction : float, optional
        Outputs of the model for the two sequences; the title names both.
    view : sequence of (start, stop), optional
        Stretches drawn as letters, in order; by default chosen around source and target.
    max_letters : int
        The most letters side by side when the view is chosen.

    Returns
    -------
    matplotlib.figure.Figure
        Its axes carry the labels ``overview``, ``track ROW.STRETCH`` and ``map ROW.STRETCH``.

    Raises
    ------
    InputError
        Shapes, codes or positions that do not fit the sequence.
    SettingsError
        `max_letters` below 20.
    """
    bases, mutant_bases = check_codes(codes), check_codes(mutant_codes, "mutant_codes")
    length = bases.size
    span = source_span(source, length)
    lost = check_track(fis, length, "fis").copy()
    lost[slice(*span)] = np.nan
    chosen = None
    if significant is not None:
        chosen = check_track(significant, length, "significant") != 0
    if max_letters < 20:
        raise SettingsError(f"max_letters: found {max_letters}, wanted at least 20; try 120")
    weight = _weight(lost, chosen)
    strongest = int(np.argmax(weight)) if weight.any() else None
    if target is None:
        target = strongest
    if target is not None and not 0 <= target < length:
        raise InputError(f"target: found {target}, wanted 0..{length - 1}; positions count from 0")
    scene = _Scene(
        bases=bases,
        mutant_bases=mutant_bases,
        original=check_track(original, length, "original"),
        mutant=check_track(mutant, length, "mutant"),
        lost=lost,
        significant=chosen,
        source=source,
        span=span,
        target=target,
        cells=check_cells(interactions, sources, targets, mask),
        stretches=(
            choose_view(span, span[0] if target is None else target, weight, max_letters)
            if view is None
            else _check_view(view, length)
        ),
    )
    letters_top = _TITLE + (_FLAGS - 0.15 if scene.whole else _OVERVIEW + _ZOOM)
    map_top = letters_top + scene.rows * _ROW + (scene.rows - 1) * _ROW_GAP + _MAP_GAP
    page = Page(map_top + _MAP + _FOOT)
    change = mutation_arrow(bases, mutant_bases, source)
    told = (
        f"target {scene.target_name}" if target is not None else "importance of no target changes"
    )
    if target is not None and target == strongest:
        told = "strongest " + told
    draw_title(page, name, change, told, prediction, mutant_prediction)
    _draw(page, scene, letters_top, map_top)
    return page.figure

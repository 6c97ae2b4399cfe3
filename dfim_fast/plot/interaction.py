"""The Deep Feature Interaction Map as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm, Colormap
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot.style import (
    DIVERGING,
    LABEL_SIZE,
    TICK_SIZE,
    UNTESTED_EDGE,
    UNTESTED_FACE,
    new_axes,
    position_ticks,
    value_ticks,
)

# More cells a side than any screen shows: past it neighbours are pooled, which also bounds memory.
MAX_CELLS = 2000
# Colours end here, so that a few extreme cells do not bleach the rest.
QUANTILE = 0.995


@dataclass(frozen=True)
class Cells:
    """A map in plotting form.

    Attributes
    ----------
    values : numpy.ndarray, shape (S, T)
    tested : numpy.ndarray of bool, shape (S, T)
    sources : numpy.ndarray of int, shape (S,)
    targets : numpy.ndarray of int, shape (S, T)
        Absolute target position of every cell; -1 off the end.
    """

    values: NDArray[np.float64]
    tested: NDArray[np.bool_]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]

    @property
    def by_position(self) -> bool:
        """Whether the sources are close enough together for a position axis of their own."""
        span = int(self.sources.max() - self.sources.min()) + 1
        return bool(np.unique(self.sources).size * 2 >= span)

    def within(self, stretches: Sequence[tuple[int, int]]) -> Cells:
        """Keep only the cells whose source (unless in a row of its own) and target are shown."""
        row = np.zeros(self.sources.shape, dtype=bool)
        column = np.zeros(self.targets.shape, dtype=bool)
        for start, stop in stretches:
            row |= (self.sources >= start) & (self.sources < stop)
            column |= (self.targets >= start) & (self.targets < stop)
        if not self.by_position:
            row[:] = True
        return replace(self, tested=self.tested & row[:, None] & column)

    def limit(self, quantile: float) -> float:
        """Value where the colours end, never 0.

        A quantile over the sources of the strongest absolute FIS of each. Over cells it would be
        one of noise: in a kilobase two motifs hold a few cells in ten thousand.
        """
        sizes = np.where(self.tested, np.abs(self.values), 0.0).max(axis=1)
        sizes = sizes[sizes > 0]
        return float(np.quantile(sizes, quantile)) if sizes.size else 1.0


def check_cells(
    fis: ArrayLike, sources: ArrayLike, targets: ArrayLike, mask: ArrayLike | None
) -> Cells:
    """Bring a map, dense or windowed, to absolute positions.

    Raises
    ------
    InputError
        Shapes that do not fit each other.
    """
    values = np.asarray(fis, dtype=np.float64)
    rows = np.asarray(sources, dtype=np.int64)
    columns = np.asarray(targets, dtype=np.int64)
    if values.ndim != 2 or not values.size:
        raise InputError(
            f"fis: found shape {values.shape}, wanted (S, T) with at least one cell, a value per "
            "source and target; reduce the mutants first, as max_fis() does"
        )
    if rows.shape != values.shape[:1]:
        raise InputError(
            f"sources: found shape {rows.shape}, wanted ({values.shape[0]},), one position per "
            "row of fis; pass the sources of this map"
        )
    if columns.shape not in (values.shape, values.shape[1:]):
        raise InputError(
            f"targets: found shape {columns.shape}, wanted ({values.shape[1]},) or, for a window, "
            f"{values.shape}; pass the targets of this map"
        )
    columns = np.broadcast_to(columns, values.shape)
    tested = np.isfinite(values) & (columns >= 0)
    if mask is not None:
        given = np.asarray(mask, dtype=bool)
        if given.shape != values.shape:
            raise InputError(
                f"mask: found shape {given.shape}, wanted {values.shape} as fis; "
                "reduce the mutants first, mask.any() over their axis"
            )
        tested &= given
    return Cells(values, tested, rows, columns)


def _canvas(
    cells: Cells,
    rows: NDArray[np.int64],
    shape: tuple[int, int],
    origin: int,
    step: tuple[int, int],
) -> NDArray[np.float64]:
    """Cells laid out by position, NaN where none was tested; pooled cells show their strongest."""
    column = (cells.targets - origin) // step[1]
    row = np.broadcast_to((rows // step[0])[:, None], column.shape)
    inside = cells.tested & (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    values, row, column = cells.values[inside], row[inside], column[inside]
    if max(step) > 1:
        order = np.argsort(np.abs(values), kind="stable")
        values, row, column = values[order], row[order], column[order]
    canvas = np.full(shape, np.nan)
    canvas[row, column] = values
    return canvas


def _view(low: int, high: int, start: int | None, stop: int | None, name: str) -> tuple[int, int]:
    first, last = (low if start is None else start), (high if stop is None else stop)
    if first >= last:
        raise InputError(
            f"{name}: found {first}, {last}, wanted start < stop; positions count from 0 and "
            "stop is the first one left out"
        )
    return first, last


def colour_bar(ax: Axes, cells: Cells, limit: float, cmap: str | Colormap) -> None:
    """Add a colour bar, and a key to untested cells, beside axes without taking room from them."""
    untested = not cells.tested.all()
    tested = cells.values[cells.tested]
    over, under = bool(np.any(tested > limit)), bool(np.any(tested < -limit))
    # An inset leaves the position axis as wide as that of any track above it.
    bar = ax.inset_axes((1.018, 0.2 if untested else 0.0, 0.014, 0.8 if untested else 1.0))
    colorbar = bar.figure.colorbar(
        ScalarMappable(CenteredNorm(0.0, halfrange=limit), cmap),
        cax=bar,
        extend="both" if over and under else "max" if over else "min" if under else "neither",
    )
    colorbar.set_label("FIS: importance lost", fontsize=LABEL_SIZE, labelpad=8)
    bar.tick_params(labelsize=TICK_SIZE)
    value_ticks(bar.yaxis, 5, symmetric=True)
    if untested:
        ax.add_patch(
            Rectangle(
                (1.018, 0.0), 0.014, 0.08, transform=ax.transAxes, clip_on=False,
                facecolor=UNTESTED_FACE, edgecolor=UNTESTED_EDGE, hatch="////", linewidth=0,
            )
        )  # fmt: skip
        ax.text(1.039, 0.04, "not tested", transform=ax.transAxes, va="center", fontsize=TICK_SIZE)


def plot_interaction_map(
    fis: ArrayLike,
    sources: ArrayLike,
    targets: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    start: int | None = None,
    stop: int | None = None,
    source_start: int | None = None,
    source_stop: int | None = None,
    limit: float | None = None,
    quantile: float = QUANTILE,
    cmap: str | Colormap = DIVERGING,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw an interaction map: target positions across, mutated positions down.

    Colours are centred at zero and end at the same size on both sides. Cells that were not tested
    (the diagonal, N, positions out of reach, outside the window) are grey and hatched. Sources
    that lie far apart get a row each, labelled with their positions.

    Parameters
    ----------
    fis : array_like, shape (S, T) or (S, 2w+1)
        Importance lost, one value per cell: as a rule the signed maximum over the mutants.
    sources : array_like of int, shape (S,)
        Mutated positions.
    targets : array_like of int, shape (T,) or (S, 2w+1)
        Target positions; for a window those of every row, -1 off the end.
    mask : array_like of bool, like `fis`, optional
        True where a cell was tested; NaN counts as not tested.
    start, stop : int, optional
        Target positions drawn, half-open; by default all.
    source_start, source_stop : int, optional
        Source positions drawn, half-open; not used where each source has a row of its own.
    limit : float, optional
        FIS at which the colours end; by default the `quantile` over the sources of their
        strongest absolute FIS.
    quantile : float
        Above 0, at most 1.
    cmap : str or matplotlib.colors.Colormap
        A diverging colour map.
    colorbar : bool
        Draw the colour bar, to the right of the axes, which keep their size.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a figure of its own.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        Shapes that do not fit each other, or an empty range of positions.
    SettingsError
        `limit` or `quantile` out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from dfim_fast.plot import plot_interaction_map
    >>> ax = plot_interaction_map(np.eye(5), sources=range(5), targets=range(5))
    >>> ax.figure.savefig("map.png")
    """
    if not 0 < quantile <= 1:
        raise SettingsError(f"quantile: found {quantile}, wanted above 0 and at most 1; try 0.995")
    if limit is not None and not limit > 0:
        raise SettingsError(f"limit: found {limit}, wanted above 0; leave it out to fit the map")
    cells = check_cells(fis, sources, targets, mask)
    known = cells.targets[cells.targets >= 0]
    if not known.size:
        raise InputError("targets: found no position >= 0, wanted some; pass the map's targets")
    first, last = _view(int(known.min()), int(known.max()) + 1, start, stop, "start, stop")
    if cells.by_position:
        top, bottom = _view(
            int(cells.sources.min()), int(cells.sources.max()) + 1, source_start, source_stop,
            "source_start, source_stop",
        )  # fmt: skip
        rows = cells.sources - top
    else:
        order = np.argsort(cells.sources, kind="stable")
        cells = Cells(
            cells.values[order], cells.tested[order], cells.sources[order], cells.targets[order]
        )
        top, bottom = 0, order.size
        rows = np.arange(order.size)
    step = (-(-(bottom - top) // MAX_CELLS), -(-(last - first) // MAX_CELLS))
    shape = (-(-(bottom - top) // step[0]), -(-(last - first) // step[1]))
    canvas = _canvas(cells, rows, shape, first, step)
    edge = cells.limit(quantile) if limit is None else limit

    if ax is None:
        ax = new_axes((9.5, 7.0))
    ax.patch.set(facecolor=UNTESTED_FACE, hatch="////", edgecolor=UNTESTED_EDGE, linewidth=0)
    ax.imshow(
        canvas,
        cmap=cmap,
        norm=CenteredNorm(0.0, halfrange=edge),
        aspect="auto",
        extent=(
            first - 0.5,
            first - 0.5 + shape[1] * step[1],
            top - 0.5 + shape[0] * step[0],
            top - 0.5,
        ),
        interpolation="nearest" if max(shape) <= 400 else "auto",
        rasterized=True,
    )
    ax.set_xlim(first - 0.5, last - 0.5)
    ax.set_ylim(bottom - 0.5, top - 0.5)
    ax.set_xlabel("target position (from 0)", fontsize=LABEL_SIZE)
    ax.set_ylabel("source position", fontsize=LABEL_SIZE)
    ax.tick_params(labelsize=TICK_SIZE)
    ax.xaxis.set_major_locator(position_ticks(10))
    ax.yaxis.set_major_locator(position_ticks(7))
    if not cells.by_position:
        names = cells.sources

        def name_row(row: float, _: object = None) -> str:
            index = round(row)
            return str(names[index]) if index == row and 0 <= index < names.size else ""

        ax.yaxis.set_major_formatter(FuncFormatter(name_row))
    if colorbar:
        colour_bar(ax, cells, edge, cmap)
    return ax

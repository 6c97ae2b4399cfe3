"""What a report is made of: sections of facts, notes, charts, tables and the map to explore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go


@dataclass(frozen=True)
class Facts:
    """Pairs of a name and a value."""

    rows: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Notes:
    """Lines of text; ``tone`` is "plain", "warning" or "code"."""

    lines: Sequence[str]
    tone: str = "plain"
    kind: str = "notes"


@dataclass(frozen=True)
class Chart:
    """A figure, what it shows, and what one sees in it.

    Attributes
    ----------
    name : str
        Unique in the page; letters, digits and hyphens.
    figure : plotly Figure
    caption : str
        Also what a screen reader is told.
    """

    name: str
    figure: go.Figure
    caption: str
    kind: str = "chart"


@dataclass(frozen=True)
class Charts:
    """Charts side by side, where there is room."""

    charts: Sequence[Chart]
    kind: str = "charts"


@dataclass(frozen=True)
class Column:
    """A column: its name, its heading, and "text", "number", "integer", "p" or "flag"."""

    name: str
    label: str
    type: str = "number"


@dataclass(frozen=True)
class Table:
    """Rows to sort, filter and page through.

    Attributes
    ----------
    name : str
        As of `Chart`.
    columns : sequence of Column
    rows : list of list
        In the order of columns; perhaps one further value, which ``link`` is given.
    caption : str
    link : {"", "explorer", "profile"}
        What choosing a row shows: the map around that interaction, or another chart's trace.
    flag, size : str
        Columns that the filters "significant only" and "at least" read; empty for no such filter.
    """

    name: str
    columns: Sequence[Column]
    rows: list[list[Any]]
    caption: str
    link: str = ""
    flag: str = ""
    size: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Explorer:
    """Maps and tracks that follow the cursor; see `report.views` for what ``views`` hold."""

    views: list[dict[str, Any]]
    common: dict[str, Any]
    kind: str = "explorer"


@dataclass(frozen=True)
class Profiles:
    """Bars along the sequence, or parts of an effect, of the row that was chosen in a table.

    Attributes
    ----------
    name : str
    entries : list of dict
        ``title``, ``x``, ``y`` and ``label`` of each row.
    axis : (str, str)
        Titles of x and y.
    caption : str
    """

    name: str
    entries: list[dict[str, Any]]
    axis: tuple[str, str]
    caption: str
    kind: str = "profiles"


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it."""

    name: str
    title: str
    blocks: Sequence[Facts | Notes | Chart | Charts | Table | Explorer | Profiles]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes
    ----------
    title, lead : str
    sections : list of Section
    """

    title: str
    lead: str
    sections: list[Section] = field(default_factory=list)

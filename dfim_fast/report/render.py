"""From the content of a report to one HTML page with its styles, scripts and data inside."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dfim_fast import __version__
from dfim_fast.plot.letters import glyph
from dfim_fast.plot.style import BASE_COLORS, BASES
from dfim_fast.report.blocks import Chart, Charts, Explorer, Page, Profiles, Table

DIGITS = 5  # significant ones of numbers in tables


def render(page: Page) -> str:
    """The page as HTML.

    Names and values from a user's files are escaped wherever they stand.
    """
    from plotly.offline import get_plotlyjs

    blocks = [block for section in page.sections for block in section.blocks]
    shown = [chart for b in blocks if isinstance(b, Charts) for chart in b.charts]
    shown += [b for b in blocks if isinstance(b, Chart)]
    data: dict[str, Any] = {
        "charts": {chart.name: json.loads(chart.figure.to_json()) for chart in shown},
        "tables": {b.name: _table(b) for b in blocks if isinstance(b, Table)},
        "profiles": {
            b.name: {"entries": b.entries, "axis": b.axis}
            for b in blocks
            if isinstance(b, Profiles)
        },
        "explorer": next(
            ({"views": b.views, **b.common} for b in blocks if isinstance(b, Explorer)), None
        ),
        "glyphs": letters(),
        "baseColors": BASE_COLORS,
    }
    environment = Environment(
        loader=PackageLoader("dfim_fast", "report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    own = files("dfim_fast") / "report"
    return environment.get_template("page.html").render(
        page=page,
        version=__version__,
        data=_script(data),
        # plotly.js holds no "</script"; a test says so of the version that is installed
        plotly=Markup(get_plotlyjs()),
        style=Markup((own / "page.css").read_text(encoding="utf-8")),
        script=Markup(
            "\n".join((own / name).read_text(encoding="utf-8")
                      for name in ("theme.js", "table.js", "explorer.js", "page.js"))
        ),
    )  # fmt: skip


@cache
def letters() -> dict[str, list[list[list[float]]]]:
    """Outlines of the bases in the unit square: closed polygons, a list of (x, y) each."""
    return {
        base: [np.round(np.asarray(polygon), 3).tolist() for polygon in glyph(base).to_polygons()]
        for base in BASES
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "columns": [{"name": c.name, "label": c.label, "type": c.type} for c in table.columns],
        "rows": [[_short(value) for value in row] for row in table.rows],
        "link": table.link, "flag": table.flag, "size": table.size,
    }  # fmt: skip


def _short(value: Any) -> Any:
    """A value as JSON has it, numbers rounded."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value


def _script(data: Any) -> Markup:
    """JSON that can stand in a script element: no text in it can close the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"), default=_short)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)

"""What a run was beside its numbers: when, how long, what it warned of, and its null as drawn.

It stands in ``run.json``, apart from the results: those are the same bits every time, and this
file, which tells the time, is not.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dfim_fast import __version__
from dfim_fast.errors import OutputError

FILE = "run.json"
FORMAT, FORMAT_VERSION = "dfim_fast.run", 1
BINS = 80  # of the histograms of null and scores


@dataclass
class RunRecord:
    """Notes of a run while it goes on.

    Attributes
    ----------
    kind : str
        The command: "map", "motifs", "variants", "demo", "score".
    started : float
        Seconds of the monotonic clock.
    warnings : list of str
        Each once, in order.
    nulls : list of dict
        Histograms: ``label``, ``edges`` (B + 1), ``null`` and ``scores`` (B), ``fit`` (mean, sd) or
        None.
    """

    kind: str
    started: float = field(default_factory=time.monotonic)
    warnings: list[str] = field(default_factory=list)
    nulls: list[dict[str, Any]] = field(default_factory=list)

    def add_null(
        self,
        label: str,
        null: ArrayLike,
        scores: ArrayLike,
        fit: tuple[float, float] | None = None,
    ) -> None:
        """Keep the histograms of null values and scores; values that are not finite are left out.

        Parameters
        ----------
        label : str
            What the null is of: a task, or a kind of null.
        null, scores : array_like
        fit : (mean, standard deviation), optional
        """
        values = [np.asarray(array, np.float64).ravel() for array in (null, scores)]
        finite = [array[np.isfinite(array)] for array in values]
        if not all(array.size for array in finite):
            return
        low = min(float(array.min()) for array in finite)
        high = max(float(array.max()) for array in finite)
        if low == high:
            low, high = low - 0.5, high + 0.5
        edges = np.linspace(low, high, BINS + 1)
        counts = [np.histogram(array, edges)[0].tolist() for array in finite]
        self.nulls.append({
            "label": label, "edges": edges.tolist(), "null": counts[0], "scores": counts[1],
            "fit": None if fit is None else list(fit),
        })  # fmt: skip

    def write(self, folder: Path, model: str) -> None:
        """Write ``run.json``.

        Parameters
        ----------
        folder : Path
        model : str
            The model and its layers, as printed.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        content = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "kind": self.kind,
            "dfim_fast": __version__, "model": model,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self.started, 2),
            "warnings": self.warnings, "nulls": self.nulls,
        }  # fmt: skip
        (folder / FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")


@contextmanager
def recording(kind: str) -> Iterator[RunRecord]:
    """Keep our own warnings in a record while they are shown as before.

    Parameters
    ----------
    kind : str

    Yields
    ------
    RunRecord
    """
    record, shown = RunRecord(kind), warnings.showwarning

    def keep(message: Any, category: Any, *rest: Any, **more: Any) -> None:
        text = str(message)
        if category is UserWarning and text not in record.warnings:
            record.warnings.append(text)
        shown(message, category, *rest, **more)

    warnings.showwarning = keep
    try:
        yield record
    finally:
        if warnings.showwarning is keep:
            warnings.showwarning = shown


def read_record(folder: Path) -> dict[str, Any]:
    """What ``run.json`` of a finished run says; empty where an older version wrote none.

    Raises
    ------
    OutputError
        If it is damaged, or of another layout.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise OutputError(f"{path}: is not what a run writes; restore it, or remove it")
    if found.get("format_version") != FORMAT_VERSION:
        raise OutputError(
            f"{path}: has layout version {found.get('format_version')}, wanted {FORMAT_VERSION}; "
            "use the version of dfim_fast that made it, or remove it"
        )
    return found

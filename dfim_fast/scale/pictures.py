"""The figures of a run: one page for each of the strongest sequences, and the null."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.io.run_record import RunRecord
from dfim_fast.io.store import MapStore
from dfim_fast.stats.streamed import StreamedSignificance

SAMPLED = 10_000_000  # values of each histogram held for drawing


class Sample:
    """Null values and scores to draw: all of them, or every k-th where there are very many.

    Parameters
    ----------
    tasks : sequence of str
    cells : int
        Scores there can be.
    """

    def __init__(self, tasks: Sequence[str], cells: int) -> None:
        self.step = max(1, -(-cells // SAMPLED))
        self._nulls: list[list[np.ndarray]] = [[] for _ in tasks]
        self._scores: list[list[np.ndarray]] = [[] for _ in tasks]

    def null(self, task: int, values: np.ndarray) -> None:
        """Take in null values (n,)."""
        self._nulls[task].append(values[:: self.step])

    def scores(self, task: int, values: np.ndarray) -> None:
        """Take in scores (n,)."""
        self._scores[task].append(values[:: self.step])

    def of(self, task: int) -> tuple[np.ndarray, np.ndarray]:
        """Null values and scores of a task."""
        return np.concatenate(self._nulls[task]), np.concatenate(self._scores[task])


def draw(
    folder: Path,
    store: MapStore,
    strongest: Sequence[tuple[int, int]],
    sample: Sample,
    judge: StreamedSignificance,
) -> list[str]:
    """Write the figures.

    Parameters
    ----------
    folder : Path
        Is made.
    store : MapStore
    strongest : sequence of (sequence, task)
        To draw, in this order.
    sample : Sample
    judge : StreamedSignificance
        Of which the Gaussian fit is drawn.

    Returns
    -------
    list of str
        File names, in the order they were made.
    """
    from dfim_fast.plot import figure_for, plot_null, save

    if not strongest:
        return []
    folder.mkdir()
    files = []
    digits = len(str(len(strongest)))
    for number, (n, task) in enumerate(strongest, start=1):
        one = store.sequence(n)
        figure = figure_for(one, 0, one.significant, task=task)
        files.append(save(figure, folder / f"{number:0{digits}d}_{file_name(one.names[0])}.png"))
    for task in sorted({task for _, task in strongest}):
        nulls, scores = sample.of(task)
        axes = plot_null(nulls, scores, _fit(judge, task))
        several = len(judge.tasks) > 1
        own = f"null_{file_name(judge.tasks[task])}.png" if several else "null.png"
        page: Any = axes.figure  # made for these axes, so no part of another
        files.append(save(page, folder / own))
    return [path.name for path in files]


def keep_nulls(record: RunRecord, sample: Sample, judge: StreamedSignificance) -> None:
    """Keep the histograms of every task for the report.

    Parameters
    ----------
    record : RunRecord
    sample : Sample
    judge : StreamedSignificance
        Of which the Gaussian fit is kept.
    """
    for task, name in enumerate(judge.tasks):
        record.add_null(name, *sample.of(task), _fit(judge, task))


def _fit(judge: StreamedSignificance, task: int) -> tuple[float, float] | None:
    """Mean and standard deviation of the null of a task, where one was fitted to all of it."""
    fits = judge.fit or {}
    fit = fits.get(judge.tasks[task], fits.get("all"))
    return (fit.mean, fit.sd) if fit else None


def file_name(text: str) -> str:
    """Letters of a name that every file system takes."""
    return re.sub(r"[^A-Za-z0-9.+-]+", "_", text).strip("._")[:80] or "sequence"

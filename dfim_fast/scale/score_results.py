"""From the pieces of a run over regions to its results, in the order of the regions.

Nothing here depends on how the run was cut or who did it: pieces are taken one by one, and written
in blocks of a fixed number of rows. What needs no p is written while others are computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr

from dfim_fast.io.regions import Windows
from dfim_fast.io.score_store import ScoreStore, save_arrays
from dfim_fast.io.store import block_size
from dfim_fast.io.tables import BASES, FLOOR, ParquetRows, strongest_rows
from dfim_fast.scale.score_work import CELLS, MAPS, OPTIONAL_CELLS
from dfim_fast.stats.map_scan import Cells
from dfim_fast.stats.strata import STRATA
from dfim_fast.stats.tallied import TalliedSignificance
from dfim_fast.stats.tally import Tally

TABLE, REGIONS, HISTOGRAMS, NUMBERS = (
    "interactions.parquet", "regions.zarr", "histograms.npz", "significance.json"
)  # fmt: skip
TALLIES = ("null", "scores", "held_out")
BLOCK = 256  # regions in a chunk of every array

COLUMNS = {
    "region": "chrom:start-end of the window, 0-based and half-open, (-) on the other strand",
    "chrom": "contig",
    "source": "mutated position on the contig, 0-based",
    "source_base": "observed base there, as the model reads it",
    "mutant": "base it was changed to, likewise",
    "target": "position on the contig whose importance is read, 0-based",
    "target_base": "observed base there, as the model reads it",
    "strand": "strand that the model reads",
    "distance": "bases between source and target",
    "task": "name of the task",
    "fis": "importance the target lost: original minus mutant",
    "standard_error": "of fis, over groups of references; empty where there are none",
    "fold_spread": "standard deviation of fis over folds",
    "sign_agreement": "share of the folds whose score has the sign of fis, their mean",
    "target_importance": "importance of the target in the original",
    "relative": "fis over the target's importance: 1 abolished, below 0 strengthened; importance "
    "counts as at least 1% of the largest in the region",
    "p": "p-value under the null",
    "q": "p corrected for all tests of the run",
    "prediction": "score of the original",
    "mutant_prediction": "score of the mutant",
}
# name -> (dimensions, what it holds)
_ARRAYS = {
    "contig": (("region",), "index into the attribute contigs"),
    "start": (("region",), "first base of the window on its contig, 0-based; below 0: padded"),
    "reverse": (("region",), "read from the other strand"),
    "bed_region": (("region",), "region of the BED file that the window serves, from 0"),
    "sequences": (("region", "position"), "bases: 0 to 3 for A, C, G, T, 4 for N"),
    "attributions": (("task", "region", "position"), "importance of the observed bases"),
    "predictions": (("task", "region"), "score of the original"),
    "strongest": (("task", "region", "source"), "strongest interaction of each source; 0: none"),
    "strongest_mutant": (("task", "region", "source"), "base that it was changed to; -1: none"),
    "strongest_target": (("task", "region", "source"), "position that it was read at; -1: none"),
}


@dataclass
class Outcome:
    """What a run found, for the summary.

    Attributes
    ----------
    judge : TalliedSignificance
    rows : int
        Of the table.
    delta_error : float or None
        Largest summation-to-delta error.
    strongest : DataFrame
        First rows of the table by \\|FIS\\|.
    """

    judge: TalliedSignificance
    rows: int
    delta_error: float | None
    strongest: pd.DataFrame


class Gathered:
    """What pieces add up to, taken in as they come.

    Parameters
    ----------
    pools : int
        Of the tallies.

    Attributes
    ----------
    null, scores : Tally
    held_out : Tally
        Half of the null, where that is told apart.
    masked : int
        Cells that were not tested.
    """

    def __init__(self, pools: int) -> None:
        self.null, self.scores, self.held_out = Tally(pools), Tally(pools), Tally(pools)
        self.masked = 0

    def take(self, first: int, last: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Add the piece of rows ``first`` to ``last``; pieces come in order."""
        for name, own in self.tallied(arrays).items():
            getattr(self, name).merge(own)
        self.masked += int(arrays["masked"])

    def tallied(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tally]:
        """Tallies of a piece, by name, as they are to be added."""
        return {name: Tally.from_arrays(arrays, name) for name in TALLIES
                if f"{name}_ends" in arrays}  # fmt: skip


class GatheredRegions(Gathered):
    """What pieces over regions add up to; the arrays of all regions are written on the way.

    Parameters
    ----------
    folder : Path
        To write into.
    windows : Windows
    cells : Cells
    tasks : sequence of str
    about : mapping
        Settings, for the attributes.

    Attributes
    ----------
    delta_error : float or None
        Largest summation-to-delta error.
    """

    def __init__(
        self,
        folder: Path,
        windows: Windows,
        cells: Cells,
        tasks: Sequence[str],
        about: Mapping[str, Any],
    ) -> None:
        super().__init__(len(tasks) * STRATA)
        self.folder, self.windows, self.cells, self.about = folder, windows, cells, about
        self.delta_error: float | None = None
        more = {"contigs": list(windows.contigs), "tasks": list(tasks),
                "sources": cells.sources.tolist()}  # fmt: skip
        group = _new_group(folder / REGIONS, {**about, **more})
        self._rows = _Rows(group, len(windows), _ARRAYS)
        self._maps: _Rows | None = None

    def take(self, first: int, last: int, arrays: Mapping[str, np.ndarray]) -> None:
        """As `Gathered.take`."""
        super().take(first, last, arrays)
        windows, cells = self.windows, self.cells
        width = cells.targets.shape[1]
        cell = arrays["strongest_cell"]
        target = cells.targets[np.arange(len(cells.sources)), np.maximum(cell, 0) % width]
        there = cell >= 0
        self._rows.add({
            "contig": windows.contig[first:last],
            "start": windows.start[first:last].astype(np.int64),
            "reverse": windows.reverse[first:last],
            "bed_region": windows.region[first:last].astype(np.int64),
            **{name: arrays[name] for name in ("sequences", "attributions", "predictions",
                                               "strongest")},
            "strongest_mutant": np.where(there, cell // width, -1).astype(np.int8),
            "strongest_target": np.where(there, target, -1).astype(np.int32),
        })  # fmt: skip
        kept = {name: arrays[f"map_{name}"] for name in MAPS if f"map_{name}" in arrays}
        if kept:
            self._maps = self._maps or _maps(self.folder, len(windows), cells, self.about,
                                             list(kept))  # fmt: skip
            self._maps.add(kept)
        errors = arrays["delta_error"][~np.isnan(arrays["delta_error"])]
        if len(errors):
            self.delta_error = max(float(errors.max()), self.delta_error or 0.0)

    def close(self) -> None:
        """Write what is left."""
        self._rows.close()
        if self._maps is not None:
            self._maps.close()


def write_judged(folder: Path, judge: TalliedSignificance, gathered: Gathered) -> None:
    """Write the histograms, and numbers that say what the test was and found."""
    null, scores = gathered.null, gathered.scores
    with open(folder / HISTOGRAMS, "wb") as handle:
        save_arrays(handle, {**null.to_arrays("null"), **scores.to_arrays("scores")})
    numbers = {
        "tasks": judge.tasks, "exact": judge.exact, "null_model": judge.null_model,
        "pool": judge.pool, "family": judge.family, "correction": judge.correction,
        "alpha": judge.alpha, "tests": judge.tests, "masked": judge.masked,
        "significant": judge.called,
        "significant_at_most": judge.called_at_most, "smallest_pool": judge.null_size,
        "smallest_p": judge.smallest_p, "null": null.size(), "report": judge.report(),
        "strata": [
            {"task": task, "stratum": d,
             "tests": int(scores.counts[k * STRATA + d].sum()),
             "null": int(null.counts[k * STRATA + d].sum())}
            for k, task in enumerate(judge.tasks) for d in range(STRATA)
        ],
    }  # fmt: skip
    (folder / NUMBERS).write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


def write_table(
    store: ScoreStore, gathered: GatheredRegions, judge: TalliedSignificance, shown: int
) -> Outcome:
    """Write the table of significant interactions.

    Parameters
    ----------
    store : ScoreStore
    gathered : GatheredRegions
    judge : TalliedSignificance
    shown : int
        Interactions named in the summary.
    """
    about, windows, cells = gathered.about, gathered.windows, gathered.cells
    best = pd.DataFrame()
    columns = [name for name in COLUMNS if about["folds"] > 1
               or name not in ("fold_spread", "sign_agreement")]  # fmt: skip
    texts = {name: COLUMNS[name] for name in columns}
    with ParquetRows(gathered.folder / TABLE, texts, about) as table:
        for first, _, path in store.parts():
            arrays = store.read(path, _of_table)
            found = significant(arrays, windows, first, cells, judge)[columns]
            table.add(found)
            if len(found):
                best = strongest_rows(best, found, shown)
    return Outcome(judge, table.rows, gathered.delta_error, best)


def _of_table(name: str) -> bool:
    """Whether the table needs an array of a piece."""
    return name.startswith("cell_") or name in ("sequences", "attributions", "predictions")


def significant(
    arrays: Mapping[str, np.ndarray],
    windows: Windows,
    first: int,
    cells: Cells,
    judge: TalliedSignificance,
) -> pd.DataFrame:
    """Rows of the significant interactions of a piece, by region, task and strength."""
    own = {name: arrays[f"cell_{name}"] for name in (*CELLS, *OPTIONAL_CELLS)
           if f"cell_{name}" in arrays}  # fmt: skip
    p, q = judge.judge(own["task"], own["stratum"], own["fis"])
    order = np.lexsort((own["cell"], -np.abs(own["fis"]), own["task"], own["row"]))
    order = order[q[order] <= judge.alpha]
    own = {name: values[order] for name, values in own.items()}
    row, task, fis = own["row"], own["task"], own["fis"].astype(np.float64)
    width = cells.targets.shape[1]
    s, mutant = own["cell"] // (4 * width), own["cell"] // width % 4
    source, target = cells.sources[s], cells.targets[s, own["cell"] % width]
    attributions = arrays["attributions"]
    importance = attributions[task, row, target].astype(np.float64)
    largest = np.abs(attributions).max(axis=2)[task, row].astype(np.float64)
    against = np.maximum(np.abs(importance), FLOOR * largest)
    names = np.array([windows.name(first + i) for i in range(attributions.shape[1])], dtype=object)
    n, empty = first + row, np.full(len(row), np.nan)
    return pd.DataFrame({
        "region": names[row],
        "chrom": np.array(windows.contigs, dtype=object)[windows.contig[n]],
        "source": windows.places(n, source),
        "source_base": BASES[arrays["sequences"][row, source]].astype(object),
        "mutant": BASES[mutant].astype(object),
        "target": windows.places(n, target),
        "target_base": BASES[arrays["sequences"][row, target]].astype(object),
        "strand": np.where(windows.reverse[n], "-", "+").astype(object),
        "distance": np.abs(target - source).astype(np.int64),
        "task": np.array(judge.tasks, dtype=object)[task],
        "fis": fis,
        **{name: own[name].astype(np.float64) if name in own else empty for name in OPTIONAL_CELLS},
        "target_importance": importance,
        "relative": np.divide(fis * np.sign(importance), against, out=np.full(len(fis), np.nan),
                              where=against > 0),
        "p": p[order],
        "q": q[order],
        "prediction": arrays["predictions"][task, row].astype(np.float64),
        "mutant_prediction": own["mutant_prediction"].astype(np.float64),
    })  # fmt: skip


def attribution_windows(
    results: Path, windows: Windows, task: int, strongest: bool
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Contig, start and values of every window, by contig and start, for a genome browser.

    Parameters
    ----------
    results : Path
    windows : Windows
    task : int
    strongest : bool
        The strongest interaction of each source, NaN at other positions; else the attributions.
    """
    group: Any = zarr.open_group(str(results / REGIONS), mode="r")
    sources = np.asarray(group.attrs["sources"])
    array = group["strongest" if strongest else "attributions"]
    held, block = -1, np.empty(0)
    for n in np.lexsort((windows.start, windows.contig)):
        if n // BLOCK != held:  # regions mostly come in order, so a block is read once
            held = int(n) // BLOCK
            block = array[task, held * BLOCK : (held + 1) * BLOCK]
        values = np.full(windows.length, np.nan)
        values[sources if strongest else slice(None)] = block[n % BLOCK]
        values = values[::-1] if windows.reverse[n] else values
        yield windows.contigs[windows.contig[n]], int(windows.start[n]), values


class _Rows:
    """Arrays of a Zarr group that are written in blocks, one for each name in ``known``."""

    def __init__(
        self,
        group: zarr.Group,
        n: int,
        known: Mapping[str, tuple[Sequence[str], str]],
        block: int = BLOCK,
    ) -> None:
        self.group, self.n, self.known, self.block = group, n, known, block
        self.done = 0
        self._held: dict[str, np.ndarray] = {}

    def add(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take in the next regions."""
        axis = {name: self.known[name][0].index("region") for name in arrays}
        if not self._held:
            for name, array in arrays.items():
                dimensions, text = self.known[name]
                shape = [self.n if i == axis[name] else size for i, size in enumerate(array.shape)]
                chunks = [self.block if i == axis[name] else max(size, 1)
                          for i, size in enumerate(array.shape)]  # fmt: skip
                self.group.create_array(
                    name, shape=tuple(shape), chunks=tuple(chunks), dtype=array.dtype,
                    dimension_names=list(dimensions), attributes={"description": text},
                )  # fmt: skip
            self._held = {name: array[(slice(None),) * axis[name] + (slice(0, 0),)]
                          for name, array in arrays.items()}  # fmt: skip
        for name, array in arrays.items():
            self._held[name] = np.concatenate([self._held[name], array], axis=axis[name])
        self._write(full=True)

    def close(self) -> None:
        """Write what is left."""
        self._write(full=False)

    def _write(self, full: bool) -> None:
        while self._held:
            name = next(iter(self._held))
            there = self._held[name].shape[self.known[name][0].index("region")]
            size = self.block if full else min(self.block, there)
            if there < size or not size:
                return
            for name, array in self._held.items():
                lead = (slice(None),) * self.known[name][0].index("region")
                target: Any = self.group[name]
                target[(*lead, slice(self.done, self.done + size))] = array[(*lead, slice(size))]
                self._held[name] = array[(*lead, slice(size, None))]
            self.done += size


def _new_group(path: Path, attributes: dict[str, Any]) -> zarr.Group:
    return zarr.open_group(str(path), mode="w-", zarr_format=3, attributes=attributes)


def _maps(
    folder: Path, n: int, cells: Cells, about: Mapping[str, Any], names: Sequence[str]
) -> _Rows:
    """Room for whole maps: banded where there is a window."""
    group = _new_group(folder / "maps.zarr", {**about, "regions": f"in the order of {REGIONS}"})
    shape = ("task", "region", "source", "mutant", "target")
    texts = {"fis": "interaction score: original minus mutant", "standard_error": "of fis"}
    for name, data, dimensions in (
        ("sources", cells.sources, ["source"]),
        ("targets", np.where(cells.reach.any(axis=0), cells.targets, -1), ["source", "target"]),
    ):
        group.create_array(name, data=data, dimension_names=dimensions)
    block = block_size(4 * 4 * cells.targets.size, n)
    return _Rows(group, n, {name: (shape, texts[name]) for name in names}, block)

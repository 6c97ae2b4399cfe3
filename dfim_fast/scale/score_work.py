"""What a worker does with a chunk of regions: maps, of which what is kept fits in a few kilobytes.

A piece of work gives arrays by name, the same whatever chunk they were part of, and how long the
engine took for them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dfim_fast.backends.base import Into, SequenceMap
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.io.regions import Windows
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request, make_request
from dfim_fast.sequence.one_hot import as_one_hot, encode, from_codes
from dfim_fast.sequence.random import content_keys
from dfim_fast.sequence.shuffle import Shuffled
from dfim_fast.stats.map_scan import (
    Cells,
    Scan,
    clear,
    empty_counts,
    scan,
    spans_of,
    tally_bins,
    tally_values,
)
from dfim_fast.stats.strata import STRATA
from dfim_fast.stats.tally import Tally

Arrays = dict[str, np.ndarray]
# Arrays of a chunk that are no sums: name -> axis of the regions.
ROWS = {"sequences": 0, "attributions": 1, "predictions": 1, "strongest": 1, "strongest_cell": 1}
MAPS = ("fis", "standard_error")  # kept whole where asked for; axis 1 too
CELLS = ("row", "task", "stratum", "cell", "fis", "mutant_prediction")
WHOLE_MAPS_ONLY = ("sources", "targets", "window")
OPTIONAL_CELLS = ("standard_error", "fold_spread", "sign_agreement")


def streamed(settings: Mapping[str, Any], whole_maps: bool) -> dict[str, Any]:
    """Settings of `interaction_map`, if a run that may be cut anywhere can have them.

    Raises
    ------
    SettingsError
    """
    if getattr(settings["references"], "ndim", 0) == 4:
        raise SettingsError(
            "references: an own set for each sequence is no setting of a run that may be cut "
            "anywhere; give (R, 4, L) for all, or the name of a kind"
        )
    if whole_maps:
        return dict(settings)
    for name in WHOLE_MAPS_ONLY:
        if settings[name] is not None:
            raise SettingsError(
                f"{name}: is for whole maps of regions; leave it out with variants or motifs"
            )
    return {name: value for name, value in settings.items() if name not in WHOLE_MAPS_ONLY}


def make_score_request(model: Model, settings: dict[str, Any], threads: int | None) -> Request:
    """A checked call that sequences are put into later.

    Raises
    ------
    SettingsError, BackendError, ModelError
    """
    blank = np.zeros((1, 4, model.sequence_length), np.float32)
    blank[:, 0] = 1
    return make_request(model, blank, **{**settings, "threads": threads})


def held_out(names: Sequence[str]) -> np.ndarray:
    """Which (N,) of some sequences are in the half that a fitted null is held against."""
    keys = content_keys(0, "held out", [name.encode() for name in names])
    return np.asarray(keys % 2 == 1)


@dataclass
class RegionWork:
    """Whole maps of windows of a genome.

    Attributes
    ----------
    model : Model
    windows : Windows
    settings : dict
        Of `interaction_map`.
    sampled : ndarray (N,) bool
        Windows that the null is taken from.
    n_null : int
        Shuffles of each of them.
    top : int
        Interactions kept of each window, task and bin of distance.
    exact : bool
        Tally scores as they are, not in bins.
    keep_maps : bool
    halves : bool
        Tally half of the null apart too, which a fit of the other half is held against.
    """

    model: Model
    windows: Windows
    settings: dict[str, Any]
    sampled: np.ndarray
    n_null: int
    top: int
    exact: bool
    keep_maps: bool = False
    halves: bool = False
    threads: int = 1
    _buffers: list[Into] = field(default_factory=list, repr=False)

    def setup(self) -> None:
        """Make plan and engine."""
        self.request = make_score_request(self.model, self.settings, self.threads)
        plan = self.request.plan
        self.cells = Cells.of(plan.sources, plan.targets, plan.reach)
        self.spans = spans_of(plan.reach)
        self.engine_s = 0.0

    def __call__(self, chunk: tuple[int, int]) -> tuple[Arrays, float]:
        """Arrays of some windows, and the engine's seconds.

        Raises
        ------
        InputError
            If the genome has gone, or a map is not finite.
        """
        first, last = chunk
        self.engine_s = 0.0
        names = [self.windows.name(row) for row in range(first, last)]
        x = as_one_hot(self.windows.sequences(first, last), self.windows.length, names)
        pools = len(self.request.plan.tasks) * STRATA
        scores, null, other = Tally(pools), Tally(pools), Tally(pools)
        codes = encode(x)
        found = [
            self._kept(i, result, codes[i], seen)
            for i, (result, seen) in enumerate(self._scanned(x, codes, names, scores))
        ]
        arrays: Arrays = {"sequences": codes}
        for name in found[0]:
            parts = [own[name] for own in found]
            joined = name in ROWS or name.startswith("map_")
            arrays[name] = np.stack(parts, axis=1) if joined else np.concatenate(parts)
        of_null = np.flatnonzero(self.sampled[first:last])
        apart = held_out([names[i] for i in of_null]) & self.halves
        for chosen, tally in ((of_null[~apart], null), (of_null[apart], other)):
            if len(chosen):
                self._shuffled(x[chosen], [names[i] for i in chosen], tally)
        null.merge(other)
        if self.halves:
            arrays |= other.to_arrays("held_out")
        total = len(x) * pools // STRATA * self.cells.stratum.size * 4
        arrays["masked"] = np.array(total - scores.size())
        return {**arrays, **scores.to_arrays("scores"), **null.to_arrays("null")}, self.engine_s

    def _shuffled(self, x: np.ndarray, names: list[str], tally: Tally) -> None:
        """Tally maps of shuffles of some sequences."""
        drawn = self.request.backend.shuffled(
            Shuffled(x, self.n_null, self.settings["random_state"], "null")
        )
        labels = [f"{name} shuffled" for name in names for _ in range(self.n_null)]
        for _ in self._scanned(from_codes(drawn), drawn, labels, tally):
            pass

    def _scanned(
        self, x: np.ndarray, codes: np.ndarray, names: list[str], tally: Tally
    ) -> Iterator[tuple[SequenceMap, Scan]]:
        """Maps of sequences with what was seen in them, in order; their scores go to the tally."""
        tasks, together = len(self.request.plan.tasks), self.request.backend.chunk
        counts = [empty_counts(tasks) for _ in range(min(together, len(x)))]  # one for each at once

        def look(i: int, result: SequenceMap, own: np.ndarray) -> Scan:
            fis = np.ascontiguousarray(result.fis, np.float32)
            seen = scan(fis, codes[i], self.cells, self.top, own)
            if seen is None:
                raise InputError(
                    f"{names[i]}: the model's numbers overflow there and its map is not finite; "
                    "look at model.predict of it"
                )
            return seen

        with ThreadPoolExecutor(self.threads) as pool:
            for first, results in self._maps(x):
                rows = range(first, first + len(results))
                seen = pool.map(look, rows, results, counts)
                for i, result, own in zip(rows, results, seen, strict=True):
                    if self.exact:
                        fis = np.asarray(result.fis, np.float32)
                        tally_values(tally, fis, codes[i], self.cells)
                    yield result, own
        if not self.exact:
            tally_bins(tally, np.sum(counts, axis=0))

    def _maps(self, x: np.ndarray) -> Iterator[tuple[int, list[SequenceMap]]]:
        """Maps of sequences, some at a time; the next overwrite them."""
        request = replace(self.request, x=x)
        plan, backend = request.plan, request.backend
        shape = (len(plan.tasks), len(plan.sources), 4, plan.targets.shape[1])
        while len(self._buffers) < min(backend.chunk, len(x)):  # new memory is slow to touch
            spread: Any = np.zeros(shape, backend.dtype) if plan.groups > 1 else None
            self._buffers.append((np.zeros(shape, backend.dtype), spread))
        for first, last in request.chunks(backend.chunk):
            begin = time.perf_counter()
            into = self._buffers[: last - first]
            for arrays in into:
                for array in arrays:
                    if array is not None:  # most of a map is out of reach, and 0 for good
                        clear(array, self.spans)
            own = request.own_references(first, last)
            results = list(backend.maps(x[first:last], own, into))
            self.engine_s += time.perf_counter() - begin
            yield first, results

    def _kept(self, row: int, result: SequenceMap, codes: np.ndarray, seen: Scan) -> Arrays:
        """What stays of one map."""
        width = result.fis.shape[-1]
        at = (seen.task, seen.cell // (4 * width), seen.cell // width % 4, seen.cell % width)
        found: Arrays = {
            "attributions": np.asarray(result.attributions, np.float32),
            "predictions": np.asarray(result.predictions, np.float32),
            "strongest": seen.strongest,
            "strongest_cell": seen.strongest_cell,
            "delta_error": np.array([np.nan if result.delta_error is None else result.delta_error]),
            "cell_row": np.full(len(seen.cell), row, np.int32),
            "cell_task": seen.task,
            "cell_stratum": seen.stratum,
            "cell_cell": seen.cell,
            "cell_fis": np.asarray(result.fis[at], np.float32),
            "cell_mutant_prediction": np.asarray(result.mutant_predictions[at[:3]], np.float32),
        }
        for name in OPTIONAL_CELLS:
            values = getattr(result, name)
            if values is not None:
                found[f"cell_{name}"] = np.asarray(values[at], np.float32)
        if self.keep_maps:
            for name in MAPS:
                values = getattr(result, name)
                if values is not None:
                    found[f"map_{name}"] = np.array(values, np.float32)  # the buffer is used again
        return found

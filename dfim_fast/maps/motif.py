"""Interactions of motifs (the paper's Eq. 2 and 3), and the sources that hold none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError
from dfim_fast.maps.features import Features, check_features
from dfim_fast.maps.model import Model
from dfim_fast.maps.pairs import COLUMNS, pair_table
from dfim_fast.maps.request import Request, made_with, make_request
from dfim_fast.maps.sources import Rule, Sources, check_names, draws
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.one_hot import UNKNOWN, encode


def motif_interactions(
    model: Model,
    X: Any,
    features: pd.DataFrame,
    *,
    source: Any = "background",
    gc: float = 0.46,
    n_shuffles: int = 10,
    sources: str | Sequence[str] | None = None,
    targets: str | Sequence[str] | None = None,
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    random_state: int = 0,
    task: int | str | Sequence[int | str] = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    backend: str = "auto",
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """How much importance each feature loses when another feature of its sequence is taken away.

    ``FIS = sum over the target's observed bases of C_X - C_X'``, X' the sequence with the source
    changed (Eq. 3: to background; Eq. 2: one nucleotide). Positions inside the source are left out.

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array (N, 4, L)
    features : DataFrame
        ``sequence`` (name or index), ``start``, ``end`` (0-based, half-open), ``name``; perhaps
        ``strand`` and ``replacement``.
    source : str or array
        What a source becomes. "background": frequencies of a GC content; "zeros"; "shuffle": the
        mean over shuffles of its own bases; "nucleotide": every single-nucleotide change of it, a
        row each; "replacement": what the features' column of that name says; or a DNA string or
        columns (4, width), or (4,) for any width.
    gc : float
        Of the background, and of "gc" references.
    n_shuffles : int
        Of ``source="shuffle"``.
    sources, targets : str or list of str, optional
        Names of features to change and to read; all by default.
    method, references, n_references, random_state, task, contribution, maxpool, epsilon
        As in `interaction_map`.
    backend, memory_limit, threads, names, progress
        Likewise.

    Returns
    -------
    DataFrame
        A row per ordered (source, target) pair of a sequence and task: sequence, source,
        source_start, source_end, target, target_start, target_end, distance, overlap, task, fis,
        delta_importance, standard_error, target_importance, relative, self_effect, prediction,
        mutant_prediction, reachable, and of the other direction reverse_fis, mean_fis, difference.
        ``attrs["provenance"]`` says how it was made.

    Raises
    ------
    InputError, SettingsError, BackendError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> import pandas as pd
    >>> motifs = pd.DataFrame({
    ...     "sequence": [0, 0], "start": [20, 60], "end": [32, 77], "name": ["ELF1", "SIX5"]
    ... })
    >>> sequence = "C" * 20 + "AACCCGGAAGTG" + "A" * 28 + "AATAGGGTATCATATAT" + "C" * 123
    >>> pairs = dfim_fast.motif_interactions(model, [sequence], motifs, progress=False)
    >>> pairs[["source", "target", "distance"]].values.tolist()
    [['ELF1', 'SIX5', 28], ['SIX5', 'ELF1', 28]]
    >>> bool((pairs["fis"] > 0.5).all())  # without one, the other loses its importance
    True
    """
    given = {
        "source": source, "gc": gc, "n_shuffles": n_shuffles, "sources": sources,
        "targets": targets, "method": method, "references": references,
        "n_references": n_references, "random_state": random_state, "task": task,
        "contribution": contribution, "maxpool": maxpool, "epsilon": epsilon, "backend": backend,
        "memory_limit": memory_limit, "threads": threads, "names": names,
    }  # fmt: skip
    return motif_table(model, X, features, "motif pairs", {**given, "progress": progress})


def motif_table(
    model: Model, X: Any, features: pd.DataFrame, title: str, given: dict[str, Any]
) -> pd.DataFrame:
    """Do the work of `motif_interactions`, whose arguments are given, under a title."""
    progress = given.pop("progress", True)
    call = MotifCall(model, X, features, given)
    table = call.table(call.observed(), progress, title)
    if "mutant" not in table.columns:  # sources are whole features: pairs have two directions
        table = _both_directions(table)
    return call.finish(table, "observed")


def matched_pairs(
    model: Model, X: Any, features: pd.DataFrame, n: int, random_state: int, progress: bool,
    settings: dict[str, Any],
) -> pd.DataFrame:  # fmt: skip
    """The matched null: for each source feature n spans of its width that hold no feature.

    Parameters
    ----------
    model, X, features
        As in `motif_interactions`.
    n : int
    random_state : int
    progress : bool
    settings : dict
        Further settings of `motif_interactions`, those of the scores.

    Raises
    ------
    InputError
        Also where no sequence has room for such a span.
    """
    call = MotifCall(model, X, features, {**settings, "random_state": random_state})
    table = call.table(call.free(whole_number("n", n, 1)), progress, "matched null")
    return call.finish(table, "matched")


class MotifCall:
    """A checked call: request, features and rule.

    Parameters
    ----------
    model, X, features
        As in `motif_interactions`.
    given : dict
        Its other arguments; those left out have its defaults.

    Raises
    ------
    InputError, SettingsError, BackendError
    """

    def __init__(self, model: Model, X: Any, features: Any, given: dict[str, Any]) -> None:
        defaults: dict[str, Any] = motif_interactions.__kwdefaults__ or {}
        unknown = [name for name in given if name not in defaults]
        if unknown:
            raise TypeError(f"motif_interactions has no argument {unknown[0]!r}")
        given = {**defaults, **given}
        given.pop("progress")
        source, n_shuffles = given.pop("source"), given.pop("n_shuffles")
        named = {name: given.pop(name) for name in ("sources", "targets")}
        self.rule = Rule(source, given["gc"], n_shuffles, given["random_state"])
        middle = getattr(model, "sequence_length", 1) // 2  # of the plan's one source: no edge's
        self.request: Request = make_request(model, X, sources=[middle], window=0, **given)
        names = self.request.names
        self.features: Features = check_features(features, names, model.sequence_length)
        self.sources, self.targets = (
            check_names(option, wanted, self.features) for option, wanted in named.items()
        )
        self.codes = encode(self.request.x)

    def observed(self) -> Sources:
        """The features themselves."""
        found = self.rule.sources(self.features, self.sources, self.codes)
        if not len(found.row):
            raise InputError(
                "features: none of the sources holds a base that can be changed; "
                "look at their positions and replacements"
            )
        return found

    def free(self, n: int) -> Sources:
        """For each source feature n spans of its width without a feature or N, drawn uniformly."""
        f, length = self.features, self.request.plan.graph.length
        row, start, width, parent = [], [], [], []
        wanted = np.zeros(len(f), bool)
        wanted[self.sources] = True
        for n_row, own in f.by_sequence():
            taken = self.codes[n_row] == UNKNOWN
            for i in own:
                taken[f.start[i] : f.end[i]] = True
            before = np.concatenate([[0], np.cumsum(taken)])
            for i in own[wanted[own]]:
                w = int(f.end[i] - f.start[i])
                (places,) = np.nonzero(before[w:] == before[: length - w + 1])
                if len(places):
                    content = np.append(self.codes[n_row].astype(np.int64), [f.start[i], w])
                    draw = draws(self.rule.random_state, "matched", content, 0)
                    start += [int(places[draw(len(places))]) for _ in range(n)]
                    row += [n_row] * n
                    width += [w] * n
                    parent += [int(i)] * n
        if not row:
            raise InputError(
                "matched null: no sequence has room for a span of a source's width that holds no "
                "feature; use kind='dinucleotide'"
            )
        arrays = [np.array(values, np.int64) for values in (row, start, width, parent)]
        return self._free_sources(*arrays)

    def _free_sources(
        self, row: np.ndarray, start: np.ndarray, width: np.ndarray, parent: np.ndarray
    ) -> Sources:
        spans = Features(row, start, start + width, self.features.name[parent], None, (
            None if self.features.replacement is None else self.features.replacement[parent]
        ))  # fmt: skip
        made = self.rule.sources(spans, np.arange(len(row)), self.codes)
        return Sources(
            made.row, made.start, made.end, parent[made.parent], made.columns, made.mutant
        )

    def table(self, sources: Sources, progress: bool, title: str) -> pd.DataFrame:
        """Pairs of these sources with the call's targets."""
        table = pair_table(self.request, self.features, self.targets, sources, progress, title)
        if table.empty:
            raise InputError(
                "features: no sequence holds a source and another feature as its target; "
                "give at least two features in one sequence"
            )
        return table

    def finish(self, table: pd.DataFrame, kind: str) -> pd.DataFrame:
        """The table in its final columns, with its provenance."""
        f = self.features
        table = table[[name for name in COLUMNS if name in table.columns]]
        table.attrs["provenance"] = {
            "kind": kind,
            "quantity": "motif fis",
            "source_width": _widths(f, self.sources),
            "target_width": _widths(f, self.targets),
            "mutant_rule": self.rule.name,
            **made_with(
                self.request.model.hash, self.request.settings, self.request.plan.n_references
            ),
            "reduction": "sum",
        }
        return table


def _widths(features: Features, which: np.ndarray) -> list[int]:
    widths = features.end[which] - features.start[which]
    return sorted({int(width) for width in widths})


def _both_directions(table: pd.DataFrame) -> pd.DataFrame:
    """Add the other direction of each pair; empty where it was not asked for."""
    pair = table[["_parent", "_target", "_task"]].to_numpy()
    value = {tuple(key): fis for key, fis in zip(pair, table["fis"], strict=True)}
    reverse = np.array([value.get((t, s, k), np.nan) for s, t, k in pair])
    return table.assign(
        reverse_fis=reverse,
        mean_fis=(table["fis"] + reverse) / 2,
        difference=table["fis"] - reverse,
    )

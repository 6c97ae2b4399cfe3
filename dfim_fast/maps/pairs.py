"""Rows of source and target spans: the sums of Eq. 2 and 3, from the effects of one sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.backends.base import Effects
from dfim_fast.maps.effects import Ask, SpanReach, run_effects
from dfim_fast.maps.features import Features, by_row
from dfim_fast.maps.request import Request
from dfim_fast.maps.sources import Sources
from dfim_fast.sequence.mutants import spans

FLOOR = 0.01  # of the sum of |C|: below it `relative` is measured against this

# Columns of a table of motif pairs.
COLUMNS = {
    "sequence": "name of the sequence",
    "source": "feature that is changed",
    "source_start": "its first position, 0-based",
    "source_end": "behind its last position",
    "target": "feature whose importance is read",
    "target_start": "its first position, 0-based",
    "target_end": "behind its last position",
    "distance": "bases between the nearest edges; 0 where they touch or overlap",
    "overlap": "positions of the target inside the source, which are left out of every sum",
    "task": "name of the task",
    "fis": "importance the target lost: original minus mutant, summed over its observed bases",
    "delta_importance": "-fis: mutant minus original",
    "standard_error": "of fis, over groups of references; empty where there are none",
    "fold_spread": "standard deviation of fis over folds, where there are several",
    "sign_agreement": "share of the folds whose fis has the sign of their mean, likewise",
    "target_importance": "importance of the target in the original",
    "relative": "fis over the target's importance: 1 abolished, below 0 strengthened; importance "
    "counts as at least 1% of the sum of |C| in the sequence",
    "self_effect": "importance that the source itself lost",
    "prediction": "score of the original",
    "mutant_prediction": "score of the mutant",
    "reachable": "whether the architecture lets the source act on the target's importance",
    "source_strand": "strand of the source, where the features say",
    "target_strand": "strand of the target, likewise",
    "source_position": "the changed position, for single-nucleotide changes",
    "mutant": "the base it was changed to, likewise",
    "reverse_fis": "fis of the other direction: target changed, source read",
    "mean_fis": "mean of both directions",
    "difference": "fis minus reverse_fis",
}


def pair_table(
    request: Request,
    features: Features,
    targets: np.ndarray,
    sources: Sources,
    progress: bool,
    title: str,
) -> pd.DataFrame:
    """Every source with every target of its sequence but the feature it is or stands for.

    Parameters
    ----------
    request : Request
    features : Features
    targets : ndarray (T,) of int
        Which features are read.
    sources : Sources
    progress : bool
    title : str
        Of the progress bar.

    Returns
    -------
    DataFrame
        With columns of COLUMNS, and ``_parent`` and ``_target``, the features' indices; by
        sequence, source, target, task.
    """
    of_row = dict(by_row(features.row[targets]))
    asks, own = [], []
    for row, mine in by_row(sources.row):
        if row in of_row:
            read = targets[of_row[row]]
            asks.append(_ask(row, features, read, sources, mine))
            own.append((mine, read))
    reach = SpanReach(request.backend.plans, sources.start, sources.end)
    parts = []
    for (mine, read), (ask, effects) in zip(
        own, run_effects(request, asks, progress, title), strict=True
    ):
        parts.append(_pairs(ask, effects, features, read, sources, mine, reach))
    if not parts:
        return pd.DataFrame()
    values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _named(request, features, sources, values)


def _ask(row: int, features: Features, read: np.ndarray, sources: Sources, mine: np.ndarray) -> Ask:
    wanted = np.zeros(int(features.end[read].max()), bool)
    for i in read:
        wanted[features.start[i] : features.end[i]] = True
    versions = [columns for s in mine for columns in sources.columns[s]]
    starts = np.repeat(sources.start[mine], [len(sources.columns[s]) for s in mine])
    return Ask(row, spans(starts.tolist(), versions), np.flatnonzero(wanted))


def _pairs(
    ask: Ask,
    effects: Effects,
    features: Features,
    read: np.ndarray,
    sources: Sources,
    mine: np.ndarray,
    reach: SpanReach,
) -> dict[str, np.ndarray]:
    """Columns of one sequence's pairs, a value per kept pair and task."""
    at, versions = ask.targets, len(sources.columns[mine[0]])
    first, last = features.start[read], features.end[read]
    start, end = sources.start[mine], sources.end[mine]
    edges = np.searchsorted(at, first), np.searchsorted(at, last)  # `at` holds all of a target
    outside = (at < start[:, None]) | (at >= end[:, None])  # (S, W)

    def over_targets(values: np.ndarray) -> np.ndarray:
        """Sums (..., F), each the same whatever else is asked for."""
        sums = [values[..., a:b].sum(-1) for a, b in zip(*edges, strict=True)]
        return np.stack(sums, axis=-1)

    def over_versions(values: np.ndarray, axis: int) -> np.ndarray:
        shape = (*values.shape[:axis], len(mine), versions, *values.shape[axis + 1 :])
        return values.astype(np.float64).reshape(shape).mean(axis + 1)

    lost = over_targets(over_versions(effects.lost, 2))  # (G, K, S, F)
    fis, error = effects.mean(lost), effects.standard_error(lost)
    importance = effects.mean(effects.attributions)  # (K, L)
    target = over_targets(np.where(outside, importance[:, None, at], 0))  # (K, S, F)
    floor = FLOOR * np.abs(importance).sum(1)[:, None, None]
    against = np.maximum(np.abs(target), floor)
    relative = np.divide(
        fis * np.sign(target), against, out=np.full_like(fis, np.nan), where=against > 0
    )
    gap = np.maximum(start[:, None], first) - np.minimum(end[:, None], last)
    tasks = len(fis)
    keep = np.nonzero(sources.parent[mine][:, None] != read)

    def column(values: np.ndarray) -> np.ndarray:
        """Values (K, S, F) or (K, S, 1) of the kept pairs, tasks innermost."""
        full = np.broadcast_to(values, (tasks, len(mine), len(read)))
        return full[:, keep[0], keep[1]].T.ravel()

    def each(values: np.ndarray) -> np.ndarray:
        return np.repeat(values, tasks)

    agreement = {}
    if effects.by_fold:
        folds = [e.mean(over_targets(over_versions(e.lost, 2))) for e in effects.by_fold]
        agreement = {
            "fold_spread": column(np.std(folds, axis=0, ddof=1)),
            "sign_agreement": column(np.mean(np.sign(folds) == np.sign(fis), axis=0)),
        }
    return {
        "_row": np.full(len(keep[0]) * tasks, ask.row),
        "_source": each(mine[keep[0]]),
        "_target": each(read[keep[1]]),
        "_task": np.tile(np.arange(tasks), len(keep[0])),
        "distance": each(np.maximum(gap, 0)[keep]),
        "overlap": each(np.maximum(-gap, 0)[keep]),
        "fis": column(fis),
        "standard_error": column(error),
        **agreement,
        "target_importance": column(target),
        "relative": column(relative),
        "self_effect": column(effects.mean(over_versions(effects.own, 2))[:, :, None]),
        "prediction": column(effects.predictions.astype(np.float64)[:, None, None]),
        "mutant_prediction": column(over_versions(effects.mutant_predictions, 1)[:, :, None]),
        "reachable": column(reach(start, end, first, last)),
    }


def _named(
    request: Request, features: Features, sources: Sources, values: dict[str, np.ndarray]
) -> pd.DataFrame:
    """The table, with names for indices."""
    row, source, target, task = (
        values.pop(name) for name in ("_row", "_source", "_target", "_task")
    )
    parent = sources.parent[source]
    columns: dict[str, Any] = {
        "sequence": np.asarray(request.names, dtype=object)[row],
        "source": features.name[parent],
        "source_start": sources.start[source],
        "source_end": sources.end[source],
        "target": features.name[target],
        "target_start": features.start[target],
        "target_end": features.end[target],
        "task": np.asarray(request.settings["tasks"], dtype=object)[task],
        "delta_importance": -values["fis"],
        **values,
        "_parent": parent,
        "_target": target,
        "_task": task,
    }
    if features.strand is not None:
        columns["source_strand"] = features.strand[parent]
        columns["target_strand"] = features.strand[target]
    if sources.mutant is not None:
        columns["source_position"] = sources.start[source]
        columns["source_start"] = features.start[parent]
        columns["source_end"] = features.end[parent]
        columns["mutant"] = np.asarray(sources.mutant, dtype=object)[source]
    order = [name for name in COLUMNS if name in columns]
    return pd.DataFrame({name: columns[name] for name in (*order, "_parent", "_target", "_task")})

"""What each mutant changes at each response: the original package's delta profiles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.compat.mutants import ORIGINAL, span
from dfim_fast.errors import InputError, SettingsError

Deltas = dict[Any, dict[int, dict[str, dict[str, dict[str, Any]]]]]


def compute_delta_profiles(
    score_dict: Mapping[Any, np.ndarray],
    mutated_seq_key: pd.DataFrame,
    mut_loc_dict: Mapping[str, Any],
    tasks: Iterable[Any],
    sequence_index: Iterable[int],
    task_dict: Any = None,
    mutated_seq_preds: Any = None,
    capture_seqs_max_thresh: float | None = None,
    *,
    strict: bool = False,
) -> Deltas:
    """Importance lost at each response of each mutant: original - mutant.

    Parameters
    ----------
    score_dict : dict
        Task -> ndarray (n, L, 4), from `compute_importance`.
    mutated_seq_key : DataFrame
    mut_loc_dict : dict
        Its ``resp_start``, ``resp_end`` and ``resp_names`` are the responses of each element.
    tasks : list
    sequence_index : list of int
    task_dict : dict, optional
        Task -> its column of ``mutated_seq_preds``; the task's own number if not given. Code for
        the earlier revision, which had no ``task_dict``, is understood too.
    mutated_seq_preds : array (n, T), optional
        Predictions of the rows; without them those of the profiles are None.
    capture_seqs_max_thresh : float, optional
        Only sequences are kept of which some |delta| of the task is at least this.
    strict : bool
        Zero at the mutation what the original did: ``mut_start - resp_start`` to
        ``mut_end - resp_end``, which misses most partial overlaps.

    Returns
    -------
    dict
        ``[task][seq][label]["resp_{name}_{start}to{end}"]`` -> orig_profile, mut_profile and
        delta_profile, (response length, 4) each, prediction_diff, orig_pred, mut_pred, mut_start,
        resp_start, resp_end, mut_key, mut_name. Deltas are 0 at the mutated positions.

    Raises
    ------
    InputError, SettingsError
    """
    if task_dict is not None and not isinstance(task_dict, Mapping):
        # by position as the earlier revision had it: predictions, threshold
        if capture_seqs_max_thresh is None and np.ndim(mutated_seq_preds) == 0:
            capture_seqs_max_thresh = mutated_seq_preds
        task_dict, mutated_seq_preds = None, task_dict
    elif task_dict is None and mutated_seq_preds is not None and np.ndim(mutated_seq_preds) == 0:
        capture_seqs_max_thresh, mutated_seq_preds = mutated_seq_preds, None
    wanted = [int(seq) for seq in sequence_index]
    rows = {seq: part for seq, part in mutated_seq_key.groupby("seq") if seq in set(wanted)}
    found: Deltas = {}
    for task in tasks:
        if task not in score_dict:
            raise SettingsError(
                f"task {task!r} has no scores; score_dict holds {', '.join(map(str, score_dict))}"
            )
        scores = score_dict[task]
        if len(scores) != len(mutated_seq_key):
            raise InputError(
                f"score_dict[{task!r}] holds {len(scores)} rows, mutated_seq_key "
                f"{len(mutated_seq_key)}; pass the key of the array that was scored"
            )
        scored = of_task(task, task_dict, mutated_seq_preds, len(scores))
        found[task] = {}
        for seq in wanted:
            if seq not in rows:
                raise InputError(
                    f"sequence {seq} is not in mutated_seq_key; generate its mutants first"
                )
            own = profiles(scores, scored, rows[seq], mut_loc_dict, strict)
            deltas = [r["delta_profile"] for responses in own.values() for r in responses.values()]
            largest = max((float(np.abs(d).max(initial=0)) for d in deltas), default=0.0)
            if capture_seqs_max_thresh is None or largest >= capture_seqs_max_thresh:
                found[task][seq] = own
    return found


def of_task(task: Any, task_dict: Any, predictions: Any, count: int) -> np.ndarray | None:
    """Predictions (n,) of one task, if there are any."""
    if predictions is None:
        return None
    array = np.asarray(predictions)
    array = array[:, None] if array.ndim == 1 else array
    column = task if task_dict is None else task_dict.get(task)
    whole = isinstance(column, int | np.integer)
    if array.ndim != 2 or len(array) != count or not whole or not 0 <= column < array.shape[1]:
        raise InputError(
            f"mutated_seq_preds of shape {array.shape} have no column {column!r} for task {task!r} "
            f"and {count} rows; pass (rows, outputs) and task_dict={{task: column}}"
        )
    return array[:, column]


def profiles(
    scores: np.ndarray,
    predictions: np.ndarray | None,
    key: pd.DataFrame,
    locations: Mapping[str, Any],
    strict: bool,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Profiles of one task and sequence: label -> response -> profile."""
    first = key.loc[key["label"] == ORIGINAL, "array_ind"]
    if first.empty:
        raise InputError(
            f"mutated_seq_key has no row labelled 'original' for sequence {key['seq'].iloc[0]}"
        )
    original = scores[int(first.iloc[0])]
    before = None if predictions is None else predictions[int(first.iloc[0])]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in key[key["label"] != ORIGINAL].to_dict("records"):
        name = row["mut_key"]
        entry = locations.get(name)
        if entry is None or "resp_start" not in entry:
            raise InputError(
                f"mut_loc_dict has no responses for {name!r}; give it resp_start, resp_end and "
                "resp_names"
            )
        mutant = scores[int(row["array_ind"])]
        after = None if predictions is None else predictions[int(row["array_ind"])]
        own: dict[str, dict[str, Any]] = {}
        responses = zip(entry["resp_names"], entry["resp_start"], entry["resp_end"], strict=True)
        for response, low, high in responses:
            start, end = span(f"response {response} of {name}", low, high, len(original))
            delta = original[start:end] - mutant[start:end]
            if strict:
                delta[int(row["mut_start"]) - start : int(row["mut_end"]) - end] = 0
            else:
                delta[max(row["mut_start"] - start, 0) : max(row["mut_end"] - start, 0)] = 0
            own[f"resp_{response}_{start}to{end}"] = {
                "orig_profile": original[start:end],
                "mut_profile": mutant[start:end],
                "delta_profile": delta,
                "prediction_diff": None if before is None else before - after,
                "orig_pred": before,
                "mut_pred": after,
                "mut_start": int(row["mut_start"]),
                "mut_end": int(row["mut_end"]),
                "resp_start": start,
                "resp_end": end,
                "mut_key": name,
                "mut_name": entry.get("mut_name", name),
            }
        found[row["label"]] = own
    return found

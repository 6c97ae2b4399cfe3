"""The profiles behind the strongest interactions."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.compat.interaction import axes_of, is_own, mutation, place, response
from dfim_fast.errors import InputError, OutputError, SettingsError


def capture_strong_interactions(
    dfim_dict: Mapping[Any, Any],
    delta_dict: Mapping[Any, Any],
    score_thresh: float | None = 0.01,
    top_pct: float | None = None,
    pickle_file: str | os.PathLike[str] | None = None,
) -> dict[Any, dict[int, dict[str, dict[str, dict[str, Any]]]]]:
    """The profiles behind the strongest interactions.

    Parameters
    ----------
    dfim_dict : dict
        From `compute_dfim`: maps of elements, or scores by label.
    delta_dict : dict
    score_thresh : float
        Scores above it are kept.
    top_pct : float, optional
        Keep this percentage of all scores instead, the strongest.
    pickle_file : path, optional
        Where to write the result, too.

    Returns
    -------
    dict
        ``[task][seq][label][response]`` -> the profile with its ``dfim_score``.

    Raises
    ------
    SettingsError, InputError, OutputError
    """
    if top_pct is not None and not 0 < top_pct <= 100:
        raise SettingsError(f"top_pct={top_pct!r}: give a percentage above 0, up to 100")
    scored = list(scored_profiles(dfim_dict, delta_dict))
    limit, inclusive = score_thresh, False
    if top_pct is not None and scored:
        limit, inclusive = float(np.percentile([s for *_, s in scored], 100 - top_pct)), True
    found: dict[Any, Any] = {task: {} for task in dfim_dict}
    for task, seq, label, name, score in scored:
        if limit is None or score > limit or (inclusive and score == limit):
            profile = {**delta_dict[task][seq][label][name], "dfim_score": score}
            found[task].setdefault(seq, {}).setdefault(label, {})[name] = profile
    if pickle_file is not None:
        save(found, Path(pickle_file))
    return found


def scored_profiles(
    dfim_dict: Mapping[Any, Any], delta_dict: Mapping[Any, Any]
) -> Iterable[tuple[Any, int, str, str, float]]:
    """Every profile that a map scores: task, sequence, label, response, score."""
    for task, by_seq in dfim_dict.items():
        for seq, scores in by_seq.items():
            labelled = delta_dict[task][seq]
            if not isinstance(scores, Mapping):
                values = np.asarray(scores)
                rows, columns = axes_of(labelled, strict=False)
                if values.shape != (len(rows), len(columns)):
                    rows, columns = axes_of(labelled, strict=True)
            for label, responses in labelled.items():
                for name, profile in responses.items():
                    if isinstance(scores, Mapping):
                        score = scores.get(label)
                    elif is_own(profile, rows):
                        continue
                    else:
                        score = values[
                            place(mutation(profile), rows), place(response(profile), columns)
                        ]
                    if score is None or np.ndim(score):
                        raise InputError(
                            f"dfim_dict[{task!r}][{seq}] holds no single score for {label!r}; "
                            "reduce maps to one number for each pair (operations=, operation_axes=)"
                        )
                    yield task, seq, label, name, float(score)


def save(found: Any, path: Path) -> None:
    """Pickle, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with partial.open("wb") as handle:
            pickle.dump(found, handle)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from None

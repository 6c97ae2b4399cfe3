"""Interaction maps from delta profiles, in the original package's nesting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.compat.arrays import BASES
from dfim_fast.compat.mutants import ORIGINAL
from dfim_fast.errors import InputError, SettingsError

Operation = Callable[[np.ndarray], Any] | None
Profile = Mapping[str, Any]
Labelled = Mapping[str, Mapping[str, Profile]]


def reduced(values: np.ndarray, operations: Sequence[Operation], axes: Sequence[int | None]) -> Any:
    """Apply operations in turn, each along its axis; None is skipped."""
    if len(operations) != len(axes):
        raise SettingsError(
            f"{len(operations)} operations and {len(axes)} operation_axes; give an axis for each"
        )
    for operation, axis in zip(operations, axes, strict=True):
        if operation is None or axis is None:
            continue
        if not -values.ndim <= axis < values.ndim:
            raise SettingsError(
                f"operation_axes: axis {axis} does not exist in an array of shape {values.shape}"
            )
        values = np.asarray(np.apply_along_axis(operation, axis, values))
    return values if values.ndim else values[()]


def delta_of(profile: Profile, absolute_value: bool) -> np.ndarray:
    """The delta profile, or its absolute value."""
    delta: np.ndarray = profile["delta_profile"]
    return np.abs(delta) if absolute_value else delta


Element = tuple[int, int]  # start, end


def mutation(profile: Profile) -> Element:
    return profile["mut_start"], profile["mut_end"]


def response(profile: Profile) -> Element:
    return profile["resp_start"], profile["resp_end"]


def every_profile(labelled: Labelled) -> list[Profile]:
    return [profile for responses in labelled.values() for profile in responses.values()]


def axes_of(labelled: Labelled, strict: bool) -> tuple[list[Any], list[Any]]:
    """Mutated elements and responses of a map; strict: their starts alone, as the original."""
    profiles = every_profile(labelled)
    rows = sorted({mutation(p) for p in profiles})
    columns = sorted({response(p) for p in profiles})
    if strict:
        return sorted({start for start, _ in rows}), sorted({start for start, _ in columns})
    return list(rows), list(columns)


def place(element: Element, axis: Sequence[Any]) -> int | None:
    """Where an element stands among spans, or among starts; None where it does not."""
    wanted: Any = element if axis and isinstance(axis[0], tuple) else element[0]
    return axis.index(wanted) if wanted in axis else None


def dfim_per_element(
    delta_dict: Mapping[Any, Any],
    task: Any,
    seq: int,
    all_mut_pos: Sequence[Any],
    all_resp_pos: Sequence[Any],
    diagonal_value: float,
    operations: Sequence[Operation],
    operation_axes: Sequence[int | None],
    absolute_value: bool,
    return_array: bool = True,
    *,
    strict: bool = False,
) -> Any:
    """The map of one sequence: a row for each mutated element, a column for each response.

    Parameters
    ----------
    delta_dict : dict
        From `compute_delta_profiles`.
    task, seq
    all_mut_pos, all_resp_pos : list of int, or of (start, end)
        What rows and columns stand for. Of elements that share a start, the larger |score| is
        kept where starts are given, with ``strict`` the last; as spans they have rows of their own.
    diagonal_value : float
        Stands where an element is its own response, and where nothing was scored.
    operations, operation_axes : list
        Reduce a delta profile (response length, 4) to one number.
    absolute_value : bool
        Of the delta, before it is reduced.
    return_array : bool
        Or a DataFrame with the positions as its labels.

    Returns
    -------
    ndarray (mutated elements, responses), or DataFrame

    Raises
    ------
    SettingsError
        If the operations leave more than one number.
    """
    found = np.full((len(all_mut_pos), len(all_resp_pos)), diagonal_value, np.float64)
    filled = np.zeros(found.shape, bool)
    for profile in every_profile(delta_dict[task][seq]):
        i = place(mutation(profile), all_mut_pos)
        j = place(response(profile), all_resp_pos)
        if i is None or j is None or is_own(profile, all_mut_pos):
            continue
        score = reduced(delta_of(profile, absolute_value), operations, operation_axes)
        if np.ndim(score):
            raise SettingsError(
                f"operations leave an array of shape {np.shape(score)} for each response; to fill "
                "a map of elements they have to leave one number"
            )
        if strict or not filled[i, j] or abs(score) > abs(found[i, j]):
            found[i, j], filled[i, j] = score, True
    if return_array:
        return found
    return pd.DataFrame(found, index=starts(all_mut_pos), columns=starts(all_resp_pos))


def is_own(profile: Profile, axis: Sequence[Any]) -> bool:
    """Whether the response is the mutated element, told by what the axis tells elements by."""
    if axis and isinstance(axis[0], tuple):
        return mutation(profile) == response(profile)
    return bool(profile["mut_start"] == profile["resp_start"])


def starts(axis: Sequence[Any]) -> list[int]:
    return [item[0] if isinstance(item, tuple) else item for item in axis]


def dfim_per_base(
    dfim_key: pd.DataFrame,
    resp_size: int,
    diagonal_value: float,
    delta_dict: Mapping[Any, Any],
    task: Any,
    seq: int,
    absolute_value: bool,
    operations: Sequence[Operation],
    operation_axes: Sequence[int | None],
) -> Any:
    """The map of one element, base by base.

    Parameters
    ----------
    dfim_key : DataFrame
        The rows of the element in ``mutated_seq_key``.
    resp_size : int
        Length of its responses, one after the other.
    diagonal_value, delta_dict, task, seq, absolute_value
        As in `dfim_per_element`.
    operations, operation_axes : list
        Reduce the array in turn.

    Returns
    -------
    ndarray (positions, 4 original, 4 mutant, resp_size, 4)
        Reduced; ``diagonal_value`` in slots that are no mutant.
    """
    positions = sorted(set(dfim_key["mut_start"]))
    shape = (len(positions), len(BASES), len(BASES), resp_size, len(BASES))
    found = np.full(shape, diagonal_value, np.float64)
    for row in dfim_key.to_dict("records"):
        responses = delta_dict[task][seq][row["label"]].values()
        slot = BASES.index(row["orig_letter"]), BASES.index(row["mut_letter"])
        deltas = np.concatenate([delta_of(p, absolute_value) for p in responses])
        found[positions.index(row["mut_start"]), slot[0], slot[1]] = deltas
    return reduced(found, operations, operation_axes)


def dfim_element_by_base(
    delta_dict: Mapping[Any, Any],
    task: Any,
    seq: int,
    diagonal_value: float,
    operations: Sequence[Operation],
    operation_axes: Sequence[int | None],
    absolute_value: bool,
) -> dict[str, Any]:
    """What each mutated element changes in a single response: label -> score.

    Where the operations leave the response's positions, those of the mutation hold
    ``diagonal_value``.
    """
    found: dict[str, Any] = {}
    for label, responses in delta_dict[task][seq].items():
        for profile in responses.values():
            score = reduced(delta_of(profile, absolute_value), operations, operation_axes)
            length = profile["resp_end"] - profile["resp_start"]
            if np.ndim(score) and len(score) == length:
                score = np.array(score, np.float64)
                first = max(profile["mut_start"] - profile["resp_start"], 0)
                score[first : max(profile["mut_end"] - profile["resp_start"], 0)] = diagonal_value
            found[label] = score
    return found


def compute_dfim(
    delta_dict: Mapping[Any, Any],
    sequence_index: Iterable[int],
    tasks: Iterable[Any],
    operations: Sequence[Operation] = (np.sum, np.max),
    operation_axes: Sequence[int | None] = (1, 0),
    absolute_value: bool = True,
    annotate: bool = False,
    mutated_seq_key: pd.DataFrame | None = None,
    diagonal_value: float = -1,
    per_base_map: bool = False,
    *,
    strict: bool = False,
) -> dict[Any, dict[int, Any]]:
    """Interaction maps of all sequences.

    By default the score of a pair of elements is the maximum over the response's positions of the
    sum over bases of |delta|.

    Parameters
    ----------
    delta_dict : dict
        From `compute_delta_profiles`.
    sequence_index : list of int
        Sequences that were not captured there are left out.
    tasks : list
    operations, operation_axes : list
    absolute_value : bool
    annotate : bool
        DataFrames with the elements' names instead of arrays.
    mutated_seq_key : DataFrame, optional
        Needed for ``per_base_map``.
    diagonal_value : float
        Where nothing was scored.
    per_base_map : bool
    strict : bool
        Rows and columns by start alone, where elements that share a start overwrite each other.

    Returns
    -------
    dict
        ``[task][seq]`` -> an array or DataFrame, rows mutated elements and columns responses, where
        there are several responses; ``{label: score}`` for a single one; with ``per_base_map``
        ``{mut_key: array (positions, 4 original, 4 mutant, response length, 4)}``, reduced.

    Raises
    ------
    InputError, SettingsError
    """
    wanted = [int(seq) for seq in sequence_index]
    if per_base_map and (mutated_seq_key is None or "mut_letter" not in mutated_seq_key):
        raise InputError(
            "per_base_map=True needs mutated_seq_key as generate_mutants_and_key(..., "
            "per_base_map=True) gives it"
        )
    settings = (operations, operation_axes)
    found: dict[Any, dict[int, Any]] = {}
    for task in tasks:
        if task not in delta_dict:
            raise SettingsError(
                f"task {task!r} has no profiles; delta_dict holds {', '.join(map(str, delta_dict))}"
            )
        found[task] = {}
        for seq in wanted:
            if seq not in delta_dict[task]:
                continue
            labelled = delta_dict[task][seq]
            if per_base_map:
                assert mutated_seq_key is not None
                own = mutated_seq_key[
                    (mutated_seq_key["seq"] == seq) & (mutated_seq_key["label"] != ORIGINAL)
                ]
                found[task][seq] = {
                    name: dfim_per_base(
                        rows,
                        response_size(labelled, rows),
                        diagonal_value,
                        delta_dict,
                        task,
                        seq,
                        absolute_value,
                        *settings,
                    )
                    for name, rows in own.groupby("mut_key", sort=False)
                }
                continue
            rows, columns = axes_of(labelled, strict)
            if len(columns) <= 1:
                found[task][seq] = dfim_element_by_base(
                    delta_dict, task, seq, diagonal_value, *settings, absolute_value
                )
                continue
            values = dfim_per_element(
                delta_dict, task, seq, rows, columns, diagonal_value, *settings, absolute_value,
                strict=strict,
            )  # fmt: skip
            if annotate:
                values = annotated(values, labelled, rows, columns)
            found[task][seq] = values
    return found


def response_size(labelled: Labelled, rows: pd.DataFrame) -> int:
    """Length of all responses of an element."""
    responses = labelled[rows["label"].iloc[0]].values()
    return sum(p["resp_end"] - p["resp_start"] for p in responses)


def short_name(mut_key: str) -> str:
    """The part of a key after its first "-", up to the next."""
    parts = str(mut_key).split("-")
    return parts[1] if len(parts) > 1 else parts[0]


def annotated(
    values: np.ndarray, labelled: Labelled, rows: Sequence[Any], columns: Sequence[Any]
) -> pd.DataFrame:
    """A map with names: those of the elements, or of the responses that are none."""
    own: dict[Any, str] = {}
    other: dict[Any, str] = {}
    for responses in labelled.values():
        for name, profile in responses.items():
            mutated, read = mutation(profile), response(profile)
            other[read] = other[read[0]] = name.removeprefix("resp_").rsplit("_", 1)[0]
            own[mutated] = own[mutated[0]] = short_name(profile["mut_key"])
    return pd.DataFrame(
        values,
        index=[own[row] for row in rows],
        columns=[own.get(column, other[column]) for column in columns],
    )

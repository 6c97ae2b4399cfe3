"""What scores and nulls were made with, and whether the two may be compared.

A provenance is a dict. Every entry but ``kind`` (observed, dinucleotide, matched) is part of what
the numbers mean, so every one of them has to be the same on both sides. An entry that a later
version adds is compared without a change here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dfim_fast.errors import NullError

_SHOWN = 60  # characters of a value in a message; lists of positions can be long


def check_match(scores: Mapping[str, Any] | None, null: Mapping[str, Any] | None) -> None:
    """Refuse a null that was not made the way the scores were.

    Parameters
    ----------
    scores, null : mapping or None
        Provenance of each side; None where it carries none (arrays, tables without attrs).

    Raises
    ------
    NullError
        If only one side has a provenance, if the null is of kind "observed", or if any entry but
        ``kind`` differs; the message lists every difference.
    """
    if scores is None and null is None:
        return
    if scores is None or null is None:
        bare, other = ("scores", "null") if scores is None else ("null", "scores")
        raise NullError(
            f"the {other} say how they were made, the {bare} do not, so they cannot be checked "
            "against each other; pass two maps or tables with their provenance, or two arrays"
        )
    if null.get("kind") == "observed":
        raise NullError(
            "the null is of kind 'observed': it holds scores of unchanged input; make it with "
            "null_map, or pass two arrays to judge scores by others of your own"
        )
    differences = _differences(scores, null)
    if differences:
        raise NullError(
            f"the null does not match the scores: {'; '.join(differences)}; "
            "make the null with the settings of the scores"
        )


def _differences(scores: Mapping[str, Any], null: Mapping[str, Any]) -> list[str]:
    """One text for each entry that differs, in the order of the scores, then of the null."""
    missing = object()
    found = []
    for key in dict.fromkeys([*scores, *null]):
        if key == "kind":
            continue
        wanted, given = scores.get(key, missing), null.get(key, missing)
        if wanted is missing:
            found.append(f"{key} of the null is {_show(given)}, the scores have none")
        elif given is missing:
            found.append(f"{key} of the scores is {_show(wanted)}, the null has none")
        elif _plain(wanted) != _plain(given):
            found.append(f"{key} of the scores is {_show(wanted)}, of the null {_show(given)}")
    return found


def _plain(value: Any) -> Any:
    """A comparable form: arrays, lists and tuples of equal content are equal, NaN equals NaN."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        return "NaN"
    return value


def _show(value: Any) -> str:
    text = " ".join(repr(_plain(value)).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."

"""Nulls: interaction scores of changed input, computed as the scores themselves were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.errors import SettingsError
from dfim_fast.maps.interaction import interaction_map
from dfim_fast.sequence.one_hot import encode
from dfim_fast.sequence.shuffle import dinucleotide_shuffle


@dataclass(frozen=True, eq=False)
class NullMap:
    """Interaction scores of shuffled sequences, with what they are a null of.

    Attributes
    ----------
    fis, mask : ndarray, (N*n, S, 4, T), float32 and bool
        As an InteractionMap has them, tasks first where several were asked for. The n shuffles of
        a sequence are neighbours.
    sequence : ndarray, (N*n,), int
        Which of the N sequences each row is a shuffle of.
    originals : ndarray, (N, L), int8
        Codes of the unchanged sequences.
    predictions : ndarray, (N*n,)
        Of the shuffles, tasks first likewise.
    names, task_names : list of str
        Of the rows, and of the tasks.
    provenance : dict
        The maps' own, with ``kind`` set to "dinucleotide".
    n, random_state : int
        Shuffles of each sequence, and their seed.
    """

    fis: np.ndarray
    mask: np.ndarray
    sequence: np.ndarray
    originals: np.ndarray
    predictions: np.ndarray
    names: list[str]
    task_names: list[str]
    provenance: dict[str, Any]
    n: int
    random_state: int

    def __repr__(self) -> str:
        return (
            f"NullMap(kind={self.provenance['kind']!r}, {len(self.originals)} sequences x "
            f"{self.n} shuffles, fis {self.fis.shape}, {np.count_nonzero(self.mask)} tested cells)"
        )


def null_map(
    model: Any,
    X: Any,
    kind: str = "dinucleotide",
    n: int = 1,
    random_state: int = 0,
    **settings: Any,
) -> NullMap:
    """Interaction maps of dinucleotide-shuffled sequences, the paper's null (section 2.4).

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array, (N, 4, L)
        The sequences whose scores are to be judged.
    kind : {"dinucleotide"}
    n : int
        Shuffles of each sequence.
    random_state : int
        Seed of the shuffles and, as in interaction_map, of the references; the two never draw the
        same shuffle.
    **settings
        Passed to :func:`dfim_fast.interaction_map`; give those the scores were made with. What
        belongs to each sequence (references (N, R, 4, L), names) is given to all its shuffles.

    Returns
    -------
    NullMap

    Raises
    ------
    SettingsError
        For another kind, or as interaction_map and dinucleotide_shuffle.
    InputError
        As interaction_map and dinucleotide_shuffle.
    """
    if kind == "matched":
        raise SettingsError(
            "null_map: kind='matched' is for tables of motif pairs and variants, not for maps; "
            "use kind='dinucleotide'"
        )
    if kind != "dinucleotide":
        raise SettingsError(f"null_map: kind={kind!r} is not known; use 'dinucleotide'")
    originals = encode(X)
    shuffles = dinucleotide_shuffle(X, n=n, random_state=random_state, purpose="null")
    references = settings.get("references")
    if references is not None and np.ndim(references) == 4:
        settings["references"] = np.repeat(np.asarray(references), n, axis=0)
    if settings.get("names") is not None:
        settings["names"] = [name for name in settings["names"] for _ in range(n)]
    maps = interaction_map(
        model, shuffles.reshape(-1, *shuffles.shape[2:]), random_state=random_state, **settings
    )
    return NullMap(
        fis=maps.fis,
        mask=maps.mask,
        sequence=np.repeat(np.arange(len(originals)), n),
        originals=originals,
        predictions=maps.predictions,
        names=maps.names,
        task_names=maps.task_names,
        provenance={**maps.provenance, "kind": kind},
        n=n,
        random_state=random_state,
    )

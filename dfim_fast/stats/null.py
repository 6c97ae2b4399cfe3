"""Nulls: interaction scores of changed input, computed as the scores themselves were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import SettingsError
from dfim_fast.maps.controls import control_table
from dfim_fast.maps.features import check_features
from dfim_fast.maps.interaction import interaction_map
from dfim_fast.maps.motif import matched_pairs, motif_table
from dfim_fast.sequence.shuffle import Shuffled


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
    *,
    features: pd.DataFrame | None = None,
    variants: pd.DataFrame | None = None,
    **settings: Any,
) -> NullMap | pd.DataFrame:
    """Interaction scores of changed input: what scores look like where nothing interacts.

    "dinucleotide", the paper's null (section 2.4): dinucleotide-shuffled sequences; of motif pairs,
    the same spans in them. It asks whether a sequence has strong features. "matched", for motif
    pairs: the same sequences and targets, with sources of the same width that hold no feature. It
    asks whether this pair interacts; `significance` pools it by target, distance and task. For
    variants: other changes of the same sequence with the same effect, pooled by distance and task.

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array, (N, 4, L)
        The sequences whose scores are to be judged.
    kind : {"dinucleotide", "matched"}
    n : int
        Shuffles of each sequence, or spans for each source feature.
    random_state : int
        Seed of the shuffles and, as in interaction_map, of the references; the two never draw the
        same shuffle.
    features : DataFrame, optional
        As in :func:`dfim_fast.motif_interactions`: the null is of its table then.
    variants : DataFrame, optional
        As in :func:`dfim_fast.variant_interactions` of sequences, one alternate allele in a row:
        the null, of kind "matched", is of its table then. It holds, for each variant, the n
        single-nucleotide changes of its sequence with the most similar effect.
    **settings
        Passed to :func:`dfim_fast.interaction_map`, or to ``motif_interactions``; give those the
        scores were made with. What belongs to each sequence (references (N, R, 4, L), names) is
        given to all its shuffles.

    Returns
    -------
    NullMap, or DataFrame with ``features`` or ``variants``

    Raises
    ------
    SettingsError
        For another kind, or as what makes the scores.
    InputError
        As interaction_map, motif_interactions and dinucleotide_shuffle.

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> null = dfim_fast.null_map(
    ...     model, ["ACGTT" * 40], method="gradient", sources=[90, 91], progress=False
    ... )
    >>> null
    NullMap(kind='dinucleotide', 1 sequences x 1 shuffles, fis (1, 2, 4, 200), ... tested cells)
    """
    if kind not in ("dinucleotide", "matched"):
        raise SettingsError(
            f"null_map: kind={kind!r} is not known; use 'dinucleotide' or 'matched'"
        )
    if kind == "matched":
        if variants is not None:
            return control_table(model, X, variants, n, _variant_settings(random_state, settings))
        if features is None:
            raise SettingsError(
                "null_map: kind='matched' is for tables of motif pairs and variants, not for maps; "
                "use kind='dinucleotide', or pass features= or variants="
            )
        progress = settings.pop("progress", True)
        return matched_pairs(model, X, features, n, random_state, progress, settings)
    if variants is not None:
        raise SettingsError("null_map: variants are judged by kind='matched', not by shuffles")
    shuffled = Shuffled(X, n, random_state, "null")
    names = settings.pop("names", None)
    references = settings.get("references")
    if references is not None and np.ndim(references) == 4:
        settings["references"] = np.repeat(np.asarray(references), n, axis=0)
    if features is not None:
        return _shuffled_pairs(model, shuffled, names, n, features, random_state, settings)
    if names is not None:
        settings["names"] = [name for name in names for _ in range(n)]
    maps = interaction_map(model, shuffled, random_state=random_state, **settings)
    return NullMap(
        fis=maps.fis,
        mask=maps.mask,
        sequence=np.repeat(np.arange(len(shuffled.originals)), n),
        originals=shuffled.originals,
        predictions=maps.predictions,
        names=maps.names,
        task_names=maps.task_names,
        provenance={**maps.provenance, "kind": kind},
        n=n,
        random_state=random_state,
    )


# Of `variant_interactions`, which stands further on; its test holds the two together.
VARIANT_DEFAULTS = {
    "flank": 15, "method": "deeplift", "references": "dinucleotide", "n_references": 20, "gc": 0.46,
    "task": 0, "contribution": "projected", "maxpool": "shap", "epsilon": 1e-6, "backend": "auto",
    "memory_limit": None, "threads": None, "names": None, "progress": True,
}  # fmt: skip


def _variant_settings(random_state: int, given: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name in given if name not in VARIANT_DEFAULTS]
    if unknown:
        raise TypeError(f"variant_interactions has no argument {unknown[0]!r}")
    return {**VARIANT_DEFAULTS, **given, "random_state": random_state}


def _shuffled_pairs(
    model: Any,
    shuffled: Shuffled,
    names: list[str] | None,
    n: int,
    features: pd.DataFrame,
    random_state: int,
    settings: dict[str, Any],
) -> pd.DataFrame:
    """Pairs of the same spans in n shuffles of each sequence."""
    labels = [str(i) for i in range(len(shuffled) // n)] if names is None else list(names)
    rows = np.asarray(check_features(features, labels, shuffled.length).row_of_table)
    copies = [features.assign(sequence=rows * n + k) for k in range(n)]
    table = motif_table(
        model, shuffled, pd.concat(copies, ignore_index=True), "null",
        {**settings, "random_state": random_state},
    )  # fmt: skip
    made = table.attrs["provenance"]
    table["sequence"] = np.asarray(labels, dtype=object)[table["sequence"].astype(int) // n]
    table.attrs["provenance"] = {**made, "kind": "dinucleotide"}
    return table

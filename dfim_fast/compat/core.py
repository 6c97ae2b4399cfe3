"""Mutants, importance, delta profiles and interaction maps: the original package's `core`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dfim_fast.compat.arrays import as_rows
from dfim_fast.compat.importance import SHUFFLES, compute_importance
from dfim_fast.compat.interaction import (
    compute_dfim,
    dfim_element_by_base,
    dfim_per_base,
    dfim_per_element,
)
from dfim_fast.compat.mutants import (
    generate_mutants_and_key,
    generate_mutants_for_all_embedding_pairs,
    ism_from_mutants,
)
from dfim_fast.compat.profiles import compute_delta_profiles
from dfim_fast.compat.references import Constant, Shuffles
from dfim_fast.compat.strong import capture_strong_interactions
from dfim_fast.errors import SettingsError

__all__ = [
    "capture_strong_interactions",
    "compute_delta_profiles",
    "compute_dfim",
    "compute_importance",
    "dfim_element_by_base",
    "dfim_per_base",
    "dfim_per_element",
    "generate_mutants_and_key",
    "generate_mutants_for_all_embedding_pairs",
    "get_reference",
    "ism_from_mutants",
]


def get_reference(
    sequences: Any,
    importance_func: Callable[..., Any],
    gc_fraction: float = 0.5,
    shuffle: str | None = None,
    seed: int = 1,
) -> tuple[np.ndarray | None, Callable[..., Any]]:
    """The references of sequences, or an importance function that shuffles them itself.

    Parameters
    ----------
    sequences : array (N, L, 4)
    importance_func : callable
        As the deeplift package's scoring functions:
        ``importance_func(task_idx=, input_data_list=[x], input_references_list=[r], ...)``.
    gc_fraction : float
        GC content of a constant reference; 0 for zeros.
    shuffle : {None, "random", "dinuc"}
    seed : int

    Returns
    -------
    reference : ndarray (N, L, 4), or None with ``shuffle``
    importance_func : callable
        The one given; with ``shuffle`` its mean over shuffles,
        ``function(task_idx, input_data_sequences, num_refs_per_seq=10, seed=seed, ...)``.

    Raises
    ------
    InputError, SettingsError
    """
    if shuffle not in SHUFFLES:
        raise SettingsError(f"shuffle={shuffle!r} is unknown; choose from None, 'random', 'dinuc'")
    if shuffle in (None, "None"):
        x = as_rows(sequences).swapaxes(1, 2)
        return Constant(gc_fraction)(x)[:, 0].swapaxes(1, 2), importance_func
    kind, given = str(shuffle), seed

    def over_shuffles(
        task_idx: int,
        input_data_sequences: Any,
        num_refs_per_seq: int = 10,
        seed: int = given,
        **settings: Any,
    ) -> np.ndarray:
        """Mean importance against each sequence's own shuffles."""
        x = as_rows(input_data_sequences)
        references = Shuffles(kind, num_refs_per_seq, seed)(x.swapaxes(1, 2)).swapaxes(2, 3)
        scores = [
            importance_func(
                task_idx=task_idx,
                input_data_list=[x],
                input_references_list=[np.ascontiguousarray(references[:, k])],
                **settings,
            )
            for k in range(references.shape[1])
        ]
        return np.mean([np.asarray(s) for s in scores], axis=0)

    return None, over_shuffles

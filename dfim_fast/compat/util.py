"""Encoding, predictions, shuffles, rankings and readers: the original package's `util`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.compat.arrays import BASES, as_rows
from dfim_fast.compat.models import predictions
from dfim_fast.compat.null_model import shuffle_seq_from_fasta, shuffle_seq_from_one_hot
from dfim_fast.compat.readers import (
    letters_of,
    load_sequences_from_bed,
    process_all_embedding_pairs_from_simdata,
    process_locations_from_simdata,
    process_seqs_and_locations_from_bed,
    process_seqs_and_locations_from_bed_and_labels,
)
from dfim_fast.errors import InputError
from dfim_fast.sequence.one_hot import one_hot

__all__ = [
    "convert_one_hot_to_fasta",
    "dinuc_shuffle",
    "get_correct_predictions",
    "get_correct_predictions_from_model",
    "get_letter_index",
    "get_orig_letter",
    "load_sequences_from_bed",
    "one_hot_encode",
    "process_all_embedding_pairs_from_simdata",
    "process_locations_from_simdata",
    "process_seqs_and_locations_from_bed",
    "process_seqs_and_locations_from_bed_and_labels",
    "random_shuffle_fasta",
    "random_shuffle_one_hot",
    "rank_by_max_total_interaction",
    "rank_by_min_pval",
]


def get_orig_letter(one_hot_vec: Any) -> str:
    """The letter of a one-hot column (4,); N where it is no base."""
    return letters_of(as_rows([[one_hot_vec]]))[0]


def get_letter_index(letter: str) -> int:
    """0..3 for A, C, G, T.

    Raises
    ------
    InputError
    """
    if letter.upper() not in BASES:
        raise InputError(f"letter {letter!r} is none of A, C, G, T")
    return BASES.index(letter.upper())


def one_hot_encode(sequence: str) -> np.ndarray:
    """One-hot (L, 4) float32 of a string; N is an empty column.

    Raises
    ------
    InputError
    """
    return one_hot([sequence])[0].T


def convert_one_hot_to_fasta(sequences: Any) -> list[str]:
    """Strings of one-hot sequences (N, L, 4); what is no base reads N."""
    return letters_of(as_rows(sequences))


def random_shuffle_one_hot(sequence: Any, seed: int = 1, *, strict: bool = False) -> np.ndarray:
    """Shuffle the bases of one sequence (L, 4); see `null_model.shuffle_seq_from_one_hot`."""
    return shuffle_seq_from_one_hot(np.asarray(sequence)[None], seed=seed, strict=strict)[0]


def random_shuffle_fasta(fasta_seq: str, seed: int = 1, *, strict: bool = False) -> str:
    """Shuffle the letters of one sequence; see `null_model.shuffle_seq_from_fasta`."""
    return shuffle_seq_from_fasta([fasta_seq], seed=seed, strict=strict)[0]


def dinuc_shuffle(s: str, seed: int = 1) -> str:
    """Shuffle one sequence, keeping its dinucleotide counts."""
    return shuffle_seq_from_fasta([s], dinuc=True, seed=seed)[0]


def get_correct_predictions(
    true_labels: Any,
    predicted_labels: Any,
    pos_threshold: float = 0.5,
    neg_threshold: float | None = None,
) -> Any:
    """Rows that are predicted correctly.

    Parameters
    ----------
    true_labels, predicted_labels : array (N,) or (N, T)
    pos_threshold : float
        Positives are right above it.
    neg_threshold : float, optional
        Negatives are right below it; without it only positives are given.

    Returns
    -------
    ndarray of int, or dict
        Rows; of (N, T) arrays column -> rows.

    Raises
    ------
    InputError
        If the arrays differ in shape.
    """
    true, predicted = np.asarray(true_labels), np.asarray(predicted_labels)
    if true.shape != predicted.shape or true.ndim not in (1, 2):
        raise InputError(
            f"true_labels have shape {true.shape}, predicted_labels {predicted.shape}; "
            "wanted both (N,) or (N, tasks)"
        )
    right = (true == 1) & (predicted > pos_threshold)
    if neg_threshold is not None:
        right |= (true == 0) & (predicted < neg_threshold)
    if true.ndim == 1:
        return np.flatnonzero(right)
    return {task: np.flatnonzero(right[:, task]) for task in range(true.shape[1])}


def get_correct_predictions_from_model(
    model: Any,
    sequences: Any,
    labels: Any,
    pos_threshold: float = 0.5,
    neg_threshold: float | None = None,
    label_key_column: int = 3,
) -> dict[int, np.ndarray]:
    """Rows whose output the model gets right, for each task.

    Parameters
    ----------
    model : Model, path, or Keras or PyTorch model
    sequences : array (N, L, 4)
    labels : DataFrame or array
        Of a table the labels start at column ``label_key_column``, after what names the region; an
        array (N,) or (N, T) holds labels only.
    pos_threshold, neg_threshold
        As in `get_correct_predictions`, of the model's output.

    Returns
    -------
    dict
        Task -> rows.

    Raises
    ------
    InputError, ModelError
    """
    table = labels.iloc[:, label_key_column:] if isinstance(labels, pd.DataFrame) else labels
    true = np.asarray(table)
    true = true[:, None] if true.ndim == 1 else true
    found = predictions(model, as_rows(sequences))
    right: dict[int, np.ndarray] = get_correct_predictions(
        true, found, pos_threshold, neg_threshold
    )
    return right


def rank_by_min_pval(dfim_pval_dict: Mapping[Any, Any]) -> dict[Any, list[tuple[Any, float]]]:
    """Sequences of each task by their smallest p, smallest first: (sequence, p)."""
    return {
        task: _ranked({seq: float(np.nanmin(_values(p))) for seq, p in by_seq.items()}, 1)
        for task, by_seq in dfim_pval_dict.items()
    }


def rank_by_max_total_interaction(
    dfim_dict: Mapping[Any, Any],
    dfim_pval_dict: Mapping[Any, Any] | None = None,
    *,
    diagonal_value: float = -1,
    alpha: float = 0.05,
) -> dict[Any, list[tuple[Any, float]]]:
    """Sequences of each task by the sum of their scores, largest first: (sequence, sum).

    Parameters
    ----------
    dfim_dict : dict
    dfim_pval_dict : dict, optional
        With it only scores of p < ``alpha`` count.
    diagonal_value : float
        Marks cells that were not scored.
    alpha : float
    """
    found = {}
    for task, by_seq in dfim_dict.items():
        totals = {}
        for seq, scores in by_seq.items():
            values = _values(scores)
            counted = values != diagonal_value
            if dfim_pval_dict is not None:
                counted &= _values(dfim_pval_dict[task][seq]) < alpha
            totals[seq] = float(values[counted].sum())
        found[task] = _ranked(totals, -1)
    return found


def _values(scores: Any) -> np.ndarray:
    """All numbers of a map, or of scores by label."""
    if isinstance(scores, Mapping):
        return np.concatenate([np.ravel(np.asarray(v, np.float64)) for v in scores.values()])
    return np.asarray(scores, np.float64).ravel()


def _ranked(values: Mapping[Any, float], sign: int) -> list[tuple[Any, float]]:
    return sorted(values.items(), key=lambda item: sign * item[1])

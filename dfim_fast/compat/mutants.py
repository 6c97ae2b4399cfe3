"""Mutants as an array, and a table that says what each row is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.compat.arrays import BASES, as_rows, background, chosen, codes_of
from dfim_fast.compat.models import predictions
from dfim_fast.errors import InputError, SettingsError

COLUMNS = ["array_ind", "label", "seq", "mut_key", "mut_start", "mut_end"]
ORIGINAL = "original"


class Rows:
    """Collects mutants beside what the key says of them."""

    def __init__(self, sequences: Any, extra: Sequence[str]) -> None:
        self.sequences = as_rows(sequences)
        self.codes = codes_of(self.sequences)
        self.columns = [*COLUMNS, *extra]
        self.rows: list[np.ndarray] = []
        self.entries: list[dict[str, Any]] = []
        self.labels: set[tuple[int, str]] = set()

    def add(self, seq: int, row: np.ndarray, label: str, key: str, **about: Any) -> None:
        """Enter a row; a label that the sequence has already is told apart by its element."""
        if (seq, label) in self.labels:
            label = f"{label};{key}"
        self.labels.add((seq, label))
        entry = {"array_ind": len(self.rows), "label": label, "seq": seq, "mut_key": key, **about}
        self.rows.append(row)
        self.entries.append(entry)

    def add_original(self, seq: int, **about: Any) -> None:
        """Enter a sequence as it is."""
        self.add(seq, self.sequences[seq], ORIGINAL, ORIGINAL, mut_start=-1, mut_end=-1, **about)

    def finish(self) -> tuple[np.ndarray, pd.DataFrame]:
        """The array (n, L, 4) and its key."""
        if not self.rows:
            raise InputError("no sequence is chosen; give sequence_index rows that have elements")
        return np.stack(self.rows), pd.DataFrame(self.entries, columns=self.columns)


def elements_of(locations: Mapping[str, Any], seq: int) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The elements of one sequence."""
    for name, entry in locations.items():
        if not isinstance(entry, Mapping) or "seq" not in entry:
            raise InputError(f"location {name!r} has no 'seq'; give each element its sequence")
        if int(entry["seq"]) == seq:
            yield name, entry


def span(name: str, start: Any, end: Any, length: int) -> tuple[int, int]:
    """A span inside the sequence.

    Raises
    ------
    InputError
        If it is empty or leaves the sequence.
    """
    if not 0 <= int(start) < int(end) <= length:
        raise InputError(
            f"location {name!r}: {start}..{end} is no span within 0..{length} "
            "(0-based, half-open); correct its start and end"
        )
    return int(start), int(end)


def generate_mutants_and_key(
    sequences: Any,
    mut_loc_dict: Mapping[str, Any],
    sequence_index: Any = None,
    mutants: Sequence[str] = BASES,
    per_base_map: bool = False,
    mutant_gc_fraction: float = 0.46,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mutate the elements of each sequence, whole or base by base.

    Parameters
    ----------
    sequences : array (N, L, 4)
    mut_loc_dict : dict
        Name -> ``{"seq", "mut_start", "mut_end", "mut_name", ...}``, 0-based and half-open.
    sequence_index : list of int, optional
        Rows of ``sequences``; all if not given.
    mutants : list of str
        Letters that bases are changed to.
    per_base_map : bool
        Change every base of an element to every other letter, instead of all of it to background.
    mutant_gc_fraction : float
        GC content of the background; 0 fills with zeros.

    Returns
    -------
    mutated_seq_array : ndarray (n, L, 4) float32
        Each sequence's original comes first.
    mutated_seq_key : DataFrame
        A row for each of them: array_ind, label, seq, mut_key, mut_start, mut_end, and per base
        orig_letter and mut_letter.

    Raises
    ------
    InputError, SettingsError
    """
    fill = background(mutant_gc_fraction)
    for letter in mutants:
        if letter not in BASES:
            raise SettingsError(f"mutants holds {letter!r}; choose from A, C, G, T")
    found = Rows(sequences, ["orig_letter", "mut_letter"] if per_base_map else [])
    length = found.sequences.shape[1]
    for seq in chosen(sequence_index, len(found.sequences)):
        found.add_original(seq)
        own = found.sequences[seq]
        for name, entry in elements_of(mut_loc_dict, seq):
            start, end = span(name, entry["mut_start"], entry["mut_end"], length)
            if not per_base_map:
                row = own.copy()
                row[start:end] = fill
                label = f"{name};seq_{seq}_loc{start}-{end}"
                found.add(seq, row, label, name, mut_start=start, mut_end=end)
                continue
            for position in range(start, end):
                code = found.codes[seq, position]
                if code >= len(BASES):  # an N is no source
                    continue
                for letter in mutants:
                    if letter == BASES[code]:
                        continue
                    row = own.copy()
                    row[position] = np.eye(4, dtype=np.float32)[BASES.index(letter)]
                    found.add(
                        seq,
                        row,
                        f"seq_{seq}_{BASES[code]}to{letter}_at{position}",
                        name,
                        mut_start=position,
                        mut_end=position + 1,
                        orig_letter=BASES[code],
                        mut_letter=letter,
                    )
    return found.finish()


def generate_mutants_for_all_embedding_pairs(
    sequences: Any,
    pair_mut_loc_dict: Mapping[str, Any],
    sequence_index: Any = None,
    mutants: Sequence[str] = BASES,
    mutant_gc_fraction: float = 0.46,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Mutate both elements of each pair, each alone and both at once.

    Parameters
    ----------
    sequences, sequence_index, mutants, mutant_gc_fraction
        As in `generate_mutants_and_key`.
    pair_mut_loc_dict : dict
        Name -> ``{"seq", "mut_starts", "mut_ends", "mut_names"}`` of two elements each; with
        ``"mut_bases"``, a string for each of them, these stand there instead of background.

    Returns
    -------
    mutated_seq_array : ndarray (n, L, 4) float32
    mutated_seq_key : DataFrame
        As in `generate_mutants_and_key`, and ``mut_type``: "single" or "all"; -1 for originals.

    Raises
    ------
    InputError, SettingsError
    """
    fill = background(mutant_gc_fraction)
    found = Rows(sequences, ["mut_type"])
    length = found.sequences.shape[1]
    for seq in chosen(sequence_index, len(found.sequences)):
        found.add_original(seq, mut_type=-1)
        for name, entry in elements_of(pair_mut_loc_dict, seq):
            spans = [
                span(name, start, end, length)
                for start, end in zip(entry["mut_starts"], entry["mut_ends"], strict=True)
            ]
            given = entry.get("mut_bases")
            if given is None:
                given = [None] * len(spans)
            both = found.sequences[seq].copy()
            for (start, end), letters in zip(spans, given, strict=True):
                new = replacement(name, letters, end - start, fill, mutants)
                row = found.sequences[seq].copy()
                row[start:end] = both[start:end] = new
                label = f"seq_{seq}_mut_{start}-{end}"
                found.add(seq, row, label, name, mut_start=start, mut_end=end, mut_type="single")
            low, high = min(s for s, _ in spans), max(e for _, e in spans)
            label = f"seq_{seq}_mut_{low}-{high}"
            found.add(seq, both, label, name, mut_start=low, mut_end=high, mut_type="all")
    return found.finish()


def replacement(
    name: str, letters: Any, width: int, fill: np.ndarray, allowed: Sequence[str]
) -> np.ndarray:
    """Columns (width, 4) that stand in an element's place."""
    if letters is None:
        return np.tile(fill, (width, 1))
    if len(letters) != width or any(letter not in allowed for letter in letters):
        raise InputError(
            f"location {name!r}: mut_bases {letters!r} do not replace {width} bases by letters of "
            f"{', '.join(allowed)}; give a letter for each base"
        )
    return np.eye(4, dtype=np.float32)[[BASES.index(letter) for letter in letters]]


def ism_from_mutants(
    mutated_seq_array: Any,
    mutated_seq_key: pd.DataFrame,
    sequences: Any,
    model: Any,
    index_for_ism: int | None = None,
) -> pd.DataFrame:
    """In-silico mutagenesis: how far each mutant lowers the prediction.

    Parameters
    ----------
    mutated_seq_array, mutated_seq_key
        From `generate_mutants_and_key`.
    sequences : array (N, L, 4)
        The originals.
    model : Model, path, or Keras or PyTorch model
    index_for_ism : int, optional
        Column of the model's output; the first if not given.

    Returns
    -------
    DataFrame
        The key with ``prediction``, the model's own output, and ``ism_score``, original - mutant.

    Raises
    ------
    InputError, SettingsError, ModelError
    """
    column = 0 if index_for_ism is None else int(index_for_ism)
    array, originals = as_rows(mutated_seq_array, "mutated_seq_array"), as_rows(sequences)
    seqs = mutated_seq_key["seq"].to_numpy(np.int64)
    wanted = sorted(set(chosen(seqs, len(originals))))
    scores = predictions(model, np.concatenate([array, originals[wanted]]))
    if not 0 <= column < scores.shape[1]:
        raise SettingsError(
            f"index_for_ism={column}: the model has {scores.shape[1]} outputs, counted from 0"
        )
    mutant, original = scores[: len(array), column], scores[len(array) :, column]
    own = mutant[mutated_seq_key["array_ind"].to_numpy(np.int64)]
    before = original[np.searchsorted(wanted, seqs)]
    return mutated_seq_key.assign(prediction=own, ism_score=before - own)

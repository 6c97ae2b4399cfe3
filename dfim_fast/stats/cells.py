"""Scores of every form as one table of rows, for pooling and correction.

A row is all cells of one sequence and one task (maps, arrays), or one line of a table. Pools and
families are sets of whole rows, so cells never need labels of their own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError, NullError, SettingsError
from dfim_fast.stats.provenance import check_match
from dfim_fast.stats.strata import EDGES

LEVELS = ("global", "task", "sequence")
POOLS = (*LEVELS, "target")
ALL = "all"  # the one key of level "global", and the one task of arrays

Rows = slice | np.ndarray  # a slice where the rows are neighbours, else their numbers, ascending

_BLOCK = 1 << 22  # cells worked on at a time


@dataclass(frozen=True, eq=False)
class Cells:
    """Scores or a null as rows.

    Attributes
    ----------
    role : {"scores", "null values"}
        For messages.
    form : {"map", "table", "array"}
    values : ndarray, (R, M), float
        A view of what the user passed where that is possible.
    tested : ndarray, (R, M), bool
        False on masked cells and NaN.
    task, sequence : ndarray, (R,), int
        Indices into the labels. ``sequence`` is None where rows belong to no known sequence.
    task_labels, sequence_labels : list
    provenance : mapping or None
    originals : ndarray, (N, L), int8, or None
        Codes of the unchanged sequences, where known.
    stratum : list of (str, str), or None
        Target and bin of distance of each row, for tables of pairs; the distance alone for bases
        around variants.
    """

    role: str
    form: str
    values: np.ndarray
    tested: np.ndarray
    task: np.ndarray
    task_labels: list[Hashable]
    sequence: np.ndarray | None
    sequence_labels: list[Hashable]
    provenance: Mapping[str, Any] | None
    originals: np.ndarray | None = None
    stratum: list[tuple[str, str]] | None = None

    def groups(self, level: str, option: str) -> dict[Hashable, Rows]:
        """Rows of each pool or family.

        Parameters
        ----------
        level : {"global", "task", "sequence", "target"}
            "sequence" means each sequence within each task: tasks have scales of their own;
            "target" each target and bin of distance within each task.
        option : str
            The option that asked, for the message.

        Returns
        -------
        dict
            Key "all", a task label, (task label, sequence label), or (task label, target, bin of
            distance), to rows.

        Raises
        ------
        SettingsError, NullError
            If the scores, or the null, do not say which sequence or task their rows belong to.
        """
        if level == "global":
            return {ALL: slice(0, len(self.values))}
        if not self.task_labels:
            raise self._lacks(f"{option}={level!r}", "task")
        if level == "target":
            if self.stratum is None:
                raise self._lacks(f"{option}={level!r}", "target' and 'distance")
            labels = [(self.task_labels[t], *own)
                      for t, own in zip(self.task, self.stratum, strict=True)]  # fmt: skip
            codes, keys = pd.factorize(np.fromiter(labels, dtype=object, count=len(labels)))
        elif level == "task":
            codes, keys = self.task, list(self.task_labels)
        else:
            if self.sequence is None:
                raise self._lacks(f"{option}={level!r}", "sequence")
            codes = self.task * len(self.sequence_labels) + self.sequence
            keys = [(task, name) for task in self.task_labels for name in self.sequence_labels]
        everything = slice(0, len(self.values))
        return {keys[code]: rows for code, rows in grouped(codes, within=everything).items()}

    def take(self, rows: Rows) -> np.ndarray:
        """Return the tested values of some rows, float64, one axis."""
        return self.values[rows][self.tested[rows]].astype(np.float64)

    def blocks(self, rows: Rows) -> Iterator[Rows]:
        """Split rows into pieces of at most four million cells, one row at the least."""
        step = max(1, _BLOCK // max(1, self.values.shape[1]))
        if isinstance(rows, slice):
            for first in range(rows.start, rows.stop, step):
                yield slice(first, min(first + step, rows.stop))
        else:
            for first in range(0, len(rows), step):
                yield rows[first : first + step]

    def _lacks(self, option: str, column: str) -> SettingsError | NullError:
        kind = SettingsError if self.role == "scores" else NullError
        if self.form == "table":
            return kind(f"{option}: the {self.role} have no column {column!r}; add it to the table")
        return kind(
            f"{option}: the {self.role} do not say which {column} each row belongs to; "
            "make the null with null_map, or choose another level"
        )


def read(scores: Any, null: Any) -> tuple[Cells, Cells]:
    """Bring scores and null into rows and check that they may be compared.

    Parameters
    ----------
    scores, null : InteractionMap, NullMap, DataFrame or array
        See :func:`dfim_fast.stats.significance.significance`.

    Raises
    ------
    InputError
        If either is none of these, holds infinite values, or its shape, mask and names disagree.
    NullError
        If the null was not made the way the scores were.
    """
    observed, nulls = _read(scores, "scores"), _read(null, "null values")
    check_match(observed.provenance, nulls.provenance)
    return observed, nulls


def match_sequences(scores: Cells, null: Cells) -> None:
    """Refuse to pool by sequence where the sequences of the two cannot be told to be the same.

    Tables are matched by the labels in column ``sequence``; maps and arrays by position.

    Raises
    ------
    NullError
        For a table with a map or array, for arrays of unequal first axis, and for maps of which the
        null was made from other sequences.
    """
    if (scores.form == "table") != (null.form == "table"):
        raise NullError(
            f"pool='sequence': the sequences of a {scores.form} (scores) cannot be matched with "
            f"those of a {null.form} (null); pass two tables or two maps"
        )
    if scores.form == null.form == "array" and len(scores.values) != len(null.values):
        raise NullError(
            f"pool='sequence': axis 0 of the scores has {len(scores.values)} sequences, of the "
            f"null {len(null.values)}; pass as many"
        )
    if scores.originals is None or null.originals is None:
        return
    if scores.originals.shape == null.originals.shape:
        differs = (scores.originals != null.originals).any(axis=1)
        if not differs.any():
            return
        found = f"sequence {int(np.argmax(differs))} is another one"
    else:
        found = f"{null.originals.shape} (sequences, length) against {scores.originals.shape}"
    raise NullError(
        "pool='sequence': the null was made from other sequences than the scores: "
        f"{found}; make both from the same X in the same order"
    )


def grouped(codes: np.ndarray, within: Rows) -> dict[int, Rows]:
    """Rows of each code, ascending; ``codes`` (n,) are those of the n rows ``within``."""
    order = np.argsort(codes, kind="stable")
    numbers = order + within.start if isinstance(within, slice) else within[order]
    ends = np.flatnonzero(np.diff(codes[order])) + 1
    groups = np.split(numbers, ends) if len(codes) else []
    codes_in_order = codes[order[np.concatenate([[0], ends])]] if len(codes) else []
    return {int(code): _as_rows(group) for code, group in zip(codes_in_order, groups, strict=True)}


def _as_rows(numbers: np.ndarray) -> Rows:
    """Return ascending row numbers as a slice where they are neighbours."""
    first, last = int(numbers[0]), int(numbers[-1])
    return slice(first, last + 1) if last - first + 1 == len(numbers) else numbers


def _read(source: Any, role: str) -> Cells:
    # A DataFrame also has `.fis` and `.mask`, so tables are looked for first.
    if isinstance(source, pd.DataFrame):
        cells = _from_table(source, role)
    elif hasattr(source, "fis") and hasattr(source, "provenance"):
        cells = _from_map(source, role)
    else:
        cells = _from_array(source, role)
    for block in cells.blocks(slice(0, len(cells.values))):
        infinite = np.isinf(cells.values[block]) & cells.tested[block]
        if infinite.any():
            raise InputError(
                f"the {role} hold infinite values; mask them (NaN) or look at the model's "
                "predictions for these sequences"
            )
    return cells


def _numeric(values: Any, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf":
        raise InputError(
            f"{what} {'is' if what.startswith('column') else 'are'} of type "
            f"{type(values).__name__} ({array.dtype}); pass an InteractionMap, a DataFrame with a "
            "numeric column 'fis', or an array of real numbers"
        )
    # float32 stays as it is stored: each block is made float64 when its turn comes.
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _from_array(source: Any, role: str) -> Cells:
    values = _numeric(source, f"the {role}")
    if values.ndim == 0:
        raise InputError(f"the {role} are a single number; pass an array, axis 0 = sequence")
    n = len(values)
    rows = values.reshape(n, -1) if values.size else np.empty((n, 0))
    return Cells(
        role=role,
        form="array",
        values=rows,
        tested=~np.isnan(rows),
        task=np.zeros(n, dtype=np.int64),
        task_labels=[ALL],
        sequence=np.arange(n),
        sequence_labels=list(range(n)),
        provenance=None,
    )


def _from_table(table: pd.DataFrame, role: str) -> Cells:
    if "fis" not in table.columns:
        columns = ", ".join(map(str, table.columns))
        raise InputError(f"the {role} are a table without a column 'fis' (it has: {columns})")
    values = _numeric(table["fis"].to_numpy(), f"column 'fis' of the {role}")[:, None]
    tested = ~np.isnan(values)
    if "reachable" in table.columns:  # the others are zero by construction
        tested &= table["reachable"].to_numpy(dtype=bool)[:, None]
    provenance = table.attrs.get("provenance")
    task, task_labels = _labels_of(table, "task")
    if task is None:
        task = np.zeros(len(table), dtype=np.int64)
        names = list((provenance or {}).get("task", [ALL]))
        # A table of several tasks that does not say which row is whose cannot be pooled by task.
        task_labels = names if len(names) == 1 else []
    sequence, sequence_labels = _labels_of(table, "sequence")
    return Cells(
        role=role,
        form="table",
        values=values,
        tested=tested,
        task=task,
        task_labels=task_labels,
        sequence=sequence,
        sequence_labels=sequence_labels,
        provenance=provenance,
        stratum=_strata(table),
    )


def distance_labels(distance: Any, edges: Sequence[float]) -> np.ndarray:
    """The bin of each distance in words: "under 20", "20-50", ..., "200 and more"."""
    words = [f"under {edges[0]:g}", *(f"{a:g}-{b:g}" for a, b in pairwise(edges)),
             f"{edges[-1]:g} and more"]  # fmt: skip
    return np.asarray(words, dtype=object)[np.searchsorted(edges, distance, side="right")]


def _strata(table: pd.DataFrame) -> list[tuple[str, str]] | None:
    if not {"target", "distance"} <= set(table.columns):
        return None
    if "target_base" in table.columns:  # of variants, whose targets are the bases around them
        return [("base", f"{distance} bp away") for distance in table["distance"]]
    bins = distance_labels(table["distance"].to_numpy(), EDGES)
    return list(zip(table["target"].astype(str), bins, strict=True))


def _labels_of(table: pd.DataFrame, column: str) -> tuple[np.ndarray | None, list[Hashable]]:
    if column not in table.columns:
        return None, []
    codes, labels = pd.factorize(table[column], use_na_sentinel=False)
    return codes.astype(np.int64), list(labels)


def _from_map(source: Any, role: str) -> Cells:
    provenance = source.provenance
    fis = _numeric(source.fis, f"the {role}")
    mask = np.asarray(source.mask)
    if mask.shape != fis.shape or mask.dtype != np.bool_:
        raise InputError(
            f"the mask of the {role} has shape {mask.shape} and type {mask.dtype}; wanted bool of "
            f"shape {fis.shape}, as fis has"
        )
    # (N, S, 4, T), or (N, S, T) once the mutants are reduced; tasks, where listed, come first.
    axes = 4 if provenance.get("reduction", "none") == "none" else 3
    if fis.ndim not in (axes, axes + 1):
        raise InputError(
            f"fis of the {role} has shape {fis.shape}; wanted {axes} axes, or {axes + 1} with tasks"
        )
    tasks = fis.shape[0] if fis.ndim == axes + 1 else 1
    n = fis.shape[fis.ndim - axes]
    rows = (tasks * n, int(np.prod(fis.shape[fis.ndim - axes + 1 :])))
    values = fis.reshape(rows)
    tested = mask.reshape(rows) & ~np.isnan(values)
    # Rows of a null are shuffles, and it says of which sequence; rows of scores are sequences.
    of_null = role == "null values"
    origin = np.asarray(source.sequence) if hasattr(source, "sequence") else None
    if origin is None and not of_null:
        origin = np.arange(n)
    if origin is not None and len(origin) != n:
        raise InputError(f"the {role} have {n} rows but say the sequence of {len(origin)}")
    codes = None if of_null else getattr(source, "sequences", None)
    return Cells(
        role=role,
        form="map",
        values=values,
        tested=tested,
        task=np.repeat(np.arange(tasks), n),
        task_labels=_task_labels(source, tasks, role),
        sequence=None if origin is None else np.tile(origin, tasks),
        sequence_labels=[] if origin is None else list(range(int(origin.max(initial=-1)) + 1)),
        provenance=provenance,
        originals=getattr(source, "originals", codes),
    )


def _task_labels(source: Any, tasks: int, role: str) -> list[Hashable]:
    # task_names may name every output of the model; provenance names the tasks that were scored.
    for names in (source.provenance.get("task"), getattr(source, "task_names", None)):
        if isinstance(names, Sequence) and not isinstance(names, str) and len(names) == tasks:
            return list(names)
    raise InputError(
        f"fis of the {role} holds {tasks} task(s), but neither its provenance nor its task_names "
        "name as many"
    )

"""The strongest interactions as a table: Parquet, and tab-separated text."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

BASES = np.array(list("ACGTN"))
ROW_GROUP = 1 << 15  # rows that a streamed table is written and read by
FLOOR = 0.01  # of the sequence's largest importance: below it `relative` is measured against this

# The columns, strongest |fis| first.
COLUMNS = {
    "sequence": "name of the sequence",
    "source": "mutated position, 0-based",
    "source_base": "observed base there",
    "mutant": "base it was changed to",
    "target": "position whose importance is read, 0-based",
    "target_base": "observed base there",
    "distance": "bases between source and target: |target - source|",
    "task": "name of the task",
    "fis": "importance the target lost: original minus mutant",
    "delta_importance": "-fis: mutant minus original",
    "standard_error": "of fis, over groups of references; empty where there are none",
    "target_importance": "importance of the target in the original",
    "relative": "fis over the target's importance: 1 abolished, below 0 strengthened; importance "
    "counts as at least 1% of the largest in the sequence",
    "p": "p-value under the null",
    "neg_log10_p": "-log10 p, exact where p underflows",
    "q": "p corrected for many tests, or decoy false-discovery rate",
    "significant": "q <= alpha",
    "prediction": "score of the original",
    "mutant_prediction": "score of the mutant",
}
# Of several folds only, after standard_error.
FOLD_COLUMNS = {
    "fold_spread": "standard deviation of fis over folds",
    "sign_agreement": "share of the folds whose score has the sign of fis, their mean",
}


class Strongest:
    """Keeps the cells of largest |FIS|, fed sequence by sequence.

    Ties keep the order in which they came, so that the same input gives the same table.

    Parameters
    ----------
    limit : int
        Cells kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept["fis"]) if self._kept else 0

    def add(
        self,
        task: int,
        sequence: int,
        fis: np.ndarray,
        mask: np.ndarray,
        others: Mapping[str, np.ndarray],
    ) -> None:
        """Take in the map of one sequence.

        Parameters
        ----------
        task, sequence : int
        fis : ndarray, (S, 4, T)
        mask : ndarray, (S, 4, T), bool
            Cells that count; those that are exactly 0 are no interactions and left out.
        others : mapping of ndarray, (S, 4, T), or of a shape that stretches to it
            Further values to keep of each cell.
        """
        strength = np.where(mask, np.abs(fis), 0).ravel()
        (cells,) = np.nonzero(strength)
        if self.limit < 1 or not len(cells):
            return
        if len(cells) > self.limit:
            kth = np.partition(strength[cells], len(cells) - self.limit)[len(cells) - self.limit]
            cells = cells[strength[cells] >= kth]
        if len(self) == self.limit:
            cells = cells[strength[cells] > np.abs(self._kept["fis"][-1])]
        source, mutant, target = np.unravel_index(cells, fis.shape)
        found = {
            "task": np.full(len(cells), task), "sequence": np.full(len(cells), sequence),
            "source": source, "mutant": mutant, "target": target, "fis": fis.ravel()[cells],
            **{name: np.broadcast_to(values, fis.shape)[source, mutant, target]
               for name, values in others.items()},
        }  # fmt: skip
        if self._kept:
            found = {name: np.concatenate([self._kept[name], found[name]]) for name in found}
        order = np.argsort(-np.abs(found["fis"]), kind="stable")[: self.limit]
        self._kept = {name: values[order] for name, values in found.items()}

    def cells(self) -> dict[str, np.ndarray]:
        """Columns, strongest first: task, sequence, source, mutant, target (indices) and values."""
        return self._kept


def interaction_table(
    cells: Mapping[str, np.ndarray],
    *,
    names: Sequence[str],
    task_names: Sequence[str],
    sequences: np.ndarray,
    sources: np.ndarray,
    targets: np.ndarray,
    attributions: np.ndarray,
    predictions: np.ndarray,
) -> pd.DataFrame:
    """Name what cells are: a row per interaction.

    Parameters
    ----------
    cells : mapping of ndarray, (R,)
        As `Strongest.cells` gives them, with ``p``, ``neg_log10_p``, ``q``, ``significant``,
        ``mutant_prediction`` and perhaps ``standard_error`` and FOLD_COLUMNS.
    names, task_names : sequence of str
    sequences : ndarray, (N, L) int8
    sources : ndarray, (S,)
    targets : ndarray, (T,), or (S, 2w+1)
    attributions : array, (K, N, L)
    predictions : array, (K, N)

    Returns
    -------
    DataFrame
        With the columns of COLUMNS, and of FOLD_COLUMNS where cells have them.
    """
    if not cells:
        empty = {name: pd.Series(dtype=object if name in _TEXT else np.float64) for name in COLUMNS}
        return pd.DataFrame(empty)
    task, sequence = cells["task"], cells["sequence"]
    source = np.asarray(sources)[cells["source"]]
    table = np.asarray(targets)
    target = table[cells["source"], cells["target"]] if table.ndim == 2 else table[cells["target"]]
    fis = cells["fis"]
    importance = np.asarray(attributions)[task, sequence, target]
    largest = np.abs(attributions).max(axis=2)[task, sequence]
    against = np.maximum(np.abs(importance), FLOOR * largest)
    return pd.DataFrame({
        "sequence": np.asarray(names, dtype=object)[sequence],
        "source": source,
        "source_base": BASES[sequences[sequence, source]],
        "mutant": BASES[cells["mutant"]],
        "target": target,
        "target_base": BASES[sequences[sequence, target]],
        "distance": np.abs(target - source),
        "task": np.asarray(task_names, dtype=object)[task],
        "fis": fis,
        "delta_importance": -fis,
        "standard_error": cells.get("standard_error", np.full(len(fis), np.nan)),
        **{name: cells[name] for name in FOLD_COLUMNS if name in cells},
        "target_importance": importance,
        "relative": np.divide(fis * np.sign(importance), against, out=np.full(len(fis), np.nan),
                              where=against > 0),
        "p": cells["p"],
        "neg_log10_p": cells["neg_log10_p"],
        "q": cells["q"],
        "significant": cells["significant"],
        "prediction": np.asarray(predictions)[task, sequence],
        "mutant_prediction": cells["mutant_prediction"],
    })  # fmt: skip


class ParquetRows:
    """A Parquet file that is written table by table, in row groups of one size.

    The same rows give the same bytes, however they were cut into tables.

    Parameters
    ----------
    path : path
    columns : mapping
        What each column is; kept in the metadata under ``dfim_fast``.
    attributes : mapping
        JSON types, likewise.

    Attributes
    ----------
    rows : int
        Written so far.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        columns: Mapping[str, str],
        attributes: Mapping[str, Any],
    ) -> None:
        self.path, self.rows = Path(path), 0
        self._about = json.dumps({"columns": dict(columns), **attributes})
        self._held: list[Any] = []
        self._writer: Any = None

    def __enter__(self) -> ParquetRows:
        self._handle = open(self.path, "wb")  # as in `write_tables`
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._write(last=True)
            if self._writer is not None:
                self._writer.close()
        finally:
            self._handle.close()

    def add(self, table: pd.DataFrame) -> None:
        """Write rows; every table has the same columns and types, one without rows too."""
        import pyarrow as pa

        rows = pa.Table.from_pandas(table, preserve_index=False, schema=self._schema(table))
        self._held.append(rows)
        self.rows += len(table)
        self._write(last=False)

    def _schema(self, table: pd.DataFrame) -> Any:
        import pyarrow as pa

        fields = [
            pa.field(name, pa.from_numpy_dtype(kind) if isinstance(kind, np.dtype)
                     and kind.kind != "O" else pa.string())
            for name, kind in table.dtypes.items()
        ]  # fmt: skip
        return pa.schema(fields, metadata={"dfim_fast": self._about})

    def _write(self, last: bool) -> None:
        """Write the row groups that are full, and at the end what is left."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        held = sum(len(rows) for rows in self._held)
        if not self._held or (held < ROW_GROUP and not last):
            return
        rows = pa.concat_tables(self._held)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._handle, rows.schema, compression="zstd")
        full = held if last else held - held % ROW_GROUP
        if full:
            self._writer.write_table(rows.slice(0, full), row_group_size=ROW_GROUP)
        self._held = [rows.slice(full)]


_TEXT = ("sequence", "source_base", "mutant", "target_base", "task")


def write_tables(
    folder: str | os.PathLike[str],
    table: pd.DataFrame,
    attributes: Mapping[str, Any],
    stem: str = "interactions",
    columns: Mapping[str, str] | None = None,
) -> None:
    """Write a table as Parquet and as ``.tsv.gz``, the same rows in both.

    The same table gives the same bytes. Columns are described, and ``attributes`` kept, in the
    Parquet file's metadata under ``dfim_fast``.

    Parameters
    ----------
    folder : path
    table : DataFrame
    attributes : mapping
        JSON types.
    stem : str
        Name of the files.
    columns : mapping, optional
        What each column is; those of a nucleotide map by default.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = Path(folder)
    rows = pa.Table.from_pandas(table, preserve_index=False)
    known = {**COLUMNS, **FOLD_COLUMNS} if columns is None else columns
    own = json.dumps({"columns": {name: known[name] for name in table}, **attributes})
    rows = rows.replace_schema_metadata({**(rows.schema.metadata or {}), b"dfim_fast": own})
    # Through Python's own files: their errors carry the number that says the disk is full.
    with open(folder / f"{stem}.parquet", "wb") as handle:
        pq.write_table(rows, handle, compression="zstd")
    with (
        open(folder / f"{stem}.tsv.gz", "wb") as raw,
        # no time, no name: the same rows are the same bytes
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped,
        io.TextIOWrapper(zipped, encoding="utf-8", newline="") as text,
    ):
        table.to_csv(text, sep="\t", index=False, float_format="%.6g")


def strongest_rows(best: pd.DataFrame, found: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most so many rows of both tables by \\|FIS\\|, the largest first, and of equal ones those
    that came first.
    """
    both = pd.concat([best, found], ignore_index=True)
    order = np.argsort(-both["fis"].abs().to_numpy(), kind="stable")[:most]
    return both.iloc[order].reset_index(drop=True)

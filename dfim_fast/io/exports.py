"""Interactions and attributions as the files that genome browsers open: BEDPE, BED, bigWig.

Same input, same bytes. Coordinates are 0-based and half-open in all three, and rows in the order of
their places. Tables may be larger than memory: they are sorted a row group at a time, on disk.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.errors import InputError
from dfim_fast.io.output import new_file
from dfim_fast.io.tables import ROW_GROUP

NEEDED = ("chrom", "source", "target", "source_base", "mutant", "target_base", "task", "fis", "q")
_ORDER = ("chrom", "first", "last", "source", "mutant", "task")  # then by whatever is left
_BATCH = 256  # rows of a sorted row group that are in memory while all are merged
_LOST, _GAINED = "213,94,0", "0,114,178"  # the target lost or gained importance; colour-blind safe
_BEDPE = (
    "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\tstrand1\tstrand2\tfis\tq\ttask\n"
)


def write_bedpe(path: str | os.PathLike[str], table: str | os.PathLike[str]) -> None:
    """Write interactions as arcs: the source is the first end of each, the target the second.

    Parameters
    ----------
    path : path
    table : path
        Parquet with the columns of NEEDED; source and target are positions on ``chrom``.

    Raises
    ------
    InputError
        If a column is missing.
    OutputError
        If the file cannot be written.
    """
    with _written(path, table) as (handle, rows):
        handle.write(_BEDPE)
        for row, score in rows:
            handle.write(
                f"{row.chrom}\t{row.source}\t{row.source + 1}\t{row.chrom}\t{row.target}\t"
                f"{row.target + 1}\t{_name(row)}\t{score}\t.\t.\t{row.fis:.6g}\t{row.q:.6g}\t"
                f"{row.task}\n"
            )


def write_bed(path: str | os.PathLike[str], table: str | os.PathLike[str]) -> None:
    """Write interactions as BED12: two blocks of one base, joined by a line.

    Vermilion where the target lost importance, blue where it gained some.

    Parameters
    ----------
    path, table
        As in `write_bedpe`.

    Raises
    ------
    InputError, OutputError
        As in `write_bedpe`.
    """
    with _written(path, table) as (handle, rows):
        for row, score in rows:
            place = f"{row.first}\t{row.last + 1}"
            colour = _LOST if row.fis > 0 else _GAINED
            # a motif or variant may read its own base; that is one block, not two
            apart = row.last - row.first
            blocks = f"2\t1,1,\t0,{apart}," if apart else "1\t1,\t0,"
            handle.write(
                f"{row.chrom}\t{place}\t{_name(row)}\t{score}\t.\t{place}\t{colour}\t{blocks}\n"
            )


def write_bigwig(
    path: str | os.PathLike[str],
    sizes: Mapping[str, int],
    windows: Iterable[tuple[str, int, np.ndarray]],
    join: str = "mean",
) -> None:
    """Write one number a base of windows that may overlap.

    Memory follows the length of what overlaps, not the number of windows.

    Parameters
    ----------
    path : path
    sizes : mapping
        Bases of each contig; the file's header.
    windows : iterable of (str, int, ndarray (L,))
        Contig, start and values, by contig in the order of ``sizes`` and then by start. Values past
        a contig's end, and NaN, are left out.
    join : {"mean", "strongest"}
        Of a base that several windows hold: their mean, or the value farthest from 0 (of two as
        far, the window that comes first).

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    import pyBigWig

    with new_file(path) as partial:
        partial.touch()  # fails as files do; pyBigWig only says that it did not work
        try:
            with pyBigWig.open(os.fspath(partial), "w") as file:
                file.addHeader(list(sizes.items()))
                for chrom, start, values in _joined(sizes, windows, join):
                    there = ~np.isnan(values)
                    edges = np.diff(np.concatenate([[0], there.view(np.int8), [0]])).nonzero()[0]
                    for first, last in edges.reshape(-1, 2):
                        file.addEntries(
                            chrom, int(start + first), values=values[first:last], span=1, step=1
                        )
        except RuntimeError as error:
            raise OSError(str(error)) from None


def _joined(
    sizes: Mapping[str, int], windows: Iterable[tuple[str, int, np.ndarray]], join: str
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield stretches that do not overlap, in order, each as soon as no later window reaches it."""
    order = {chrom: i for i, chrom in enumerate(sizes)}
    chrom, base = "", 0
    total, count = np.zeros(0), np.zeros(0)

    def finish(end: int) -> tuple[str, int, np.ndarray]:
        nonlocal base, total, count
        n = end - base
        values = np.divide(total[:n], count[:n], out=np.full(n, np.nan), where=count[:n] > 0)
        stretch = chrom, base, values
        base, total, count = end, total[n:], count[n:]
        return stretch

    for name, start, given in windows:
        low, high = max(start, 0), min(start + len(given), sizes[name])
        values = np.asarray(given, np.float64)[low - start : max(high - start, low - start)]
        if (order[name], low) < (order.get(chrom, -1), base):
            raise ValueError(f"{name}:{start} comes after {chrom}:{base}; sort windows by position")
        if name != chrom or low >= base + len(total):
            if len(total):
                yield finish(base + len(total))
            chrom, base = name, low
        elif low > base:
            yield finish(low)
        more = len(values) - len(total)
        if more > 0:
            total = np.concatenate([total, np.zeros(more)])
            count = np.concatenate([count, np.zeros(more)])
        known = ~np.isnan(values)
        here, there = total[: len(values)], count[: len(values)]
        if join == "mean":
            here[known] += values[known]
            there[known] += 1
        else:
            better = known & ((there == 0) | (np.abs(np.nan_to_num(values)) > np.abs(here)))
            here[better], there[better] = values[better], 1
    if len(total):
        yield finish(base + len(total))


@contextmanager
def _written(
    path: str | os.PathLike[str], table: str | os.PathLike[str]
) -> Iterator[tuple[Any, Iterator[tuple[Any, int]]]]:
    """A new text file, and the rows of a table by place, each with its score.

    The score is 1000 for the strongest, in proportion to \\|FIS\\|.
    """
    with ExitStack() as stack:
        partial = stack.enter_context(new_file(path))
        handle = stack.enter_context(open(partial, "w", encoding="utf-8"))
        beside = tempfile.TemporaryDirectory(dir=partial.parent, prefix=".sort-")
        runs, largest = _sorted_runs(table, Path(stack.enter_context(beside)) / "rows.arrow")
        rows = heapq.merge(*runs)
        yield handle, ((row, round(1000 * abs(row.fis) / (largest or 1.0))) for row in rows)


def _sorted_runs(
    table: str | os.PathLike[str], scratch: Path
) -> tuple[list[Iterator[Any]], float]:
    """Row groups of a table, each sorted and read a batch at a time, and the largest \\|FIS\\|."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pq.ParquetFile(table)
    missing = [name for name in NEEDED if name not in source.schema_arrow.names]
    if missing:
        raise InputError(
            f"interactions have no column {', '.join(map(repr, missing))}; wanted a table of "
            "interactions on a genome, as score writes it"
        )
    largest, ends = 0.0, [0]
    writer: Any = None
    with open(scratch, "wb") as handle:
        for rows in source.iter_batches(batch_size=ROW_GROUP, columns=list(NEEDED)):
            found = rows.to_pandas()
            found["first"] = found[["source", "target"]].min(axis=1)
            found["last"] = found[["source", "target"]].max(axis=1)
            found = found[[*_ORDER, *(name for name in NEEDED if name not in _ORDER)]]
            found = found.sort_values(list(found), kind="stable")
            largest = max(largest, float(found["fis"].abs().max()))
            own = pa.Table.from_pandas(found, preserve_index=False)
            writer = writer or pa.ipc.new_file(handle, own.schema)
            writer.write_table(own, max_chunksize=_BATCH)
            ends.append(ends[-1] - (-len(own) // _BATCH))
        if writer is None:
            return [], largest
        writer.close()
    batches = pa.ipc.open_file(pa.OSFile(str(scratch)))

    def run(first: int, last: int) -> Iterator[Any]:
        for number in range(first, last):
            yield from batches.get_batch(number).to_pandas().itertuples(index=False, name="Row")

    return [run(*pair) for pair in pairwise(ends)], largest


def _name(row: Any) -> str:
    """Such as ``C>A:G``: the source's base, its mutant, and the target's base."""
    return f"{row.source_base}>{row.mutant}:{row.target_base}"

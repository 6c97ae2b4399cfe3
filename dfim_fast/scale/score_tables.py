"""Variants and motif pairs at any number: a row for each, judged by all of them together."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError
from dfim_fast.io.motifs import scan as scan_motifs
from dfim_fast.io.regions import Windows
from dfim_fast.io.score_store import ScoreStore
from dfim_fast.io.tables import ParquetRows, strongest_rows
from dfim_fast.io.vcf import check_places, cut_variants
from dfim_fast.maps.model import Model
from dfim_fast.maps.motif import motif_interactions
from dfim_fast.maps.pairs import COLUMNS as PAIR_COLUMNS
from dfim_fast.maps.variant import COLUMNS as VARIANT_COLUMNS
from dfim_fast.scale.score_results import TALLIES, Gathered
from dfim_fast.scale.score_work import Arrays, held_out
from dfim_fast.scale.variants import variant_interactions
from dfim_fast.sequence.one_hot import encode
from dfim_fast.stats.null import null_map
from dfim_fast.stats.strata import STRATA, stratum_of
from dfim_fast.stats.tallied import TalliedSignificance
from dfim_fast.stats.tally import Tally

JUDGED = {
    "chrom": "contig; positions are on it, 0-based",
    "p": "p-value under the null",
    "q": "p corrected for all tests of the run",
    "significant": "q <= alpha",
}
COLUMNS = {**PAIR_COLUMNS, **VARIANT_COLUMNS, **JUDGED}
TABLES = {"variants": "variants.parquet", "motifs": "motif_pairs.parquet"}


@dataclass
class TableWork:
    """Rows and null rows of a chunk, as arrays; what they are of is for subclasses.

    Attributes
    ----------
    model : Model
    settings : dict
        Of `interaction_map`, without sources, targets and window.
    tasks : list of str
    sampled : ndarray (N,) bool
        What the null is taken from.
    n_null : int
    """

    model: Model
    settings: dict[str, Any]
    tasks: list[str]
    sampled: np.ndarray
    n_null: int
    threads: int = field(default=1, kw_only=True)

    def setup(self) -> None:
        """Nothing is shared between chunks but the model."""

    def __call__(self, chunk: tuple[int, int]) -> tuple[Arrays, float]:
        """Columns of the chunk's rows and its tallies, and the seconds that they took."""
        begin = time.perf_counter()
        given = {**self.settings, "threads": self.threads, "progress": False}
        table, null = self.tables(*chunk, given)
        arrays: Arrays = {"masked": np.array(0)}
        if table is not None:
            for name in table:
                values = table[name].to_numpy()
                arrays[f"column_{name}"] = (
                    values if values.dtype.kind in "biuf" else values.astype(str)
                )
        half = None if null is None else null[held_out(null["sequence"].tolist())]
        for name, rows in zip(TALLIES, (null, table, half), strict=True):
            arrays.update(self._tally(rows).to_arrays(name))
        return arrays, time.perf_counter() - begin

    def tables(
        self, first: int, last: int, given: dict[str, Any]
    ) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        """Rows and null rows; None where there are none."""
        raise NotImplementedError

    def _tally(self, table: pd.DataFrame | None) -> Tally:
        tally = Tally(len(self.tasks) * STRATA)
        if table is None:
            return tally
        pool = pools(table, self.tasks)
        fis = table["fis"].to_numpy(np.float64)
        for number in np.unique(pool):
            tally.add_values(int(number), fis[pool == number])
        return tally


@dataclass
class VariantWork(TableWork):
    """Variants, each in the middle of a sequence cut from the genome.

    Attributes
    ----------
    genome : str
    variants : DataFrame
        As `usable` leaves them.
    flank : int or None
    """

    genome: str
    variants: pd.DataFrame
    flank: int | None

    def tables(
        self, first: int, last: int, given: dict[str, Any]
    ) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        """Rows of variants ``first`` to ``last``, and of other changes with as large an effect."""
        table = variant_interactions(
            self.model, self.genome, self.variants.iloc[first:last], self.flank, **given
        )
        place = table["sequence"].str.extract(r"^(.*):(\d+)-\d+$")
        start = place[1].astype(np.int64)
        table = table.assign(source=table["source"] + start, target=table["target"] + start)
        table.insert(0, "chrom", place[0])
        (chosen,) = np.nonzero(self.sampled[first:last])
        if not len(chosen):
            return table, None
        names, sequences, own = cut_variants(
            self.variants.iloc[first + chosen], self.genome, self.model.sequence_length
        )
        null: Any = null_map(self.model, sequences, "matched", self.n_null, variants=own,
                             flank=self.flank, names=names, **given)  # fmt: skip
        return table, null


@dataclass
class MotifWork(TableWork):
    """Pairs of motifs found in windows of a genome.

    Attributes
    ----------
    windows : Windows
    motifs : mapping of str to ndarray (4, width)
    threshold : float
        Largest p of a hit.
    """

    windows: Windows
    motifs: Mapping[str, np.ndarray]
    threshold: float

    def tables(
        self, first: int, last: int, given: dict[str, Any]
    ) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        """Pairs of windows ``first`` to ``last``, and of the same spans in shuffles of some."""
        rows = np.arange(first, last)
        texts = self.windows.sequences(first, last)
        names = [self.windows.name(row) for row in range(first, last)]
        try:
            found = scan_motifs(self.motifs, encode(texts, self.windows.length, names),
                                self.threshold)  # fmt: skip
        except InputError:  # no motif in any of them
            return None, None
        count = found.groupby("sequence")["start"].transform("size")
        found = found[count > 1]
        if found.empty:
            return None, None
        kept = np.unique(found["sequence"])
        table = self._pairs(kept, texts, found, given)
        row = rows[kept[table["sequence"].astype(int)]]
        table = table.assign(sequence=[self.windows.name(n) for n in row.tolist()])
        for side in ("source", "target"):
            ends = [self.windows.places(row, table[f"{side}_{end}"].to_numpy() - last_base)
                    for end, last_base in (("start", 0), ("end", 1))]  # fmt: skip
            table[f"{side}_start"] = np.minimum(*ends)
            table[f"{side}_end"] = np.maximum(*ends) + 1
        contigs = np.array(self.windows.contigs, dtype=object)
        table.insert(0, "chrom", contigs[self.windows.contig[row]])
        chosen = kept[self.sampled[first + kept]]
        if not len(chosen):
            return table, None
        own = found[found["sequence"].isin(chosen)]
        own = own.assign(sequence=np.searchsorted(chosen, own["sequence"]))
        null: Any = null_map(self.model, [texts[i] for i in chosen], "dinucleotide", self.n_null,
                             features=own, **given)  # fmt: skip
        return table, null.assign(sequence=[names[chosen[int(n)]] for n in null["sequence"]])

    def _pairs(
        self, kept: np.ndarray, texts: list[str], found: pd.DataFrame, given: dict[str, Any]
    ) -> pd.DataFrame:
        own = found.assign(sequence=np.searchsorted(kept, found["sequence"]))
        return motif_interactions(self.model, [texts[i] for i in kept], own, **given)


class GatheredRows(Gathered):
    """What rows add up to; how many there are is known when all are there.

    Parameters
    ----------
    pools : int
    most : int
        Tests and null values that are kept as they are; more are counted in bins, whichever of
        them came first.

    Attributes
    ----------
    exact : bool
        Whether they are kept as they are.
    """

    def __init__(self, pools: int, most: int) -> None:
        super().__init__(pools)
        self.most, self.exact = most, True

    def tallied(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tally]:
        """As `Gathered.tallied`; from the first that are too many, all are counted in bins."""
        own = super().tallied(arrays)
        size = own["null"].size() + own["scores"].size() + self.null.size() + self.scores.size()
        if self.exact and size > self.most:
            self.exact = False
            for name in TALLIES:
                setattr(self, name, getattr(self, name).binned())
        return own if self.exact else {name: tally.binned() for name, tally in own.items()}


def usable(
    variants: pd.DataFrame, genome: str | os.PathLike[str], length: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Variants whose sequence of ``length`` lies on its contig.

    Returns
    -------
    variants : DataFrame
    single : ndarray (N,) bool
        One base with one alternate: a null can be made for it.

    Raises
    ------
    InputError
        If one is not of this genome, or none is left, or none of those is single.
    """
    size = variants["chrom"].map(check_places(variants, genome))
    start = variants["pos"] - 1 - length // 2
    inside = variants[(start >= 0) & (start + length <= size)].reset_index(drop=True)
    if inside.empty:
        raise InputError(
            f"variants: all {len(variants)} are nearer to a contig's end than the model's {length} "
            "bases reach"
        )
    single = ((inside["ref"].str.len() == 1) & (inside["alt"].str.len() == 1)).to_numpy()
    if not single.any():
        raise InputError(
            f"variants: none of {len(inside)} is one base with one alternate, of which the null is "
            "made; add some to the VCF"
        )
    return inside, single


def pools(table: pd.DataFrame, tasks: list[str]) -> np.ndarray:
    """Tallied pool (n,) of each row."""
    task = table["task"].map({name: k for k, name in enumerate(tasks)}).to_numpy(np.int64)
    return task * STRATA + stratum_of(table["distance"].to_numpy())


def write_rows(
    store: ScoreStore, path: Path, judge: TalliedSignificance, about: Mapping[str, Any], shown: int
) -> tuple[int, pd.DataFrame]:
    """Write the table of a run, p and q with every row.

    Parameters
    ----------
    store : ScoreStore
    path : Path
    judge : TalliedSignificance
    about : mapping
    shown : int
        Interactions named in the summary.

    Returns
    -------
    rows : int
    strongest : DataFrame
        The significant rows of largest \\|FIS\\|.
    """
    best = pd.DataFrame()
    with ParquetRows(path, COLUMNS, about) as out:
        for _, _, part in store.parts():
            arrays = store.read(part)
            table = pd.DataFrame({
                name.removeprefix("column_"): values.astype(object)
                if values.dtype.kind == "U" else values
                for name, values in arrays.items() if name.startswith("column_")
            })  # fmt: skip
            if table.empty:
                continue
            pool = pools(table, judge.tasks)
            fis = table["fis"].to_numpy(np.float64)
            p, q = judge.judge(pool // STRATA, pool % STRATA, fis)
            table = table.assign(p=p, q=q, significant=q <= judge.alpha)
            out.add(table)
            best = strongest_rows(best, table[table["significant"]], shown)
    return out.rows, best


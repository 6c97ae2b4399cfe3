"""Written by ours, read by others: bioframe (BEDPE), pysam's tabix (BED), bigtools (bigWig)."""

import numpy as np
import pandas as pd
import pybigtools
import pysam
import pytest

from dfim_fast.errors import InputError, OutputError
from dfim_fast.io import exports
from dfim_fast.io.exports import write_bed, write_bedpe, write_bigwig

SIZES = {"chr2": 1000, "chr1": 500}
TABLE = pd.DataFrame({
    "chrom": ["chr2", "chr1", "chr1", "chr1"], "source": [70, 90, 10, 30],
    "target": [60, 95, 25, 30], "source_base": list("ACGT"), "mutant": list("CATG"),
    "target_base": list("GGCT"), "task": ["a"] * 4, "fis": [0.5, -2.0, 1.0, 0.1],
    "q": [0.01, 1e-9, 0.0, 0.04],
})  # fmt: skip


def parquet(folder, table=TABLE):
    """Where a table lies that is to be exported."""
    path = folder / "table" / "t.parquet"
    path.parent.mkdir()
    table.to_parquet(path)
    return path


def test_arcs(tmp_path):
    path = tmp_path / "arcs.bedpe"
    write_bedpe(path, parquet(tmp_path))
    bioframe = pytest.importorskip("bioframe", reason="bioframe is not installed")
    columns = [*bioframe.SCHEMAS["bedpe"], "fis", "q", "task"]
    read = bioframe.read_table(str(path), names=columns, comment="#")
    assert list(zip(read.chrom1, read.start1, read.end1, read.start2, read.end2, strict=True)) == [
        ("chr1", 10, 11, 25, 26), ("chr1", 30, 31, 30, 31), ("chr1", 90, 91, 95, 96),
        ("chr2", 70, 71, 60, 61),
    ]  # fmt: skip
    assert list(read["name"]) == ["G>T:C", "T>G:T", "C>A:G", "A>C:G"]
    assert list(read["score"]) == [500, 50, 1000, 250]
    assert list(read["fis"]) == [1.0, 0.1, -2.0, 0.5]
    assert list(read["q"]) == [0.0, 0.04, 1e-9, 0.01]


def test_linked_blocks(tmp_path):
    path = tmp_path / "blocks.bed"
    write_bed(path, parquet(tmp_path))
    indexed = pysam.tabix_index(str(path), preset="bed", keep_original=True)
    with pysam.TabixFile(indexed) as file:
        rows = list(file.fetch("chr1", parser=pysam.asBed()))
        (other,) = file.fetch("chr2", parser=pysam.asBed())
    assert [(row.start, row.end, row.blockCount, row.blockStarts) for row in rows] == [
        (10, 26, 2, "0,15,"), (30, 31, 1, "0,"), (90, 96, 2, "0,5,"),
    ]  # fmt: skip
    assert [row.itemRGB for row in rows] == ["213,94,0", "213,94,0", "0,114,178"]
    assert (other.start, other.end, other.name, other.score) == (60, 71, "A>C:G", 250.0)


def test_a_table_of_many_row_groups_is_sorted_and_never_whole_in_memory(tmp_path, monkeypatch):
    """Sources in order, as score has them, and targets on either side of them."""
    monkeypatch.setattr(exports, "ROW_GROUP", 50)
    monkeypatch.setattr(exports, "_BATCH", 8)
    draw = np.random.default_rng(2)
    source = np.repeat(np.arange(100, 400), 3)
    table = pd.DataFrame({
        "chrom": np.where(source < 250, "chr2", "chr1"), "source": source,
        "target": source + draw.integers(-40, 40, len(source)),
        "source_base": "A", "mutant": draw.choice(list("CGT"), len(source)), "target_base": "C",
        "task": "a", "fis": draw.normal(size=len(source)), "q": 0.01,
    })  # fmt: skip
    held = []
    read = exports._sorted_runs

    def counted(*given):
        runs, largest = read(*given)

        def count(run):
            for row in run:
                held.append(row)
                yield row

        return [count(run) for run in runs], largest

    monkeypatch.setattr(exports, "_sorted_runs", counted)
    with exports._written(tmp_path / "x", parquet(tmp_path, table)) as (_, rows):
        next(rows)
        assert len(held) == len(source) // 50  # one of each row group, for whichever comes next
    write_bed(tmp_path / "x.bed", tmp_path / "table" / "t.parquet")
    pysam.tabix_index(str(tmp_path / "x.bed"), preset="bed", keep_original=True)
    rows = pd.read_csv(tmp_path / "x.bed", sep="\t", header=None)
    ends = np.sort(table[["source", "target"]].to_numpy(), axis=1)
    order = np.lexsort((ends[:, 1], ends[:, 0], table["chrom"]))
    assert rows[0].tolist() == table["chrom"].iloc[order].tolist()
    assert np.array_equal(rows[[1, 2]], ends[order] + [0, 1])
    assert rows[4].max() == 1000
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("join", ["mean", "strongest"])
def test_overlapping_windows_become_one_number_a_base(tmp_path, join):
    rng = np.random.default_rng(0)
    windows, per_base = [], {chrom: [[] for _ in range(size)] for chrom, size in SIZES.items()}
    for chrom, starts in (("chr2", [-3, 5, 5, 9, 300, 990]), ("chr1", [0, 40, 45, 200])):
        for start in starts:
            values = rng.normal(size=20)
            values[3] = np.nan
            windows.append((chrom, start, values))
            for i, value in enumerate(values):
                if 0 <= start + i < SIZES[chrom] and not np.isnan(value):
                    per_base[chrom][start + i].append(value)
    path = tmp_path / f"{join}.bw"
    write_bigwig(path, SIZES, windows, join)
    read = pybigtools.open(str(path))
    assert read.chroms() == SIZES
    for chrom, bases in per_base.items():
        chosen = [np.nan if not v else np.mean(v) if join == "mean" else max(v, key=abs)
                  for v in bases]  # fmt: skip
        found = read.values(chrom, fillna=np.nan)
        np.testing.assert_allclose(found, np.array(chosen, np.float32), rtol=1e-6)
    again = tmp_path / "again.bw"
    write_bigwig(again, SIZES, windows, join)
    assert again.read_bytes() == path.read_bytes()


def test_order_matters_and_is_checked(tmp_path):
    for windows in (
        [("chr1", 5, np.ones(3)), ("chr2", 5, np.ones(3))],
        [("chr2", 5, np.ones(3)), ("chr2", 4, np.ones(3))],
    ):
        with pytest.raises(ValueError, match="sort windows by position"):
            write_bigwig(tmp_path / "x.bw", SIZES, windows)
        assert list(tmp_path.iterdir()) == []


def test_nothing_to_write(tmp_path):
    empty = parquet(tmp_path, TABLE.iloc[:0])
    write_bedpe(tmp_path / "arcs.bedpe", empty)
    write_bed(tmp_path / "blocks.bed", empty)
    write_bigwig(tmp_path / "values.bw", SIZES, [])
    assert (tmp_path / "blocks.bed").read_text() == ""
    assert (tmp_path / "arcs.bedpe").read_text().count("\n") == 1


def test_failures_are_one_line_and_leave_nothing(tmp_path):
    with pytest.raises(InputError, match="no column 'mutant', 'q'; wanted a table"):
        own = tmp_path / "own"
        own.mkdir()
        write_bed(tmp_path / "x.bed", parquet(own, TABLE.drop(columns=["mutant", "q"])))
    absent, table = tmp_path / "absent" / "x", parquet(tmp_path)
    for write in (lambda: write_bed(absent, table), lambda: write_bedpe(absent, table),
                  lambda: write_bigwig(absent, SIZES, [("chr2", 5, np.ones(3))])):  # fmt: skip
        with pytest.raises(OutputError, match="cannot be written"):
            write()
    assert {path.name for path in tmp_path.iterdir()} == {"own", "table"}

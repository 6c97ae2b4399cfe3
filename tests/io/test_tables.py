"""The strongest cells, named and written."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from dfim_fast.io.tables import COLUMNS, Strongest, interaction_table, write_tables


def maps(seed=0, sequences=4, shape=(3, 4, 5)):
    """Scores with many ties, and a mask."""
    rng = np.random.default_rng(seed)
    fis = rng.integers(-6, 7, (sequences, *shape)).astype(np.float32) / 8
    return fis, rng.random(fis.shape) < 0.7


@pytest.mark.parametrize("limit", [1, 7, 60, 1000])
def test_strongest_are_those_of_a_full_sort(limit):
    fis, mask = maps()
    strongest = Strongest(limit)
    for n in range(len(fis)):
        strongest.add(0, n, fis[n], mask[n], {"p": fis[n] * 2, "slot": fis[n, :, :, :1] * 3})
    flat = np.where(mask, np.abs(fis), 0).ravel()
    order = np.argsort(-flat, kind="stable")[: min(limit, np.count_nonzero(flat))]
    cells = strongest.cells()
    where = (cells["sequence"], cells["source"], cells["mutant"], cells["target"])
    np.testing.assert_array_equal(np.ravel_multi_index(where, fis.shape), order)
    np.testing.assert_array_equal(cells["fis"], fis.ravel()[order])
    np.testing.assert_array_equal(cells["p"], 2 * fis.ravel()[order])
    np.testing.assert_array_equal(cells["slot"], 3 * fis[where[0], where[1], where[2], 0])
    assert len(strongest) == len(order)


def test_no_rows_where_none_are_wanted():
    strongest = Strongest(0)
    strongest.add(0, 0, np.ones((1, 4, 1)), np.ones((1, 4, 1), bool), {})
    assert len(strongest) == 0 and strongest.cells() == {}


def table_of(targets, **more):
    """Two cells of two sequences and tasks; sources 2 and 4 of ACGTNA and TTTTTT."""
    cells = {
        "task": np.array([1, 0]), "sequence": np.array([0, 1]), "source": np.array([0, 1]),
        "mutant": np.array([3, 0]), "target": np.array([1, 0]),
        "fis": np.array([0.5, -0.25], np.float32), "p": np.array([0.01, 0.5]),
        "neg_log10_p": np.array([2, 0.3]), "q": np.array([0.02, 0.5]),
        "significant": np.array([True, False]), "mutant_prediction": np.array([1.5, 2.5]), **more,
    }  # fmt: skip
    attributions = np.zeros((2, 2, 6), np.float32)
    attributions[1, 0, [0, 5]] = 1.0, -0.25
    attributions[0, 1, [3, 4]] = 0.001, 2.0
    return interaction_table(
        cells,
        names=["s1", "s2"],
        task_names=["t0", "t1"],
        sequences=np.array([[0, 1, 2, 3, 4, 0], [3] * 6], np.int8),
        sources=np.array([2, 4]),
        targets=targets,
        attributions=attributions,
        predictions=np.array([[0, 10], [20, 30]]),
    )


def test_rows_say_what_the_cells_are():
    table = table_of(np.array([3, 5]))
    assert list(table) == list(COLUMNS)
    first, second = table.to_dict("records")
    assert {name: first[name] for name in list(COLUMNS)[:10]} == {
        "sequence": "s1",
        "source": 2,
        "source_base": "G",
        "mutant": "T",
        "target": 5,
        "target_base": "A",
        "distance": 3,
        "task": "t1",
        "fis": 0.5,
        "delta_importance": -0.5,
    }
    assert first["prediction"] == 20 and first["mutant_prediction"] == 1.5
    # The target spoke against the task and lost more than all of that.
    assert first["target_importance"] == -0.25 and first["relative"] == -2.0
    assert np.isnan(first["standard_error"])
    # An importance below 1% of the largest (2.0) counts as that 1%.
    assert second["target_importance"] == np.float32(0.001)
    assert second["relative"] == pytest.approx(-0.25 / 0.02)
    assert second["significant"] is False or second["significant"] == np.False_


def test_a_window_reads_targets_by_source():
    table = table_of(
        np.array([[1, 3], [-1, 5]]), target=np.array([1, 1]), standard_error=np.array([0.1, 0.2])
    )
    assert table["target"].tolist() == [3, 5] and table["distance"].tolist() == [1, 1]
    assert table["standard_error"].tolist() == [0.1, 0.2]


def test_both_files_hold_the_same_rows(tmp_path):
    table = table_of(np.array([3, 5]))
    write_tables(tmp_path, table, {"model": {"hash": "abc"}})
    parquet = pd.read_parquet(tmp_path / "interactions.parquet")
    pd.testing.assert_frame_equal(parquet, table, check_dtype=False)
    with gzip.open(tmp_path / "interactions.tsv.gz", "rt") as handle:
        text = pd.read_csv(handle, sep="\t")
    pd.testing.assert_frame_equal(text, table, check_dtype=False, rtol=1e-5)
    own = json.loads(pq.read_schema(tmp_path / "interactions.parquet").metadata[b"dfim_fast"])
    assert own == {"columns": COLUMNS, "model": {"hash": "abc"}}


def test_the_same_table_is_the_same_bytes(tmp_path, monkeypatch):
    table, found = table_of(np.array([3, 5])), []
    for clock in (1e9, 2e9):
        monkeypatch.setattr("time.time", lambda clock=clock: clock)
        write_tables(tmp_path, table, {})
        found.append([path.read_bytes() for path in sorted(tmp_path.iterdir())])
    assert found[0] == found[1]


def test_an_empty_table_keeps_its_columns(tmp_path):
    table = interaction_table(
        {},
        names=["s"],
        task_names=["t"],
        sequences=np.zeros((1, 3), np.int8),
        sources=np.arange(3),
        targets=np.arange(3),
        attributions=np.zeros((1, 1, 3)),
        predictions=np.zeros((1, 1)),
    )
    write_tables(tmp_path, table, {})
    assert list(pd.read_parquet(tmp_path / "interactions.parquet")) == list(COLUMNS)

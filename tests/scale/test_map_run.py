"""A run in blocks and passes stores what the public functions give all at once."""

import errno
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dfim_fast
from dfim_fast.errors import InputError, OutputError, SettingsError
from dfim_fast.io import store as store_module
from dfim_fast.io.store import MapStore
from dfim_fast.scale import passes
from dfim_fast.scale.describe import strongest_lines
from dfim_fast.scale.map_run import run_maps
from dfim_fast.scale.passes import Judging

MODEL = Path(__file__).resolve().parents[1] / "models" / "two_outputs_dynamo.onnx"
NAMES = ["one", "two:5-9", "three", "four"]
SEQUENCES = [
    "ACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGATCCA",
    "TTGACNACGGATTACAGGATCCAACGTACGTTGCATGCAACGTG",
    "GGGATTACAGGATACGTGGCATTAACCGTTGCATGCAACCATCA",
    "CCATTTGACGATAGGACCGTAGCATTTTACGGATTACAGGACTA",
]
SETTINGS = {"n_references": 3, "sources": [4, 5, 20, 31], "threads": 1, "random_state": 3}


@pytest.fixture(scope="module")
def model():
    return dfim_fast.load_model(MODEL)


def run(model, out, judging=None, names=NAMES, sequences=SEQUENCES, figures=0, **settings):
    return run_maps(
        model,
        names,
        sequences,
        out,
        settings={**SETTINGS, **settings},
        judging=judging,
        figures=figures,
        progress=False,
        report=False,
    )


def arrays(path):
    store = MapStore.open(path / "maps.zarr")
    return {name: np.asarray(array[...]) for name, array in store.group.arrays()}


def whole(model, judging, **settings):
    """The same by the public functions."""
    settings = {**SETTINGS, **settings, "progress": False}
    maps = dfim_fast.interaction_map(model, SEQUENCES, names=NAMES, **settings)
    null = dfim_fast.null_map(model, SEQUENCES, n=judging.n_null, names=NAMES, **settings)
    return maps, dfim_fast.significance(
        maps,
        null,
        judging.null_model,
        judging.pool,
        judging.family,
        judging.correction,
        judging.alpha,
    )


@pytest.mark.parametrize(
    ("settings", "judging"),
    [
        ({}, Judging()),
        (
            {"task": [3, "output_0[1]"], "window": 6},
            Judging(2, "gaussian", "task", "sequence", "by"),
        ),
        (
            {"method": "gradient", "task": [0]},
            Judging(2, "empirical", "sequence", "task", "bh", 0.2),
        ),
        ({"references": "gc"}, Judging(3, "gaussian", "sequence", "sequence", "decoy")),
        ({"backend": "reference", "sources": [4]}, Judging(1, "empirical", "global", "global")),
    ],
    ids=["defaults", "tasks, window", "gradient", "sequence by sequence", "reference"],
)
def test_the_store_holds_what_one_call_gives(tmp_path, monkeypatch, model, settings, judging):
    monkeypatch.setattr(store_module, "CHUNK_BYTES", 1)  # a block for each sequence
    finished = run(model, tmp_path / "out", judging, **settings)
    maps, judged = whole(model, judging, **settings)
    found = arrays(tmp_path / "out")
    for name in (
        "fis",
        "mask",
        "self_effect",
        "mutant_predictions",
        "predictions",
        "attributions",
        "sources",
        "targets",
        "sequences",
    ):
        np.testing.assert_array_equal(found[name], np.asarray(getattr(maps, name)), name)
    if maps.standard_error is not None:
        np.testing.assert_array_equal(found["standard_error"], maps.standard_error)
    assert found["names"].tolist() == NAMES
    np.testing.assert_array_equal(found["p"], judged.p)
    np.testing.assert_allclose(found["q"], judged.q, rtol=1e-12)
    np.testing.assert_array_equal(found["significant"], judged.significant)
    attributes = MapStore.open(tmp_path / "out" / "maps.zarr").attributes
    assert attributes["significance"]["report"] == judged.report().splitlines()
    assert attributes["summation_to_delta"] == maps.summation_to_delta
    strongest = finished.table.iloc[0]
    assert abs(strongest["fis"]) == np.abs(np.where(maps.mask, maps.fis, 0)).max()


def test_threads_blocks_and_other_sequences_change_no_bit(tmp_path, monkeypatch, model):
    run(model, tmp_path / "a", threads=1)
    monkeypatch.setattr(store_module, "CHUNK_BYTES", 1)
    monkeypatch.setattr(passes, "BLOCKS", 1)
    run(model, tmp_path / "b", threads=2)
    run(model, tmp_path / "c", names=NAMES[2:], sequences=SEQUENCES[2:])
    a, b, c = (arrays(tmp_path / name) for name in "abc")
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name], name)
    for name in ("fis", "standard_error", "self_effect", "attributions"):
        np.testing.assert_array_equal(a[name][2:], c[name], name)
    tables = [(tmp_path / name / "interactions.tsv.gz").read_bytes() for name in "ab"]
    assert tables[0] == tables[1]


def test_references_of_each_sequence_go_with_it(tmp_path, monkeypatch, model):
    monkeypatch.setattr(store_module, "CHUNK_BYTES", 1)
    own = dfim_fast.dinucleotide_shuffle(SEQUENCES, 2, random_state=9)
    run(model, tmp_path / "out", references=own)
    maps, _ = whole(model, Judging(), references=own)
    np.testing.assert_array_equal(arrays(tmp_path / "out")["fis"], maps.fis)


def test_references_for_other_sequences_are_refused(tmp_path, model):
    own = dfim_fast.dinucleotide_shuffle(SEQUENCES[:3], 2)
    with pytest.raises(InputError) as caught:
        run(model, tmp_path / "out", references=own)
    assert str(caught.value) == (
        "references have shape (3, 2, 4, 44): 3 sets for 4 sequences; give one set for each, or "
        "(R, 4, L) for all"
    )


def test_the_store_says_what_it_is(tmp_path, model):
    run(model, tmp_path / "out", Judging(2, "gaussian"), task=["output_1"])
    about = json.loads((tmp_path / "out/maps.zarr/zarr.json").read_text())["attributes"]
    assert about["model"]["hash"] == model.hash and about["model"]["name"].endswith(MODEL.name)
    assert about["task_names"] == ["output_1"]
    assert {
        "method": "deeplift",
        "n_references": 3,
        "random_state": 3,
        "contribution": "projected",
        "maxpool": "shap",
        "epsilon": 1e-6,
        "window": None,
        "gc": 0.46,
        "threads": 1,
        "backend": "auto",
        "backend_used": "numba",
    }.items() <= about["settings"].items()
    null = about["null"]
    assert (null["kind"], null["n_null"], null["null_model"]) == ("dinucleotide", 2, "gaussian")
    assert null["fits"]["output_1"]["sd"] > 0
    assert about["versions"]["numpy"] == np.__version__ and "dfim_fast" in about["versions"]
    assert any(line.startswith("interaction range") for line in about["diagnostics"])


def test_table_figures_and_summary(tmp_path, model):
    finished = run(model, tmp_path / "out", figures=2, task=[0, 3])
    out = tmp_path / "out"
    table = pd.read_parquet(out / "interactions.parquet")
    strength = table["fis"].abs().to_numpy()
    assert (np.diff(strength) <= 0).all() and strength[0] > 0
    found = arrays(out)
    tested = found["mask"] & (found["fis"] != 0)
    assert len(table) == tested.sum()
    row = table.iloc[5]
    task = ["output_0[0]", "output_1"].index(row["task"])
    cell = (
        task,
        NAMES.index(row["sequence"]),
        SETTINGS["sources"].index(row["source"]),
        "ACGT".index(row["mutant"]),
        row["target"],
    )
    assert found["fis"][cell] == np.float32(row["fis"]) and found["q"][cell] == row["q"]
    assert found["mutant_predictions"][cell[:-1]] == np.float32(row["mutant_prediction"])
    assert SEQUENCES[cell[1]][row["target"]] == row["target_base"]
    figures = sorted(path.name for path in (out / "figures").iterdir())
    assert sum(name.startswith("null_output_") for name in figures) == len(figures) - 2
    assert figures[0].startswith("1_") and figures[1].startswith("2_")
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in (out / "figures").iterdir())
    summary = (out / "summary.txt").read_text().splitlines()
    assert summary == finished.lines
    assert {"Significance", "Diagnostics", "Files"} <= set(summary)
    assert any(line.startswith("  significant: ") for line in summary)


def test_names_become_file_names(tmp_path, model):
    run(model, tmp_path / "out", figures=1, names=["../x:5-9/$y"], sequences=SEQUENCES[1:2])
    assert sorted(path.name for path in (tmp_path / "out" / "figures").iterdir()) == [
        "1_x_5-9_y.png",
        "null.png",
    ]


def test_nothing_to_test_is_said_and_nothing_is_left(tmp_path, model):
    with pytest.raises(SettingsError) as caught:
        run(model, tmp_path / "out", sources=[3], targets=[3])
    assert str(caught.value) == (
        "no tested cells: all 16 scores are masked; look at sources, targets and window, and for N "
        "in the sequences"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("judging", "more", "text"),
    [
        (Judging(n_null=0), {}, "n_null=0: pass an integer of at least 1"),
        (None, {"figures": -1}, "figures=-1: pass an integer of at least 0"),
        (Judging(alpha=2.0), {}, "alpha=2.0: pass a number between 0 and 1, such as 0.05"),
    ],
)
def test_settings_are_checked_before_anything_is_computed(tmp_path, model, judging, more, text):
    with pytest.raises(SettingsError) as caught:
        run(model, tmp_path / "out", judging, **more)
    assert str(caught.value) == text
    assert list(tmp_path.iterdir()) == []


def test_a_map_that_is_not_finite_is_refused(tmp_path, model, monkeypatch):
    real = passes.interaction_map

    def overflow(*args, **kwargs):
        maps = real(*args, **kwargs)
        if "three" in maps.names:
            maps.fis[maps.names.index("three"), 0, 0, 0] = np.inf
        return maps

    monkeypatch.setattr(passes, "interaction_map", overflow)
    with pytest.raises(InputError, match="sequence 'three': the model's numbers overflow there"):
        run(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["map_run.write_tables", "map_run.draw", "passes.MapStore.write"])
def test_a_disk_that_fills_up_on_the_way_leaves_nothing(tmp_path, monkeypatch, model, part):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"dfim_fast.scale.{part}", full)
    with pytest.raises(OutputError, match="the disk is full; nothing was kept"):
        run(model, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_progress_tells_sequences_and_time_left(tmp_path, model, capsys):
    run_maps(model, NAMES, SEQUENCES, tmp_path / "out", settings=SETTINGS, figures=0)
    shown = capsys.readouterr()
    assert "maps and null: 100%" in shown.err and "seq" in shown.err and "4/4" in shown.err
    assert shown.out == ""


def test_a_table_without_rows_says_why():
    nothing = pd.DataFrame()
    assert strongest_lines(nothing, False, 0) == ["none: no rows were asked for"]
    assert strongest_lines(nothing, False, 9) == ["none: every tested cell is exactly 0"]

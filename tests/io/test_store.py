"""What goes into a store comes out again, with its meaning."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr

import dfim_fast
from dfim_fast.errors import OutputError
from dfim_fast.io import store as store_module
from dfim_fast.io.store import MapStore, block_size
from dfim_fast.sequence.one_hot import encode

MODEL = Path(__file__).resolve().parents[1] / "models" / "two_outputs_dynamo.onnx"
SEQUENCES = [
    "ACGTACGTTGCATGCAACGTGGCATTAACCGATTACAGGATCCA",
    "TTGACNACGGATTACAGGATCCAACGTACGTTGCATGCAACGTG",
    "GGGATTACAGGATACGTGGCATTAACCGTTGCATGCAACCATCA",
]
NAMES = ["one", "two", "three"]


@pytest.fixture(scope="module")
def model():
    return dfim_fast.load_model(MODEL)


def maps_of(model, sequences=SEQUENCES, **settings):
    return dfim_fast.interaction_map(
        model, sequences, progress=False, threads=1, n_references=3, **settings
    )


def stored(path, maps, block=None):
    store = MapStore.create(path, maps, NAMES, encode(SEQUENCES))
    store.write_maps(slice(0, 3), maps)
    store.describe({"task_names": maps.task_names, "settings": {"window": maps.window}})
    return store


@pytest.mark.parametrize("task", [0, [0, 3]], ids=["one task", "tasks"])
@pytest.mark.parametrize("window", [None, 4])
def test_every_array_comes_back_with_its_dimensions_named(tmp_path, model, task, window):
    maps = maps_of(model, task=task, window=window, sources=[3, 5, 20])
    stored(tmp_path / "maps.zarr", maps)
    group = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    tasks = () if task == 0 else ("task",)
    for name in ("fis", "mask", "standard_error", "p", "q", "significant"):
        assert group[name].metadata.dimension_names == (
            *tasks,
            "sequence",
            "source",
            "mutant",
            "target",
        )
    for name in (
        "fis",
        "standard_error",
        "mask",
        "self_effect",
        "mutant_predictions",
        "attributions",
        "predictions",
        "reference_predictions",
        "sources",
        "targets",
        "sequences",
    ):
        np.testing.assert_array_equal(group[name][...], np.asarray(getattr(maps, name)), name)
        assert group[name].attrs["description"]
    assert group["targets"].metadata.dimension_names == (
        ("target",) if window is None else ("source", "target")
    )
    assert list(group["names"][:]) == NAMES
    assert np.isnan(group["p"][...]).all() and not group["significant"][...].any()
    assert group.metadata.zarr_format == 3


def test_blocks_are_read_and_written_with_the_task_axis_first(tmp_path, model, monkeypatch):
    monkeypatch.setattr(store_module, "CHUNK_BYTES", 1)
    for task, several in ((0, False), ([0, 3], True)):
        maps = maps_of(model, task=task, sources=[3, 5])
        store = stored(tmp_path / f"{several}.zarr", maps)
        fis = maps.fis if several else maps.fis[None]
        assert [(part.start, part.stop) for part in store.blocks()] == [(0, 1), (1, 2), (2, 3)]
        np.testing.assert_array_equal(store.read("fis", slice(1, 3)), fis[:, 1:3])
        values = np.random.default_rng(0).random(fis[:, :1].shape)
        store.write("p", slice(2, 3), values)
        np.testing.assert_array_equal(store.read("p", slice(2, 3)), values)
        assert np.isnan(store.read("p", slice(0, 2))).all()
        assert len(store) == 3 and store.tasks == (2 if several else 1) and store.names == NAMES


def test_one_sequence_is_what_figures_read(tmp_path, model):
    maps = maps_of(model, sources=[3, 5])
    one = stored(tmp_path / "maps.zarr", maps).sequence(1)
    assert one.names == ["two"] and one.task_names == maps.task_names and one.window is None
    np.testing.assert_array_equal(one.fis, maps.fis[1:2])
    np.testing.assert_array_equal(one.mask, maps.mask[1:2])
    assert one.significant.shape == one.fis.shape


def test_all_sequences_are_maps_that_are_read_when_asked_for(tmp_path, model):
    maps = maps_of(model, sources=[3, 5])
    store = stored(tmp_path / "maps.zarr", maps)
    again = store.as_maps(maps_of(model, SEQUENCES[:1], sources=[3, 5]), 0.5)
    assert isinstance(again.fis, zarr.Array)
    np.testing.assert_array_equal(again.fis[2], maps.fis[2])
    np.testing.assert_array_equal(again.mask, maps.mask)
    assert again.names == NAMES and again.summation_to_delta == 0.5


def test_gradient_maps_have_no_standard_error(tmp_path, model):
    maps = maps_of(model, method="gradient", sources=[3])
    store = stored(tmp_path / "maps.zarr", maps)
    assert "standard_error" not in store and "reference_predictions" not in store


def test_attributes_are_json_and_say_which_layout(tmp_path, model):
    store = stored(tmp_path / "maps.zarr", maps_of(model, sources=[3]))
    store.describe({"a": (1, np.float32(0.5)), "b": {"c": np.arange(2), "d": float("nan")}})
    found = json.loads((tmp_path / "maps.zarr" / "zarr.json").read_text())["attributes"]
    assert found["a"] == [1, 0.5] and found["b"] == {"c": [0, 1], "d": None}
    assert (found["format"], found["format_version"]) == ("dfim_fast.maps", 1)
    assert MapStore.open(tmp_path / "maps.zarr").attributes == found


def test_what_is_no_store_is_refused(tmp_path, model):
    (tmp_path / "file").write_text("")
    zarr.open_group(tmp_path / "group.zarr", mode="w")
    for name in ("absent", "file", "group.zarr", "."):
        with pytest.raises(OutputError) as caught:
            MapStore.open(tmp_path / name)
        assert str(caught.value) == (
            f"{tmp_path / name}: is no store of interaction maps; wanted maps.zarr of a folder "
            "that dfim-fast map made"
        )


def test_another_layout_is_refused(tmp_path, model):
    path = tmp_path / "maps.zarr"
    stored(path, maps_of(model, sources=[3])).group.attrs["format_version"] = 9
    with pytest.raises(OutputError) as caught:
        MapStore.open(path)
    assert str(caught.value) == (
        f"{path}: has layout version 9, wanted 1; make the maps again with this version of "
        "dfim_fast"
    )


@pytest.mark.parametrize(
    ("row", "n", "block"),
    [(1 << 30, 50, 1), (1 << 19, 50, 2), (1 << 19, 1, 1), (100, 1000, 64), (0, 5, 5)],
)
def test_small_maps_share_a_chunk(row, n, block):
    assert block_size(row, n) == block

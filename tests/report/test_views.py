"""Packed maps hold what the store holds, to the rounding that the page admits."""

import base64
import gzip

import numpy as np
import pandas as pd

from dfim_fast.io.store import MapStore
from dfim_fast.report import views as module
from dfim_fast.report.views import LEVELS, UNTESTED, build_views, pack


def unpack(view):
    """The arrays of a view, as the page's script reads them."""
    content = gzip.decompress(base64.b64decode(view["data"]))
    found = {}
    for part in view["parts"]:
        dtype = np.dtype(part["type"]).newbyteorder("<")
        count = int(np.prod(part["shape"]))
        values = np.frombuffer(content, dtype, count, part["at"])
        assert part["at"] % dtype.itemsize == 0  # or no typed array could start there
        found[part["name"]] = values.reshape(part["shape"])
    return found


def table_of(run):
    return pd.read_parquet(run / "interactions.parquet")


def test_arrays_come_back_whatever_their_types():
    arrays = {
        "a": np.arange(3, dtype=np.int16),
        "b": np.array([[1.5, np.nan]], np.float32),
        "c": np.array([7], np.uint8),
    }
    for name, found in unpack(pack(arrays)).items():
        np.testing.assert_array_equal(found, arrays[name])
    assert pack(arrays) == pack(arrays)


def test_a_whole_view_is_the_map(map_run):
    store = MapStore.open(map_run / "maps.zarr")
    for view in build_views(store, table_of(map_run)):
        assert view["whole"]
        n, k = store.names.index(view["name"]), store.attributes["task_names"].index(view["task"])
        arrays = unpack(view)
        part = slice(n, n + 1)
        one = {name: store.read(name, part)[k, 0] for name in ("fis", "mask", "p", "q")}
        source, mutant = arrays["row"].T
        rebuilt = np.full(one["fis"].shape, np.nan)
        rebuilt[source, mutant] = np.where(
            arrays["fis"] == UNTESTED, np.nan, arrays["fis"] * view["step"]
        )
        np.testing.assert_array_equal(np.isfinite(rebuilt), one["mask"])
        tested = one["mask"]
        assert np.abs(rebuilt - one["fis"])[tested].max() <= 0.501 * view["step"]
        # p and q never look better than they are
        levels = np.rint(rebuilt[tested] / view["step"]).astype(int) + LEVELS
        for name in ("p", "q"):
            assert (arrays[name][levels] >= one[name][tested] * (1 - 1e-6)).all()
            assert set(arrays[name][levels]) <= set(one[name][tested].astype(np.float32))
        own = store.read("self_effect", part)[k, 0]
        np.testing.assert_array_equal(arrays["self_effect"], own[source, mutant])


def test_beyond_the_budget_only_the_rows_of_the_table_are_kept(map_run, monkeypatch):
    monkeypatch.setattr(module, "WHOLE", 1)
    store, table = MapStore.open(map_run / "maps.zarr"), table_of(map_run).head(60)
    first, *others = build_views(store, table)
    assert first["whole"] and others and not any(view["whole"] for view in others)
    for view in others:
        own = table[(table["sequence"] == view["name"]) & (table["task"] == view["task"])]
        wanted = {(s, "ACGT".index(m)) for s, m in zip(own["source"], own["mutant"], strict=True)}
        assert set(map(tuple, unpack(view)["row"].tolist())) == wanted
    monkeypatch.setattr(module, "ROWS", 1)
    assert sum(len(unpack(view)["row"]) for view in build_views(store, table)[1:]) == 1

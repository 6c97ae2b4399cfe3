"""Maps by name: selected, as a table, as xarray, in a notebook."""

import re
import sys

import numpy as np
import pytest
from graph.all_models import one_hot

import dfim_fast
from dfim_fast.errors import InputError, SettingsError

LENGTH = 44
MODEL = "two_outputs_dynamo.onnx"
SETTINGS = {"n_references": 3, "progress": False, "threads": 1, "names": ["one", "<b>two"]}


@pytest.fixture(scope="module")
def model(request):
    return dfim_fast.load_model(request.config.rootpath / "tests" / "models" / MODEL)


@pytest.fixture(scope="module")
def x():
    x = one_hot(2, LENGTH)
    x[1, :, 7] = 0  # an N
    return x


@pytest.fixture(scope="module")
def maps(model, x):
    return dfim_fast.interaction_map(model, x, sources=[5, 9, 20], task=[0, 3], **SETTINGS)


@pytest.fixture(scope="module")
def windowed(model, x):
    return dfim_fast.interaction_map(
        model, x, method="gradient", sources=[2, 9], window=4, progress=False
    )


def test_labels_select_what_indices_do(maps, windowed):
    one = maps.sel(task=maps.task_names[1], sequence="<b>two", source=9, mutant="G", target=30)
    assert one.shape == () and one == maps.fis[1, 1, 1, 2, 30]
    some = maps.sel(sequence=0, source=[20, 5], mutant="T")
    np.testing.assert_array_equal(some, maps.fis[:, 0][:, [2, 0]][:, :, 3])
    np.testing.assert_array_equal(maps.sel(), maps.fis)
    np.testing.assert_array_equal(windowed.sel(target=-3), windowed.fis[..., 1])


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({"sequence": "three"}, "sequence: found 'three', wanted one of one, <b>two (2 in all)"),
        ({"sequence": 2}, "sequence: found 2"),
        ({"source": 6}, "source: found 6, wanted one of 5, 9, 20 (3 in all)"),
        ({"mutant": "N"}, "mutant: found 'N', wanted one of A, C, G, T (4 in all)"),
        ({"target": [3, 44]}, "target: found 44, wanted one of 0, 1, 2, 3, ... (44 in all)"),
    ],
)
def test_what_is_not_there_is_refused(maps, labels, text):
    with pytest.raises(InputError, match=re.escape(text)):
        maps.sel(**labels)


def test_maps_of_one_task_have_no_such_axis(windowed):
    with pytest.raises(SettingsError, match="these maps hold one task"):
        windowed.sel(task=0)


@pytest.mark.parametrize("which", ["maps", "windowed"])
def test_a_row_for_each_tested_cell(which, request):
    maps = request.getfixturevalue(which)
    table = maps.to_dataframe()
    assert len(table) == maps.mask.sum()
    np.testing.assert_array_equal(table["fis"], maps.fis[maps.mask])
    assert ("standard_error" in table) == (maps.standard_error is not None)
    row = table.iloc[len(table) // 2]
    n = maps.names.index(row["sequence"])
    assert row["target_base"] == "ACGT"[maps.sequences[n, row["target"]]]
    assert row["distance"] == abs(row["source"] - row["target"])
    large = maps.to_dataframe(minimum=float(table["fis"].abs().median()))
    assert 0 < len(large) < len(table)
    with pytest.raises(SettingsError, match=r"minimum=-1: pass a size"):
        maps.to_dataframe(-1)


def test_xarray_has_named_dimensions_and_coordinates(maps, windowed):
    pytest.importorskip("xarray", reason="no xarray: pip install '.[xarray]'")
    data = maps.to_xarray()
    assert data["fis"].dims == ("task", "sequence", "source", "mutant", "target")
    one = data["fis"].sel(task=maps.task_names[0], sequence="one", source=20, mutant="C", target=3)
    assert float(one) == maps.fis[0, 0, 2, 1, 3]
    assert data["mask"].dtype == bool and data["attributions"].dims[1:] == ("sequence", "position")
    plain = windowed.to_xarray()
    assert plain["fis"].dims == ("sequence", "source", "mutant", "target")
    assert plain["target"].values.tolist() == list(range(-4, 5))
    assert int(plain["target_position"].sel(source=9, target=2)) == 11
    assert "standard_error" not in plain


def test_without_xarray_one_line_says_what_to_install(windowed, monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(SettingsError, match=re.escape("pip install 'dfim_fast[xarray]'")):
        windowed.to_xarray()


def test_html_tells_and_escapes(maps, model):
    text = maps._repr_html_()
    assert "<b>two" not in text and "&lt;b&gt;two" in text
    table = maps.to_dataframe()
    best = table.loc[table["fis"].abs().idxmax()]
    assert f"{best['source_base']}{best['source']}{best['mutant']}" in text
    assert "Conv" in model._repr_html_()


def test_significance_and_aggregates_have_html_too(model, x):
    rng = np.random.default_rng(0)
    found = dfim_fast.significance(rng.normal(size=50), rng.normal(size=500))
    assert found._repr_html_().startswith("<pre>null: unknown")
    sums = dfim_fast.aggregate(model, x, method="gradient", window=3, progress=False)
    best = sums.marginal().stack(["target", "base"], future_stack=True).abs().max()
    assert f"{best:.3g}" in sums._repr_html_()

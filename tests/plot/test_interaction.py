import numpy as np
import pytest
from matplotlib.figure import Figure

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot import interaction, plot_interaction_map


def shown(ax):
    """Cells drawn: (S, T) array with NaN where nothing was tested."""
    return np.ma.filled(ax.images[0].get_array().astype(float), np.nan)


def test_cells_stand_at_their_positions():
    fis = np.arange(12.0).reshape(3, 4) - 5
    ax = plot_interaction_map(fis, [10, 11, 12], [20, 21, 22, 23])
    assert np.array_equal(shown(ax), fis)
    assert ax.images[0].get_extent() == [19.5, 23.5, 12.5, 9.5]
    assert ax.get_xlim() == (19.5, 23.5)
    assert ax.get_ylim() == (12.5, 9.5)
    assert ax.get_xlabel() == "target position (from 0)"
    assert ax.images[0].get_interpolation() == "nearest"


def test_gaps_masked_and_nan_cells_stay_untested():
    fis = np.array([[1.0, 2.0], [np.nan, 4.0]])
    mask = np.array([[True, False], [True, True]])
    ax = plot_interaction_map(fis, [5, 7], [0, 2], mask)
    n = np.nan
    assert np.array_equal(shown(ax), [[1, n, n], [n, n, n], [n, n, 4]], equal_nan=True)
    assert ax.patch.get_hatch()
    assert "not tested" in [text.get_text() for text in ax.texts]


def test_a_window_is_drawn_as_a_band_at_absolute_positions():
    sources = np.arange(6)
    targets = sources[:, None] + np.arange(-1, 2)
    targets[targets > 5] = -1
    window = 10.0 * sources[:, None] + np.arange(3)
    expected = np.full((6, 6), np.nan)
    for s in range(6):
        for o in range(3):
            if targets[s, o] >= 0:
                expected[s, targets[s, o]] = window[s, o]
    assert np.array_equal(
        shown(plot_interaction_map(window, sources, targets)), expected, equal_nan=True
    )


def test_a_view_crops_both_axes():
    fis = np.arange(100.0).reshape(10, 10)
    ax = plot_interaction_map(
        fis, np.arange(10), np.arange(10), start=2, stop=5, source_start=7, source_stop=9
    )
    assert np.array_equal(shown(ax), fis[7:9, 2:5])
    assert ax.get_xlim() == (1.5, 4.5) and ax.get_ylim() == (8.5, 6.5)


def test_colours_are_centred_at_zero_and_robust():
    rng = np.random.default_rng(0)
    fis = rng.uniform(-1, 1, (400, 50))
    fis[17, 3] = 500.0
    ax = plot_interaction_map(fis, np.arange(400), np.arange(50))
    norm = ax.images[0].norm
    assert norm(0.0) == 0.5
    assert norm.vmin == -norm.vmax
    assert 0.99 < norm.vmax < 1.01
    assert ax.child_axes[0].get_ylabel() == "FIS: importance lost"
    fixed = plot_interaction_map(fis, np.arange(400), np.arange(50), limit=2.0).images[0].norm
    assert (fixed.vmin, fixed.vmax) == (-2.0, 2.0)


def test_two_motifs_in_a_kilobase_outshine_its_noise():
    rng = np.random.default_rng(0)
    fis = rng.normal(0, 0.01, (1000, 1000))
    fis[200:208, 700:708] = 1.0
    norm = plot_interaction_map(fis, np.arange(1000), np.arange(1000)).images[0].norm
    assert norm.vmax == pytest.approx(1.0)


def test_an_all_zero_map_has_colours():
    norm = plot_interaction_map(np.zeros((2, 2)), [0, 1], [0, 1]).images[0].norm
    assert (norm.vmin, norm.vmax) == (-1.0, 1.0)


def test_sources_far_apart_get_a_labelled_row_each():
    fis = np.arange(6.0).reshape(3, 2)
    ax = plot_interaction_map(fis, [900, 3, 455], [0, 1])
    assert np.array_equal(shown(ax), fis[[1, 2, 0]])
    name = ax.yaxis.get_major_formatter()
    assert [name(row) for row in (0, 1, 2, 0.5, 3)] == ["3", "455", "900", "", ""]


def test_pooled_cells_show_their_strongest(monkeypatch):
    monkeypatch.setattr(interaction, "MAX_CELLS", 3)
    fis = np.zeros((5, 5))
    fis[0, 1], fis[1, 0], fis[4, 4] = 1.0, -3.0, 2.0
    ax = plot_interaction_map(fis, np.arange(5), np.arange(5))
    assert np.array_equal(shown(ax), [[-3, 0, 0], [0, 0, 0], [0, 0, 2]])
    assert ax.images[0].get_extent() == [-0.5, 5.5, 5.5, -0.5]
    assert ax.get_xlim() == (-0.5, 4.5)


def test_the_colour_bar_takes_no_room():
    figure = Figure()
    ax = figure.add_axes((0.1, 0.1, 0.7, 0.8))
    assert plot_interaction_map(np.eye(3), range(3), range(3), ax=ax) is ax
    figure.draw_without_rendering()
    assert np.allclose(ax.get_position().bounds, (0.1, 0.1, 0.7, 0.8))
    plain = plot_interaction_map(np.eye(3), range(3), range(3), colorbar=False)
    assert not plain.child_axes


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"fis": np.ones((2, 4, 3))}, InputError, r"fis: found shape \(2, 4, 3\), wanted \(S, T\)"),
        ({"sources": [1]}, InputError, r"sources: found shape \(1,\), wanted \(2,\)"),
        ({"targets": [1]}, InputError, r"targets: found shape \(1,\), wanted \(3,\) or"),
        ({"mask": np.ones((3, 2))}, InputError, r"mask: found shape \(3, 2\), wanted \(2, 3\)"),
        ({"start": 5, "stop": 5}, InputError, "start, stop: found 5, 5, wanted start < stop"),
        ({"targets": [-1, -1, -1]}, InputError, "targets: found no position >= 0"),
        ({"limit": 0.0}, SettingsError, r"limit: found 0\.0, wanted above 0"),
        ({"quantile": 99}, SettingsError, "quantile: found 99, wanted above 0 and at most 1"),
    ],
)
def test_input_that_does_not_fit(change, error, message):
    settings = {"fis": np.ones((2, 3)), "sources": [0, 1], "targets": [0, 1, 2]}
    with pytest.raises(error, match=message):
        plot_interaction_map(**(settings | change))

"""Figures of the original package's plot module."""

import numpy as np
import pandas as pd
import pytest

from dfim_fast.compat import plot
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot.style import new_axes

HEIGHTS = np.random.default_rng(0).normal(size=(8, 4))


def letters(ax):
    """Top edges of the letters drawn, by position."""
    return [p.get_extents() for p in ax.collections[0].get_paths()]


def test_bases_are_stacked():
    ax = plot.plot_bases(HEIGHTS, ylab="importance").axes[0]
    assert len(letters(ax)) == 32 and ax.get_ylabel() == "importance"
    assert max(box.y1 for box in letters(ax)) == pytest.approx(
        np.maximum(HEIGHTS, 0).sum(axis=1).max()
    )
    own = new_axes((4, 2))
    assert plot.plot_bases_on_ax(HEIGHTS, own, show_ticks=False) is own
    assert len(letters(own)) == 32 and not len(own.get_xticks())


def test_a_motif_is_scaled_to_its_information():
    frequencies = np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])
    ax = plot.plot_pwm(frequencies).axes[0]
    tops = sorted(box.y1 for box in letters(ax))
    assert tops[-1] == pytest.approx(2) and tops[-2] == pytest.approx(1)  # of the third none
    assert len(letters(ax)) == 3
    plain = plot.plot_pwm(frequencies, information_content=False).axes[0]
    assert max(box.y1 for box in letters(plain)) == pytest.approx(1)
    with pytest.raises(InputError, match="frequencies that sum to 1"):
        plot.plot_pwm(frequencies * 2)


def test_letters_are_added_in_both_forms():
    ax, other = new_axes((4, 2)), new_axes((4, 2))
    plot.add_letters_to_axis(ax, np.array([[1.0, 0, 0, 0], [0, 0, -2.0, 0]]))
    plot.add_letters_to_axis(other, [[("A", 1.0)], [("G", -2.0)]])
    assert [b.bounds for b in letters(ax)] == [b.bounds for b in letters(other)]
    with pytest.raises(InputError, match="letter 'X'"):
        plot.add_letters_to_axis(other, [[("X", 1.0)]])


def test_tracks_share_a_scale(tmp_path):
    path = tmp_path / "tracks.png"
    figure = plot.plot_delta_tracks(
        [HEIGHTS, HEIGHTS / 2], ["one", "two"], 2, 1.5, axvline_loc=3, plot_file=path
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    first, second = figure.axes
    assert first.get_ylim() == second.get_ylim() and first.get_xticks().tolist() == [0, 2, 4, 6]
    assert [a.get_title(loc="left") for a in figure.axes] == ["one", "two"]
    assert first.lines[1].get_xdata() == [3, 3]
    with pytest.raises(InputError, match=r"1 tracks of lengths \[8\] and 2 titles"):
        plot.plot_delta_tracks([HEIGHTS], ["one", "two"])


def test_a_map_leaves_unscored_cells_grey():
    table = pd.DataFrame([[-1, 0.3], [0.2, -1]], index=["A", "B"], columns=["A", "B"])
    ax = plot.plot_dfim(table, cmap="viridis").axes[0]
    shown = ax.images[0].get_array()
    assert shown.mask.tolist() == [[True, False], [False, True]]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["A", "B"]
    assert plot.plot_dfim(table.to_numpy()).axes[0].images[0].get_cmap().name == "plasma"
    with pytest.raises(InputError, match=r"map_array: found shape \(2,\)"):
        plot.plot_dfim([1.0, 2.0])
    with pytest.raises(SettingsError, match="cmap='nope'"):
        plot.plot_dfim(table, cmap="nope")

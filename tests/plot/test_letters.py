import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dfim_fast.errors import InputError
from dfim_fast.plot import plot_letters
from dfim_fast.plot.letters import glyph
from dfim_fast.plot.style import BASE_COLORS


def boxes(ax):
    """Extents (x0, y0, x1, y1) and colour of every letter."""
    (letters,) = ax.collections
    found = [path.get_extents().extents for path in letters.get_paths()]
    return np.array(found), [to_hex(color).upper() for color in letters.get_facecolor()]


def test_letters_reach_from_zero_to_their_value_at_their_position():
    ax = plot_letters([0.5, 0.0, -1.0, 2.0, np.nan, 3.0], [0, 1, 3, 2, 1, 4], start=100)
    extents, colors = boxes(ax)
    assert np.allclose(extents[:, [1, 3]], [[0, 0.5], [-1, 0], [0, 2]])
    assert np.allclose(extents[:, [0, 2]].mean(axis=1), [100, 102, 103])
    assert np.all(np.diff(extents[:, [0, 2]], axis=1) < 1)
    assert colors == [BASE_COLORS["A"], BASE_COLORS["T"], BASE_COLORS["G"]]
    assert ax.get_xlim() == (99.5, 105.5)


def test_negative_letters_hang_upside_down():
    unit = glyph("A").vertices
    apex = np.argmax(unit[:, 1])
    (letters,) = plot_letters([-2.0], [0]).collections
    drawn = letters.get_paths()[0].vertices
    assert np.argmin(drawn[:, 1]) == apex
    assert drawn[apex, 1] == -2.0


def test_glyphs_fill_the_unit_square():
    for base in "ACGT":
        assert np.allclose(glyph(base).get_extents().extents, [0, 0, 1, 1])


def test_four_rows_are_stacked_with_the_largest_outermost():
    heights = np.array([[1.0, 0.0], [3.0, -1.0], [-2.0, 0.0], [-1.0, -4.0]])
    extents, colors = boxes(plot_letters(heights))
    drawn = {(color, *y) for color, y in zip(colors, extents[:, [1, 3]].tolist(), strict=True)}
    assert drawn == {
        (BASE_COLORS["A"], 0.0, 1.0),
        (BASE_COLORS["C"], 1.0, 4.0),
        (BASE_COLORS["T"], -1.0, 0.0),
        (BASE_COLORS["G"], -3.0, -1.0),
        (BASE_COLORS["C"], -1.0, 0.0),
        (BASE_COLORS["T"], -5.0, -1.0),
    }


def test_a_kilobase_is_one_artist():
    rng = np.random.default_rng(0)
    ax = plot_letters(rng.normal(size=1000), rng.integers(0, 4, 1000))
    assert len(ax.collections) == 1
    assert len(ax.collections[0].get_paths()) == 1000


def test_draws_on_the_axes_given_and_returns_them():
    ax = Figure().subplots()
    assert plot_letters([1.0, -1.0], [0, 1], ylim=(-3, 3), ax=ax) is ax
    assert ax.get_ylim() == (-3, 3)


def test_pyplot_is_never_touched():
    code = (
        "import sys; from dfim_fast.plot import plot_letters; plot_letters([1.0], [0]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("heights", "codes", "message"),
    [
        ([1.0, 2.0], [0], r"heights: found shape \(2,\), wanted \(1,\)"),
        ([1.0], [5], r"codes: found 5 at position 0, wanted 0\.\.4"),
        ([1.0], [0.5], r"codes: found shape \(1,\) of float64, wanted \(L,\) integers"),
        ([1.0], None, r"heights: found shape \(1,\) without codes"),
        (np.ones((4, 3)), [0, 1, 2], r"codes: found codes beside heights of shape \(4, 3\)"),
        (np.ones((3, 4)), [0, 1, 2], r"heights: found shape \(3, 4\) with codes"),
    ],
)
def test_shapes_that_do_not_fit(heights, codes, message):
    with pytest.raises(InputError, match=message):
        plot_letters(heights, codes)

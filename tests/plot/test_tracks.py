import numpy as np
import pytest
from matplotlib.figure import Figure

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot import plot_tracks

CODES = np.array([0, 1, 2, 3, 0, 1])
MUTANT = np.array([0, 1, 0, 3, 0, 1])
BEFORE = np.array([0.5, -0.25, 1.0, 2.0, 0.0, 0.1])
AFTER = np.array([0.5, -0.25, -1.0, 0.5, 0.0, 0.3])
FIS = np.array([0.0, 0.0, 9.0, 1.5, 0.0, -0.2])


def drawn(ax):
    """Letters of a row: position -> signed height."""
    (letters,) = ax.collections
    found = {}
    for path in letters.get_paths():
        x0, y0, x1, y1 = path.get_extents().extents
        found[round((x0 + x1) / 2)] = round(y1 if y1 > 1e-12 else y0, 6)
    return found


def words(ax):
    return ax.get_ylabel().replace("\n", " ")


def test_rows_and_what_they_show():
    axes = plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, 2, FIS > 1)
    assert [words(ax) for ax in axes] == [
        "importance in the original",
        "importance with G2→A",
        "importance lost when G2 becomes A",
        "significant part of it",
    ]
    assert drawn(axes[0]) == {0: 0.5, 1: -0.25, 2: 1.0, 3: 2.0, 5: 0.1}
    assert drawn(axes[1]) == {0: 0.5, 1: -0.25, 2: -1.0, 3: 0.5, 5: 0.3}
    # The source does not interact with itself: 9.0 at position 2 is not drawn.
    assert drawn(axes[2]) == {3: 1.5, 5: -0.2}
    assert drawn(axes[3]) == {3: 1.5}
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[2].get_ylim() == axes[3].get_ylim()
    assert {ax.get_xlim() for ax in axes} == {(-0.5, 5.5)}


def test_the_mutant_row_shows_the_mutant_base():
    axes = plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, 2)
    assert axes.size == 3
    colors = [ax.collections[0].get_facecolor()[2].tolist() for ax in axes[:2]]
    green = axes[0].collections[0].get_facecolor()[0].tolist()
    assert colors[0] != green and colors[1] == green


def test_the_source_is_shaded_in_every_row():
    for ax in plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, (2, 4)):
        shades = [patch.get_extents() for patch in ax.patches]
        inverse = ax.transData.inverted()
        assert any(np.allclose(inverse.transform(s)[:, 0], [1.5, 3.5]) for s in shades)


def test_a_span_is_named_by_its_ends():
    axes = plot_tracks(CODES, BEFORE, AFTER, CODES, FIS, (2, 4))
    assert words(axes[2]) == "importance lost when 2–3 is replaced"


def test_a_view_crops_and_says_when_nothing_is_significant_there():
    axes = plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, 2, FIS > 1, start=0, stop=3)
    assert {ax.get_xlim() for ax in axes} == {(-0.5, 2.5)}
    assert drawn(axes[0]) == {0: 0.5, 1: -0.25, 2: 1.0}
    assert [text.get_text() for text in axes[3].texts] == ["no significant target here"]
    assert not plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, 2, FIS > 1)[3].texts


def test_draws_on_the_axes_given():
    given = Figure().subplots(3, 1)
    returned = plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, 2, axes=given)
    assert all(one is two for one, two in zip(given, returned, strict=True))
    with pytest.raises(SettingsError, match="axes: found 3, wanted 4, one per row"):
        plot_tracks(CODES, BEFORE, AFTER, MUTANT, FIS, 2, FIS > 1, axes=given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mutant": AFTER[:4]}, r"mutant: found shape \(4,\), wanted \(6,\)"),
        ({"fis": FIS[None]}, r"fis: found shape \(1, 6\), wanted \(6,\)"),
        ({"mutant_codes": MUTANT[:5]}, "mutant_codes: found 5 positions, wanted 6"),
        ({"source": 6}, r"source: found 6, wanted a position or a \(start, stop\) within 0\.\.6"),
        ({"start": 4, "stop": 4}, "start, stop: found 4, 4, wanted 0 <= start < stop <= 6"),
    ],
)
def test_input_that_does_not_fit(change, message):
    settings = {
        "codes": CODES, "original": BEFORE, "mutant": AFTER, "mutant_codes": MUTANT, "fis": FIS,
        "source": 2,
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        plot_tracks(**(settings | change))

import numpy as np
import pytest

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.plot import plot_distance, plot_null


def test_counts_add_up_and_the_null_is_scaled_to_the_scores():
    rng = np.random.default_rng(0)
    null, scores = rng.normal(size=4000), rng.normal(size=(10, 100)) + 1
    scores[0, 0] = np.nan
    ax = plot_null(null, scores)
    below, above = (patch.get_data().values for patch in ax.patches)
    assert above.sum() == 999
    assert below.sum() == pytest.approx(999)
    assert ax.get_yscale() == "log"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["null, scaled to 999 scores", "scores", "Gaussian fit of the null"]


def test_the_fit_is_on_the_scale_of_the_counts():
    null = np.random.default_rng(0).normal(0.3, 2.0, 50_000)
    ax = plot_null(null, null)
    (line,) = ax.lines
    counts, edges, _ = ax.patches[0].get_data()
    middle = (edges[:-1] + edges[1:]) / 2
    expected = np.interp(middle, line.get_xdata(), line.get_ydata())
    core = np.abs(middle - 0.3) < 2
    assert np.allclose(counts[core], expected[core], rtol=0.1)


def test_a_given_fit_is_drawn_and_false_draws_none():
    values = np.linspace(-1, 1, 101)
    (line,) = plot_null(values, values, fit=(0.5, 0.1)).lines
    assert line.get_xdata()[np.nanargmax(line.get_ydata())] == pytest.approx(0.5, abs=0.01)
    assert not plot_null(values, values, fit=False).lines


def test_constant_values_still_make_a_figure():
    ax = plot_null(np.zeros(5), np.zeros(5))
    assert ax.patches[1].get_data().values.sum() == 5
    assert not ax.lines


def test_what_no_null_is():
    with pytest.raises(InputError, match="null_values: found no finite value"):
        plot_null([np.nan], [1.0])
    with pytest.raises(InputError, match="scores: found no finite value"):
        plot_null([1.0], [])
    with pytest.raises(SettingsError, match=r"fit: found 3\.0, wanted \(mean, standard deviation"):
        plot_null([1.0, 2.0], [1.0], fit=3.0)
    with pytest.raises(SettingsError, match=r"standard deviation -1\.0"):
        plot_null([1.0, 2.0], [1.0], fit=(0.0, -1.0))


FIS = np.array([[0.0, 1.0, -2.0], [3.0, 0.0, 5.0]])
MASK = np.array([[False, True, True], [True, False, False]])


def test_means_by_distance():
    (line,) = plot_distance(FIS, [0, 1], [0, 1, 2], MASK).lines
    assert np.array_equal(line.get_xdata(), [1, 2])
    assert np.array_equal(line.get_ydata(), [2.0, 2.0])
    (line,) = plot_distance(FIS, [0, 1], [0, 1, 2]).lines
    assert np.array_equal(line.get_ydata(), [0.0, 3.0, 2.0])


def test_a_stack_of_maps_is_pooled_and_binned():
    stack = np.stack([FIS, 3 * FIS])
    (line,) = plot_distance(stack, [0, 1], [0, 1, 2], np.stack([MASK, MASK]), bin_width=2).lines
    # Distances 0 and 1 share a bin whose middle is 0.5.
    assert np.array_equal(line.get_xdata(), [0.5, 2.5])
    assert np.array_equal(line.get_ydata(), [4.0, 4.0])


def test_a_window_measures_absolute_positions():
    targets = np.array([[-1, 0, 1], [0, 1, 2]])
    window = np.array([[9.0, 0.0, 1.0], [3.0, 0.0, 5.0]])
    (line,) = plot_distance(window, [0, 1], targets).lines
    assert np.array_equal(line.get_xdata(), [0, 1])
    assert np.array_equal(line.get_ydata(), [0.0, 3.0])


def test_nothing_to_measure():
    with pytest.raises(InputError, match="mask: found no tested cell"):
        plot_distance(FIS, [0, 1], [0, 1, 2], np.zeros_like(MASK))
    with pytest.raises(SettingsError, match="bin_width: found 0, wanted at least 1"):
        plot_distance(FIS, [0, 1], [0, 1, 2], bin_width=0)

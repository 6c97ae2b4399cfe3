"""Motif pairs: a row each, points where the scores are, bars as long as the shares."""

import numpy as np
import pandas as pd
import pytest

from dfim_fast.errors import InputError
from dfim_fast.plot import plot_motif_pairs, save

FIS = {("A", "B"): [0.2, 0.4, 0.3], ("B", "A"): [-2.0, -1.0, -3.0], ("A", "C"): [0.0, 0.02, 0.01]}
TABLE = pd.DataFrame(
    [(*pair, fis, fis > 0.1, True) for pair, values in FIS.items() for fis in values],
    columns=["source", "target", "fis", "one", "two"],
)
TESTS = {"first test": "one", "second": "two"}


@pytest.fixture
def panels():
    """Points and bars."""
    return plot_motif_pairs(TABLE, TESTS, negligible=0.05, title="Pairs").axes


def test_rows_stand_in_order_of_their_means(panels):
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["B  →  A", "A  →  B", "A  →  C"]
    low, high = panels[0].get_ylim()
    assert low > high  # the strongest on top


def test_points_are_the_scores_and_the_mean_is_marked(panels):
    drawn = panels[0].lines[:6]  # points, then mean, row by row
    order = [("B", "A"), ("A", "B"), ("A", "C")]
    for points, mean, pair in zip(drawn[::2], drawn[1::2], order, strict=True):
        np.testing.assert_array_equal(points.get_xdata(), FIS[pair])
        np.testing.assert_allclose(mean.get_xdata(), np.mean(FIS[pair]))
    texts = {text.get_text() for text in panels[0].texts}
    assert {"−2.00", "0.30", "0.01", "up to 0.05"} == texts
    # only a mean within the shaded stretch is grey
    colors = [points.get_color() for points in drawn[::2]]
    assert colors[0] == colors[1] != colors[2]


def test_bars_are_the_shares_of_each_test(panels):
    widths = [bar.get_width() for bar in panels[1].patches]
    np.testing.assert_allclose(widths, [0, 100, 100, 100, 0, 100])
    legend = [text.get_text() for text in panels[1].get_legend().get_texts()]
    assert legend == list(TESTS)


def test_the_same_table_gives_the_same_bytes(tmp_path):
    files = [save(plot_motif_pairs(TABLE, TESTS), tmp_path / f"{i}.png") for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_no_pairs():
    with pytest.raises(InputError, match="found no pair of motifs, wanted at least one"):
        plot_motif_pairs(TABLE[:0], TESTS)

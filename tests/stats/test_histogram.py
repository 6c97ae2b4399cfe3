"""LogHistogram: fixed edges, exact merges, and bounds that hold the exact counts and p."""

import numpy as np
import pytest

from dfim_fast.errors import InputError
from dfim_fast.stats import histogram as histogram_module
from dfim_fast.stats.histogram import RELATIVE_WIDTH, LogHistogram
from dfim_fast.stats.significance import significance


def histogram_of(values):
    histogram = LogHistogram()
    histogram.add(values)
    return histogram


def wide_values(rng, n):
    """Both signs, magnitudes from far below the lowest edge to beyond the highest, and zeros."""
    values = rng.choice([-1.0, 1.0], n) * np.exp2(rng.uniform(-45, 22, n))
    values[rng.random(n) < 0.05] = 0.0
    return values


def test_edges_are_symmetric_and_narrow():
    edges = LogHistogram.edges()
    assert len(edges) == len(LogHistogram().counts) + 1
    np.testing.assert_array_equal(edges, -edges[::-1])
    assert (np.diff(edges) > 0).all()
    positive = edges[(edges > 0) & np.isfinite(edges)]
    assert positive[0] == 2.0**-40 and positive[-1] == 2.0**20
    assert (np.diff(positive) / positive[:-1]).max() == RELATIVE_WIDTH
    assert (np.diff(positive) / positive[:-1]).min() > RELATIVE_WIDTH / 2


def test_every_value_falls_between_the_edges_of_its_bin():
    rng = np.random.default_rng(1)
    edges = LogHistogram.edges()
    inner = edges[1:-1]
    values = np.concatenate(
        [wide_values(rng, 3000), inner, np.nextafter(inner, -np.inf), np.nextafter(inner, np.inf)]
    )
    # Positive bins hold their lower edge, negative ones their upper: searchsorted by magnitude.
    side = np.searchsorted(edges[edges > 0], np.abs(values), side="right")
    centre = len(edges) // 2 - 1
    wanted = np.where(values < 0, centre - side, centre + side)
    counts = histogram_of(values).counts
    np.testing.assert_array_equal(counts, np.bincount(wanted, minlength=len(counts)))


def test_merging_is_exact_in_any_order():
    rng = np.random.default_rng(2)
    values = wide_values(rng, 5000).astype(np.float32)
    whole = histogram_of(values)
    parts = [histogram_of(part) for part in np.split(values, [7, 8, 1000, 4000])]
    a, b, c, d, e = parts
    results = [
        a.merge(b).merge(c).merge(d).merge(e),
        a.merge(b.merge(c.merge(d.merge(e)))),
        e.merge(c, a, d, b),
    ]
    for merged in results:
        assert merged.counts.tobytes() == whole.counts.tobytes()
        assert merged == whole and merged.n == 5000
    assert a.n == 7 and a != whole  # merging leaves the parts alone


def test_chunks_masks_and_nan(monkeypatch):
    rng = np.random.default_rng(3)
    values = wide_values(rng, 600).reshape(20, 30)
    mask = rng.random(values.shape) > 0.5
    masked = LogHistogram()
    masked.add(values, mask)
    assert masked == histogram_of(np.where(mask, values, np.nan)) == histogram_of(values[mask])
    assert masked.n == mask.sum()
    whole = histogram_of(values)
    monkeypatch.setattr(histogram_module, "_CHUNK", 7)
    assert histogram_of(values) == whole
    stepwise = LogHistogram()
    for row in values:
        stepwise.add(row)
    assert stepwise == whole


def test_tail_counts_bound_the_exact_ones():
    rng = np.random.default_rng(4)
    values = wide_values(rng, 2000)
    histogram = histogram_of(values)
    t = np.concatenate([wide_values(rng, 300), values[:300], [0.0, 1e9, -1e9]])
    for (low, high), exact in (
        (histogram.count_at_least(t), (values >= t[:, None]).sum(axis=1)),
        (histogram.count_at_most(t), (values <= t[:, None]).sum(axis=1)),
    ):
        assert ((low <= exact) & (exact <= high)).all()
        # Apart by one bin's count: by nothing where no other value shares the bin of t.
        assert np.median(high - low) <= 1
    low, high = histogram.count_at_least([[1.0, 2.0]])
    assert low.shape == high.shape == (1, 2)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("centre", [0.0, 0.3, -2.0, 1e-9])
def test_p_bounds_hold_the_exact_p(absolute, centre):
    rng = np.random.default_rng(5)
    null = rng.normal(centre, 0.5, 4001)
    v = np.concatenate([rng.normal(centre, 1.0, 500), null[:200], [np.median(null), 0.0, 1e7]])
    if absolute:
        null, v = np.abs(null), np.abs(v)
    low, high = histogram_of(null).p_bounds(v, absolute=absolute)
    exact = significance(v, null, absolute=absolute).p
    assert ((low <= exact) & (exact <= high)).all()
    assert low.min() == 1 / 4002 and high.max() <= 1.0
    # About the share of the null that lies in three bins of relative width 2^-8.
    far = np.abs(v - np.median(null)) > 0.2
    assert np.median((high - low)[far]) < 0.02


def test_p_bounds_hold_where_everything_is_tied():
    rng = np.random.default_rng(6)
    steps = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 2.0**-50, 2.0**21]
    for _ in range(200):
        null = rng.choice(steps, rng.integers(1, 12))
        v = rng.choice(steps, 20)
        low, high = histogram_of(null).p_bounds(v)
        exact = significance(v, null).p
        assert ((low <= exact) & (exact <= high)).all()


def test_p_bounds_hold_where_rounding_ties_distances():
    # 1 and the value just below it, in the next bin, are equally far from the median in float64.
    null, v = np.array([-1e6, -1e6, -1e6, np.nextafter(1.0, 0.0)]), np.array([1.0])
    low, high = histogram_of(null).p_bounds(v)
    assert low[0] <= significance(v, null).p[0] == 0.4 <= high[0]


def test_p_of_a_masked_value_is_nan():
    low, high = histogram_of([1.0, 2.0]).p_bounds([np.nan, 5.0])
    assert np.isnan(low[0]) and np.isnan(high[0]) and low[1] == high[1] == 1 / 3


def test_median_bounds_hold_the_median():
    rng = np.random.default_rng(7)
    for n in (1, 2, 5, 100):
        values = rng.normal(-1.0, 2.0, n)
        low, high = histogram_of(values).median_bounds()
        assert low <= np.median(values) <= high
    low, high = histogram_of(np.full(9, -0.7)).median_bounds()
    assert low <= -0.7 <= high and high - low <= 0.7 * RELATIVE_WIDTH


def test_arrays_there_and_back():
    rng = np.random.default_rng(8)
    histogram = histogram_of(wide_values(rng, 100))
    arrays = histogram.to_arrays()
    again = LogHistogram.from_arrays(arrays)
    assert again == histogram
    again.add([1.0])
    assert again != histogram and arrays["counts"].sum() == 100
    assert repr(histogram) == "LogHistogram(n=100, relative bin width <= 0.0039)"


def test_wrong_input_is_named_and_counts_nothing():
    histogram = LogHistogram()
    with pytest.raises(InputError, match=r"^infinite values cannot be counted; mask them \(NaN\)"):
        histogram.add([1.0, -np.inf])
    with pytest.raises(InputError, match=r"^the mask has shape \(2,\), the values \(3,\); pass"):
        histogram.add([1.0, 2.0, 3.0], [True, False])
    assert histogram.n == 0
    for method in (histogram.median_bounds, lambda: histogram.p_bounds([1.0])):
        with pytest.raises(InputError, match=r"^the histogram is empty; add null values first"):
            method()
    arrays = histogram.to_arrays()
    with pytest.raises(InputError, match=r"layout \(-40, 20, 9\) and 30723 bins, wanted \(-40, 20"):
        LogHistogram.from_arrays({**arrays, "layout": np.array([-40, 20, 9])})
    with pytest.raises(InputError, match="does not hold non-negative integers; count again"):
        LogHistogram.from_arrays({**arrays, "counts": arrays["counts"] - 1})

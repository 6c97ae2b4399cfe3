"""A Gaussian of a tallied null against that of the values themselves."""

import numpy as np
import pytest

from dfim_fast.errors import NullError
from dfim_fast.stats.histogram import bin_of
from dfim_fast.stats.tails import GaussianNull
from dfim_fast.stats.tallied_gaussian import fit_bins, fit_scores


@pytest.fixture
def values():
    """Null values off centre, some of them often, and scores far out."""
    random = np.random.default_rng(2)
    null = np.round(random.normal(0.3, 2.0, 5000), 2)
    return null, random.normal(0, 12, 800)


def counted(levels):
    return np.unique(levels, return_counts=True)


def bins(numbers):
    return counted(bin_of(numbers).astype(np.float64))


def test_scores_as_they_are(values):
    null, _ = values
    found = fit_scores(counted(null), counted(null[1::2]))
    wanted = GaussianNull.fit(null, False, (null[::2], null[1::2]))
    assert found.mean == pytest.approx(wanted.mean, rel=1e-12)  # summed in another order
    assert found.sd == pytest.approx(wanted.sd, rel=1e-12)
    assert found.beyond == wanted.beyond
    assert found.held_out == wanted.held_out == 2500


def test_bins_bound_it(values):
    null, scores = values
    found = fit_bins(bins(null), bins(null[1::2]))
    wanted = GaussianNull.fit(null, False, (null[::2], null[1::2]))
    low, high = found.p_bounds(bin_of(scores))
    p = wanted.p(scores)[0]
    assert (low <= p).all()
    assert (p <= high).all()
    assert (low < high).all()
    near = np.abs(scores) < 6  # beyond, 0.4% of z is much of p
    assert (high[near] < 1.1 * p[near] + 1e-3).all()
    assert found.fitted.sd == pytest.approx(wanted.sd, rel=0.004)
    assert found.fitted.held_out == 2500
    for nominal, count in wanted.beyond.items():
        assert abs(found.fitted.beyond[nominal] - count) <= 3  # a bin each, and another fit


def test_zeros_and_one_sign():
    null = np.concatenate([np.zeros(50), np.linspace(1e-14, 3, 50)])
    found = fit_bins(bins(null), bins(null[:0]))
    p = GaussianNull.fit(null, False).p(null)[0]
    low, high = found.p_bounds(bin_of(null))
    assert ((low <= p) & (p <= high)).all()
    assert found.fitted.held_out == 0


@pytest.mark.parametrize("fit", [fit_scores, fit_bins])
def test_values_without_spread(fit):
    null = counted(np.full(7, 2.5)) if fit is fit_scores else bins(np.full(7, 2.5))
    with pytest.raises(NullError, match="all 7 null values of a pool are equal, so sd is 0"):
        fit(null, null)


def test_values_beyond_the_edges():
    with pytest.raises(NullError, match="null values lie beyond 1048576, where they"):
        fit_bins(bins(np.array([1.0, 2e6])), bins(np.array([1.0])))

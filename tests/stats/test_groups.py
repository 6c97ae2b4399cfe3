"""compare_groups: rank tests as scipy's and scikit-learn's definition, bootstrap over clusters."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

import dfim_fast
from dfim_fast.errors import InputError, SettingsError

RNG = np.random.default_rng(0)
CASES, CONTROLS = RNG.normal(0.7, 1, 40), RNG.normal(0, 1, 120).round(1)
OF_CASES, OF_CONTROLS = np.arange(40), np.repeat(np.arange(40), 3)


def test_rank_tests_and_interval():
    found = dfim_fast.compare_groups(CASES, CONTROLS, OF_CASES, OF_CONTROLS, n_bootstrap=500)
    wanted = mannwhitneyu(CASES, CONTROLS)
    assert (found.u, found.p) == (wanted.statistic, wanted.pvalue)
    above = (CASES[:, None] > CONTROLS).mean() + 0.5 * (CASES[:, None] == CONTROLS).mean()
    assert found.auc == pytest.approx(above)
    assert found.low < found.auc < found.high and found.n_clusters == 40
    # the usual error of an AUC of that size
    assert 0.05 < found.high - found.low < 0.35
    again = dfim_fast.compare_groups(CASES, CONTROLS, OF_CASES, OF_CONTROLS, n_bootstrap=500)
    assert again == found and "AUC" in str(found)


def test_clusters_are_resampled_as_a_whole():
    """Ten copies of each score in one cluster say no more than one."""
    many = dfim_fast.compare_groups(
        np.repeat(CASES, 10), np.repeat(CONTROLS, 10), np.repeat(OF_CASES, 10),
        np.repeat(OF_CONTROLS, 10), n_bootstrap=500,
    )  # fmt: skip
    one = dfim_fast.compare_groups(CASES, CONTROLS, OF_CASES, OF_CONTROLS, n_bootstrap=500)
    assert many.high - many.low == pytest.approx(one.high - one.low, rel=0.2)
    assert many.p < one.p


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="cases: 0 scores"):
        dfim_fast.compare_groups([], CONTROLS, [], OF_CONTROLS)
    with pytest.raises(InputError, match="controls: 120 scores, 0 of them NaN, with 3 clusters"):
        dfim_fast.compare_groups(CASES, CONTROLS, OF_CASES, [1, 2, 3])
    with pytest.raises(SettingsError, match="level=2"):
        dfim_fast.compare_groups(CASES, CONTROLS, OF_CASES, OF_CONTROLS, level=2)

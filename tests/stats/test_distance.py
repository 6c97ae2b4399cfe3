"""distance_bins: which pairs count, and the tests against scipy's."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

import dfim_fast
from dfim_fast.errors import InputError, SettingsError

RNG = np.random.default_rng(0)
PAIRS = pd.DataFrame({"distance": RNG.integers(0, 260, 800)})
PAIRS["fis"] = np.exp(-PAIRS["distance"] / 30) + RNG.normal(0, 0.1, 800)
PAIRS["overlap"] = np.where(RNG.random(800) < 0.1, 3, 0)
PAIRS["reachable"] = RNG.random(800) < 0.9


def test_bins_and_tests():
    found = dfim_fast.distance_bins(PAIRS)
    assert found.bins["bin"].tolist() == ["under 20", "20-50", "50-100", "100-200"]
    kept = PAIRS[(PAIRS["overlap"] == 0) & PAIRS["reachable"]]
    groups = [kept["fis"][(kept["distance"] >= a) & (kept["distance"] < b)]
              for a, b in ((0, 20), (20, 50), (50, 100), (100, 200))]  # fmt: skip
    assert found.bins["n"].tolist() == [len(g) for g in groups]
    np.testing.assert_allclose(found.bins["median"], [g.median() for g in groups])
    assert len(found.tests) == 6
    first = found.tests.iloc[0]
    wanted = mannwhitneyu(groups[0], groups[1])
    assert (first["nearer"], first["farther"]) == ("under 20", "20-50")
    assert first["p"] == wanted.pvalue and first["u"] == wanted.statistic
    higher = (groups[0].to_numpy()[:, None] > groups[1].to_numpy()).mean()
    assert first["auc"] == pytest.approx(higher)
    assert (found.tests["q"] >= found.tests["p"]).all() and first["q"] < 1e-3
    assert sum(found.left_out.values()) + sum(len(g) for g in groups) == 800
    assert found.left_out["overlapping"] == (PAIRS["overlap"] > 0).sum()


def test_tasks_absolute_values_and_other_edges():
    both = pd.concat([PAIRS.assign(task="a"), PAIRS.assign(task="b", fis=-PAIRS["fis"])])
    found = dfim_fast.distance_bins(both, (30, 300), absolute=True)
    a, b = (found.bins[found.bins["task"] == t].drop(columns="task").reset_index(drop=True)
            for t in "ab")  # fmt: skip
    pd.testing.assert_frame_equal(a, b)
    assert len(found.tests) == 2 and (a["median"] > 0).all()
    signed = dfim_fast.distance_bins(both, (30, 300), alternative="greater")
    assert signed.tests["p"].iloc[0] < 1e-6 < 0.99 < signed.tests["p"].iloc[1]


def test_what_is_wrong_is_said():
    with pytest.raises(SettingsError, match="wanted ascending numbers above 0"):
        dfim_fast.distance_bins(PAIRS, (50, 20))
    with pytest.raises(SettingsError, match="alternative='up'"):
        dfim_fast.distance_bins(PAIRS, alternative="up")
    with pytest.raises(InputError, match="no column 'distance'"):
        dfim_fast.distance_bins(PAIRS[["fis"]])
    with pytest.raises(InputError, match="none is left to compare: 800 beyond the last edge"):
        dfim_fast.distance_bins(PAIRS[["fis"]].assign(distance=900))

"""Shuffles and p-values."""

import numpy as np
import pandas as pd
import pytest
from compat.scene import sequences
from scipy.stats import norm

from dfim_fast.compat import null_model
from dfim_fast.errors import NullError, SettingsError

X = sequences()
RNG = np.random.default_rng(8)


def test_every_sequence_has_a_permutation_of_its_own():
    numbered = sequences(4)
    numbered[1:] = numbered[0]
    numbered[1, 0] = numbered[1, 0][[1, 2, 3, 0]]
    found = null_model.shuffle_seq_from_one_hot(X)
    np.testing.assert_array_equal(found.sum(axis=1), X.sum(axis=1))
    assert (found != X).any() and not found[:, 50].any()
    # what one permutation does to all: equal columns of two sequences stay together
    strict = null_model.shuffle_seq_from_one_hot(X, strict=True)

    def together(shuffled):
        """Pairs of columns of sequences 0 and 1, in any order."""
        pairs = np.concatenate([shuffled[0], shuffled[1]], axis=1)
        return sorted(map(tuple, pairs.tolist()))

    assert together(strict) == together(X) != together(found)
    dinuc = null_model.shuffle_seq_from_one_hot(X, dinuc=True)
    np.testing.assert_array_equal(dinuc[:, 0], X[:, 0])
    # from batch to batch the same, from seed to seed another
    np.testing.assert_array_equal(null_model.shuffle_seq_from_one_hot(X[2:]), found[2:])
    assert (null_model.shuffle_seq_from_one_hot(X, seed=2) != found).any()


def test_strings_are_shuffled_alike():
    texts = ["ACGTACGTAA", "GGGTTTNCCA"]
    found = null_model.shuffle_seq_from_fasta(texts)
    assert [sorted(f) for f in found] == [sorted(t) for t in texts] and found != texts
    assert found[1][6] == "N"
    dinuc = null_model.shuffle_seq_from_fasta(texts, dinuc=True)
    assert [t[0] + t[-1] for t in dinuc] == ["AA", "GA"]


NESTED = {
    0: {0: np.array([[-1.0, 2.0], [3.0, -1.0]]), 4: {"a": 1.5, "b": np.float32(2.5)}},
    1: {0: pd.DataFrame([[-1.0, 4.0]], index=["x"], columns=["y", "z"])},
}


def test_nested_dictionaries_go_flat_and_come_back():
    scores, keys = null_model.flatten_nested_dict(NESTED)
    assert scores.tolist() == [-1, 2, 3, -1, 1.5, 2.5, -1, 4]
    assert keys[1] == (0, 0, 0, 1) and keys[4] == (0, 4, "a") and keys[7] == (1, 0, 0, 1)
    back = null_model.restore_nested_dict(NESTED, scores * 2)
    np.testing.assert_array_equal(back[0][0], NESTED[0][0] * 2)
    assert back[0][4] == {"a": 3.0, "b": 5.0}
    pd.testing.assert_frame_equal(back[1][0], NESTED[1][0] * 2)
    assert null_model.get_from_dict(NESTED, [0, 4, "a"]) == 1.5
    null_model.set_in_dict(back, [0, 4, "a"], 7)
    assert back[0][4]["a"] == 7
    with pytest.raises(SettingsError, match=r"shape \(7,\), score_dict holds 8 scores"):
        null_model.restore_nested_dict(NESTED, scores[1:])


def test_empirical_p_counts():
    found = null_model.assign_empirical_pval([0.0, 2.0, 9.0], [1.0, 2.0, 3.0])
    np.testing.assert_allclose(found, [1.0, 3 / 4, 1 / 4])


def test_fitted_p_is_two_sided_for_signed_scores_and_does_not_underflow():
    null = RNG.normal(1, 2, 500)
    mean, sd = null.mean(), null.std()
    scores = np.array([mean, mean + 3 * sd, mean - 3 * sd, mean + 12 * sd])
    found = null_model.assign_fit_pval(scores, null)
    np.testing.assert_allclose(found, 2 * norm.sf([0, 3, 3, 12]))
    # the original: min(tails), not doubled, and 1 - cdf is 0 from nine standard deviations on
    strict = null_model.assign_fit_pval(scores, null, strict=True)
    np.testing.assert_allclose(strict[:3], norm.sf([0, 3, 3]), atol=1e-12)
    assert strict[3] == 0 < found[3]


def test_absolute_scores_are_tested_on_their_upper_side():
    null = np.abs(RNG.normal(5, 1, 500))
    mean, sd = null.mean(), null.std()
    small = mean - 3 * sd  # unusually small: no interaction
    found = null_model.assign_fit_pval([small, mean + 3 * sd], null)
    np.testing.assert_allclose(found, norm.sf([-3, 3]))
    assert null_model.assign_fit_pval([small], null, strict=True)[0] < 0.01


def maps(seed, shift=0.0):
    """Maps of two tasks and two sequences, the diagonal not scored."""
    rng = np.random.default_rng(seed)
    found = {t: {s: rng.gamma(2, 1 + t + s, (5, 5)) + shift for s in (0, 3)} for t in (0, 1)}
    for by_seq in found.values():
        for values in by_seq.values():
            np.fill_diagonal(values, -1)
    return found


@pytest.mark.parametrize(("level", "used"), [("per_map", 20), ("per_task", 40), ("global", 80)])
@pytest.mark.parametrize("kind", ["fit", "empirical"])
def test_levels_and_types(level, used, kind):
    real, null = maps(1), maps(2)
    found = null_model.assign_pval(real, null, level, kind)
    pool = {
        "per_map": [null[1][3]],
        "per_task": list(null[1].values()),
        "global": [m for by_seq in null.values() for m in by_seq.values()],
    }[level]
    values = np.concatenate([m[m != -1] for m in pool])
    assert len(values) == used  # the -1 of the diagonals enter no null
    assert found[1][3].shape == (5, 5) and (np.diag(found[1][3]) == 1).all()
    score = real[1][3][0, 1]
    if kind == "fit":
        wanted = norm.sf(score, values.mean(), values.std())
    else:
        wanted = (1 + (values >= score).sum()) / (used + 1)
    assert found[1][3][0, 1] == pytest.approx(wanted)


def test_strict_p_is_the_originals():
    real, null = maps(1), maps(2)
    found = null_model.assign_pval(real, null, "per_task", strict=True)
    values = np.concatenate([m.ravel() for m in null[0].values()])  # with the diagonals' -1
    cdf = norm.cdf(real[0][0], values.mean(), values.std())
    np.testing.assert_allclose(found[0][0], np.minimum(cdf, 1 - cdf))


def test_scores_by_label_and_tables_keep_their_nesting():
    found = null_model.assign_pval(NESTED, NESTED, "global", "empirical")
    assert set(found[0][4]) == {"a", "b"} and list(found[1][0].columns) == ["y", "z"]


def test_a_null_that_is_not_there_is_named():
    with pytest.raises(NullError, match=r"no scored cell of \[0\] \[3\], which null_level='per_m"):
        null_model.assign_pval(maps(1), {0: {0: maps(2)[0][0]}, 1: maps(2)[1]})
    with pytest.raises(NullError, match="all 3 values are 2"):
        null_model.assign_fit_pval([1.0], [2.0, 2.0, 2.0])
    with pytest.raises(NullError, match="no value"):
        null_model.assign_empirical_pval([1.0], [])
    with pytest.raises(SettingsError, match="null_level='per_seq' is unknown"):
        null_model.assign_pval(maps(1), maps(2), "per_seq")
    with pytest.raises(SettingsError, match="null_type='normal' is unknown"):
        null_model.assign_pval(maps(1), maps(2), null_type="normal")


def test_quantiles_are_drawn(tmp_path):
    path = tmp_path / "qq.png"
    null_model.assign_pval(maps(1, shift=3), maps(2), "global", qq_plot=path)
    assert path.read_bytes().startswith(b"\x89PNG")
    ax = null_model.qq_plot(np.full(10, 1e-3), np.linspace(0.05, 1, 10))
    expected, observed = ax.lines[1].get_data()
    np.testing.assert_allclose(observed, 3)
    assert (np.diff(expected) > 0).all() and expected[-1] < 1.31

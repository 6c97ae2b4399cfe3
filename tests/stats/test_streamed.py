"""Judging in passes gives what judging all at once gives."""

from types import SimpleNamespace

import numpy as np
import pytest

from dfim_fast.errors import NullError, SettingsError
from dfim_fast.stats.distinct import DistinctP
from dfim_fast.stats.significance import significance
from dfim_fast.stats.streamed import StreamedSignificance

TASKS = ["a", "b"]
SHUFFLES = 2


def made(seed=0, n=5, tasks=2, cells=(3, 4, 6)):
    """Scores and null (K, N, S, 4, T) and (K, N * shuffles, S, 4, T), heavy-tailed and masked."""
    rng = np.random.default_rng(seed)
    fis = rng.standard_t(3, (tasks, n, *cells)).astype(np.float32)
    null = 0.5 * rng.standard_t(3, (tasks, n * SHUFFLES, *cells)).astype(np.float32)
    null[..., :2] = 0.25  # ties
    fis[..., :1] = 0.25
    mask, null_mask = rng.random(fis.shape) < 0.8, rng.random(null.shape) < 0.8
    provenance = {"task": TASKS[:tasks], "kind": "observed"}
    originals = np.zeros((n, 4), np.int8)
    scores = SimpleNamespace(
        fis=fis, mask=mask, provenance=provenance, task_names=TASKS[:tasks], sequences=originals
    )
    nulls = SimpleNamespace(
        fis=null,
        mask=null_mask,
        provenance={**provenance, "kind": "dinucleotide"},
        task_names=TASKS[:tasks],
        sequence=np.repeat(np.arange(n), SHUFFLES),
        originals=originals,
    )
    return scores, nulls


def streamed(scores, nulls, limits=(10**6, 10**6), **settings):
    """p, q and the judge, fed sequence by sequence."""
    judge = StreamedSignificance(
        scores.task_names, exact_values=limits[0], exact_p=limits[1], **settings
    )
    tasks, n = scores.fis.shape[:2]
    p, q = np.full(scores.fis.shape, np.nan), np.full(scores.fis.shape, np.nan)

    def each():
        return ((k, i, scores.mask[k, i]) for i in range(n) for k in range(tasks))

    for k, i, _ in each():
        judge.add_null(
            k, i, [nulls.fis[k, j][nulls.mask[k, j]] for j in np.flatnonzero(nulls.sequence == i)]
        )
    for k, i, tested in each():
        p[k, i][tested] = judge.p(k, i, scores.fis[k, i][tested], int((~tested).sum()))
        if judge.family == "sequence":
            q[k, i][tested] = judge.q(k, i, scores.fis[k, i][tested], p[k, i][tested])
    for k, i, tested in each():
        if judge.family != "sequence":
            q[k, i][tested] = judge.q(k, i, scores.fis[k, i][tested], p[k, i][tested])
    return p, q, judge


LEVELS = ["sequence", "task", "global"]
SETTINGS = [
    {"null_model": null_model, "pool": pool, "family": family, "correction": correction}
    for null_model in ("empirical", "gaussian")
    for correction in ("bh", "by", "decoy")
    for pool in LEVELS
    for family in LEVELS
    # decoys of a family wider than its pool need all scores at once, and are refused
    if correction != "decoy" or LEVELS.index(family) <= LEVELS.index(pool)
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: " ".join(settings.values()))
def test_passes_give_what_one_call_gives(settings):
    scores, nulls = made()
    whole = significance(scores, nulls, **settings)
    p, q, judge = streamed(scores, nulls, **settings)
    np.testing.assert_allclose(p, whole.p, rtol=1e-12)
    np.testing.assert_allclose(q, whole.q, rtol=1e-12)
    assert "\n".join(judge.report()) == whole.report()
    k, n = 1, 2
    tested = scores.mask[k, n]
    got = judge.neg_log10_p(k, n, scores.fis[k, n][tested], p[k, n][tested])
    np.testing.assert_allclose(got, whole.neg_log10_p[k, n][tested], rtol=1e-12)


@pytest.mark.parametrize("sequences", [1, 2])
def test_the_held_out_check_halves_a_small_null_as_one_call_does(sequences):
    scores, nulls = made(n=sequences)
    whole = significance(scores, nulls, null_model="gaussian")
    _, _, judge = streamed(scores, nulls, null_model="gaussian")
    assert judge.fit == whole.fit


def test_a_null_too_large_to_keep_gives_upper_bounds():
    scores, nulls = made()
    exact = significance(scores, nulls)
    p, q, judge = streamed(scores, nulls, limits=(50, 10**6))
    tested = scores.mask
    assert (p[tested] >= exact.p[tested]).all() and (q[tested] >= exact.q[tested] - 1e-12).all()
    # the bins hold 0.4% of a value: few null values lie in the one that a score cuts
    assert np.median(p[tested] / exact.p[tested]) < 1.3
    assert "counted in bins" in judge.report()[-1]


def test_a_gaussian_of_a_binned_null_is_that_of_its_moments():
    scores, nulls = made()
    exact = significance(scores, nulls, null_model="gaussian")
    p, _, judge = streamed(scores, nulls, limits=(50, 10**6), null_model="gaussian")
    for task in TASKS:
        assert judge.fit[task].mean == pytest.approx(exact.fit[task].mean, rel=1e-9)
        assert judge.fit[task].sd == pytest.approx(exact.fit[task].sd, rel=1e-9)
        assert judge.fit[task].held_out == exact.fit[task].held_out
        assert judge.fit[task].beyond[1e-3] >= exact.fit[task].beyond[1e-3]
    np.testing.assert_allclose(p[scores.mask], exact.p[scores.mask], rtol=1e-6)


def test_too_many_distinct_p_are_rounded_up_and_said_so():
    scores, nulls = made(n=40)
    exact = significance(scores, nulls, null_model="gaussian")
    _, q, judge = streamed(scores, nulls, limits=(10**6, 200), null_model="gaussian")
    tested = scores.mask
    assert (q[tested] >= exact.q[tested] * (1 - 1e-12)).all()
    assert (q[tested] <= exact.q[tested] * 2).all()  # the last digit kept is the leading one
    assert judge.report()[-1] == "more than 200 distinct p-values: rounded up for the correction"


def test_distinct_p_do_not_depend_on_how_they_were_cut():
    p = np.random.default_rng(0).random(3000)
    whole, parts = DistinctP(100), DistinctP(100)
    whole.add(p)
    for part in np.array_split(p, 17):
        parts.add(part)
        parts._merge()
    np.testing.assert_array_equal(whole.q(p, "bh"), parts.q(p, "bh"))
    assert whole.bits == parts.bits < 52


def test_a_wide_family_of_decoys_is_refused_before_anything_is_computed():
    with pytest.raises(SettingsError) as caught:
        StreamedSignificance(TASKS, pool="sequence", family="task", correction="decoy")
    assert str(caught.value) == (
        "correction='decoy': family='task' is wider than pool='sequence', which needs all scores "
        "in memory; use family='sequence', another correction, or dfim_fast.significance"
    )
    StreamedSignificance(["a"], pool="task", family="global", correction="decoy")


def test_unknown_settings_are_refused_by_name():
    with pytest.raises(SettingsError, match="pool='task ' is not known"):
        StreamedSignificance(TASKS, pool="task ")


def test_an_empty_pool_is_named():
    judge = StreamedSignificance(TASKS, pool="sequence")
    judge.add_null(0, 0, [np.ones(3)])
    with pytest.raises(NullError) as caught:
        judge.p(1, 0, np.ones(2))
    assert str(caught.value) == (
        "pool='sequence': the null has no values for pool ('b', 0); make more null maps of each "
        "sequence, or pool wider"
    )


def test_a_constant_null_has_no_gaussian():
    judge = StreamedSignificance(TASKS, null_model="gaussian")
    judge.add_null(0, 0, [np.full(3, 0.5)])
    with pytest.raises(NullError) as caught:
        judge.p(0, 0, np.ones(2))
    assert str(caught.value) == (
        "null_model='gaussian': all 3 null values in pool 'a' equal 0.5, so sd is 0; use "
        "null_model='empirical' or a null with spread"
    )

"""significance against brute-force definitions, statsmodels, and hand-computed cases."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm
from statsmodels.stats.multitest import fdrcorrection, multipletests

from dfim_fast.errors import InputError, NullError, SettingsError
from dfim_fast.stats import cells as cells_module
from dfim_fast.stats.significance import significance

PROVENANCE = {
    "kind": "observed",
    "quantity": "fis",
    "source_width": 1,
    "target_width": 1,
    "mutant_rule": "snv",
    "method": "deeplift",
    "references": {"kind": "dinucleotide", "n": 20},
    "contribution": "projected",
    "maxpool": "shap",
    "epsilon": 1e-6,
    "task": ["a", "b"],
    "reduction": "none",
    "model_hash": "0f3a",
    "sources": np.arange(5),
    "targets": np.arange(6),
    "window": None,
}


def brute_p(values, null, absolute=False):
    """The definition, one comparison at a time, float64."""
    null = np.asarray(null, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    if not absolute:
        m = np.median(null)
        null, values = np.abs(null - m), np.abs(values - m)
    return np.array([(1 + sum(x >= v for x in null)) / (len(null) + 1) for v in values])


def a_map(rng, n=4, tasks=("a", "b"), kind="observed", scale=1.0, **provenance):
    """A map of n sequences, 5 sources and 6 targets; a third of its cells masked."""
    shape = (len(tasks), n, 5, 4, 6)
    fis = (scale * rng.standard_normal(shape)).astype(np.float32)
    fis *= np.linspace(1, 3, len(tasks), dtype=np.float32)[:, None, None, None, None]
    mask = rng.random(shape) > 1 / 3
    fis[~mask] = 50.0  # what masked cells hold must not matter
    return SimpleNamespace(
        fis=fis,
        mask=mask,
        names=[f"seq{i}" for i in range(n)],
        task_names=list(tasks),
        provenance={**PROVENANCE, "kind": kind, "task": list(tasks), **provenance},
    )


def a_null(rng, n=4, shuffles=3, **settings):
    null = a_map(rng, n * shuffles, kind="dinucleotide", **settings)
    null.sequence = np.repeat(np.arange(n), shuffles)
    return null


def pool_of(scores, null, pool, task, i):
    """Tested null values that judge sequence i of a task."""
    tasks = slice(None) if pool == "global" else slice(task, task + 1)
    rows = null.sequence == i if pool == "sequence" else np.full(len(null.sequence), True)
    return null.fis[tasks, rows][null.mask[tasks, rows]]


@pytest.mark.parametrize("pool", ["global", "task", "sequence"])
@pytest.mark.parametrize("null_model", ["empirical", "gaussian"])
def test_maps_against_the_definition(pool, null_model):
    rng = np.random.default_rng(1)
    scores, null = a_map(rng), a_null(rng)
    result = significance(scores, null, null_model=null_model, pool=pool)
    assert result.p.shape == result.q.shape == scores.fis.shape
    assert result.p.dtype == result.q.dtype == result.neg_log10_p.dtype == np.float64
    assert result.effect is scores.fis
    for task in range(2):
        for i in range(4):
            mask, values = scores.mask[task, i], scores.fis[task, i].astype(np.float64)
            own = pool_of(scores, null, pool, task, i).astype(np.float64)
            if null_model == "empirical":
                wanted = brute_p(values[mask], own)
                np.testing.assert_array_equal(result.p[task, i][mask], wanted)
            else:
                wanted = 2 * norm.sf(np.abs(values[mask] - own.mean()) / own.std())
                np.testing.assert_allclose(result.p[task, i][mask], wanted, rtol=1e-12)
            np.testing.assert_allclose(
                result.neg_log10_p[task, i][mask], -np.log10(wanted), rtol=1e-9, atol=1e-12
            )
    for array in (result.p, result.q, result.neg_log10_p):
        np.testing.assert_array_equal(np.isnan(array), ~scores.mask)
    assert not result.significant[~scores.mask].any()
    assert (result.tests, result.masked) == (scores.mask.sum(), (~scores.mask).sum())


def test_a_map_of_one_task_has_no_task_axis():
    rng = np.random.default_rng(2)
    scores, null = a_map(rng, tasks=["a"]), a_null(rng, tasks=["a"])
    scores.fis, scores.mask = scores.fis[0], scores.mask[0]
    null.fis, null.mask = null.fis[0], null.mask[0]
    scores.task_names = null.task_names = ["a", "b", "c"]  # all outputs of the model
    result = significance(scores, null, null_model="gaussian", pool="sequence")
    assert list(result.fit) == [("a", i) for i in range(4)]
    own = null.fis[null.sequence == 2][null.mask[null.sequence == 2]].astype(np.float64)
    assert result.fit["a", 2].mean == pytest.approx(own.mean(), rel=1e-12)
    assert result.fit["a", 2].sd == pytest.approx(own.std(), rel=1e-12)
    assert result.fit["a", 2].n == len(own)


def test_ties_count_and_constant_nulls_work_when_counting():
    result = significance(
        np.array([[0.0, 1.0, -1.0, 2.0, 3.0]]), np.array([0, 1, 1, -1, -1, 2, -2])
    )
    np.testing.assert_array_equal(result.p, [[1.0, 7 / 8, 7 / 8, 3 / 8, 1 / 8]])
    assert (result.null_size, result.smallest_p) == (7, 1 / 8)
    constant = significance(np.array([2.0, 2.5]), np.full(9, 2.0))
    np.testing.assert_array_equal(constant.p, [1.0, 0.1])
    np.testing.assert_array_equal(constant.neg_log10_p, [0.0, 1.0])
    assert not np.signbit(constant.neg_log10_p).any()


def test_distances_are_from_the_median_and_in_float64():
    # Between neighbours in float32 at 1000; the median, 1000 + 1.5 steps, is not a float32.
    step = np.spacing(np.float32(1000))
    null = np.float32(1000) + step * np.array([0, 1, 2, 3], dtype=np.float32)
    scores = np.array([0, 1, 2, 4], dtype=np.float32) * step + np.float32(1000)
    np.testing.assert_array_equal(significance(scores, null).p, [3 / 5, 1.0, 1.0, 1 / 5])


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    scores, null = a_map(rng), a_null(rng)
    whole = significance(scores, null, pool="global")
    monkeypatch.setattr(cells_module, "_BLOCK", 100)
    blocked = significance(scores, null, pool="global")
    np.testing.assert_array_equal(whole.p, blocked.p)
    np.testing.assert_array_equal(whole.q, blocked.q)


@pytest.mark.parametrize("null_model", ["empirical", "gaussian"])
@pytest.mark.parametrize("absolute", [False, True])
def test_p_is_uniform_under_the_null(null_model, absolute):
    rng = np.random.default_rng(4)
    scores, null = rng.normal(3.0, 2.0, (40, 50)), rng.normal(3.0, 2.0, (100, 200))
    if absolute:
        # Shifted far above 0, so that Gaussian values are absolute scores too.
        scores, null = scores + 100, null + 100
    result = significance(scores, null, null_model=null_model, absolute=absolute)
    assert kstest(result.p.ravel(), "uniform").pvalue > 0.01
    assert not result.significant.any()


def test_gaussian_tails_do_not_underflow():
    rng = np.random.default_rng(5)
    null = rng.standard_normal((2, 500))
    scores = null.mean() + null.std() * np.array([[0.0, 5.0, -50.0, 1000.0]])
    result = significance(scores, null, null_model="gaussian")
    wanted = -(np.log(2) + norm.logsf([0, 5, 50, 1000])) / np.log(10)
    np.testing.assert_allclose(result.neg_log10_p[0], np.maximum(wanted, 0), rtol=1e-9, atol=1e-9)
    assert result.p[0, 0] == pytest.approx(1.0) and result.p[0, 3] == 0.0
    assert 500_000 / np.log(10) < result.neg_log10_p[0, 3] < np.inf
    assert result.significant.tolist() == [[False, True, True, True]]


def test_absolute_scores_are_tested_on_their_upper_side():
    rng = np.random.default_rng(6)
    scores, null = a_map(rng, reduction="max_abs"), a_null(rng, reduction="max_abs")
    for each in (scores, null):
        each.fis, each.mask = np.abs(each.fis).max(axis=3), each.mask.any(axis=3)
    result = significance(scores, null, pool="global")
    assert result.absolute
    values, own = scores.fis[scores.mask], null.fis[null.mask]
    np.testing.assert_array_equal(result.p[scores.mask], brute_p(values, own, absolute=True))
    fitted = significance(scores, null, pool="global", null_model="gaussian")
    own = own.astype(np.float64)
    np.testing.assert_allclose(
        fitted.p[scores.mask], norm.sf((values - own.mean()) / own.std()), rtol=1e-10
    )
    with pytest.raises(SettingsError, match="absolute=False, but the scores are absolute"):
        significance(scores, null, absolute=False)
    arrays = significance(np.abs(values), np.abs(own), absolute=True)
    np.testing.assert_array_equal(arrays.p, brute_p(np.abs(values), np.abs(own), absolute=True))
    with pytest.raises(
        SettingsError, match="absolute=True, but the null values hold negative values"
    ):
        significance(np.ones(3), np.array([1.0, -1.0]), absolute=True)


@pytest.mark.parametrize("correction", ["bh", "by"])
@pytest.mark.parametrize("family", ["global", "task", "sequence"])
def test_correction_is_statsmodels_in_each_family(correction, family):
    rng = np.random.default_rng(7)
    scores, null = a_map(rng, scale=2.0), a_null(rng)
    result = significance(scores, null, family=family, correction=correction, alpha=0.1)
    axes = {"global": [...], "task": [0, 1], "sequence": [(k, i) for k in (0, 1) for i in range(4)]}
    method = {"bh": "fdr_bh", "by": "fdr_by"}[correction]
    for where in axes[family]:
        mask = scores.mask[where]
        rejected, q = multipletests(result.p[where][mask], alpha=0.1, method=method)[:2]
        np.testing.assert_array_equal(result.q[where][mask], q)
        np.testing.assert_array_equal(result.significant[where][mask], rejected)
    assert result.families == len(axes[family])
    assert 0 < result.significant.sum() < result.tests


def brute_decoy(distances, expected_beyond):
    """q of each distance: the lowest rate over thresholds that still call it."""
    rate = {t: min(expected_beyond(t) / np.sum(distances >= t), 1.0) for t in distances}
    return np.array([min(rate[t] for t in distances if t <= d) for d in distances])


def test_decoy_by_hand():
    # Null median 0, distances 0 1 1 2 4; scores at distance 5 3 3 1 0, so 5 tests over 5 nulls.
    null = np.array([0.0, 1.0, -1.0, 2.0, -4.0])
    result = significance(np.array([5.0, -3.0, 3.0, 1.0, 0.0]), null, correction="decoy")
    # t:            5      3      3      1      0
    # null >= t:    0      1      1      4      5
    # scores >= t:  1      3      3      4      5
    np.testing.assert_allclose(result.q, [0, 1 / 3, 1 / 3, 1, 1])
    assert result.report().splitlines()[-1] == (
        "of these 1 lie beyond every null value: their q of 0 means below what this null resolves"
    )
    # Twice the null, the same share beyond each t: the same q.
    again = significance(np.array([5.0, -3.0, 3.0, 1.0, 0.0]), np.tile(null, 2), correction="decoy")
    np.testing.assert_allclose(again.q, result.q)


def test_decoy_is_made_monotone():
    # At 3: 2 nulls over 1 score; at 2: 2 over 4. The score at 3 is called at 2 as well.
    null = np.array([4.0, -4.0, 0.0, 0.0])
    result = significance(np.array([3.0, 2.0, 2.0, -2.0]), null, correction="decoy")
    np.testing.assert_allclose(result.q, [0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("pool", ["global", "task", "sequence"])
@pytest.mark.parametrize("family", ["global", "task", "sequence"])
def test_decoy_against_the_definition_for_every_pool_and_family(pool, family):
    rng = np.random.default_rng(8)
    scores, null = a_map(rng, scale=1.5), a_null(rng)
    result = significance(scores, null, pool=pool, family=family, correction="decoy", alpha=0.2)
    cells = [(k, i) for k in (0, 1) for i in range(4)]
    family_of = {"global": lambda c: 0, "task": lambda c: c[0], "sequence": lambda c: c}[family]
    for chosen in {family_of(c) for c in cells}:
        members = [c for c in cells if family_of(c) == chosen]
        distances, nulls = [], []
        for c in members:
            own = pool_of(scores, null, pool, *c).astype(np.float64)
            m = np.median(own)
            distances.append(np.abs(scores.fis[c][scores.mask[c]] - m))
            nulls.append(np.abs(own - m))

        def expected(t, distances=distances, nulls=nulls):
            return sum(len(d) * np.mean(n >= t) for d, n in zip(distances, nulls, strict=True))

        wanted = brute_decoy(np.concatenate(distances), expected)
        found = np.concatenate([result.q[c][scores.mask[c]] for c in members])
        np.testing.assert_allclose(found, wanted, rtol=1e-9)
    np.testing.assert_array_equal(np.isnan(result.q), ~scores.mask)


def a_table(rng, sequences, tasks=("a",), n=6, kind="observed", **provenance):
    rows = [(s, t) for s in sequences for t in tasks for _ in range(n)]
    table = pd.DataFrame(rows, columns=["sequence", "task"])
    table["fis"] = rng.standard_normal(len(table))
    table = table.sample(frac=1, random_state=3)  # groups are not neighbours
    table.attrs["provenance"] = {**PROVENANCE, "kind": kind, "task": list(tasks), **provenance}
    return table


def test_tables_keep_their_index_and_pool_by_labels():
    rng = np.random.default_rng(9)
    scores = a_table(rng, ["x", "y"], ["a", "b"])
    null = a_table(rng, ["y", "z", "x"], ["a", "b"], n=30, kind="matched")
    scores.index = [5] * len(scores)  # repeated labels must not confuse anything
    scores.iloc[3, scores.columns.get_loc("fis")] = np.nan
    result = significance(scores, null, pool="sequence", family="sequence")
    for series, dtype in ((result.p, float), (result.q, float), (result.significant, bool)):
        assert series.index.equals(scores.index) and series.dtype == dtype
    assert np.isnan(result.p.iloc[3]) and not result.significant.iloc[3]
    for s in "xy":
        for t in "ab":
            rows = ((scores.sequence == s) & (scores.task == t) & scores.fis.notna()).to_numpy()
            own = null.fis[(null.sequence == s) & (null.task == t)]
            wanted = brute_p(scores.fis[rows], own)
            np.testing.assert_array_equal(result.p[rows], wanted)
            np.testing.assert_array_equal(result.q[rows], fdrcorrection(wanted)[1])
    assert result.null_kind == "matched"
    assert result.effect.equals(scores.fis)


def test_a_selection_of_a_table_keeps_its_provenance():
    rng = np.random.default_rng(10)
    scores, null = a_table(rng, ["x", "y"]), a_table(rng, ["x"], n=50, kind="matched")
    part = scores[scores.sequence == "x"]
    assert significance(part, null).checked
    assert len(significance(part, null).p) == 6


def test_one_task_needs_no_task_column():
    rng = np.random.default_rng(11)
    scores, null = a_table(rng, ["x"]), a_table(rng, ["x"], n=50, kind="matched")
    bare = scores.drop(columns="task")
    np.testing.assert_array_equal(significance(bare, null).p, significance(scores, null).p)


def test_arrays_pool_by_axis_0_and_are_one_task():
    rng = np.random.default_rng(12)
    scores, null = rng.standard_normal((3, 4, 5)), rng.standard_normal((3, 70))
    scores[1, 2, 3] = null[2, 5] = np.nan
    result = significance(scores, null, pool="sequence", family="global")
    for i in range(3):
        tested = ~np.isnan(scores[i])
        wanted = brute_p(scores[i][tested], null[i][~np.isnan(null[i])])
        np.testing.assert_array_equal(result.p[i][tested], wanted)
    assert np.isnan(result.p[1, 2, 3]) and result.null_size == 69
    assert not result.checked and result.null_kind == "unknown"
    by_task = significance(scores, null)
    np.testing.assert_array_equal(by_task.p, significance(scores, null, pool="global").p)


def test_masked_cells_never_count():
    rng = np.random.default_rng(13)
    scores, null = a_map(rng), a_null(rng)
    options = {"null_model": "gaussian", "correction": "decoy"}
    first = significance(scores, null, **options)
    scores.fis[~scores.mask], null.fis[~null.mask] = np.nan, -1e6
    second = significance(scores, null, **options)
    np.testing.assert_array_equal(first.p, second.p)
    np.testing.assert_array_equal(first.q, second.q)
    # A NaN in a cell the mask calls tested is left out too.
    where = tuple(np.argwhere(scores.mask)[0])
    scores.fis[where] = np.nan
    assert np.isnan(significance(scores, null).p[where])


def test_held_out_check_by_hand():
    # Sequences 0 and 2 are fitted (mean 0, sd 1), 1 and 3 judged. Two-sided, 1e-3 lies at 3.29 and
    # 1e-6 at 4.89: 5 and -5 are beyond both, 4.8 beyond the first, 3.2 beyond neither.
    null = np.array([[-1.0, 1.0], [5.0, 3.2], [1.0, -1.0], [4.8, -5.0]])
    result = significance(np.zeros((4, 1)), null, null_model="gaussian", pool="global")
    fit = result.fit["all"]
    assert (fit.n, fit.held_out, fit.beyond) == (8, 4, {1e-3: 3, 1e-6: 2})
    assert fit.real_error == {1e-3: 0.75, 1e-6: 0.5}
    assert (
        "held-out check, fit on one half, 4 values of the other: "
        "nominal 0.001: real 0.75 (3), nominal 1e-06: real 0.5 (2)"
    ) in result.report().splitlines()
    few = significance(np.zeros(3), [1.0, 1.0, 2.0], null_model="gaussian")
    assert few.fit["all"].held_out == 1 and few.fit["all"].beyond == {1e-3: 0, 1e-6: 0}
    none = significance(np.zeros(3), [1.0, 2.0, 1.0], null_model="gaussian")
    assert (
        "held-out check: none, half of the null is empty or constant" in none.report().splitlines()
    )


def test_what_has_no_tested_cell_needs_no_null_and_is_no_family():
    rng = np.random.default_rng(25)
    scores, null = a_map(rng), a_null(rng)
    scores.mask[:, 2] = False
    null.mask[:, null.sequence == 2] = False
    for correction in ("bh", "decoy"):
        result = significance(
            scores, null, pool="sequence", family="sequence", correction=correction
        )
        assert (result.pools, result.families) == (6, 6)
        assert np.isnan(result.q[:, 2]).all()
        np.testing.assert_array_equal(np.isnan(result.q), ~scores.mask)


def test_decoy_of_a_table_does_not_depend_on_the_order_of_its_rows():
    rng = np.random.default_rng(26)
    scores = a_table(rng, ["x", "y", "z"], ["a", "b"])
    null = a_table(rng, ["x", "y", "z"], ["a", "b"], n=30, kind="matched")
    null["fis"] *= 0.5
    options = {"pool": "sequence", "family": "task", "correction": "decoy"}
    shuffled = significance(scores, null, **options)
    ordered = significance(scores.sort_index(), null.sort_index(), **options)
    np.testing.assert_allclose(shuffled.q.sort_index(), ordered.q, rtol=1e-12)
    assert 2 < ordered.q.nunique() and ordered.q.min() < 0.5


def test_rows_without_a_label_pool_together():
    table = pd.DataFrame({"sequence": ["x", None, "x", None], "fis": [1.0, 2.0, 3.0, 4.0]})
    null = pd.DataFrame({"sequence": [None] * 4 + ["x"] * 4, "fis": [0.0] * 4 + [2.0] * 4})
    result = significance(table, null, pool="sequence", family="sequence")
    assert result.p.tolist() == [0.2, 0.2, 0.2, 0.2] and result.pools == result.families == 2


def test_held_out_check_sees_heavy_tails_and_one_sided_levels():
    rng = np.random.default_rng(14)
    heavy = rng.standard_t(3, (200, 500))
    error = significance(heavy[:1], heavy, null_model="gaussian").fit["all"].real_error
    assert error[1e-3] > 5e-3 and error[1e-6] > 5e-4
    light = rng.standard_normal((200, 500)) + 100
    fit = significance(light[:1], light, null_model="gaussian", absolute=True).fit["all"]
    assert fit.real_error[1e-3] == pytest.approx(1e-3, abs=5e-4) and fit.beyond[1e-6] <= 2


def test_held_out_check_within_one_sequence_uses_its_shuffles():
    rng = np.random.default_rng(15)
    scores, null = a_map(rng, tasks=["a"]), a_null(rng, tasks=["a"])
    null.fis[0, 4], null.mask[0, 4] = 1e3, True  # the second shuffle of sequence 1
    fit = significance(scores, null, null_model="gaussian", pool="sequence").fit["a", 1]
    assert fit.held_out == null.fis[0, 4].size == fit.beyond[1e-6]


def test_report_names_null_test_and_outcome():
    rng = np.random.default_rng(16)
    scores, null = a_map(rng, scale=2.0), a_null(rng)
    result = significance(scores, null, family="global")
    called, size = int(result.significant.sum()), min(null.mask[0].sum(), null.mask[1].sum())
    assert result.report().splitlines() == [
        f"null: dinucleotide, pool=task (2 pools), {size} values in the smallest",
        f"test: empirical, two-sided; {result.tests} tests, {result.masked} masked cells left out",
        f"smallest p this null can give: {1 / (size + 1):.3g}",
        "correction: Benjamini-Hochberg, family=global (1 family), alpha=0.05",
        f"significant: {called} of {result.tests} ({called / result.tests:.2%})",
    ]
    assert repr(result) == (
        f"Significance({called} of {result.tests} significant at bh 0.05; null_model='empirical', "
        f"pool='task', family='global', smallest_p={1 / (size + 1):.3g})"
    )
    unknown = significance(np.ones(2), np.arange(3.0)).report()
    assert "how scores and null were made is not known, not checked" in unknown
    assert all(field.name in type(result).__doc__ for field in dataclasses.fields(result))


def error_of(kind, *args, **kwargs):
    with pytest.raises(kind) as caught:
        significance(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("option", ["null_model", "pool", "family", "correction"])
def test_unknown_options_are_named(option):
    message = error_of(SettingsError, np.ones(3), np.ones(3), **{option: "other"})
    assert message.startswith(f"{option}='other' is not known; choose one of '")


@pytest.mark.parametrize("alpha", [0, 1, -0.1, "0.05", True, float("nan")])
def test_alpha_is_checked(alpha):
    message = error_of(SettingsError, np.ones(3), np.ones(3), alpha=alpha)
    assert message == f"alpha={alpha!r}: pass a number between 0 and 1, such as 0.05"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("source_width", 10, "source_width of the scores is 1, of the null 10"),
        ("target_width", 10, "target_width of the scores is 1, of the null 10"),
        ("mutant_rule", "gc", "mutant_rule of the scores is 'snv', of the null 'gc'"),
        ("method", "gradient", "method of the scores is 'deeplift', of the null 'gradient'"),
        ("references", {"kind": "dinucleotide", "n": 5}, "of the null {'kind': 'dinucleotide', "),
        ("contribution", "observed", "contribution of the scores is 'projected'"),
        ("maxpool", "deeplift", "maxpool of the scores is 'shap', of the null 'deeplift'"),
        ("epsilon", 1e-7, "epsilon of the scores is 1e-06, of the null 1e-07"),
        ("task", ["b", "a"], "task of the scores is ['a', 'b'], of the null ['b', 'a']"),
        ("reduction", "max", "reduction of the scores is 'none', of the null 'max'"),
        ("quantity", "ism", "quantity of the scores is 'fis', of the null 'ism'"),
        ("model_hash", "ffff", "model_hash of the scores is '0f3a', of the null 'ffff'"),
        ("sources", np.arange(1, 6), "sources of the scores is [0, 1, 2, 3, 4], of the null [1, "),
        ("targets", [0, 1], "targets of the scores is [0, 1, 2, 3, 4, 5], of the null [0, 1]"),
        ("window", 15, "window of the scores is None, of the null 15"),
        ("later_setting", 1, "later_setting of the null is 1, the scores have none"),
    ],
)
def test_a_null_made_otherwise_is_refused(key, value, text):
    rng = np.random.default_rng(17)
    scores, null = a_map(rng), a_null(rng)
    null.provenance[key] = value
    if key == "reduction":
        null.fis, null.mask = null.fis[:, :, :, 0], null.mask[:, :, :, 0]
    message = error_of(NullError, scores, null)
    assert message.startswith("the null does not match the scores: ") and text in message
    assert message.endswith("; make the null with the settings of the scores")


def test_every_difference_is_listed_and_long_ones_are_cut():
    rng = np.random.default_rng(18)
    scores, null = a_map(rng), a_null(rng, method="gradient", sources=np.arange(100))
    del null.provenance["window"]
    message = error_of(NullError, scores, null)
    assert message == (
        "the null does not match the scores: method of the scores is 'deeplift', of the null "
        "'gradient'; sources of the scores is [0, 1, 2, 3, 4], of the null "
        "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16...; "
        "window of the scores is None, the null has none; "
        "make the null with the settings of the scores"
    )


def test_equal_provenance_in_other_containers_matches():
    rng = np.random.default_rng(19)
    scores, null = a_map(rng, gc=np.nan), a_null(rng, gc=float("nan"))
    null.provenance.update(
        sources=(0, 1, 2, 3, 4), targets=list(range(6)), source_width=np.int64(1)
    )
    assert significance(scores, null).checked


def test_observed_scores_are_no_null():
    rng = np.random.default_rng(20)
    scores = a_map(rng)
    message = error_of(NullError, scores, scores)
    assert message.startswith("the null is of kind 'observed': it holds scores of unchanged input")


def test_arrays_go_with_arrays_only():
    rng = np.random.default_rng(21)
    scores, null = a_map(rng), a_null(rng)
    message = error_of(NullError, scores, null.fis)
    assert message.startswith("the scores say how they were made, the null do not, so they cannot")
    message = error_of(NullError, scores.fis, null)
    assert message.startswith("the null say how they were made, the scores do not, so they cannot")


def test_sequences_must_match_where_they_pool():
    rng = np.random.default_rng(22)
    scores, null = a_map(rng), a_null(rng)
    scores.sequences = np.zeros((4, 9), dtype=np.int8)
    null.originals = scores.sequences.copy()
    significance(scores, null, pool="sequence")
    null.originals[2, 0] = 3
    significance(scores, null)  # pools over all sequences, whichever they are
    message = error_of(NullError, scores, null, pool="sequence")
    assert "sequence 2 is another one; make both from the same X in the same order" in message
    null.originals = null.originals[:3]
    message = error_of(NullError, scores, null, pool="sequence")
    assert "other sequences than the scores: (3, 9) (sequences, length) against (4, 9)" in message


def test_a_null_that_lacks_sequences_or_tasks():
    rng = np.random.default_rng(23)
    scores, null = a_map(rng), a_null(rng)
    del null.sequence
    message = error_of(NullError, scores, null, pool="sequence")
    assert message.startswith(
        "pool='sequence': the null values do not say which sequence each row belongs"
    )
    null.sequence = np.arange(3)
    assert "have 12 rows but say the sequence of 3" in error_of(InputError, scores, null)
    null.sequence = np.repeat([0, 1, 2], 4)
    message = error_of(NullError, scores, null, pool="sequence")
    assert "the null has no values for 2 of 8 pools, the first ('a', 3)" in message
    null.sequence = np.repeat(np.arange(4), 3)
    null.mask[1] = False
    message = error_of(NullError, scores, null)
    assert message.startswith("pool='task': the null has no values for 1 of 2 pools, the first 'b'")

    table, table_null = a_table(rng, ["x"]), a_table(rng, ["x"], kind="matched")
    bare = table_null.drop(columns="sequence")
    message = error_of(NullError, table, bare, pool="sequence")
    assert (
        message == "pool='sequence': the null values have no column 'sequence'; add it to the table"
    )
    message = error_of(SettingsError, table.drop(columns="sequence"), table_null, family="sequence")
    assert message == "family='sequence': the scores have no column 'sequence'; add it to the table"
    two = a_table(rng, ["x"], ["a", "b"]).drop(columns="task")
    message = error_of(SettingsError, two, a_table(rng, ["x"], ["a", "b"], kind="matched"))
    assert message == "pool='task': the scores have no column 'task'; add it to the table"

    message = error_of(NullError, np.ones((3, 2)), np.ones((2, 2)), pool="sequence")
    assert message == (
        "pool='sequence': axis 0 of the scores has 3 sequences, of the null 2; pass as many"
    )
    message = error_of(NullError, table, a_null(rng, tasks=["a"]), pool="sequence")
    assert "the sequences of a table (scores) cannot be matched with those of a map" in message


def test_empty_and_constant_nulls_and_untested_scores():
    message = error_of(NullError, np.ones(3), np.full((2, 4), np.nan))
    assert message.startswith("the null is empty: none of its 8 values is tested; ")
    assert "the null is empty" in error_of(NullError, np.ones(3), [])
    message = error_of(NullError, np.ones(3), np.full(4, 0.1), null_model="gaussian", pool="global")
    assert message == (
        "null_model='gaussian': all 4 null values equal 0.1, so sd is 0; "
        "use null_model='empirical' or a null with spread"
    )
    null = np.array([[1.0, 2.0], [3.0, 3.0]])
    message = error_of(NullError, np.ones(2), null, null_model="gaussian", pool="sequence")
    assert "all 2 null values in pool ('all', 1) equal 3" in message
    message = error_of(SettingsError, np.full((2, 3), np.nan), np.ones(3))
    assert message.startswith("no tested cells: all 6 scores are masked; ")


def test_wrong_input_is_named():
    table = pd.DataFrame({"score": [1.0]})
    assert "table without a column 'fis' (it has: score)" in error_of(InputError, table, np.ones(3))
    assert "the scores are of type list (<U1)" in error_of(InputError, ["a"], np.ones(3))
    assert "the null values are a single number" in error_of(InputError, np.ones(3), 1.0)
    assert "the null values are of type list" in error_of(
        InputError, np.ones(3), [[1.0], [1.0, 2.0]]
    )
    assert "the null values hold infinite values" in error_of(InputError, np.ones(3), [np.inf, 1.0])
    text = pd.DataFrame({"fis": ["a"]})
    assert "column 'fis' of the null values is of type" in error_of(InputError, np.ones(3), text)
    rng = np.random.default_rng(24)
    scores, null = a_map(rng), a_null(rng)
    scores.mask = scores.mask[..., 0]
    assert "the mask of the scores has shape (2, 4, 5, 4)" in error_of(InputError, scores, null)
    scores.fis = scores.fis[:, :, 0, :, 0]
    scores.mask = scores.fis > 0
    message = error_of(InputError, scores, null)
    assert message == "fis of the scores has shape (2, 4, 4); wanted 4 axes, or 5 with tasks"
    scores = a_map(rng)
    scores.provenance["task"] = scores.task_names = ["a", "b", "c"]
    assert "fis of the scores holds 2 task(s)" in error_of(InputError, scores, null)

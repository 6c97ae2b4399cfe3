"""Folds as one model, against a plain loop over the networks one by one."""

import numpy as np
import pandas as pd
import pytest
from graph.all_models import entry, one_hot
from models.profiles import LENGTH, bpnet

import dfim_fast
from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.maps.diagnostics import diagnose
from dfim_fast.maps.model import load_model

# two seeds of one architecture, and one of another
PROTOS = [bpnet(strands=1, seed=1), bpnet(strands=1, seed=2), bpnet(strands=2, seed=3)]
X = one_hot(3, LENGTH)
SETTINGS = {"n_references": 3, "sources": [4, 17, 30], "progress": False}


def folds(**options):
    """The three as one, and one by one."""
    options = {"target": "counts", **options}
    return load_model(PROTOS, **options), [load_model(p, **options) for p in PROTOS]


@pytest.fixture(scope="module")
def pair():
    """The mean map, and the single maps."""
    together, single = folds()
    return (
        dfim_fast.interaction_map(together, X, **SETTINGS),
        [dfim_fast.interaction_map(m, X, **SETTINGS) for m in single],
    )


def test_predictions_are_means():
    together, single = folds()
    wanted = np.mean([m.predict(X) for m in single], axis=0)
    np.testing.assert_allclose(together.predict(X), wanted, rtol=1e-6)


def test_maps_are_means_with_the_same_references(pair):
    """The same array for all folds gives the same: shuffles are drawn from the sequence alone."""
    found, single = pair
    for name in ("fis", "self_effect", "mutant_predictions", "attributions", "predictions"):
        wanted = np.mean([getattr(m, name) for m in single], axis=0, dtype=np.float64)
        got = getattr(found, name)
        np.testing.assert_allclose(got, wanted, atol=1e-7 * np.abs(wanted).max(), err_msg=name)
    references = dfim_fast.dinucleotide_shuffle(X, 2)
    together, _ = folds()
    settings = {**SETTINGS, "references": references}
    given = dfim_fast.interaction_map(together, X, **settings)
    each = [dfim_fast.interaction_map(m, X, **settings).fis for m in folds()[1]]
    np.testing.assert_allclose(given.fis, np.mean(each, axis=0), atol=1e-7 * np.abs(each).max())


def test_spread_and_agreement_in_sign(pair):
    found, single = pair
    each = np.stack([m.fis for m in single]).astype(np.float64)
    np.testing.assert_allclose(found.fold_spread, each.std(0, ddof=1), atol=1e-7)
    for cell in [(0, 0, 1, 9), (1, 2, 3, 28), (2, 1, 0, 14)]:
        mean = np.sign(found.fis[cell])
        wanted = sum(np.sign(values[cell]) == mean for values in each) / 3
        assert found.sign_agreement[cell] == np.float32(wanted)
    shares = found.sign_agreement[found.mask & (each != 0).all(0)]
    assert set(np.unique(np.round(3 * shares))) == {1, 2, 3}


def test_the_standard_error_is_an_upper_bound():
    """Of the mean over folds: exact per reference, then the spread over references."""
    together, single = folds()
    references = dfim_fast.dinucleotide_shuffle(X, 4)
    settings = {**SETTINGS, "backend": "reference"}
    each = []
    for r in range(4):
        own = {**settings, "references": references[:, r : r + 1]}
        each.append(np.mean([dfim_fast.interaction_map(m, X, **own).fis for m in single], axis=0))
    exact = np.std(each, axis=0, ddof=1) / 2
    found = dfim_fast.interaction_map(together, X, **{**settings, "references": references})
    assert (found.standard_error >= exact - 1e-12).all()
    assert np.median(found.standard_error[exact > 0] / exact[exact > 0]) < 2


def test_reach_is_what_any_fold_connects(pair):
    found, single = pair
    np.testing.assert_array_equal(found.reach, np.logical_or.reduce([m.reach for m in single]))


def test_reach_of_two_architectures():
    narrow, wide = bpnet(seed=1), bpnet(seed=4, dilation=6)
    settings = {"task": 9, "method": "gradient", "progress": False}
    here, there, both = (
        dfim_fast.interaction_map(load_model(m), X[:1], **settings)
        for m in (narrow, wide, [narrow, wide])
    )
    assert here.reach.sum() < there.reach.sum()
    np.testing.assert_array_equal(both.reach, here.reach | there.reach)
    assert not both.fis[~both.mask].any()


def test_several_tasks_and_attributions():
    together = load_model(PROTOS[:2])
    single = [load_model(p) for p in PROTOS[:2]]
    for task, shape in ((7, (3, 4, LENGTH)), ([7, "logcounts"], (2, 3, 4, LENGTH))):
        settings = {"task": task, "n_references": 2, "hypothetical": True}
        found = dfim_fast.attribute(together, X, **settings)
        assert found.shape == shape
        wanted = np.mean([dfim_fast.attribute(m, X, **settings) for m in single], axis=0)
        np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())
    maps = dfim_fast.interaction_map(together, X, task=[7, 32], **SETTINGS)
    assert maps.fold_spread.shape == maps.sign_agreement.shape == maps.fis.shape
    assert maps.fis.shape == (2, 3, 3, 4, LENGTH)


def test_both_strands_of_every_fold():
    found, single = folds(reverse_complement=True)
    wanted = np.mean([m.predict(X) for m in single], axis=0)
    np.testing.assert_allclose(found.predict(X), wanted, rtol=1e-6)
    map_ = dfim_fast.interaction_map(found, X, **SETTINGS)
    each = [dfim_fast.interaction_map(m, X, **SETTINGS).fis for m in single]
    np.testing.assert_allclose(map_.fis, np.mean(each, axis=0), atol=1e-7 * np.abs(each).max())


def test_null_and_significance(pair):
    found, _ = pair
    together, _ = folds()
    null = dfim_fast.null_map(together, X, n=2, **SETTINGS)
    assert null.provenance["model_hash"] == found.model_hash
    assert dfim_fast.significance(found, null).p.shape == found.fis.shape
    with pytest.raises(dfim_fast.NullError, match="model_hash"):
        other = dfim_fast.null_map(folds()[1][0], X, n=2, **SETTINGS)
        dfim_fast.significance(found, other)


def test_a_store_on_disk_equals_memory(pair, tmp_path):
    found, _ = pair
    together, _ = folds()
    stored = dfim_fast.interaction_map(together, X, out=tmp_path / "maps.zarr", **SETTINGS)
    for name in ("fis", "fold_spread", "sign_agreement", "standard_error"):
        np.testing.assert_array_equal(np.asarray(getattr(stored, name)[...]), getattr(found, name))


def test_texts_say_so(pair):
    found, _ = pair
    together, single = folds()
    assert "3 folds: model 0, model 1, model 2" in repr(together)
    assert "scores are means over 3 folds" in str(together)
    assert str(together).count("Conv 6 x 5") == 3
    assert repr(found).endswith("tasks logcounts, mean of 3 folds)")
    assert "fold" not in repr(dfim_fast.interaction_map(single[0], X, **SETTINGS))
    lines = diagnose(together, found)
    (line,) = (line for line in lines if line.startswith("spread over 3 folds: median "))
    assert line.endswith("% of these have the same sign in all folds")


def test_one_in_a_list_is_no_fold():
    alone = load_model(PROTOS[:1], target="counts")
    assert alone.hash == load_model(PROTOS[0], target="counts").hash
    assert dfim_fast.interaction_map(alone, X, **SETTINGS).fold_spread is None


@pytest.mark.parametrize(
    ("protos", "error", "text"),
    [
        ([], SettingsError, "load_model([]) names no model; list at least one"),
        (
            [PROTOS[0], entry("basset_legacy.onnx").proto],
            ModelError,
            "model 1: takes 80 bases, model 0 40; folds read the same sequences",
        ),
        (
            [PROTOS[0], PROTOS[2]],
            ModelError,
            "model 1: has the tasks logits[0,0], logits[0,1], logits[0,2], logits[0,3], ... (65), "
            "model 0 has logits[0], logits[1], logits[2], logits[3], ... (33); folds have the same "
            "tasks in the same order",
        ),
        (
            [PROTOS[0], PROTOS[1], PROTOS[0]],
            ModelError,
            "model 2: is the same network as model 0, which would count twice; list each fold once",
        ),
    ],
)
def test_what_are_no_folds(protos, error, text):
    with pytest.raises(error) as caught:
        load_model(protos)
    assert str(caught.value) == text


def test_a_problem_of_a_fold_names_it(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.onnx: no such file"):
        load_model([PROTOS[0], tmp_path / "absent.onnx"])


def test_motif_pairs_of_folds():
    """Means, spread and sign over single networks; the standard error is that of the mean."""
    together, single = folds()
    rows = [(0, 2, 9, "A"), (0, 20, 27, "B"), (1, 5, 12, "A"), (1, 30, 38, "B")]
    features = pd.DataFrame(rows, columns=["sequence", "start", "end", "name"])
    settings = {"progress": False, "backend": "reference"}
    references = dfim_fast.dinucleotide_shuffle(X, 4)
    found = dfim_fast.motif_interactions(together, X, features, references=references, **settings)
    each = [
        dfim_fast.motif_interactions(m, X, features, references=references, **settings)["fis"]
        for m in single
    ]
    np.testing.assert_allclose(found["fis"], np.mean(each, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found["fold_spread"], np.std(each, axis=0, ddof=1), rtol=1e-9)
    agree = np.mean(np.sign(each) == np.sign(np.mean(each, axis=0)), axis=0)
    np.testing.assert_array_equal(found["sign_agreement"], agree)
    by_reference = [
        dfim_fast.motif_interactions(
            together, X, features, references=references[:, r : r + 1], **settings
        )["fis"]
        for r in range(4)
    ]
    wanted = np.std(by_reference, axis=0, ddof=1) / 2
    np.testing.assert_allclose(found["standard_error"], wanted, rtol=1e-9)
    null = dfim_fast.null_map(together, X, "matched", 3, features=features, progress=False)
    assert "fold_spread" in null
    single_table = dfim_fast.motif_interactions(single[0], X, features, progress=False)
    assert "fold_spread" not in single_table


def test_motif_pairs_are_reachable_where_any_fold_connects_them():
    narrow, wide = bpnet(seed=1), bpnet(seed=4, dilation=6)
    rows = [(0, 18, 22, "A"), (0, 7, 10, "B")]  # read from 10 to 22, and from 6 to 26
    features = pd.DataFrame(rows, columns=["sequence", "start", "end", "name"])
    settings = {"task": 12, "method": "gradient", "progress": False}
    near, far, both = (
        dfim_fast.motif_interactions(load_model(m), X[:1], features, **settings)["reachable"]
        for m in (narrow, wide, [narrow, wide])
    )
    assert not near.any() and far.any()
    np.testing.assert_array_equal(both, near | far)

"""Nulls of motif pairs: what they change, what they keep, and how significance pools them."""

import numpy as np
import pandas as pd
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.errors import InputError, NullError, SettingsError
from dfim_fast.stats.cells import distance_labels

NAME = "basset_legacy.onnx"
RNG = np.random.default_rng(9)
LENGTH = model_of(NAME).sequence_length
SEQUENCES = ["".join(RNG.choice(list("ACGT"), LENGTH)) for _ in range(4)]
FEATURES = pd.DataFrame(
    {
        "sequence": ["d", "d", "a", "a", "a", "c", "b"],
        "start": [3, 30, 2, 12, 50, 20, 0],
        "end": [9, 37, 8, 20, 56, 29, 6],
        "name": list("PQPQRPQ"),
    }
)
SETTINGS = {"names": list("abcd"), "method": "gradient", "progress": False}


def scores(**settings):
    return dfim_fast.motif_interactions(
        model_of(NAME), SEQUENCES, FEATURES, **{**SETTINGS, **settings}
    )


def null(kind, n=2, **settings):
    return dfim_fast.null_map(
        model_of(NAME), SEQUENCES, kind, n, features=FEATURES, **{**SETTINGS, **settings}
    )


def test_shuffled_pairs_are_scores_of_the_shuffles():
    found = null("dinucleotide")
    shuffles = dfim_fast.dinucleotide_shuffle(SEQUENCES, n=2, purpose="null")
    for k in range(2):
        wanted = dfim_fast.motif_interactions(model_of(NAME), shuffles[:, k], FEATURES, **SETTINGS)
        for sequence, own in wanted.groupby("sequence"):
            mine = found[found["sequence"] == sequence]
            part = mine[k * len(own) : (k + 1) * len(own)]
            np.testing.assert_array_equal(part["fis"], own["fis"])
            assert part["target_start"].tolist() == own["target_start"].tolist()
    assert len(found) == 2 * len(scores())
    assert found.attrs["provenance"] == {**scores().attrs["provenance"], "kind": "dinucleotide"}


def test_matched_sources_hold_no_feature():
    found = null("matched", n=20)
    assert len(found) == 20 * len(scores())
    for row in found.itertuples():
        own = FEATURES[FEATURES["sequence"] == row.sequence]
        apart = (own["end"] <= row.source_start) | (own["start"] >= row.source_end)
        assert apart.all() and row.overlap == 0
        parent = own[own["name"] == row.source].iloc[0]
        assert row.source_end - row.source_start == parent["end"] - parent["start"]
        assert row.target != row.source
    assert found.groupby(["sequence", "source"])["source_start"].nunique().min() > 5
    assert found.attrs["provenance"] == {**scores().attrs["provenance"], "kind": "matched"}
    # the same span as a feature of its own gives the same score
    row = found.iloc[7]
    spans = pd.DataFrame({"sequence": row["sequence"], "name": ["free", row["target"]],
                          "start": [row["source_start"], row["target_start"]],
                          "end": [row["source_end"], row["target_end"]]})  # fmt: skip
    alone = dfim_fast.motif_interactions(
        model_of(NAME), SEQUENCES, spans, sources="free", **SETTINGS
    )
    assert alone["fis"].iloc[0] == pytest.approx(row["fis"], rel=1e-4, abs=1e-6)


def test_the_null_of_a_sequence_does_not_hang_on_the_others():
    both = null("matched", random_state=3)
    alone = dfim_fast.null_map(
        model_of(NAME), SEQUENCES[3:], "matched", 2, 3,
        features=FEATURES[FEATURES["sequence"] == "d"], **{**SETTINGS, "names": ["d"]},
    )  # fmt: skip
    own = both[both["sequence"] == "d"]
    assert own["source_start"].tolist() == alone["source_start"].tolist()
    assert own["source_start"].tolist() != null("matched", random_state=4).query(
        "sequence == 'd'"
    )["source_start"].tolist()  # fmt: skip
    np.testing.assert_array_equal(own["fis"], alone["fis"])


def test_a_matched_null_is_pooled_by_target_and_distance():
    table, matched = scores(), null("matched", n=30)
    found = dfim_fast.significance(table, matched)
    assert found.pool == "target" and found.null_kind == "matched"
    bins = distance_labels(table["distance"], (20, 50, 100, 200))
    null_bins = distance_labels(matched["distance"], (20, 50, 100, 200))
    for i, row in enumerate(table.itertuples()):
        own = matched["fis"][(matched["target"] == row.target) & (null_bins == bins[i])]
        middle = own.median()
        beyond = (abs(own - middle) >= abs(row.fis - middle)).sum()
        assert found.p.iloc[i] == (1 + beyond) / (len(own) + 1)
    assert dfim_fast.significance(table, null("dinucleotide")).pool == "task"
    assert dfim_fast.significance(table, matched, pool="task").pools == 1


def test_what_the_matched_null_never_saw_is_left_untested():
    table, matched = scores(), null("matched", n=30)
    with pytest.warns(UserWarning, match="have a target and distance that the null never saw"):
        found = dfim_fast.significance(table, matched[matched["target"] != "R"])
    assert found.p[table["target"] == "R"].isna().all()
    assert found.p[table["target"] != "R"].notna().all()
    assert found.tests == (table["target"] != "R").sum()


def test_unreachable_pairs_are_not_tested():
    table = scores().assign(reachable=[True, False, *[True] * (len(scores()) - 2)])
    found = dfim_fast.significance(table, null("dinucleotide"))
    assert found.p.isna().sum() == 1 and found.masked == 1


def test_a_null_made_otherwise_is_refused():
    for settings, text in (
        ({"source": "zeros"}, "mutant_rule of the scores is 'background, gc 0.46'"),
        ({"method": "gradient_corrected"}, "method of the scores"),
        ({"targets": "P"}, "target_width of the scores is"),
    ):
        with pytest.raises(NullError, match=text):
            dfim_fast.significance(scores(), null("dinucleotide", **settings))


def test_distances_fall_into_bins():
    found = distance_labels([0, 19, 20, 99, 100, 200, 5000], (20, 50, 100, 200))
    assert found.tolist() == ["under 20", "under 20", "20-50", "50-100", "100-200",
                              "200 and more", "200 and more"]  # fmt: skip


def test_errors():
    with pytest.raises(SettingsError, match="kind='matched' is for tables of motif pairs"):
        dfim_fast.null_map(model_of(NAME), SEQUENCES, "matched")
    full = pd.DataFrame({"sequence": 0, "start": [0, 30], "end": [30, LENGTH], "name": ["P", "Q"]})
    with pytest.raises(InputError, match="no sequence has room for a span"):
        dfim_fast.null_map(
            model_of(NAME), SEQUENCES[:1], "matched", features=full, method="gradient"
        )
    with pytest.raises(SettingsError, match="n=0"):
        null("matched", n=0)

"""pairwise_ism against plain predictions; what FIS approximates."""

import numpy as np
import pandas as pd
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.errors import InputError, SettingsError

NAME = "basset_legacy.onnx"
RNG = np.random.default_rng(4)
LENGTH = model_of(NAME).sequence_length
SEQUENCES = ["".join(RNG.choice(list("ACGT"), LENGTH)) for _ in range(2)]
FEATURES = pd.DataFrame({"sequence": ["q", "p", "p", "p"], "start": [0, 5, 10, 30],
                         "end": [6, 11, 16, 36], "name": list("WXYZ")})  # fmt: skip
GIVEN = {"names": ["p", "q"], "progress": False}


def score(x):
    return model_of(NAME).predict(x[None])[0, 0]


def without(x, *spans):
    new = x.copy()
    for start, end in spans:
        new[:, start:end] = np.array([0.27, 0.23, 0.23, 0.27])[:, None]
    return new


def plain_score(x):
    """Scores of columns that are not one-hot, which predict refuses."""
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan

    plan = make_plan(model_of(NAME).graph, method="gradient")
    return make_backend("reference", plan).predictions(x[None])[0, 0]


def test_all_pairs_of_a_feature_list():
    found = dfim_fast.pairwise_ism(model_of(NAME), SEQUENCES, features=FEATURES, **GIVEN)
    assert list(zip(found["source"], found["target"], strict=True)) == [
        ("X", "Y"), ("X", "Z"), ("Y", "Z")
    ]  # fmt: skip
    x = dfim_fast.one_hot(SEQUENCES)[0].astype(float)
    whole = plain_score(x)
    for row in found.itertuples():
        a, b = (row.source_start, row.source_end), (row.target_start, row.target_end)
        single = [whole - plain_score(without(x, span)) for span in (a, b)]
        joint = whole - plain_score(without(x, a, b))
        assert row.source_effect == pytest.approx(single[0], abs=1e-5)
        assert row.target_effect == pytest.approx(single[1], abs=1e-5)
        assert row.joint_effect == pytest.approx(joint, abs=1e-5)
        assert row.pairwise_ism == pytest.approx(joint - sum(single), abs=1e-5)
        assert row.lost == -row.pairwise_ism
    # the original, three single changes, three double ones: nothing twice
    assert found.attrs["passes"] == 7


def test_pairs_of_a_table_keep_their_rows():
    table = dfim_fast.motif_interactions(
        model_of(NAME), SEQUENCES, FEATURES, method="gradient", **GIVEN
    )
    shuffled = table.sample(frac=1, random_state=0)
    found = dfim_fast.pairwise_ism(model_of(NAME), SEQUENCES, shuffled, **GIVEN)
    assert found["fis"].tolist() == shuffled["fis"].tolist()
    both = found.set_index(["source", "target"])["lost"]
    for source, target in both.index:
        assert both[source, target] == pytest.approx(both[target, source])
    assert np.abs(found["lost"]).max() > 1e-3
    agreement = found.attrs["agreement"]
    assert agreement["linear"] == pytest.approx(np.corrcoef(found["fis"], found["lost"])[0, 1])
    assert agreement["rank"] == pytest.approx(found["fis"].corr(found["lost"], "spearman"))
    signs = np.sign(found["fis"]) == np.sign(found["lost"])
    assert agreement["sign"] == pytest.approx(signs[found["fis"] != 0].mean())


def test_shuffles_average_over_versions():
    given = {**GIVEN, "source": "shuffle", "n_shuffles": 3}
    found = dfim_fast.pairwise_ism(model_of(NAME), SEQUENCES, features=FEATURES, **given)
    assert found.attrs["passes"] == 1 + 6 * 3
    from dfim_fast.maps.sources import Rule
    from dfim_fast.sequence.one_hot import encode

    rule, x = Rule("shuffle", 0.46, 3, 0), dfim_fast.one_hot(SEQUENCES)[0]
    columns = rule.columns(encode(SEQUENCES)[0, 5:11], None, 0)
    scores = []
    for version in columns:
        new = x.copy()
        new[:, 5:11] = version.T
        scores.append(score(new))
    wanted = score(x) - np.mean(scores)
    assert found["source_effect"].iloc[0] == pytest.approx(wanted, abs=1e-5)


def test_what_is_wrong_is_said():
    run = dfim_fast.pairwise_ism
    with pytest.raises(SettingsError, match="either pairs= or features="):
        run(model_of(NAME), SEQUENCES)
    with pytest.raises(SettingsError, match="source='nucleotide' changes no whole feature"):
        run(model_of(NAME), SEQUENCES, features=FEATURES, source="nucleotide")
    with pytest.raises(InputError, match="no sequence holds two of them"):
        run(model_of(NAME), SEQUENCES, features=FEATURES[:2], **GIVEN)
    with pytest.raises(InputError, match="pairs have no column 'sequence', 'source_start'"):
        run(model_of(NAME), SEQUENCES, FEATURES.drop(columns="sequence"), **GIVEN)

"""matched_controls: the nearest effects of the same sequence, away from the variants."""

import inspect

import numpy as np
import pandas as pd
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.stats.null import VARIANT_DEFAULTS

NAME = "basset_legacy.onnx"
LENGTH = model_of(NAME).sequence_length
RNG = np.random.default_rng(6)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), LENGTH)) for _ in range(2)]


def variants():
    rows = [(1, 20), (0, 30), (1, 40)]
    return pd.DataFrame([
        {"sequence": s, "offset": o, "ref": SEQUENCES[s][o],
         "alt": "ACGT".replace(SEQUENCES[s][o], "")[1]} for s, o in rows
    ])  # fmt: skip


def test_controls_have_the_nearest_effects():
    found = dfim_fast.matched_controls(
        model_of(NAME), SEQUENCES, variants(), 4, apart=5, progress=False
    )
    assert found["variant"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for i, row in variants().iterrows():
        text = SEQUENCES[row["sequence"]]
        edits = {}
        for p in range(LENGTH):
            for base in "ACGT".replace(text[p], ""):
                edits[p, base] = text[:p] + base + text[p + 1 :]
        scores = model_of(NAME).predict([text, *edits.values()])[:, 0]
        effects = dict(zip(edits, scores[1:] - scores[0], strict=True))
        wanted = effects[row["offset"], row["alt"]]
        near = [o for s, o in ((1, 20), (0, 30), (1, 40)) if s == row["sequence"]]
        best: dict = {}
        for (p, base), effect in effects.items():
            if all(abs(p - o) > 5 for o in near):
                off = abs(effect - wanted)
                best[p] = min(best.get(p, (np.inf, "")), (off, base))
        order = sorted(best, key=lambda p: best[p][0])[:4]
        own = found[found["variant"] == i]
        assert own["variant_effect"].iloc[0] == pytest.approx(wanted, abs=1e-5)
        # effects that differ by no more than float32 may change places
        chosen = [best[p][0] for p in own["offset"]]
        np.testing.assert_allclose(chosen, [best[p][0] for p in order], atol=1e-5)
        assert own["ref"].tolist() == [text[p] for p in own["offset"]]
    scored = dfim_fast.variant_interactions(
        model_of(NAME), SEQUENCES, found, method="gradient", progress=False
    )
    effect = scored.groupby("variant", sort=False)["effect"].first()
    assert len(effect) == len(found)


def test_what_is_wrong_is_said():
    with pytest.raises(InputError, match="is not one base with one alternate"):
        dfim_fast.matched_controls(model_of(NAME), SEQUENCES, variants().drop(columns="alt"))
    with pytest.raises(InputError, match="fewer than 3 positions more than 60 bases"):
        dfim_fast.matched_controls(
            model_of(NAME), SEQUENCES, variants(), 3, apart=60, progress=False
        )


def test_the_matched_null_of_variants_judges_them():
    given = {"method": "gradient", "progress": False}
    table = dfim_fast.variant_interactions(model_of(NAME), SEQUENCES, variants(), 8, **given)
    null = dfim_fast.null_map(
        model_of(NAME), SEQUENCES, "matched", 4, variants=variants(), flank=8, **given
    )
    controls = dfim_fast.matched_controls(model_of(NAME), SEQUENCES, variants(), 4, progress=False)
    wanted = dfim_fast.variant_interactions(model_of(NAME), SEQUENCES, controls, 8, **given)
    pd.testing.assert_frame_equal(null, wanted)
    assert null.attrs["provenance"] == {**table.attrs["provenance"], "kind": "matched"}
    found = dfim_fast.significance(table, null)
    assert found.pool == "target" and found.pools == 8
    i = 5
    own = null["fis"][null["distance"] == table["distance"][i]]
    beyond = (abs(own - own.median()) >= abs(table["fis"][i] - own.median())).sum()
    assert found.p[i] == (1 + beyond) / (len(own) + 1)
    with pytest.raises(SettingsError, match="variants are judged by kind='matched'"):
        dfim_fast.null_map(model_of(NAME), SEQUENCES, variants=variants())


def test_the_null_has_the_defaults_of_the_scores():
    scores = inspect.signature(dfim_fast.variant_interactions).parameters
    assert VARIANT_DEFAULTS == {
        name: scores[name].default for name in VARIANT_DEFAULTS
    }  # fmt: skip
    assert set(scores) - set(VARIANT_DEFAULTS) == {
        "model", "genome_or_sequences", "variants", "random_state"
    }  # fmt: skip

"""matched_controls: the nearest effects of the same sequence, away from the variants."""

import numpy as np
import pandas as pd
import pytest
from graph.all_models import model as model_of

import dfim_fast
from dfim_fast.errors import InputError

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

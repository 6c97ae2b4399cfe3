"""null_map: what it shuffles, what it passes on, what it carries."""

from types import SimpleNamespace

import numpy as np
import pytest

from dfim_fast.errors import NullError, SettingsError
from dfim_fast.sequence.one_hot import as_one_hot, encode
from dfim_fast.sequence.shuffle import dinucleotide_shuffle
from dfim_fast.stats import null as null_module
from dfim_fast.stats.null import null_map
from dfim_fast.stats.significance import significance

SEQUENCES = ["ACGTTGCATTAGGCAACGTA", "TTTACGCGATATTGCCAAGN", "GATTACAGATTACAGGCCTA"]


def fake_interaction_map(model, X, random_state=0, task=0, names=None, references="dinucleotide"):
    """Scores that depend on the sequence alone: codes spread over sources, mutants, targets."""
    codes = encode(X)
    fis = codes[:, :3, None, None] * np.arange(4.0)[:, None] - codes[:, None, None, :6]
    mask = np.broadcast_to(np.arange(4)[:, None] != codes[:, :3, None, None], fis.shape)
    predictions = codes.sum(axis=1).astype(np.float32)
    tasks = task if isinstance(task, list) else [task]
    if isinstance(task, list):
        fis, mask = np.stack([fis] * len(task)), np.stack([mask] * len(task))
        predictions = np.stack([predictions] * len(task))
    return SimpleNamespace(
        fis=fis.astype(np.float32),
        mask=mask.copy(),
        sequences=codes,
        predictions=predictions,
        names=names or [str(i) for i in range(len(codes))],
        task_names=[f"task {i}" for i in tasks],
        provenance={
            "kind": "observed",
            "task": [f"task {i}" for i in tasks],
            "reduction": "none",
            "references": np.shape(references)[1:] or references,
        },
        seen={"X": X, "random_state": random_state, "references": references, "model": model},
    )


@pytest.fixture
def seen(monkeypatch):
    """Settings of the last call of the fake."""
    calls = {}

    def spy(*args, **kwargs):
        maps = fake_interaction_map(*args, **kwargs)
        calls.update(maps.seen)
        return maps

    monkeypatch.setattr(null_module, "interaction_map", spy)
    return calls


def test_rows_are_maps_of_the_shuffles(seen):
    null = null_map("the model", SEQUENCES, n=2, random_state=7)
    shuffles = dinucleotide_shuffle(SEQUENCES, n=2, random_state=7, purpose="null")
    np.testing.assert_array_equal(seen["X"], shuffles.reshape(6, 4, 20))
    assert seen["model"] == "the model" and seen["random_state"] == 7
    assert null.sequence.tolist() == [0, 0, 1, 1, 2, 2]
    for row, i, k in ((0, 0, 0), (3, 1, 1), (5, 2, 1)):
        alone = fake_interaction_map(None, shuffles[i, k : k + 1])
        np.testing.assert_array_equal(null.fis[row], alone.fis[0])
        np.testing.assert_array_equal(null.mask[row], alone.mask[0])
        assert null.predictions[row] == alone.predictions[0]
    np.testing.assert_array_equal(null.originals, encode(SEQUENCES))
    assert null.provenance == {
        "kind": "dinucleotide",
        "task": ["task 0"],
        "reduction": "none",
        "references": "dinucleotide",
    }
    assert (null.n, null.random_state, len(null.names)) == (2, 7, 6)
    assert repr(null) == (
        "NullMap(kind='dinucleotide', 3 sequences x 2 shuffles, fis (6, 3, 4, 6), "
        f"{null.mask.sum()} tested cells)"
    )


def test_a_null_does_not_repeat_the_references(seen):
    null_map(None, SEQUENCES, n=3)
    references = dinucleotide_shuffle(SEQUENCES, n=3, random_state=0)
    assert not np.array_equal(seen["X"], references.reshape(9, 4, 20))


def test_what_belongs_to_a_sequence_goes_to_its_shuffles(seen):
    references = np.stack([as_one_hot(SEQUENCES)] * 2, axis=1) * 0.25
    null = null_map(None, SEQUENCES, n=2, references=references, names=["x", "y", "z"])
    np.testing.assert_array_equal(seen["references"], references[[0, 0, 1, 1, 2, 2]])
    assert null.names == ["x", "x", "y", "y", "z", "z"]
    shared = references[0]
    null_map(None, SEQUENCES, n=2, references=shared)
    assert seen["references"] is shared


@pytest.mark.parametrize("task", [0, [0, 1]])
@pytest.mark.parametrize("pool", ["global", "task", "sequence"])
def test_significance_takes_a_null_map(seen, task, pool):
    scores = null_module.interaction_map(None, SEQUENCES, task=task)
    null = null_map(None, SEQUENCES, n=4, task=task)
    result = significance(scores, null, pool=pool)
    assert result.p.shape == scores.fis.shape and result.null_kind == "dinucleotide"
    mask, values = scores.mask[..., 1, :, :, :], scores.fis[..., 1, :, :, :]
    rows = null.sequence == 1 if pool == "sequence" else slice(None)
    own = null.fis[..., rows, :, :, :][null.mask[..., rows, :, :, :]].astype(np.float64)
    m = np.median(own)  # both tasks of the fake are the same, so pooling them changes no share
    share = [(np.abs(own - m) >= abs(v - m)).mean() for v in values[mask]]
    size = len(own) // (2 if isinstance(task, list) and pool != "global" else 1)
    wanted = (1 + np.round(np.array(share) * size)) / (size + 1)
    np.testing.assert_allclose(result.p[..., 1, :, :, :][mask], wanted, rtol=1e-12)


def test_a_null_of_other_sequences_or_settings_is_refused(seen):
    scores = null_module.interaction_map(None, SEQUENCES)
    with pytest.raises(NullError, match="sequence 0 is another one; make both from the same X"):
        significance(scores, null_map(None, SEQUENCES[::-1]), pool="sequence")
    with pytest.raises(NullError, match=r"task of the scores is \['task 0'\], of the null \['task"):
        significance(scores, null_map(None, SEQUENCES, task=1))
    null = null_map(None, SEQUENCES)
    # A null can itself be judged, by another null of the same sequences.
    other = null_map(None, SEQUENCES, n=5, random_state=1)
    assert significance(null, other, pool="sequence").p.shape == null.fis.shape


def test_unknown_kinds_and_numbers_are_named(seen):
    with pytest.raises(SettingsError, match=r"^null_map: kind='matched' is for tables of motif"):
        null_map(None, SEQUENCES, kind="matched")
    with pytest.raises(SettingsError, match=r"^null_map: kind='other' is not known; use 'dinuc"):
        null_map(None, SEQUENCES, kind="other")
    with pytest.raises(SettingsError, match="n=0 shuffles: pass an integer of at least 1"):
        null_map(None, SEQUENCES, n=0)
    assert not seen

"""Mutant arrays and their keys."""

import numpy as np
import pytest
from compat.scene import ELEMENTS, LENGTH, MODEL, locations, sequences

from dfim_fast.compat import core
from dfim_fast.errors import InputError, SettingsError

X = sequences()


def test_elements_become_background_and_each_original_comes_first():
    array, key = core.generate_mutants_and_key(X, locations(), mutant_gc_fraction=0.4)
    assert array.shape == (12, LENGTH, 4) and array.dtype == np.float32
    columns = ["array_ind", "label", "seq", "mut_key", "mut_start", "mut_end"]
    assert list(key.columns) == columns
    assert key["array_ind"].tolist() == list(range(12))
    originals = key[key["label"] == "original"]
    assert originals["array_ind"].tolist() == [0, 4, 8]
    assert set(originals["mut_key"]) == {"original"} and set(originals["mut_start"]) == {-1}
    np.testing.assert_array_equal(array[[0, 4, 8]], X)
    row = key.iloc[6]
    assert row["label"] == "seq_1_emb_pos-30_B-TTGA;seq_1_loc30-34"
    assert (row["seq"], row["mut_start"], row["mut_end"]) == (1, 30, 34)
    wanted = X[1].copy()
    wanted[30:34] = [0.3, 0.2, 0.2, 0.3]
    np.testing.assert_allclose(array[6], wanted, atol=1e-7)


def test_a_fraction_of_zero_fills_with_zeros_and_an_index_chooses():
    array, key = core.generate_mutants_and_key(X, locations(), [2], mutant_gc_fraction=0)
    assert set(key["seq"]) == {2}
    assert not array[1, 10:16].any() and array[1, 16:50].any(axis=1).all()


def test_every_base_becomes_every_other_letter():
    array, key = core.generate_mutants_and_key(X[:1], locations(1, ELEMENTS[:1]), per_base_map=True)
    assert len(array) == 1 + 6 * 3
    assert list(key.columns[-2:]) == ["orig_letter", "mut_letter"]
    assert key["label"][1] == "seq_0_AtoC_at10" and key["mut_end"][1] == 11
    for row in key[1:].to_dict("records"):
        changed = np.flatnonzero((array[row["array_ind"]] != X[0]).any(axis=1))
        assert changed.tolist() == [row["mut_start"]]
        assert array[row["array_ind"], row["mut_start"], "ACGT".index(row["mut_letter"])] == 1
        assert X[0, row["mut_start"], "ACGT".index(row["orig_letter"])] == 1


def test_a_single_base_is_an_element_and_an_n_is_none():
    one = [("pos-49_A-A", 49, 51)]  # 50 is N
    _, key = core.generate_mutants_and_key(X[:1], locations(1, one), per_base_map=True)
    assert set(key["mut_start"]) == {-1, 49}
    single = [("pos-12_A-A", 12, 13)]
    array, _ = core.generate_mutants_and_key(X[:1], locations(1, single))
    assert (array[1] != X[0]).any(axis=1).sum() == 1


def test_labels_of_overlapping_elements_stay_apart():
    _, key = core.generate_mutants_and_key(X, locations(), per_base_map=True)
    assert not key.duplicated(["seq", "label"]).any()
    at_31 = key[(key["seq"] == 0) & (key["mut_start"] == 31) & (key["mut_letter"] == "A")]
    assert at_31["label"].tolist() == ["seq_0_TtoA_at31", "seq_0_TtoA_at31;seq_0_emb_pos-31_C-TGA"]


PAIR = {"p": {"seq": 0, "mut_starts": [10, 30], "mut_ends": [16, 34], "mut_names": ["A", "B"]}}


def test_pairs_are_mutated_alone_and_together():
    array, key = core.generate_mutants_for_all_embedding_pairs(X, PAIR, [0])
    assert key["mut_type"].tolist() == [-1, "single", "single", "all"]
    assert key["label"].tolist()[1:] == [
        "seq_0_mut_10-16", "seq_0_mut_30-34", "seq_0_mut_10-34"]  # fmt: skip
    both = np.flatnonzero((array[3] != X[0]).any(axis=1))
    assert both.tolist() == [*range(10, 16), *range(30, 34)]
    bases = {"p": {**PAIR["p"], "mut_bases": ["GGGGGG", "CCCC"]}}
    array, _ = core.generate_mutants_for_all_embedding_pairs(X, bases, [0])
    assert array[3, 10:16, 2].all() and array[3, 30:34, 1].all()


def test_what_cannot_be_mutated_is_named():
    with pytest.raises(InputError, match=r"location 'far': 75\.\.90 is no span within 0\.\.80"):
        core.generate_mutants_and_key(X, {"far": {"seq": 0, "mut_start": 75, "mut_end": 90}})
    with pytest.raises(SettingsError, match="sequence_index holds 3; there are 3 sequences"):
        core.generate_mutants_and_key(X, locations(), [3])
    with pytest.raises(InputError, match="channels come second"):
        core.generate_mutants_and_key(X.swapaxes(1, 2), locations())
    with pytest.raises(SettingsError, match="mutants holds 'N'"):
        core.generate_mutants_and_key(X, locations(), mutants=["A", "N"])
    with pytest.raises(InputError, match="mut_bases"):
        core.generate_mutants_for_all_embedding_pairs(
            X, {"p": {**PAIR["p"], "mut_bases": ["GG", "CCCC"]}}
        )
    broken = X.copy()
    broken[1, 3] = 2
    with pytest.raises(InputError, match="row 1, position 3"):
        core.generate_mutants_and_key(broken, locations())


def test_in_silico_mutagenesis_is_original_minus_mutant():
    array, key = core.generate_mutants_and_key(X, locations(), [0, 2], mutant_gc_fraction=0)
    found = core.ism_from_mutants(array, key, X, MODEL, index_for_ism=1)
    scores = MODEL.predict(array.swapaxes(1, 2))[:, 1]
    np.testing.assert_allclose(found["prediction"], scores, atol=1e-6)
    before = np.repeat(scores[[0, 4]], 4)
    np.testing.assert_allclose(found["ism_score"], before - scores, atol=1e-6)
    with pytest.raises(SettingsError, match="index_for_ism=9"):
        core.ism_from_mutants(array, key, X, MODEL, 9)

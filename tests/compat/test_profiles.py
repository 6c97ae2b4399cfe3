"""Delta profiles and the maps made from them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from compat.scene import ELEMENTS, LENGTH, locations, sequences

from dfim_fast.compat import core
from dfim_fast.errors import InputError, OutputError, SettingsError

X = sequences()
ARRAY, KEY = core.generate_mutants_and_key(X, locations())
# any numbers serve as importance; those of a sequence differ between its rows
SCORES = {0: np.random.default_rng(2).normal(size=ARRAY.shape) * (ARRAY == 1)}
FIRST = "seq_0_emb_pos-10_A-ACGTAC;seq_0_loc10-16"


def deltas(**settings):
    return core.compute_delta_profiles(SCORES, KEY, locations(), [0], [0, 1, 2], **settings)


def test_a_profile_says_all_of_a_mutant_and_a_response():
    predictions = np.arange(24.0).reshape(12, 2)
    found = deltas(task_dict={0: 1}, mutated_seq_preds=predictions)
    assert list(found[0]) == [0, 1, 2] and len(found[0][1]) == 3
    responses = found[0][0][FIRST]
    assert list(responses) == ["resp_A_10to16", "resp_B_30to34", "resp_C_31to34"]
    own = responses["resp_B_30to34"]
    np.testing.assert_array_equal(own["orig_profile"], SCORES[0][0, 30:34])
    np.testing.assert_array_equal(own["mut_profile"], SCORES[0][1, 30:34])
    np.testing.assert_array_equal(own["delta_profile"], SCORES[0][0, 30:34] - SCORES[0][1, 30:34])
    assert (own["orig_pred"], own["mut_pred"], own["prediction_diff"]) == (1, 3, -2)
    assert (own["mut_start"], own["resp_start"], own["resp_end"]) == (10, 30, 34)
    assert own["mut_key"] == "seq_0_emb_pos-10_A-ACGTAC" and own["mut_name"] == ELEMENTS[0][0]
    assert not responses["resp_A_10to16"]["delta_profile"].any()


def test_the_earlier_order_of_arguments_is_understood():
    predictions = np.arange(12.0)
    call = (SCORES, KEY, locations(), [0], [0, 1, 2])
    old = core.compute_delta_profiles(*call, predictions)
    new = core.compute_delta_profiles(*call, {0: 0}, predictions)
    own, wanted = (d[0][0][FIRST]["resp_B_30to34"] for d in (old, new))
    assert own["mut_pred"] == wanted["mut_pred"] == 1
    assert core.compute_delta_profiles(*call, predictions, 99.0) == {0: {}}
    assert core.compute_delta_profiles(*call, None, 99.0) == {0: {}}


def test_only_captured_sequences_are_kept():
    largest = [
        max(np.abs(r["delta_profile"]).max() for x in by_label.values() for r in x.values())
        for by_label in deltas()[0].values()
    ]
    limit = sorted(largest)[1]
    kept = deltas(capture_seqs_max_thresh=limit)[0]
    assert list(kept) == [i for i, value in enumerate(largest) if value >= limit]


def window(start, end):
    """Profiles of element A (10..16) at one response."""
    where = {**locations(1)["seq_0_emb_pos-10_A-ACGTAC"]}
    where.update(resp_start=[start], resp_end=[end], resp_names=["w"])
    table = {"seq_0_emb_pos-10_A-ACGTAC": where}
    key = KEY[KEY["array_ind"] < 2]
    found = [
        core.compute_delta_profiles(
            {0: SCORES[0][:2]}, key, table, [0], [0], strict=strict
        )[0][0][FIRST][f"resp_w_{start}to{end}"]["delta_profile"]
        for strict in (False, True)
    ]  # fmt: skip
    full = SCORES[0][0, start:end] - SCORES[0][1, start:end]
    inside = (np.arange(start, end) >= 10) & (np.arange(start, end) < 16)
    assert full[inside].any()  # which is what there is to be zeroed
    return *found, full, inside


@pytest.mark.parametrize(("start", "end"), [(13, 30), (5, 14), (12, 15), (10, 16), (5, 16)])
def test_the_mutation_is_zeroed_where_it_overlaps_a_response(start, end):
    found, strict, full, inside = window(start, end)
    assert not found[inside].any()
    np.testing.assert_array_equal(found[~inside], full[~inside])
    # the original's slice ends at mut_end - resp_end and misses these
    np.testing.assert_array_equal(strict, full)


def test_the_originals_slice_is_right_inside_a_response():
    found, strict, _, _ = window(0, 40)
    np.testing.assert_array_equal(found, strict)


def test_a_map_of_elements_holds_the_largest_position():
    found = core.compute_dfim(deltas(), [0, 2], [0])
    assert list(found[0]) == [0, 2] and found[0][0].shape == (3, 3)
    delta = np.abs(SCORES[0][0] - SCORES[0][1]).sum(axis=1)
    np.testing.assert_allclose(found[0][0][0], [-1, delta[30:34].max(), delta[31:34].max()])
    # B holds C: its own positions are zero, C's are all inside
    assert found[0][0][1, 2] == 0
    signed = core.compute_dfim(deltas(), [0], [0], [np.sum, np.sum], [1, 0], absolute_value=False)
    wanted = (SCORES[0][0] - SCORES[0][1])[30:34].sum()
    np.testing.assert_allclose(signed[0][0][0, 1], wanted)


def test_maps_are_annotated_with_the_elements_names():
    found = core.compute_dfim(deltas(), [0], [0], annotate=True, mutated_seq_key=KEY)[0][0]
    assert isinstance(found, pd.DataFrame)
    assert list(found.index) == list(found.columns) == ["10_A", "30_B", "31_C"]
    plain = core.compute_dfim(deltas(), [0], [0])[0][0]
    np.testing.assert_array_equal(found, plain)


def test_elements_that_share_a_start_keep_rows_of_their_own():
    elements = [ELEMENTS[0], ("pos-30_B-TTGA", 30, 34), ("pos-30_D-TT", 30, 32)]
    array, key = core.generate_mutants_and_key(X[:1], locations(1, elements))
    scores = {0: np.random.default_rng(3).normal(size=array.shape) * (array == 1)}
    found = core.compute_delta_profiles(scores, key, locations(1, elements), [0], [0])
    apart = core.compute_dfim(found, [0], [0])[0][0]
    assert apart.shape == (3, 3)
    delta = [np.abs(scores[0][0] - scores[0][i]).sum(axis=1)[10:16].max() for i in (1, 2, 3)]
    np.testing.assert_allclose(apart[:, 0], [-1, delta[2], delta[1]])  # rows by start, then end
    assert apart[1, 2] > 0  # D mutated, the rest of B responds
    # the original told elements by their start: the last overwrote the one before
    strict = core.compute_dfim(found, [0], [0], strict=True)[0][0]
    assert strict.shape == (2, 2)
    np.testing.assert_allclose(strict[1, 0], delta[2])


def test_per_element_returns_what_is_asked_for():
    arguments = (deltas(), 0, 0, [10, 30, 31], [10, 30, 31], -1, [np.sum, np.max], [1, 0], True)
    array = core.dfim_per_element(*arguments)
    assert isinstance(array, np.ndarray)  # return_array=True returned None
    table = core.dfim_per_element(*arguments, return_array=False)
    assert list(table.index) == [10, 30, 31]
    np.testing.assert_array_equal(table, array)
    np.testing.assert_array_equal(array, core.compute_dfim(deltas(), [0], [0])[0][0])


def whole_sequence():
    """One response for all: the sequence."""
    table = locations(2)
    for entry in table.values():
        entry.update(resp_start=[0], resp_end=[LENGTH], resp_names=["all"])
    return table


def test_a_single_response_gives_scores_by_label():
    key = KEY[KEY["seq"] < 2]
    found = core.compute_delta_profiles({0: SCORES[0][:8]}, key, whole_sequence(), [0], [0, 1])
    scores = core.compute_dfim(found, [0, 1], [0])
    delta = np.abs(SCORES[0][0] - SCORES[0][1]).sum(axis=1)
    delta[10:16] = 0
    assert scores[0][0][FIRST] == pytest.approx(delta.max())
    by_base = core.dfim_element_by_base(found, 0, 0, -1, [np.sum, None], [1, None], True)[FIRST]
    delta[10:16] = -1
    np.testing.assert_allclose(by_base, delta)


def test_a_map_by_base_has_five_axes():
    elements = ELEMENTS[1:]
    array, key = core.generate_mutants_and_key(X[:1], locations(1, elements), per_base_map=True)
    scores = {0: np.random.default_rng(3).normal(size=array.shape) * (array == 1)}
    found = core.compute_delta_profiles(scores, key, locations(1, elements), [0], [0])
    maps = core.compute_dfim(
        found, [0], [0], [None, None], [None, None], mutated_seq_key=key, per_base_map=True
    )[0][0]
    assert list(maps) == [f"seq_0_emb_{e[0]}" for e in elements]  # C's overlap B's, and are there
    b, c = maps.values()
    assert b.shape == (4, 4, 4, 7, 4) and c.shape == (3, 4, 4, 7, 4)
    # T at 31 to A: of B's positions, then of C's
    row = key[(key["mut_start"] == 31) & (key["mut_letter"] == "A")]["array_ind"].iloc[0]
    delta = np.abs(scores[0][0] - scores[0][row])
    delta[31] = 0
    np.testing.assert_allclose(b[1, 3, 0], np.concatenate([delta[30:34], delta[31:34]]))
    assert (b[1, 3, 3] == -1).all() and (b[1, 0] == -1).all()
    reduced = core.compute_dfim(
        found, [0], [0], [np.max, np.max], [1, 1], mutated_seq_key=key, per_base_map=True
    )[0][0]
    np.testing.assert_array_equal(next(iter(reduced.values())), b.max(axis=(1, 2)))
    rows = key[key["mut_key"] == next(iter(maps))]
    direct = core.dfim_per_base(rows, 7, -1, found, 0, 0, True, [None], [None])
    np.testing.assert_array_equal(direct, b)


def test_strong_interactions_are_captured(tmp_path):
    found = deltas()
    maps = core.compute_dfim(found, [0, 1, 2], [0])
    everything = core.capture_strong_interactions(maps, found)  # the original failed on this call
    best = max((maps[0][seq].max(), seq) for seq in maps[0])
    limit = np.sort(np.concatenate([m[m != -1] for m in maps[0].values()]))[-2]
    strongest = core.capture_strong_interactions(maps, found, score_thresh=limit)
    assert list(strongest[0]) == [best[1]]
    ((profile,),) = ([*r.values()] for r in strongest[0][best[1]].values())
    assert profile["dfim_score"] == best[0]
    count = sum(len(r) for s in everything[0].values() for r in s.values())
    assert count == sum((m > 0.01).sum() for m in maps[0].values())
    path = tmp_path / "strong.pkl"
    half = core.capture_strong_interactions(maps, found, top_pct=50, pickle_file=path)
    assert sum(len(r) for s in half[0].values() for r in s.values()) == 9
    assert pickle.loads(path.read_bytes())[0].keys() == half[0].keys()
    with pytest.raises(OutputError, match="cannot be written"):
        core.capture_strong_interactions(maps, found, pickle_file=tmp_path / "no" / "x.pkl")
    with pytest.raises(SettingsError, match="top_pct=0"):
        core.capture_strong_interactions(maps, found, top_pct=0)


def test_what_does_not_fit_is_named():
    found = deltas()
    with pytest.raises(InputError, match=r"score_dict\[0\] holds 11 rows, mutated_seq_key 12"):
        core.compute_delta_profiles({0: SCORES[0][1:]}, KEY, locations(), [0], [0])
    with pytest.raises(InputError, match="sequence 5 is not in mutated_seq_key"):
        core.compute_delta_profiles(SCORES, KEY, locations(), [0], [5])
    with pytest.raises(SettingsError, match="task 3 has no scores"):
        core.compute_delta_profiles(SCORES, KEY, locations(), [3], [0])
    with pytest.raises(InputError, match="has no responses for"):
        core.compute_delta_profiles(SCORES, KEY, {}, [0], [0])
    with pytest.raises(InputError, match="have no column 1 for task 0"):
        deltas(task_dict={0: 1}, mutated_seq_preds=np.zeros(12))
    with pytest.raises(SettingsError, match="to leave one number"):
        core.compute_dfim(found, [0], [0], [np.sum], [1])
    with pytest.raises(SettingsError, match="2 operations and 1 operation_axes"):
        core.compute_dfim(found, [0], [0], [np.sum, np.max], [1])
    with pytest.raises(SettingsError, match="axis 3 does not exist"):
        core.compute_dfim(found, [0], [0], [np.sum], [3])
    with pytest.raises(InputError, match="per_base_map=True needs mutated_seq_key"):
        core.compute_dfim(found, [0], [0], per_base_map=True)

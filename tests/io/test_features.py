"""Feature tables of every form, and their place on sequences."""

import gzip

import pandas as pd
import pytest

from dfim_fast.errors import InputError
from dfim_fast.io.features import place_features, read_features

FORMS = {
    "table": "sequence\tstart\tend\tname\tstrand\ns1\t3\t9\tGATA\t+\ns2\t5\t11\tTAL1\t-\n",
    "commas": "name,sequence,start,end,strand\nGATA,s1,3,9,+\nTAL1,s2,5,11,-\n",
    "bed": "track name=x\n#c\ns1\t3\t9\tGATA\t7\t+\ns2\t5\t11\tTAL1\t8\t-\tmore\n",
    "fimo": "motif_id\tmotif_alt_id\tsequence_name\tstart\tstop\tstrand\tscore\tp-value\tq-value\t"
    "matched_sequence\nMA1\tGATA\ts1\t4\t9\t+\t7\t1e-5\t\tACGTTA\n"
    "TAL1\t\ts2\t6\t11\t-\t8\t1e-5\t\tACGTTA\n\n# FIMO (Find Individual Motif Occurrences)\n",
    "finemo": "chr\tstart\tend\tstart_untrimmed\tend_untrimmed\tmotif_name\thit_coefficient\t"
    "hit_correlation\thit_importance\tstrand\tpeak_name\tpeak_id\n"
    "s1\t3\t9\t1\t20\tGATA\t7\t0.9\t1\t+\tp\t0\ns2\t5\t11\t1\t20\tTAL1\t8\t0.9\t1\t-\tp\t1\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_features(form, tmp_path):
    path = tmp_path / "features"
    path.write_text(FORMS[form])
    found = read_features(path)
    assert found["sequence"].tolist() == ["s1", "s2"]
    assert found["start"].tolist() == [3, 5] and found["end"].tolist() == [9, 11]
    assert found["name"].tolist() == ["GATA", "TAL1"] and found["strand"].tolist() == ["+", "-"]
    if "score" in found.columns:
        assert found["score"].tolist() == [7, 8]
    with gzip.open(tmp_path / "z", "wt") as handle:
        handle.write(FORMS[form])
    pd.testing.assert_frame_equal(found, read_features(tmp_path / "z"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; wanted at least one feature"),
        ("s1\t3\t9\n", "3 columns; wanted BED with names"),
        ("sequence\tstart\tend\tname\n", "only a line of names"),
        ("sequence\tstart\tend\tname\ns1\t3\n", "row 1: 2 columns; the first line has 4"),
        ("s1\tx\t9\tGATA\n", "feature 0: start is 'x'; wanted a whole number"),
    ],
)
def test_what_is_wrong_is_said(text, message, tmp_path):
    path = tmp_path / "f.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_features(path)
    with pytest.raises(InputError, match="no such feature file"):
        read_features(tmp_path / "absent")


def test_features_of_a_genome_are_placed_on_each_sequence_that_holds_them():
    features = pd.DataFrame({"sequence": ["c1", "c1", "c2"], "start": [110, 195, 0],
                             "end": [120, 205, 9], "name": list("abc")})  # fmt: skip
    names = ["c1:100-200", "c1:50-150", "c1:180-280"]
    with pytest.warns(UserWarning, match="1 of 3 features lie in no sequence"):
        found = place_features(features, names, 100)
    assert found[["sequence", "start", "end", "name"]].to_numpy().tolist() == [
        [0, 10, 20, "a"], [1, 60, 70, "a"], [2, 15, 25, "b"]
    ]  # fmt: skip
    with pytest.raises(InputError, match="none of the 1 features lies in a sequence"):
        place_features(features[2:], names, 100)


def test_features_of_sequences_keep_their_place():
    features = pd.DataFrame({"sequence": ["y", "x"], "start": [1, 2], "end": [3, 4], "name": "m"})
    assert place_features(features, ["x", "y"], 9)["sequence"].tolist() == [1, 0]

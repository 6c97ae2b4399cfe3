"""Encoding, readers and rankings."""

import gzip
from itertools import pairwise

import numpy as np
import pandas as pd
import pysam
import pytest
from compat.scene import MODEL, sequences

from dfim_fast.compat import util
from dfim_fast.errors import InputError

X = sequences()


def test_letters():
    rows = util.one_hot_encode("ACGTNa")
    assert rows.shape == (6, 4) and not rows[4].any() and rows[5, 0] == 1
    assert util.convert_one_hot_to_fasta(rows[None]) == ["ACGTNA"]
    assert [util.get_orig_letter(row) for row in rows] == list("ACGTNA")
    assert [util.get_letter_index(letter) for letter in "ACgT"] == [0, 1, 2, 3]
    with pytest.raises(InputError, match="letter 'N'"):
        util.get_letter_index("N")


def test_shuffles_of_one_sequence():
    text = util.convert_one_hot_to_fasta(X[:1])[0]
    assert sorted(util.random_shuffle_fasta(text)) == sorted(text) != list(text)
    assert util.random_shuffle_fasta(text, seed=2) != util.random_shuffle_fasta(text)
    shuffled = util.random_shuffle_one_hot(X[0])
    assert util.convert_one_hot_to_fasta(shuffled[None])[0] == util.random_shuffle_fasta(text)
    pairs = [sorted(a + b for a, b in pairwise(t)) for t in
             (text, util.dinuc_shuffle(text))]  # fmt: skip
    assert pairs[0] == pairs[1] and util.dinuc_shuffle(text) != text
    # the original gave all sequences one permutation
    digits = [util.random_shuffle_one_hot(X[i], strict=True) for i in (0, 1)]
    order = [tuple(a) + tuple(b) for a, b in zip(*digits, strict=True)]
    assert sorted(order) == sorted(tuple(a) + tuple(b) for a, b in zip(X[0], X[1], strict=True))


def test_correct_predictions():
    true, predicted = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.1, 0.7])
    assert util.get_correct_predictions(true, predicted).tolist() == [0]
    assert util.get_correct_predictions(true, predicted, neg_threshold=0.2).tolist() == [0, 2]
    both = util.get_correct_predictions(np.stack([true, 1 - true], 1), np.stack([predicted] * 2, 1))
    assert {task: rows.tolist() for task, rows in both.items()} == {0: [0], 1: [3]}
    with pytest.raises(InputError, match=r"true_labels have shape \(4,\), predicted"):
        util.get_correct_predictions(true, predicted[:3])


def test_correct_predictions_of_a_model():
    scores = MODEL.predict(X.swapaxes(1, 2))
    limit = float(np.median(scores[:, 0]))
    labels = pd.DataFrame({"chrom": "1", "start": 0, "end": 80} | {
        f"t{t}": np.ones(3, int) for t in range(scores.shape[1])}, index=range(3))  # fmt: skip
    found = util.get_correct_predictions_from_model(MODEL, X, labels, pos_threshold=limit)
    assert found[0].tolist() == np.flatnonzero(scores[:, 0] > limit).tolist()
    again = util.get_correct_predictions_from_model(
        MODEL, X, labels.iloc[:, 3:].to_numpy(), pos_threshold=limit
    )
    assert again[0].tolist() == found[0].tolist()


@pytest.fixture
def simdata(tmp_path):
    """Three sequences; the second holds one motif, the third none."""
    path = tmp_path / "sim.gz"
    lines = [
        "seqName\tsequence\tembeddings",
        "s0\t-\tpos-10_A_known1-ACGTAC,pos-30_B-TTGA",
        "s1\t-\tpos-30_B-TTGA",
        "s2\t-\t",
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return path


def test_locations_from_simdata(simdata):
    found = util.process_locations_from_simdata(X, simdata)
    assert list(found) == [
        "seq_0_emb_pos-10_A_known1-ACGTAC", "seq_0_emb_pos-30_B-TTGA", "seq_1_emb_pos-30_B-TTGA"
    ]  # fmt: skip
    assert found["seq_0_emb_pos-10_A_known1-ACGTAC"] == {
        "seq": 0, "mut_start": 10, "mut_end": 16, "mut_name": "10_A_known1",
        "resp_start": [10, 30], "resp_end": [16, 34], "resp_names": ["10_A_known1", "30_B"],
    }  # fmt: skip
    pairs = util.process_all_embedding_pairs_from_simdata(X, simdata)
    assert pairs == {
        "seq_0_emb_pos-10_A_known1-ACGTAC;seq_0_emb_pos-30_B-TTGA": {
            "seq": 0, "mut_starts": [10, 30], "mut_ends": [16, 34],
            "mut_names": ["10_A_known1", "30_B"],
        }
    }  # fmt: skip


def test_simdata_of_other_sequences_is_refused(simdata, tmp_path):
    with pytest.raises(InputError, match="3 sequences, the array has 2"):
        util.process_locations_from_simdata(X[:2], simdata)
    other = X.copy()
    other[1, 31] = other[1, 31][[1, 2, 3, 0]]
    with pytest.raises(InputError, match=r"sequence 1 holds 'T[ACG]GA' at 30"):
        util.process_locations_from_simdata(other, simdata)
    bad = tmp_path / "bad.tsv"
    bad.write_text("seqName\tembeddings\ns0\t30_B-TTGA\n")
    with pytest.raises(InputError, match=r"bad\.tsv, line 2: embedding '30_B-TTGA'"):
        util.process_locations_from_simdata(X[:1], bad)
    bad.write_text("seqName\n")
    with pytest.raises(InputError, match="no column 'embeddings'"):
        util.process_locations_from_simdata(X[:1], bad)


@pytest.fixture
def genome(tmp_path):
    """A contig of 60 bases with its index, and a BED of two regions."""
    path = tmp_path / "g.fa"
    path.write_text(">c1\n" + "ACGGT" * 12 + "\n")
    pysam.faidx(str(path))
    bed = tmp_path / "r.bed"
    bed.write_text("c1\t20\t30\nc1\t30\t40\n")
    return path, bed


def test_sequences_from_bed(genome):
    path, bed = genome
    texts = util.load_sequences_from_bed(bed_file=bed, genome_file=path, return_fasta=True)
    assert texts == ["ACGGTACGGT"] * 2  # the first row too
    assert len(util.load_sequences_from_bed(bed, genome_file=path, strict=True)) == 1
    table = pd.DataFrame({"c": ["c1"], "s": [21], "e": [25], "name": ["x"]})
    rows = util.load_sequences_from_bed(bed=table, genome_file=path)
    assert rows.shape == (1, 4, 4) and util.convert_one_hot_to_fasta(rows) == ["CGGT"]


def test_sequences_and_locations_from_bed(genome):
    path, bed = genome
    rows, found = util.process_seqs_and_locations_from_bed(bed, path, seq_len=20, flank_size=3)
    assert util.convert_one_hot_to_fasta(rows) == ["ACGGT" * 4] * 2
    assert list(found) == ["seq_0_c1:20-30", "seq_1_c1:30-40"]
    assert found["seq_1_c1:30-40"] == {
        "seq": 1, "mut_start": 7, "mut_end": 13, "mut_name": "c1:30-40",
        "resp_start": [0], "resp_end": [20], "resp_names": ["sequence"],
    }  # fmt: skip
    assert len(util.process_seqs_and_locations_from_bed(bed, path, 20, 3, strict=True)[1]) == 1


def test_sequences_and_labels_from_bed(genome, tmp_path):
    path, bed = genome
    labels = tmp_path / "labels.tsv"
    labels.write_text("chrom\tstart\tend\ttal\tgata\nc1\t30\t40\t0\t1\nc1\t20\t30\t1\t1\n")
    _, _, table = util.process_seqs_and_locations_from_bed_and_labels(bed, labels, path, 20, 3)
    assert list(table.columns) == ["chrom", "start", "end", "tal", "gata"]
    assert table["tal"].tolist() == [1, 0] and table["start"].tolist() == [20, 30]
    labels.write_text("c1\t30\t40\t0\n")
    with pytest.raises(InputError, match=r"line 1: .*labels\.tsv has no labels of c1:20-30"):
        util.process_seqs_and_locations_from_bed_and_labels(bed, labels, path, 20, 3)
    labels.write_text("c1\t30\t40\tyes\n")
    with pytest.raises(InputError, match=r"labels\.tsv, line 1: 'c1 30 40 yes'"):
        util.process_seqs_and_locations_from_bed_and_labels(bed, labels, path, 20, 3)


def test_wrong_regions_are_named(genome):
    path, bed = genome
    with pytest.raises(InputError, match=r"r\.bed, line 1: c1:-5-55 leaves c1 \(60 bases\)"):
        util.process_seqs_and_locations_from_bed(bed, path, seq_len=60)
    with pytest.raises(InputError, match="genome_file is missing"):
        util.load_sequences_from_bed(bed)
    with pytest.raises(InputError, match="pass either bed_file"):
        util.load_sequences_from_bed(genome_file=path)
    bed.write_text("c2\t1\t5\n")
    with pytest.raises(InputError, match="no contig 'c2'"):
        util.load_sequences_from_bed(bed, genome_file=path)
    bed.write_text("c1\t5\t5\n")
    with pytest.raises(InputError, match=r"line 1: 5\.\.5 is empty"):
        util.load_sequences_from_bed(bed, genome_file=path)
    bed.write_text("# nothing\n")
    with pytest.raises(InputError, match="empty; wanted at least one region"):
        util.load_sequences_from_bed(bed, genome_file=path)


def test_rankings():
    scores = {0: {0: np.array([[-1, 1.0], [2.0, -1]]), 5: {"a": 9.0}, 7: np.array([[-1.0, 4.0]])}}
    p = {0: {0: np.array([[1, 0.01], [0.2, 1]]), 5: {"a": 0.5}, 7: np.array([[1.0, 0.001]])}}
    assert util.rank_by_min_pval(p) == {0: [(7, 0.001), (0, 0.01), (5, 0.5)]}
    assert util.rank_by_max_total_interaction(scores) == {0: [(5, 9.0), (7, 4.0), (0, 3.0)]}
    assert util.rank_by_max_total_interaction(scores, p) == {0: [(7, 4.0), (0, 1.0), (5, 0.0)]}

import re
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.sequence.one_hot import as_one_hot, decode, decode_codes, encode, one_hot
from dfim_fast.sequence.shuffle import Shuffled, dinucleotide_shuffle, shuffle_codes


def _shuffles(sequence, n, **settings):
    return decode_codes(shuffle_codes(encode([sequence]), n, **settings)[0])


def _dinucleotides(sequence):
    return Counter(pairwise(sequence))


def _all_shuffles(sequence):
    """Every sequence with the same ends and dinucleotides, by trying all middles."""
    wanted = _dinucleotides(sequence)
    letters = sorted(set(sequence))
    found = []
    for middle in product(letters, repeat=len(sequence) - 2):
        candidate = sequence[0] + "".join(middle) + sequence[-1]
        if _dinucleotides(candidate) == wanted:
            found.append(candidate)
    return found


@settings(max_examples=150, deadline=None)
@given(st.text("ACGTN", min_size=1, max_size=80), st.integers(0, 3))
def test_counts_ends_and_n_are_kept(sequence, seed):
    for shuffled in _shuffles(sequence, 3, random_state=seed):
        assert len(shuffled) == len(sequence)
        for run in re.finditer("[ACGT]+|N+", sequence):
            before, after = run.group(), shuffled[run.start() : run.end()]
            assert (before[0], before[-1]) == (after[0], after[-1])
            assert _dinucleotides(before) == _dinucleotides(after)
            assert Counter(before) == Counter(after)


@pytest.mark.parametrize(
    "sequence",
    [
        "ACAGATACA",  # ends equal: the root has exits of its own
        "AACCAGTCAT",  # four bases, last base seen once before the end
        "ACGTACGTCAG",
        "CCACCAACAA",  # self-loops
        "GATCGGCATTG",
        "TTGACTGTCAC",
    ],
)
def test_uniform_over_all_shuffles(sequence):
    possible = _all_shuffles(sequence)
    assert len(possible) > 3
    n = 400 * len(possible)
    counts = Counter(_shuffles(sequence, n, random_state=1))
    assert set(counts) == set(possible)
    assert chisquare([counts[other] for other in possible]).pvalue > 1e-3


def test_runs_are_independent_and_each_uniform():
    left, right = "ACAGATACA", "GATCGGCATTG"
    pairs = [shuffle.split("N") for shuffle in _shuffles(f"{left}N{right}", 20000)]
    n_left, n_right = len(_all_shuffles(left)), len(_all_shuffles(right))
    counts = Counter(map(tuple, pairs))
    assert len(counts) == n_left * n_right
    assert chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize(
    "sequence", ["A", "AC", "ACG", "AAAAAAAA", "N", "NNN", "ANCNG", "NACNTTN", "ACACACAC", "NAAAAC"]
)
def test_sequences_with_one_shuffle_stay(sequence):
    assert set(_shuffles(sequence, 5)) == {sequence}


def test_long_low_complexity_runs():
    for sequence in ["A" * 5000 + "C", "AC" * 2500 + "T", "A" * 2000 + "C" * 2000 + "A" * 2000]:
        for shuffled in _shuffles(sequence, 2):
            assert _dinucleotides(shuffled) == _dinucleotides(sequence)


def test_sequences_are_really_shuffled():
    sequence = "".join(np.random.default_rng(0).choice(list("ACGT"), 1000))
    shuffles = _shuffles(sequence, 20)
    assert len(set(shuffles)) == 20
    same = [np.mean([a == b for a, b in zip(sequence, s, strict=True)]) for s in shuffles]
    assert max(same) < 0.35


def test_batch_order_and_n_do_not_matter():
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("ACGTN"), 40, p=[0.24] * 4 + [0.04])) for _ in range(6)]
    together = dinucleotide_shuffle(sequences, n=5)
    assert together.shape == (6, 5, 4, 40)
    assert together.dtype == np.float32
    backwards = dinucleotide_shuffle(sequences[::-1], n=3)
    for i, sequence in enumerate(sequences):
        np.testing.assert_array_equal(dinucleotide_shuffle(sequence, n=5)[0], together[i])
        np.testing.assert_array_equal(backwards[5 - i], together[i, :3])
        np.testing.assert_array_equal(
            dinucleotide_shuffle(one_hot([sequence.lower()]), n=5)[0], together[i]
        )


def test_seed_and_purpose_change_the_shuffles():
    sequence = "ACGTTGCAAGCTCGATTACGATCCGATAGCTA" * 3
    draws = [
        _shuffles(sequence, 4),
        _shuffles(sequence, 4, random_state=1),
        _shuffles(sequence, 4, purpose="null"),
        _shuffles(sequence, 4, random_state=1, purpose="null"),
    ]
    assert len({shuffle for draw in draws for shuffle in draw}) == 16


GOLDEN = [
    "ACGTTGCANACGCGATCTTAG",
    "ACGTTGCANAGCGACTATTCG",
    "ACGTTGCANACGCGATTCTAG",
]


def test_shuffles_are_the_same_in_every_release():
    assert decode(dinucleotide_shuffle("ACGTTGCANAGCTCGATTACG", n=3, random_state=0)[0]) == GOLDEN


def test_bad_settings():
    for n in (0, -1, 1.5, True, "3"):
        with pytest.raises(SettingsError, match="shuffles: pass an integer of at least 1"):
            dinucleotide_shuffle("ACGT", n=n)
    with pytest.raises(SettingsError, match="random_state=None"):
        dinucleotide_shuffle("ACGT", random_state=None)
    with pytest.raises(InputError, match="letter 'X'"):
        dinucleotide_shuffle("ACGX")


def test_shuffles_that_stand_for_sequences():
    shuffles = Shuffled(["ACGTACCGTTGCA", "ACGTTCCGTTGNA"], 3, 2, "null")
    wanted = dinucleotide_shuffle(["ACGTACCGTTGCA", "ACGTTCCGTTGNA"], 3, 2, "null")
    assert (len(shuffles), shuffles.length) == (6, 13)
    np.testing.assert_array_equal(np.asarray(shuffles), wanted.reshape(6, 4, 13))
    np.testing.assert_array_equal(as_one_hot(shuffles), wanted.reshape(6, 4, 13))
    with pytest.raises(SettingsError, match="n=True shuffles: pass an integer of at least 1"):
        Shuffled(["ACGT"], True, 0, "null")

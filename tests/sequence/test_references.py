import numpy as np
import pytest

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.sequence.one_hot import one_hot
from dfim_fast.sequence.references import gc_background, make_references
from dfim_fast.sequence.shuffle import dinucleotide_shuffle

SEQUENCES = ["ACGTNNACGGT", "TTGACNACGTA", "ACGTTGCATGA"]
KNOWN = np.array([[letter != "N" for letter in sequence] for sequence in SEQUENCES])


def test_dinucleotide_is_the_default():
    made = make_references(SEQUENCES)
    assert made.shape == (3, 20, 4, 11)
    np.testing.assert_array_equal(made, dinucleotide_shuffle(SEQUENCES, n=20, random_state=0))
    np.testing.assert_array_equal(
        make_references(SEQUENCES, n_references=2, random_state=3),
        dinucleotide_shuffle(SEQUENCES, n=2, random_state=3, purpose="reference"),
    )


def test_gc():
    made = make_references(SEQUENCES, "gc", gc=0.4)
    assert made.shape == (3, 1, 4, 11)
    assert made.dtype == np.float32
    expected = np.array([0.3, 0.2, 0.2, 0.3], dtype=np.float32)
    for i in range(3):
        np.testing.assert_allclose(made[i, 0], expected[:, None] * KNOWN[i], rtol=1e-7)
    np.testing.assert_array_equal(made, gc_background(SEQUENCES, 0.4))
    np.testing.assert_allclose(gc_background("A")[0, 0, :, 0], [0.27, 0.23, 0.23, 0.27])


def test_zeros():
    made = make_references(SEQUENCES, "zeros")
    assert made.shape == (3, 1, 4, 11)
    assert made.dtype == np.float32
    assert not made.any()


def test_own_references_are_zero_at_n():
    own = np.random.default_rng(0).random((3, 2, 4, 11))
    made = make_references(SEQUENCES, own)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, own.astype(np.float32) * KNOWN[:, None, None, :])
    shared = make_references(SEQUENCES, own[1])
    assert shared.shape == (3, 2, 4, 11)
    np.testing.assert_array_equal(shared, own[1].astype(np.float32)[None] * KNOWN[:, None, None, :])
    assert own.all(), "the caller's array was changed"


@pytest.mark.parametrize("kind", ["dinucleotide", "gc", "zeros", "own"])
def test_one_sequence_equals_the_batch(kind):
    own = np.random.default_rng(0).random((2, 4, 11))
    references = own if kind == "own" else kind
    together = make_references(SEQUENCES, references, n_references=4)
    for i, sequence in enumerate(SEQUENCES):
        alone = make_references(one_hot([sequence])[0], references, n_references=4)
        np.testing.assert_array_equal(alone[0], together[i])


def _with(value):
    own = np.zeros((3, 2, 4, 11))
    own[1, 0, 2, 5] = value
    return own


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (np.zeros((2, 4, 10)), "shape (2, 4, 10); wanted (R, 4, 11) or (3, R, 4, 11); make the"),
        (np.zeros((2, 11, 4)), "the channels are last"),
        (np.zeros((4, 11)), "references have shape (4, 11); wanted (R, 4, 11)"),
        (np.zeros((2, 5, 4, 11)), "2 sets for 3 sequences"),
        (np.zeros((1, 5, 4, 11)), "1 sets for 3 sequences"),
        (np.zeros((0, 4, 11)), "none at all; wanted (R, 4, 11) or (3, R, 4, 11) with R >= 1"),
        (np.zeros((3, 0, 4, 11)), "shape (3, 0, 4, 11), none at all"),
        (_with(np.nan), "nan at sequence 1, reference 0, channel 2, position 5 (0-based)"),
        (_with(-np.inf)[1], "-inf at reference 0, channel 2, position 5 (0-based); pass finite"),
        (_with(1e300), "1e+300 at sequence 1"),
        (["ACGTACGTACG"], "references have type <U11"),
        (None, "references have type object"),
        ([np.zeros((4, 3)), np.zeros((4, 2))], "unequal shape"),
    ],
)
def test_bad_arrays(references, message):
    with pytest.raises(InputError) as error:
        make_references(SEQUENCES, references)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"references": "shuffle"}, "references='shuffle' is unknown; use 'dinucleotide', 'gc'"),
        ({"n_references": 0}, "n_references=0: pass an integer of at least 1"),
        ({"n_references": 2.5}, "n_references=2.5"),
        ({"n_references": True}, "n_references=True"),
        ({"gc": 1.01}, "gc=1.01 is no GC content"),
        ({"gc": -0.1}, "gc=-0.1"),
        ({"gc": float("nan")}, "gc=nan"),
        ({"gc": "half"}, "gc='half'"),
        ({"random_state": None}, "random_state=None"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(SettingsError) as error:
        make_references(SEQUENCES, **settings)
    assert message in str(error.value)


def test_gc_background_checks_gc():
    with pytest.raises(SettingsError, match="gc=46"):
        gc_background(SEQUENCES, 46)

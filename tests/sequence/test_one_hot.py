import numpy as np
import pytest

from dfim_fast.errors import InputError
from dfim_fast.sequence.one_hot import (
    as_one_hot,
    decode,
    decode_codes,
    encode,
    from_codes,
    one_hot,
)
from dfim_fast.sequence.references import make_references


def test_one_hot_values():
    x = one_hot(["ACGTN", "tgcan"])
    assert x.shape == (2, 4, 5)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[0], np.eye(4, 5))
    np.testing.assert_array_equal(x[1, ::-1], np.eye(4, 5))


def test_a_bare_string_is_one_sequence():
    assert one_hot("ACGT").shape == (1, 4, 4)
    assert as_one_hot("ACGT").shape == (1, 4, 4)
    assert encode("ACGT").tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "the list is empty"),
        (["AC", ""], "sequence 1 is empty"),
        (["ACG", "AC"], "sequence 1 has length 2 where sequence 0 has 3"),
        (["ACG", "ACR"], "sequence 1, position 2 (0-based): letter 'R' is not one of"),
        (["A\u00e9\U0001f9ecG"], "sequence 0, position 1 (0-based): letter '\u00e9'"),
        (["AC-", "XXX"], "sequence 0, position 2 (0-based): letter '-'"),
        (["ACG", 3], "sequence 1 is of type int"),
        (["ACG", None, ""], "sequence 1 is of type NoneType"),
    ],
)
def test_bad_strings(sequences, message):
    for function in (one_hot, as_one_hot, encode):
        with pytest.raises(InputError) as error:
            function(sequences)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("wrong", "kind"), [(None, "NoneType"), (5, "int")])
def test_one_hot_of_no_strings(wrong, kind):
    with pytest.raises(InputError) as error:
        one_hot(wrong)
    assert str(error.value) == (f"sequences of type {kind}: wanted strings over ACGTN; pass a list")


def test_names_and_length_in_messages():
    with pytest.raises(InputError, match=r"sequence 1 \(chr1:5-9\) has length 3, wanted 4; trim"):
        as_one_hot(["ACGT", "ACG"], length=4, names=["a", "chr1:5-9"])
    with pytest.raises(InputError, match=r"sequence 0 \(a\) has length 4, wanted 5"):
        as_one_hot(one_hot(["ACGT"]), length=5, names=["a"])
    with pytest.raises(InputError, match="1 names for 2 sequences"):
        as_one_hot(["ACGT", "ACGT"], names=["a"])
    with pytest.raises(InputError, match="3 names for 1 sequences"):
        encode(one_hot(["ACGT"]), names=["a", "b", "c"])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float16, np.float64])
def test_array_types(dtype):
    x = one_hot(["ACGTN", "NNTTA"])
    for given in (x.astype(dtype), np.asfortranarray(x.astype(dtype))):
        got = as_one_hot(given)
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, x)
        np.testing.assert_array_equal(encode(given), [[0, 1, 2, 3, 4], [4, 4, 3, 3, 0]])


def test_arrays_pass_through():
    x = one_hot(["ACGTN", "NNTTA"])
    assert as_one_hot(x) is x
    np.testing.assert_array_equal(as_one_hot(x[1]), x[1:])
    np.testing.assert_array_equal(as_one_hot(list(x)), x)
    np.testing.assert_array_equal(as_one_hot(np.array(["ACGTN", "NNTTA"])), x)
    np.testing.assert_array_equal(as_one_hot(np.array(["ACGTN", "NNTTA"], dtype=object)), x)
    np.testing.assert_array_equal(as_one_hot(("ACGTN", "NNTTA")), x)


def _changed(value, base=2):
    x = one_hot(["ACGT", "TTAA"])
    x[1, base, 3] = value
    return x


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (_changed(np.nan), "sequence 1, position 3 (0-based): NaN"),
        (_changed(np.inf), "sequence 1, position 3 (0-based): the column [1, 0, inf, 0]"),
        (_changed(1), "the column [1, 0, 1, 0] is neither one-hot nor all zero"),
        (_changed(0.5, base=0), "the column [0.5, 0, 0, 0]"),
        (_changed(-1), "the column [1, 0, -1, 0]"),
        (_changed(256).astype(np.int32), "the column [1, 0, 256, 0]"),
        (np.ones((2, 4, 3), bool), "sequence 0, position 0 (0-based): the column [1, 1, 1, 1]"),
        (np.zeros((2, 7, 4)), "shape (2, 7, 4), wanted (N, 4, L) with channels A, C, G, T; the"),
        (np.zeros((2, 7, 4)), "X.transpose(0, 2, 1)"),
        (np.zeros((7, 4)), "pass X.T"),
        (np.zeros((2, 1, 4, 7)), "drop the axis of length 1"),
        (np.zeros(4), "shape (4,), wanted (N, 4, L)"),
        (np.float32(3), "shape (), wanted (N, 4, L)"),
        (np.zeros((0, 4, 7)), "no sequences: the array has shape (0, 4, 7)"),
        (np.zeros((2, 4, 0)), "no sequences: the array has shape (2, 4, 0)"),
        (np.zeros((2, 4, 3), complex), "of type complex128"),
        (None, "of type object"),
        ([np.zeros((4, 3)), np.zeros((4, 2))], "unequal shape"),
        ([b"ACGT"], "sequence 0 is of type bytes"),
    ],
)
def test_bad_arrays(array, message):
    for function in (as_one_hot, encode):
        with pytest.raises(InputError) as error:
            function(array)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_check_reaches_every_block(monkeypatch):
    monkeypatch.setattr("dfim_fast.sequence.one_hot._BLOCK_ELEMENTS", 40)
    codes = np.random.default_rng(0).integers(0, 5, (23, 5))
    x = from_codes(codes)
    np.testing.assert_array_equal(encode(x), codes)
    x[22, :, 4] = 1
    with pytest.raises(InputError, match="sequence 22, position 4 "):
        as_one_hot(x)


def test_round_trips():
    sequences = ["ACGTNNA", "TTTTTTT"]
    codes = encode(sequences)
    assert codes.dtype == np.int8
    assert decode(one_hot(sequences)) == sequences
    assert decode_codes(codes) == sequences
    assert decode_codes(codes[0]) == sequences[:1]
    np.testing.assert_array_equal(from_codes(codes), one_hot(sequences))
    np.testing.assert_array_equal(from_codes(codes[0]), one_hot(sequences[:1]))


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([[0, 5]], "sequence 0, position 1 (0-based): code 5 is not in 0..4"),
        ([[0, 1], [-1, 0]], "sequence 1, position 0 (0-based): code -1"),
        ([[0.0, 1.0]], "type float64"),
        (np.zeros((1, 4, 3), int), "shape (1, 4, 3)"),
    ],
)
def test_bad_codes(codes, message):
    for function in (from_codes, decode_codes):
        with pytest.raises(InputError) as error:
            function(codes)
        assert message in str(error.value)


@pytest.mark.parametrize("name", ["get", "copy_to_host", "cpu"])
def test_arrays_on_a_gpu_are_brought_to_the_host(name):
    """CuPy's, Numba's and PyTorch's: none of them turns into a NumPy array by itself."""
    x = one_hot(["ACGTN", "TTTTT"])

    class OnDevice:
        @property
        def __cuda_array_interface__(self):
            return {"shape": x.shape}

        def __array__(self, *_):
            raise TypeError("implicit conversion to a NumPy array is not allowed")

    setattr(OnDevice, name, lambda self: x)
    np.testing.assert_array_equal(as_one_hot(OnDevice()), x)
    np.testing.assert_array_equal(encode(OnDevice()), encode(x))
    own = np.ones((3, 4, 5), np.float32) * x[1].max(axis=0)
    setattr(OnDevice, name, lambda self: own)
    found = make_references(x, OnDevice())
    np.testing.assert_array_equal(found[1], own)

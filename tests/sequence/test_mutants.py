import numpy as np
import pytest

from dfim_fast.errors import InputError
from dfim_fast.sequence.mutants import Mutants, single_nucleotide
from dfim_fast.sequence.one_hot import decode, encode, one_hot

SEQUENCE = "ACNTG"


def _decoded(mutants, sequence=SEQUENCE):
    return decode(mutants.apply(one_hot(sequence)[0].T).transpose(0, 2, 1))


def test_single_nucleotide():
    mutants = single_nucleotide(encode(SEQUENCE)[0], np.array([3, 2, 0]))
    assert len(mutants) == 6
    assert mutants.start.tolist() == [3, 3, 3, 0, 0, 0]
    assert mutants.width.tolist() == [1] * 6
    assert mutants.slot.tolist() == [[0, 0], [0, 1], [0, 2], [2, 1], [2, 2], [2, 3]]
    assert mutants.columns.shape == (6, 1, 4)
    assert mutants.columns.dtype == np.float32
    for array in (mutants.start, mutants.width, mutants.slot):
        assert array.dtype == np.int32
    assert _decoded(mutants) == ["ACNAG", "ACNCG", "ACNGG", "CCNTG", "GCNTG", "TCNTG"]


def test_all_sources_give_three_each():
    codes = encode("ACGTACGT")[0]
    mutants = single_nucleotide(codes, range(8))
    assert len(mutants) == 24
    assert (mutants.slot[:, 1] != codes[mutants.start]).all()
    assert (np.bincount(mutants.slot[:, 0]) == 3).all()


@pytest.mark.parametrize("sources", [[2], []])
def test_no_mutants(sources):
    mutants = single_nucleotide(encode(SEQUENCE)[0], sources)
    assert len(mutants) == 0
    assert mutants.columns.shape == (0, 1, 4)
    assert mutants.slot.shape == (0, 2)
    assert mutants.apply(one_hot(SEQUENCE)[0].T).shape == (0, 5, 4)


def test_spans_of_different_widths():
    columns = np.full((3, 3, 4), 9, dtype=np.float32)
    columns[0] = 0.25
    columns[1, 0] = [0, 0, 0, 1]
    columns[2, :2] = 0
    mutants = Mutants(
        start=np.array([2, 0, 3], np.int32),
        width=np.array([3, 1, 2], np.int32),
        columns=columns,
        slot=np.zeros((3, 2), np.int32),
    )
    x = one_hot("ACGTG")[0].T.astype(np.float64)
    before = x.copy()
    got = mutants.apply(x)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got[0], np.vstack([x[:2], np.full((3, 4), 0.25)]))
    np.testing.assert_array_equal(got[1], np.vstack([[[0, 0, 0, 1]], x[1:]]))
    np.testing.assert_array_equal(got[2], np.vstack([x[:3], np.zeros((2, 4))]))
    np.testing.assert_array_equal(x, before)


def test_span_outside_the_sequence():
    one = np.ones(1, np.int32)
    columns = np.zeros((1, 2, 4), np.float32)
    for start, shown in ((4, r"4\.\.6"), (-1, r"-1\.\.1")):
        mutants = Mutants(one * start, one * 2, columns, np.zeros((1, 2), np.int32))
        with pytest.raises(InputError, match=f"mutant 0 changes positions {shown} .* length 5"):
            mutants.apply(np.zeros((5, 4), np.float32))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([0, 5], "source 5 is outside the sequence; wanted positions 0..4"),
        ([-1], "source -1 is outside"),
        ([0.5], "type float64"),
        ([[0]], r"shape \(1, 1\)"),
    ],
)
def test_bad_sources(sources, message):
    with pytest.raises(InputError, match=message):
        single_nucleotide(encode(SEQUENCE)[0], sources)


def test_frozen():
    mutants = single_nucleotide(encode(SEQUENCE)[0], [0])
    with pytest.raises(AttributeError):
        mutants.start = mutants.width

"""The inner loop against sums written out: whole and half vectors, one mutant and a group."""

import numba
import numpy as np
import pytest

from dfim_fast.backends.numba_cpu.events import finish as fr
from dfim_fast.backends.numba_cpu.events.layout import aligned
from dfim_fast.backends.numba_cpu.events.pull import ADDRESSES, MORE, WRITE, compile_pull, pull

CODES = np.array([1, 2, 5, 6], np.int32)


@numba.njit
def call(kind: int, mutants: int, halves: int, frame: int, weight: int) -> None:
    nothing = np.int64(0)
    pull(kind, mutants, halves, frame, nothing, np.int64(4), weight, nothing, nothing)


@pytest.mark.parametrize("halves", range(1, fr.HALVES + 1))
@pytest.mark.parametrize("kind", [WRITE, MORE])
@pytest.mark.parametrize("mutants", [1, fr.GROUP])
def test_sums_read_the_half_vectors_that_hold_channels(kind: int, mutants: int, halves: int):
    rng, vectors = np.random.default_rng(halves), -(-halves // 2)
    # small integers, so that any order of the sums is exact; what must not be read is no number
    weight = aligned(7 * vectors * 16).reshape(7, vectors * 16)
    weight[:] = rng.integers(-9, 10, weight.shape)
    weight[:, halves * 8 :] = np.nan
    delta = rng.integers(-9, 10, (fr.GROUP, 7)).astype(np.float32)
    before = rng.integers(-9, 10, (mutants, vectors * 16)).astype(np.float32)
    before[:, halves * 8 :] = np.nan
    sums = aligned(mutants * vectors * 16)
    sums[:] = before.ravel()
    frame = np.zeros(fr.FRAME, np.int64)
    frame[[fr.CODE, fr.SUMS]] = CODES.ctypes.data, sums.ctypes.data
    frame[fr.FUNCTIONS] = ADDRESSES.ctypes.data
    frame[fr.DELTAS : fr.DELTAS + fr.GROUP] = [row.ctypes.data for row in delta]
    compile_pull(kind, halves)
    call(kind, mutants, halves, frame.ctypes.data, weight.ctypes.data)
    expected = delta[:mutants, CODES] @ weight[CODES] + (before if kind == MORE else 0)
    expected[:, halves * 8 :] = 0
    np.testing.assert_array_equal(sums.reshape(expected.shape), expected)

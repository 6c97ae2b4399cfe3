"""Matrix products: right, and every row computed alike wherever it stands."""

import numpy as np
import pytest

from dfim_fast.backends.numba_cpu.convolution import convolve, pack_taps
from dfim_fast.backends.numba_cpu.gemm import multiply, pack

# one vector and less, several panels, a ragged last one, sums longer than a chain
SIZES = [(1, 1), (3, 4), (76, 40), (250, 25), (300, 65), (700, 130)]


@pytest.mark.parametrize(("inner", "columns"), SIZES)
def test_product_equals_float64(inner, columns):
    rng = np.random.default_rng(inner)
    a = rng.standard_normal((37, inner)).astype(np.float32)
    b = rng.standard_normal((inner, columns)).astype(np.float32)
    wanted = a.astype(np.float64) @ b
    # float32 rounding of chains of at most 256 products
    np.testing.assert_allclose(multiply(a, pack(b)), wanted, atol=2e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(("inner", "columns"), SIZES)
def test_a_row_has_the_same_bits_wherever_it_stands(inner, columns):
    rng = np.random.default_rng(inner)
    a = rng.standard_normal((50, inner)).astype(np.float32)
    packed = pack(rng.standard_normal((inner, columns)).astype(np.float32))
    whole = multiply(a, packed)
    for first in (0, 1, 7, 30):
        for rows in (1, 2, 5, 6, 11, 12, 13, 20):
            part = multiply(a[first : first + rows], packed)
            assert np.array_equal(part, whole[first : first + rows])


@pytest.mark.parametrize("rows", [1, 2, 7, 40])
@pytest.mark.parametrize(("dilation", "stride"), [(1, 1), (1, 3), (2, 1), (3, 2)])
def test_convolution_of_windows_that_overlap_in_memory(rows, dilation, stride):
    rng = np.random.default_rng(rows)
    weight = rng.standard_normal((5, 6, 18)).astype(np.float32)
    x = rng.standard_normal((3, (rows - 1) * stride + 4 * dilation + 1, 6)).astype(np.float32)
    wanted = sum(
        x[:, j * dilation :][:, : (rows - 1) * stride + 1 : stride].astype(np.float64) @ weight[j]
        for j in range(5)
    )
    found = convolve(x, pack_taps(weight, dilation), dilation, stride, rows)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_equal_windows_give_equal_bits():
    """Repeats in DNA make real ties in pools; they have to stay ties."""
    rng = np.random.default_rng(3)
    x = np.eye(4, dtype=np.float32)[np.tile([0, 2], 40)][None]
    weight = pack_taps(rng.standard_normal((9, 4, 21)).astype(np.float32), 1)
    y = convolve(x, weight, 1, 1, 72)[0]
    assert np.array_equal(y[::2], np.broadcast_to(y[0], y[::2].shape))
    assert np.array_equal(y[1::2], np.broadcast_to(y[1], y[1::2].shape))

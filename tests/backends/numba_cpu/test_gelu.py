"""GELU in single precision against SciPy in double."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from dfim_fast.backends.numba_cpu.gelu import FastGelu
from dfim_fast.backends.numba_cpu.kept import single_precision
from dfim_fast.graph.graph import Graph, GraphNode, Task
from dfim_fast.ops.gelu import Gelu, TanhGelu
from dfim_fast.ops.source import Input

X = np.linspace(-12, 12, 240_007).astype(np.float32)


def exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = x.astype(np.float64)
    return x * ndtr(x), ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def test_relative_error_is_that_of_rounding() -> None:
    """exp(-x^2 / 2) inherits the rounding of x^2 / 2, times x^2 / 2."""
    value, _ = exact(X)
    off = np.abs(FastGelu().value(X) - value) / np.maximum(np.abs(value), 1e-30)
    assert off[np.abs(X) < 3].max() < 8e-7
    assert (off < 4e-7 + 2.0**-23 * X.astype(np.float64) ** 2 / 2)[X != 0].all()


def test_slope_is_exact_to_float32() -> None:
    _, slope = exact(X)
    assert np.abs(FastGelu().slope(X) - slope).max() < 3e-7


@pytest.mark.parametrize("x", [0.0, -0.0, 1e-30, -40.0, 40.0, 1e30, -1e30])
def test_far_and_near(x: float) -> None:
    one = np.full((1, 1, 3), x, np.float32)
    value, slope = FastGelu().value(one), FastGelu().slope(one)
    assert value.shape == slope.shape == one.shape
    assert np.allclose(value, max(x, 0.0) if abs(x) > 1 else x / 2, rtol=1e-6, atol=1e-36)
    assert np.allclose(slope, 1.0 if x > 1 else 0.0 if x < -1 else 0.5, atol=1e-7)


def test_numbers_that_are_not_finite_stay_so() -> None:
    x = np.array([np.nan, np.inf], np.float32)
    assert np.isnan(FastGelu().value(x)[0])
    assert FastGelu().value(x)[1] == np.inf


def test_position_and_neighbours_do_not_matter() -> None:
    """Equal k-mers have equal values, to the bit, wherever they stand."""
    x = np.random.default_rng(0).normal(size=37).astype(np.float32)
    for function in (FastGelu().value, FastGelu().slope):
        whole = function(x)
        assert all(function(x[i : i + 1])[0] == whole[i] for i in range(len(x)))


def test_quotients_keep_the_digits_of_float64() -> None:
    x, r = np.float32([[0.7]]), np.float32([[0.70001]])
    expected = Gelu().quotient(x.astype(np.float64), r.astype(np.float64), 1e-6)
    assert np.array_equal(FastGelu().quotient(x, r, 1e-6), expected)


def test_the_network_gets_it() -> None:
    nodes = (
        GraphNode("x", Input(3), (), (3, 4)),
        GraphNode("g", Gelu(), (0,), (3, 4)),
        GraphNode("t", TanhGelu(), (1,), (3, 4)),
    )
    graph = Graph(nodes, (Task("t", 2, 0, 0),))
    ops = [type(n.op) for n in single_precision(graph).nodes]
    assert ops == [Input, FastGelu, TanhGelu]

"""What lies above the trunk, compiled and in NumPy, against float64."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from events_helpers import Maker, compare, one_hot

from dfim_fast.backends.numba_cpu.backend import NumbaBackend, one_thread
from dfim_fast.backends.numba_cpu.events.far import ROWS, far_rows
from dfim_fast.backends.numba_cpu.events.gates import differing, gates_of, weighted_changes
from dfim_fast.backends.numba_cpu.events.layout import aligned, unsupported, whole_vectors
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.flatten import Flatten, Unflatten
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.sigmoid import Sigmoid
from dfim_fast.sequence.mutants import single_nucleotide


def rows_of(values: np.ndarray) -> np.ndarray:
    """The same in rows of whole vectors, with numbers behind them that must not be read."""
    rows = aligned(len(values) * whole_vectors(values.shape[1])).reshape(len(values), -1)
    rows[:] = 1e9
    rows[:, : values.shape[1]] = values
    return rows


@pytest.mark.parametrize(("many", "size", "length"), [(1, 3, 5), (7, 17, 64), (ROWS + 9, 150, 90)])
@pytest.mark.parametrize("density", [0.0, 0.05, 0.9])
def test_far_part_is_the_product(many: int, size: int, length: int, density: float) -> None:
    """Three references in two groups, the last of them by a call of its own."""
    rng = np.random.default_rng(many)
    row, lanes, group = whole_vectors(length), whole_vectors(size), np.array([0, 1, 0])
    fis, wanted = aligned(4 * many * row).reshape(2, 2, many, row), np.zeros((2, 2, many, length))
    fis[:] = np.nan  # the first reference of a group writes
    vectors, weights = [], []
    for r in range(3):
        v, w = aligned(lanes * row).reshape(lanes, row), aligned(2 * many * lanes)
        v[:size, :length] = rng.normal(size=(size, length))
        w = w.reshape(2, many, lanes)
        w[:, :, :size] = rng.normal(size=(2, many, size)) * (rng.random((2, many, size)) < density)
        wanted[:, group[r]] += (w.astype(float) @ v.astype(float))[..., :length]
        vectors.append(v)
        weights.append(w)
    at = np.array([v.ctypes.data for v in vectors])
    coefficients = np.array([[w[k].ctypes.data for w in weights] for k in range(2)])
    for part in (slice(0, 2), slice(2, 3)):
        n = len(at[part])
        whole = np.full(n, lanes)
        far_rows(fis, at[part], coefficients[:, part], whole, group, part.start, 0, many)
    np.testing.assert_allclose(fis[..., :length], wanted, rtol=0, atol=1e-4)


def test_a_row_of_the_far_part_is_the_same_beside_any_other() -> None:
    rng = np.random.default_rng(0)
    many, lanes, row = 5, 48, 96
    vectors = aligned(lanes * row).reshape(lanes, row)
    vectors[:] = rng.normal(size=vectors.shape)
    weights = aligned(many * lanes).reshape(many, lanes)
    weights[:] = rng.normal(size=weights.shape) * (rng.random(weights.shape) < 0.4)

    def made(order: list[int]) -> np.ndarray:
        w, fis = aligned(many * lanes).reshape(many, lanes), aligned(many * row)
        w[:] = weights[order]
        out = fis.reshape(1, 1, many, row)
        one = np.array([lanes])
        far_rows(out, np.array([vectors.ctypes.data]), np.array([[w.ctypes.data]]), one,
                 np.array([0]), 0, 0, many)  # fmt: skip
        return out[0, 0]

    order = [3, 0, 4, 2, 1]
    np.testing.assert_array_equal(made(order), made([0, 1, 2, 3, 4])[order])


@pytest.mark.parametrize("op", [Relu(), LeakyRelu(np.full((1, 1), 0.2))])
@pytest.mark.parametrize("quotient", [False, True])
def test_gates_are_those_of_the_operator(op: Relu | LeakyRelu, quotient: bool) -> None:
    rng = np.random.default_rng(1)
    many, width, vectors = 9, 21, 2
    x, r = rng.normal(size=(2, many, width)).astype(np.float32)
    x[0, :3], x[1, 0] = 0, r[0, 0] + np.float32(1e-7)
    x[:, 5:9] = x[0, 5:9]  # units that are the same for all
    below = aligned(32)
    below[:] = 0.2 if isinstance(op, LeakyRelu) else 0
    rows, against, out = rows_of(x), rows_of(r[:1]), aligned((many + 1) * 32).reshape(-1, 32)
    gates_of(rows.ctypes.data, 128, many, vectors, against.ctypes.data if quotient else 0,
             below.ctypes.data, 1e-6, out.ctypes.data)  # fmt: skip
    x64, r64 = x.astype(float), r[:1].astype(float)
    wanted = op.quotient(x64, r64, 1e-6) if quotient else op.slope(x64)
    np.testing.assert_allclose(out[:many, :width], wanted, rtol=1e-5, atol=1e-6)

    out[many] = out[0]
    picked = np.empty(17 * vectors, np.int64)
    found = differing(out.ctypes.data, many, vectors, width, out[many].ctypes.data,
                      picked.ctypes.data)  # fmt: skip
    units = np.flatnonzero((out[:many, :width] != out[0, :width]).any(0))
    assert list(picked[:found]) == list(units)
    assert not {5, 6, 7, 8} & set(units)
    g, scratch, changes = rows_of(rng.normal(size=(many, width))), aligned(32), aligned(many * 32)
    changes = changes.reshape(many, 32)
    weighted_changes(out.ctypes.data, many, vectors, out[many].ctypes.data, g.ctypes.data, 128,
                     picked.ctypes.data, found, scratch.ctypes.data, changes[:, 2:].ctypes.data,
                     128)  # fmt: skip
    np.testing.assert_array_equal(
        changes[:, 2 : 2 + found], ((out[:many] - out[0]) * g)[:, units].astype(np.float32)
    )
    assert (changes[:, :2] == 0).all()
    assert (changes[:, 2 + found :] == 0).all()


def normalised(m: Maker, i: int) -> int:
    """BatchNorm between a dense layer and its units, twice."""
    for width in (20, 9):
        i = m.dense(i, width)
        scale, shift = m.rng.normal(1, 0.3, (1, width)), m.rng.normal(0, 0.1, (1, width))
        i = m.act(m.add(Affine(scale, shift), i))
    return i


def smooth(m: Maker, i: int) -> int:
    """Sigmoids above ReLUs."""
    return m.add(Sigmoid(), m.dense(m.add(Relu(), m.dense(i, 18)), 7))


def residual(m: Maker, i: int) -> int:
    """Units whose input goes round them."""
    i = m.dense(i, 12)
    j = m.dense(m.add(Relu(), i), 12)
    return m.add(Relu(), m.add(Add((1.0, -1.0)), i, j))


def branched(m: Maker, i: int) -> int:
    """Two kinds of units side by side, and one branch without any."""
    a, b = m.add(LeakyRelu(m.rng.uniform(-0.2, 0.5, (1, 10))), m.dense(i, 10)), m.dense(i, 5)
    return m.dense(m.add(Concat(2), a, m.add(Relu(), m.dense(b, 6)), b), 8)


@pytest.mark.parametrize("head", [normalised, smooth, residual, branched])
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_heads_match_full_recomputation(head: Callable[[Maker, int], int], method: str) -> None:
    rng = np.random.default_rng(5)
    m = Maker(rng, 30)
    graph = m.graph(m.dense(head(m, m.act(m.conv(0, 6, 5))), 2))
    codes = rng.integers(0, 4, (4, 30))
    references = one_hot(codes[1:]) if method == "deeplift" else None
    mutants = single_nucleotide(codes[0], np.arange(30))
    picked = rng.choice(len(mutants), 30, replace=False)
    compared, _ = compare(graph, one_hot(codes[0]), references, mutants, method, picked=picked)
    assert compared > 15


def test_units_in_several_rows_of_the_head_are_refused() -> None:
    m = Maker(np.random.default_rng(0), 30)
    i = m.add(Unflatten(3), m.dense(m.act(m.conv(0, 6, 5)), 12))
    graph = m.graph(m.dense(m.add(Flatten("LC"), m.add(Relu(), i)), 2))
    assert "several rows in the head" in (unsupported(graph, [0, 1]) or "")


def test_results_come_in_order_and_few_ahead() -> None:
    begun: list[int] = []

    def call(n: int) -> int:
        begun.append(n)
        return n

    results = NumbaBackend.side_by_side(40, call, 2)
    assert next(results) == 0
    assert one_thread.inside == 1
    assert len(begun) < 10
    assert list(results) == list(range(1, 40))
    assert one_thread.inside == 0

"""What arrives at gates that flip: the original's own rows, and combinations of a basis."""

import sys
from pathlib import Path

import numba
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from events_helpers import Maker

from dfim_fast.backends.numba_cpu.events import arriving
from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.layout import Net, aligned, whole_vectors
from dfim_fast.backends.numba_cpu.events.program import compile_events
from dfim_fast.graph.graph import Graph, Task
from dfim_fast.ops.base import Rule
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.window import Window

ROW, CHANNELS = 2, 20


def net_of(stride: int = 2, residual: bool = False) -> tuple[Net, int, int]:
    """Convolution, ReLU, max pool 2, two dense layers; places of the activation and the pool."""
    maker = Maker(np.random.default_rng(1), 12)
    act = maker.add(Relu(), maker.conv(0, CHANNELS, 3))
    pool = maker.add(MaxPool(Window.read(10, 2, stride, 1, (0, 0))), act)
    top = maker.add(MaxPool(Window.read(10, 1, stride, 1, (0, 0))), act) if residual else None
    read = [pool] if top is None else [pool, top]
    dense = [maker.add(Relu(), maker.dense(i, 6)) for i in read]
    tasks = tuple(Task(f"y{i}", maker.dense(i, 1), 0, 0) for i in dense)
    graph = Graph(tuple(maker.nodes), tasks).astype(np.float32)
    program = compile_events(graph, list(range(len(tasks))), "gradient", Rule())
    place = program.builder.place
    return program.net, place[act], place[pool]


@numba.njit
def settle(work: int) -> None:
    arriving.choose_way(work)


@numba.njit
def row(net: int, work: int, n: int, i: int, v: int, bits: int) -> int:
    return arriving.arriving_row(net, work, n, i, v, bits)


@numba.njit
def value(net: int, work: int, n: int, i: int, c: int) -> float:
    return arriving.arriving_at(net, work, n, i, c)


@pytest.mark.parametrize(
    ("others", "kind"),
    [(0, arriving.ROWS_OF_U), (1, arriving.FEW), (arriving.MOST, arriving.FEW),
     (arriving.MOST + 1, arriving.DOT), (60, arriving.DOT)],
)  # fmt: skip
@pytest.mark.parametrize("lanes", [64, 80])
def test_u_is_the_originals_own_and_what_the_head_adds(others: int, kind: int, lanes: int) -> None:
    rng = np.random.default_rng(others)
    net, place, _ = net_of()
    table = net.table[place]
    entries = int(table[col.ROWS] * table[col.CHANNELS])
    # small integers: any order of the sums is exact
    rows = rng.integers(-9, 10, int(net.table[:, col.BASE].max()) + 4096).astype(np.float32)
    values = aligned(entries * lanes).reshape(entries, lanes)
    values[:] = rng.integers(-9, 10, values.shape)
    coefficient = aligned(whole_vectors(lanes))
    coefficient[rng.permutation(lanes)[:others]] = rng.integers(1, 9, others)
    # entries share vectors, some of them scaled, and some have none
    size = int(net.table[:, col.ENTRY].max()) + entries + 64
    known, scale = rng.integers(0, entries + 1, size, dtype=np.int32), np.full(size, np.nan, "f4")
    known[::3] = 0
    scale[known > 0] = rng.integers(1, 4, (known > 0).sum())
    listed, scratch = np.zeros(arriving.MOST + 32, np.int32), aligned(16)
    work = np.zeros(f.SIZE, np.int64)
    for field, array in (
        (f.U_ROWS, rows), (f.U_VALUES, values), (f.U_KNOWN, known), (f.U_SCALE, scale),
        (f.U_COEFFICIENT, coefficient), (f.U_LIST, listed), (f.SCRATCH, scratch),
    ):  # fmt: skip
        work[field] = array.ctypes.data
    work[f.U_LANES] = lanes
    settle(work.ctypes.data)
    assert work[f.U_KIND] == kind
    start = int(table[col.BASE] + ROW * table[col.PITCH])
    first = int(table[col.ENTRY] + ROW * CHANNELS)
    own = rows[start : start + CHANNELS]
    slots = known[first : first + CHANNELS]
    added = np.where(slots > 0, (values @ coefficient[:lanes])[slots - 1], 0)
    expected = own + np.where(slots > 0, scale[first : first + CHANNELS], 0) * added
    got = [value(net.address, work.ctypes.data, place, ROW, c) for c in range(CHANNELS)]
    np.testing.assert_array_equal(got, expected)
    for v, wanted in ((0, 0b1010_0110_0000_1111), (1, 0b1011)):
        at = row(net.address, work.ctypes.data, place, ROW, v, wanted)
        base = rows if kind == arriving.ROWS_OF_U else scratch
        found = base[(at - base.ctypes.data) // 4 :][:16]
        for c in range(16):
            if wanted >> c & 1:
                assert found[c] == expected[v * 16 + c], (v, c)


@pytest.mark.parametrize(
    ("stride", "residual", "shares"), [(2, False, True), (1, False, False), (2, True, False)]
)
def test_entries_share_a_vector_only_where_each_is_read_once(
    stride: int, residual: bool, shares: bool
) -> None:
    net, act, pool = net_of(stride, residual)
    assert (net.table[act, col.STORE] < 0) == shares
    assert net.table[pool, col.STORE] >= 0  # the head writes there

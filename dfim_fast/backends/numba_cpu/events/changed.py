"""Which rows of a node a mutant changes, and where their values are."""

from __future__ import annotations

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.simd import (
    differ,
    flag,
    get,
    load,
    set_flag,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, read_rows
from dfim_fast.jit import kernel


@kernel
def row_of(net: int, work: int, n: int, i: int) -> int:
    """Address of the mutant's row i of node n."""
    acts = get(work, f.ACTS)
    t = node(net, n)
    blob = get(work, f.NEW) if flag(get(work, f.CHANGED), get(t, col.FLAGS) + i) else acts
    return blob + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4


@kernel
def set_row(net: int, work: int, n: int, i: int) -> None:
    """Flag row i of node n if its new values differ from the original's."""
    acts = get(work, f.ACTS)
    t = node(net, n)
    o = (get(t, col.BASE) + i * get(t, col.PITCH)) * 4
    for q in range(get(t, col.PITCH) >> 4):
        if differ(load(get(work, f.NEW) + o + q * 64), load(acts + o + q * 64)) != 0:
            set_flag(get(work, f.CHANGED), get(t, col.FLAGS) + i, 1)
            return


@kernel
def same_spans(net: int, work: int, n: int) -> None:
    """The changed rows are those of all inputs."""
    t = node(net, n)
    for k in range(get(t, col.COUNT)):
        s = index(net, get(t, col.SOURCES) + k)
        for q in range(get(get(work, f.COUNTS), s)):
            add_span(
                get(work, f.SPANS),
                get(work, f.COUNTS),
                n,
                span(get(work, f.SPANS), s, 2 * q),
                span(get(work, f.SPANS), s, 2 * q + 1),
            )


@kernel
def window_spans(net: int, work: int, n: int) -> None:
    """The changed rows are those whose window reads one."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    for q in range(get(get(work, f.COUNTS), s)):
        low, high = read_rows(
            span(get(work, f.SPANS), s, 2 * q),
            span(get(work, f.SPANS), s, 2 * q + 1),
            get(t, col.KERNEL),
            get(t, col.STRIDE),
            get(t, col.DILATION),
            get(t, col.PAD),
            get(t, col.ROWS),
        )
        add_span(get(work, f.SPANS), get(work, f.COUNTS), n, low, high)

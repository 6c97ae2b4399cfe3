"""Activations on the way down: dv_below = q' dv + (q' - q) u.

``gate_rows`` serves those above a convolution of their own and makes the entries that it reads;
``activation_back`` all others, and ``plain`` passes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import node, span
from dfim_fast.backends.numba_cpu.events.arriving import LANE, ROWS_OF_U, arriving_row, far_row
from dfim_fast.backends.numba_cpu.events.convolution import (
    append_found,
    member,
)
from dfim_fast.backends.numba_cpu.events.finish import (
    ABOVE,
    ACTS,
    EPSILON,
    FUNCTIONS,
    GROUP,
    HALVES,
    NEW,
    NOTHING,
    REFERENCE,
    SLOPE,
    SUMS,
    TARGETS,
    UPSTREAM,
    WIDE,
)
from dfim_fast.backends.numba_cpu.events.lists import (
    any_flag,
    append,
    close_list,
    open_list,
    open_row,
    swap,
)
from dfim_fast.backends.numba_cpu.events.multipliers import quotient_at, slope_at
from dfim_fast.backends.numba_cpu.events.need import needed
from dfim_fast.backends.numba_cpu.events.pull import QUOTIENTS, SLOPES, pull, vectors_of
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    flag,
    fma,
    get,
    load,
    load_scalar,
    multiply,
    put,
    set_flag,
    splat,
    store,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span
from dfim_fast.jit import by_address, kernel


@kernel
def gather_spans(net: int, work: int, n: int) -> None:
    """Into ``both``: rows of node n that have moved, or (not plain) changed."""
    plain = get(work, f.PLAIN)
    put(get(work, f.BOTH_COUNT), 0, 0)
    for q in range(get(get(work, f.BACK_COUNTS), n)):
        add_span(
            get(work, f.BOTH),
            get(work, f.BOTH_COUNT),
            np.int64(0),
            span(get(work, f.BACK_SPANS), n, 2 * q),
            span(get(work, f.BACK_SPANS), n, 2 * q + 1),
        )
    if not plain:
        s = n if get(node(net, n), col.OP) == col.MAX_POOL else get(node(net, n), col.SOURCE)
        for q in range(get(get(work, f.COUNTS), s)):
            add_span(
                get(work, f.BOTH),
                get(work, f.BOTH_COUNT),
                np.int64(0),
                span(get(work, f.SPANS), s, 2 * q),
                span(get(work, f.SPANS), s, 2 * q + 1),
            )


@kernel
def spread_gate(net: int, work: int, a: int) -> None:
    """The rows below activation a: those in ``BOTH``."""
    s = get(node(net, a), col.SOURCE)
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        low, high = needed(
            work, s, span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1))
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)


@kernel
def add_flips(net: int, work: int, a: int, r: int, first: int, flips: int) -> None:
    """dv_below += (q' - q) u where a gate differs: ``flips``, from vector ``first`` of row r on.

    Without the part of u that is the original's own.
    """
    t = node(net, a)
    below = node(net, get(t, col.SOURCE))
    rule, epsilon = get(work, f.RULE), load_scalar(work + f.EPSILON * 8)
    for v in range(first, min(first + WIDE, get(t, col.PITCH) >> 4)):
        bits = (flips >> (16 * (v - first))) & 0xFFFF
        if bits == 0:
            continue
        at = r * get(t, col.PITCH) + v * 16
        z, y = (get(below, col.BASE) + at) * 4, (get(t, col.BASE) + at) * 4
        slope = get(net, f.WEIGHT) + (get(t, col.SCALE) + v * 16) * 4
        if rule == col.GRADIENT:
            new, old = slope_at(get(work, f.NEW) + z, slope), slope_at(get(work, f.ACTS) + z, slope)
        else:
            new = quotient_at(get(work, f.NEW) + z, get(work, f.REFERENCE) + z, slope, epsilon)
            old = load(get(work, f.QUOTIENTS) + y)
        u = load(far_row(net, work, a, r, v, bits))
        out = get(work, f.DIFFERENCE) + z
        store(out, fma(subtract(new, old), u, load(out)))


@kernel
def open_gate(net: int, works: int, group: int, a: int, frame: int) -> None:
    """What all rows of the convolution below activation a share."""
    lead, gate = get(works, 0), node(net, a)
    below = node(net, get(gate, col.SOURCE))
    z, y = get(below, col.BASE) * 4, get(gate, col.BASE) * 4
    put(frame, SLOPE, get(net, f.WEIGHT) + get(gate, col.SCALE) * 4)
    put(frame, ACTS, get(lead, f.ACTS) + z)
    put(frame, ABOVE, get(lead, f.QUOTIENTS) + y)
    put(frame, REFERENCE, get(lead, f.REFERENCE) + z)
    put(frame, EPSILON, get(lead, f.EPSILON))
    lane = get(lead, f.U_KIND) == LANE
    put(frame, UPSTREAM, np.int64(0) if lane else get(lead, f.U_ROWS) + y)
    put(frame, NOTHING, get(lead, f.ZEROS))
    put(frame, SUMS, get(lead, f.SUMS))
    put(frame, FUNCTIONS, get(lead, f.FUNCTIONS))
    for g in range(GROUP):
        put(frame, NEW + g, get(member(works, group, g), f.NEW) + z)
        put(frame, TARGETS + g, get(member(works, group, g), f.DIFFERENCE) + z)


@kernel
def changed_rows(works: int, group: int, row: int) -> int:
    """A bit for each mutant that changes a row."""
    found: Any = np.int64(0)
    for g in range(GROUP):
        found |= flag(get(member(works, group, g), f.CHANGED), row) << g
    return found


@kernel
def list_gated(
    net: int, works: int, group: int, a: int, r: int, v: int, vectors: int, results: int
) -> None:  # fmt: skip
    """Add what flipped gates pass on, and list the entries of some vectors of row r."""
    lead, t = get(works, 0), node(net, a)
    below = node(net, get(t, col.SOURCE))
    first, left = r * get(t, col.PITCH) + v * 16, get(t, col.CHANNELS) - v * 16
    flipped = np.int64(0)
    for g in range(group):
        flips = get(results, g)
        if flips != 0 and get(get(works, g), f.U_KIND) != ROWS_OF_U:
            add_flips(net, get(works, g), a, r, v, flips)
            flipped |= flips
    if flipped == 0:
        append_found(get(lead, f.NEXT_LIST), results, vectors, first, left)
        return
    zero = splat(np.float32(0))
    for k in range(0, vectors * 16, 16):
        bits = np.int64(0)
        for g in range(group):
            row = get(get(works, g), f.DIFFERENCE) + (get(below, col.BASE) + first + k) * 4
            bits |= differ(load(row), zero)
        append(get(lead, f.NEXT_LIST), bits, first + k, left - k)


@kernel
def gate_rows(net: int, works: int, group: int, a: int) -> None:
    """The same for what has arrived at activation a from elsewhere."""
    t, lead = node(net, a), get(works, 0)
    s = get(t, col.SOURCE)
    below, frame = node(net, s), get(lead, f.FRAME)
    kind = SLOPES if get(lead, f.RULE) == col.GRADIENT else QUOTIENTS
    open_gate(net, works, group, a, frame)
    whole, mutants = get(t, col.PITCH) >> 4, 1 if group == 1 else GROUP
    results, none = get(frame, SUMS), np.int64(0)
    spans, counts, zero = get(lead, f.BACK_SPANS), get(lead, f.BACK_COUNTS), splat(np.float32(0))
    open_list(get(lead, f.NEXT_LIST), spans, counts, s)
    for q in range(get(counts, s)):
        for r in range(span(spans, s, 2 * q), span(spans, s, 2 * q + 1) + 1):
            open_row(get(lead, f.NEXT_LIST), r)
            moved = any_flag(works, group, f.MOVED, get(t, col.FLAGS) + r)
            changed = changed_rows(works, group, get(below, col.FLAGS) + r)
            if moved == 0 and changed == 0:
                continue
            for v in range(0, whole, WIDE):
                halves = min(HALVES, (get(t, col.CHANNELS) - v * 16 + 7) >> 3)
                vectors, at = vectors_of(halves), (r * get(t, col.PITCH) + v * 16) * 4
                for g in range(GROUP):
                    work = member(works, group, g)
                    arrived = flag(get(work, f.MOVED), get(t, col.FLAGS) + r)
                    dv = get(work, f.DIFFERENCE) + get(t, col.BASE) * 4 + at
                    for k in range(0, vectors * 64, 64):
                        store(results + g * vectors * 64 + k, load(dv + k) if arrived else zero)
                put(frame, SLOPE, get(net, f.WEIGHT) + (get(t, col.SCALE) + v * 16) * 4)
                pull(kind, mutants, halves, frame, none, none, none, at, changed)
                list_gated(net, works, group, a, r, v, vectors, results)
    close_list(get(lead, f.NEXT_LIST))
    swap(lead)


@by_address("void(int64, int64, int64)")
def activation_back(net: int, work: int, n: int) -> None:
    """dv_below = q' dv + (q' - q) u."""
    acts = get(work, f.ACTS)
    reference = get(work, f.REFERENCE)
    rule = get(work, f.RULE)
    plain, epsilon = get(work, f.PLAIN), load_scalar(work + f.EPSILON * 8)
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    pitch = get(t, col.PITCH)
    zero = splat(np.float32(0))
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        a, b = span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1)
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, a, b)
        for i in range(a, b + 1):
            moved = flag(get(work, f.MOVED), get(t, col.FLAGS) + i) != 0
            changed = not plain and flag(get(work, f.CHANGED), get(below, col.FLAGS) + i) != 0
            if not moved and not changed:
                continue
            o = (get(t, col.BASE) + i * pitch) * 4
            p = (get(below, col.BASE) + i * pitch) * 4
            slope = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
            fresh = flag(get(work, f.MOVED), get(below, col.FLAGS) + i) == 0
            any_set = np.int64(0)
            for v in range(pitch >> 4):
                k = v * 64
                if rule == col.GRADIENT:
                    old = slope_at(acts + p + k, slope + k)
                else:
                    old = load(get(work, f.QUOTIENTS) + o + k)
                out = zero
                if changed:
                    if rule == col.GRADIENT:
                        new = slope_at(get(work, f.NEW) + p + k, slope + k)
                    else:
                        new = quotient_at(
                            get(work, f.NEW) + p + k, reference + p + k, slope + k, epsilon
                        )
                    bits = differ(new, old)
                    if moved:
                        out = multiply(new, load(get(work, f.DIFFERENCE) + o + k))
                    if bits != 0:
                        at = arriving_row(net, work, n, i, v, bits)
                        out = fma(subtract(new, old), load(at), out)
                else:
                    out = multiply(old, load(get(work, f.DIFFERENCE) + o + k))
                if fresh:
                    any_set |= differ(out, zero)
                    store(get(work, f.DIFFERENCE) + p + k, out)
                else:
                    store(
                        get(work, f.DIFFERENCE) + p + k,
                        add(load(get(work, f.DIFFERENCE) + p + k), out),
                    )
            if fresh and any_set != 0:
                set_flag(get(work, f.MOVED), get(below, col.FLAGS) + i, 1)

"""What a mutant changes in the gradient (or the multipliers) that reach the sequence.

``difference`` holds dv = J'^T g' - J^T g', zero at the top of the trunk. Linear operators pass it
on; at a gate ``dv_below = q' dv + (q' - q) u`` with u the value that arrives in the original's
trunk. With ``plain`` set the same walk propagates what stands in ``difference`` through the
original's own gates: that is how u itself is made.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node, span
from dfim_fast.backends.numba_cpu.events.arriving import ROWS_OF_U, arriving_row
from dfim_fast.backends.numba_cpu.events.convolution import (
    append_found,
    member,
    open_frame,
    pull_window,
)
from dfim_fast.backends.numba_cpu.events.lists import (
    CODES,
    COUNT,
    END,
    FIRST,
    any_flag,
    append,
    begin,
    clear,
    close_list,
    list_moved,
    open_list,
    open_row,
    swap,
)
from dfim_fast.backends.numba_cpu.events.multipliers import quotient_at, slope_at
from dfim_fast.backends.numba_cpu.events.pool_back import max_pool_back, max_pool_share, touch
from dfim_fast.backends.numba_cpu.events.pull import (
    ABOVE,
    ACTS,
    EPSILON,
    FUNCTIONS,
    GROUP,
    NEW,
    NOTHING,
    QUOTIENTS,
    REFERENCE,
    SLOPE,
    SLOPES,
    SUMS,
    TARGETS,
    UPSTREAM,
    WIDE,
    pull,
    pull_bases,
)
from dfim_fast.backends.numba_cpu.events.simd import (
    add,
    differ,
    flag,
    fma,
    get,
    get_short,
    load,
    load_scalar,
    multiply,
    put,
    put_short,
    set_flag,
    splat,
    store,
    store_scalar,
    subtract,
)
from dfim_fast.backends.numba_cpu.events.spans import add_span, rows_read
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
            0,
            span(get(work, f.BACK_SPANS), n, 2 * q),
            span(get(work, f.BACK_SPANS), n, 2 * q + 1),
        )
    if not plain:
        s = n if get(node(net, n), col.OP) == col.MAX_POOL else get(node(net, n), col.SOURCE)
        for q in range(get(get(work, f.COUNTS), s)):
            add_span(
                get(work, f.BOTH),
                get(work, f.BOTH_COUNT),
                0,
                span(get(work, f.SPANS), s, 2 * q),
                span(get(work, f.SPANS), s, 2 * q + 1),
            )


@kernel
def add_back(work: int, t: int, r: int, v: int, vectors: int, sums: int) -> None:
    """Add what arrived to some vectors of row r of the node at t."""
    moved, flags = get(work, f.MOVED), get(t, col.FLAGS) + r
    row = get(work, f.DIFFERENCE) + (get(t, col.BASE) + r * get(t, col.PITCH)) * 4
    if flag(moved, flags) == 0:
        if vectors * 16 == get(t, col.PITCH):
            any_set, zero = np.int64(0), splat(np.float32(0))
            for k in range(0, vectors * 64, 64):
                any_set |= differ(load(sums + k), zero)
                store(row + k, load(sums + k))
            if any_set:
                set_flag(moved, flags, 1)
            return
        clear(row, get(t, col.PITCH))
        set_flag(moved, flags, 1)
    for k in range(0, vectors * 64, 64):
        at = row + v * 64 + k
        store(at, add(load(at), load(sums + k)))


@kernel
def spread_gate(net: int, work: int, a: int) -> None:
    """The rows below activation a: those in ``BOTH``."""
    for q in range(get(get(work, f.BOTH_COUNT), 0)):
        add_span(
            get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), get(node(net, a), col.SOURCE),
            span(get(work, f.BOTH), 0, 2 * q), span(get(work, f.BOTH), 0, 2 * q + 1),
        )  # fmt: skip


@kernel
def spread_spans(net: int, work: int, n: int) -> None:
    """The rows that a convolution's rows read, and so those of what a chain makes with them."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    spans, counts = get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS)
    for q in range(get(counts, n)):
        low, high = rows_read(
            span(spans, n, 2 * q), span(spans, n, 2 * q + 1), get(t, col.KERNEL),
            get(t, col.STRIDE), get(t, col.DILATION), get(t, col.PAD), get(below, col.ROWS),
        )
        if get(below, col.PITCH) < 16:  # whole blocks of positions
            high = min(low + ((high - low) | 7), get(below, col.ROWS) - 1)
        add_span(spans, counts, s, low, high)
    if get(work, f.PLAIN) == 0 and get(t, col.CHAIN) & col.DOWN:
        gather_spans(net, work, s)
        spread_gate(net, work, s)


@kernel
def add_flips(net: int, work: int, a: int, r: int, first: int, flips: int) -> None:
    """dv_below += (q' - q) u where a gate differs: ``flips``, from vector ``first`` of row r on."""
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
        u = load(arriving_row(net, work, a, r, v, bits))
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
    rows_of_u = get(lead, f.U_KIND) == ROWS_OF_U
    put(frame, UPSTREAM, get(lead, f.U_VALUES) + y if rows_of_u else np.int64(0))
    put(frame, NOTHING, get(lead, f.ZEROS))
    put(frame, SUMS, get(lead, f.SUMS))
    put(frame, FUNCTIONS, get(lead, f.FUNCTIONS))
    for g in range(GROUP):
        put(frame, NEW + g, get(member(works, group, g), f.NEW) + z)
        put(frame, TARGETS + g, get(member(works, group, g), f.DIFFERENCE) + z)


@kernel
def changed_rows(works: int, group: int, row: int) -> int:
    """A bit for each mutant that changes a row."""
    found = np.int64(0)
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
        if flips != 0:
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
def chained_rows_back(net: int, works: int, group: int, n: int, frame: int) -> None:
    """Rows below convolution n and its activation: dv_below = q' dv + (q' - q) u; their entries."""
    t, lead = node(net, n), get(works, 0)
    a = get(t, col.SOURCE)
    s = get(node(net, a), col.SOURCE)
    below, kind = node(net, s), SLOPES if get(lead, f.RULE) == col.GRADIENT else QUOTIENTS
    open_gate(net, works, group, a, frame)
    entry = get(t, col.BACK) + 3
    vectors, weight = index(net, entry + 1), get(net, f.WEIGHT) + index(net, entry + 2) * 4
    each, mutants = get(t, col.PITCH) * vectors * 64, 1 if group == 1 else GROUP
    taps, pitch, results = get(t, col.KERNEL), get(below, col.PITCH), get(frame, SUMS)
    spans, counts = get(lead, f.BACK_SPANS), get(lead, f.BACK_COUNTS)
    open_list(get(lead, f.NEXT_LIST), spans, counts, s)
    for q in range(get(counts, s)):
        for r in range(span(spans, s, 2 * q), span(spans, s, 2 * q + 1) + 1):
            open_row(get(lead, f.NEXT_LIST), r)
            row = r + get(t, col.PAD) - taps + 1
            start, stop = begin(get(lead, f.LIST), row), begin(get(lead, f.LIST), row + taps)
            changed = changed_rows(works, group, get(below, col.FLAGS) + r)
            if start >= stop and changed == 0:
                continue
            at, offset = weight - row * each, r * pitch * 4
            clear(results, mutants * vectors * 16)
            pull(kind, mutants, vectors, frame, start, stop, at, offset, changed)
            list_gated(net, works, group, a, r, np.int64(0), vectors, results)
    close_list(get(lead, f.NEXT_LIST))
    swap(lead)


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
                vectors, at = min(WIDE, whole - v), (r * get(t, col.PITCH) + v * 16) * 4
                for g in range(GROUP):
                    work = member(works, group, g)
                    arrived = flag(get(work, f.MOVED), get(t, col.FLAGS) + r)
                    dv = get(work, f.DIFFERENCE) + get(t, col.BASE) * 4 + at
                    for k in range(0, vectors * 64, 64):
                        store(results + g * vectors * 64 + k, load(dv + k) if arrived else zero)
                put(frame, SLOPE, get(net, f.WEIGHT) + (get(t, col.SCALE) + v * 16) * 4)
                pull(kind, mutants, vectors, frame, none, none, none, at, changed)
                list_gated(net, works, group, a, r, v, vectors, results)
    close_list(get(lead, f.NEXT_LIST))
    swap(lead)


@kernel
def convolution_back(net: int, works: int, group: int, n: int) -> None:
    """Non-zero entries times the transposed weights."""
    t, lead = node(net, n), get(works, 0)
    s = get(t, col.SOURCE)
    below = node(net, s)
    stride, pad = get(t, col.STRIDE), get(t, col.PAD)
    for g in range(group):
        spread_spans(net, get(works, g), n)
    if get(lead, f.PLAIN) or get(t, col.CHAIN) & col.FROM_ABOVE == 0:
        list_moved(net, works, group, n)
    frame = open_frame(works, group, f.DIFFERENCE, get(t, col.BASE))
    if get(below, col.PITCH) < 16:
        bases_back(net, works, group, n, frame)
        return
    if get(lead, f.PLAIN) == 0 and get(t, col.CHAIN) & col.DOWN:
        chained_rows_back(net, works, group, n, frame)
        return
    if get(get(lead, f.LIST), COUNT) == 0:
        return
    spans, counts, sums = get(lead, f.BACK_SPANS), get(lead, f.BACK_COUNTS), get(lead, f.SUMS)
    blocks, table = index(net, get(t, col.BACK)), get(t, col.BACK) + 1
    for b in range(blocks):
        for q in range(get(counts, s)):
            for r in range(span(spans, s, 2 * q), span(spans, s, 2 * q + 1) + 1):
                phase = table
                if stride > 1:
                    phase += (r + pad) % stride * (2 + 3 * blocks)
                reached = r + pad - index(net, phase + 1) * get(t, col.DILATION)
                if stride > 1:
                    reached //= stride
                entry = phase + 2 + 3 * b
                v, vectors = index(net, entry), index(net, entry + 1)
                if pull_window(
                    works, group, frame, get(net, f.WEIGHT) + index(net, entry + 2) * 4, vectors,
                    get(t, col.PITCH), reached, index(net, phase), get(t, col.FORWARD_STEP),
                ):  # fmt: skip
                    for g in range(group):
                        add_back(get(works, g), below, r, v, vectors, sums + g * vectors * 64)


@kernel
def bases_back(net: int, works: int, group: int, n: int, frame: int) -> None:
    """The same down to the sequence: eight positions, whose four bases lie side by side, at once.

    Weights are (channels out, taps, 4) with zeros on both sides, read from where the first of the
    eight positions meets the entry's row.
    """
    t, lead = node(net, n), get(works, 0)
    below = node(net, get(t, col.SOURCE))
    stride, pad, taps = get(t, col.STRIDE), get(t, col.PAD), get(t, col.KERNEL)
    listed, place, pitch = get(lead, f.LIST), get(lead, f.PLACES), get(t, col.PITCH)
    code = get(listed, CODES)
    for i in range(get(listed, FIRST), get(listed, END)):
        for e in range(begin(listed, i), begin(listed, i + 1)):
            channel = get_short(code, e) - i * pitch
            put_short(place + e * 4, channel * get(t, col.BASES_BLOCK) * 4 - i * stride * 16)
    mutants = 1 if group == 1 else GROUP
    weight, sums = get(net, f.WEIGHT) + get(t, col.BASES) * 4, get(lead, f.SUMS)
    spans = get(lead, f.BACK_SPANS)
    for q in range(get(get(lead, f.BACK_COUNTS), get(t, col.SOURCE))):
        low = span(spans, get(t, col.SOURCE), 2 * q)
        high = span(spans, get(t, col.SOURCE), 2 * q + 1)
        for p in range(low, high + 1, 8):
            start = begin(listed, -((taps - 1 - p - pad) // stride))
            stop = begin(listed, (p + 7 + pad) // stride + 1)
            if start >= stop:
                continue
            pull_bases(mutants, frame, start, stop, weight + (p + pad) * 16)
            for g in range(group):
                add_bases(get(works, g), below, p, min(p + 7, high), sums + g * 128)


@kernel
def add_bases(work: int, t: int, low: int, high: int, sums: int) -> None:
    """Add what arrived to positions low..high of the sequence, at most eight."""
    moved, flags = get(work, f.MOVED), get(t, col.FLAGS)
    row = get(work, f.DIFFERENCE) + (get(t, col.BASE) + low * 4) * 4
    fresh = True
    for p in range(low, high + 1):
        fresh &= flag(moved, flags + p) == 0
    if fresh and high == low + 7:
        store(row, load(sums))
        store(row + 64, load(sums + 64))
        for p in range(low, high + 1):
            set_flag(moved, flags + p, 1)
        return
    for p in range(low, high + 1):
        old = flag(moved, flags + p) != 0
        for k in range((p - low) * 16, (p - low) * 16 + 16, 4):
            x = load_scalar(sums + k)
            store_scalar(row + k, load_scalar(row + k) + x if old else x)
        set_flag(moved, flags + p, 1)


@kernel
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


@kernel
def average_pool_back(net: int, work: int, n: int) -> None:
    """factor * dv to every row of the window."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    rows, pitch = get(node(net, s), col.ROWS), get(t, col.PITCH)
    for q in range(get(get(work, f.BACK_COUNTS), n)):
        a, b = span(get(work, f.BACK_SPANS), n, 2 * q), span(get(work, f.BACK_SPANS), n, 2 * q + 1)
        low, high = rows_read(
            a,
            b,
            get(t, col.KERNEL),
            get(t, col.STRIDE),
            get(t, col.DILATION),
            get(t, col.PAD),
            rows,
        )
        add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
        for i in range(a, b + 1):
            if flag(get(work, f.MOVED), get(t, col.FLAGS) + i) == 0:
                continue
            factor = splat(load_scalar(get(net, f.WEIGHT) + (get(t, col.SCALE) + i) * 4))
            source = get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * pitch) * 4
            for j in range(get(t, col.KERNEL)):
                r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
                if r < 0 or r >= rows:
                    continue
                row = touch(net, work, s, r)
                for v in range(pitch >> 4):
                    store(row + v * 64, fma(load(source + v * 64), factor, load(row + v * 64)))


@kernel
def send_row(net: int, work: int, n: int, i: int, k: int) -> None:
    """One row of Affine, Add, Concat or Take to its k-th input."""
    t = node(net, n)
    s = index(net, get(t, col.SOURCES) + k)
    op = get(t, col.OP)
    source = get(work, f.DIFFERENCE) + (get(t, col.BASE) + i * get(t, col.PITCH)) * 4
    r = i
    if op == col.CONCAT_ROWS:
        r = i - index(net, get(t, col.INDEX) + k)
    elif op == col.TAKE_ROWS:
        r = get(t, col.FIRST) + get(t, col.STEP) * i
    row = touch(net, work, s, r)
    if op == col.CONCAT_CHANNELS:
        at = index(net, get(t, col.INDEX) + k)
        for c in range(get(node(net, s), col.CHANNELS)):
            o = row + c * 4
            store_scalar(o, load_scalar(o) + load_scalar(source + (at + c) * 4))
        return
    if op == col.TAKE_CHANNELS:
        for c in range(get(t, col.CHANNELS)):
            o = row + index(net, get(t, col.INDEX) + c) * 4
            store_scalar(o, load_scalar(o) + load_scalar(source + c * 4))
        return
    scale = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
    for v in range(get(t, col.PITCH) >> 4):
        g, y = load(source + v * 64), load(row + v * 64)
        if op == col.AFFINE:
            y = fma(g, load(scale + v * 64), y)
        elif op == col.ADD and index(net, get(t, col.INDEX) + k) < 0:
            y = subtract(y, g)
        else:
            y = add(y, g)
        store(row + v * 64, y)


@kernel
def rearranged_back(net: int, work: int, n: int) -> None:
    """Operators that only scale, add or move rows."""
    t = node(net, n)
    op = get(t, col.OP)
    for k in range(get(t, col.COUNT)):
        s = index(net, get(t, col.SOURCES) + k)
        rows = get(node(net, s), col.ROWS)
        for q in range(get(get(work, f.BACK_COUNTS), n)):
            a, b = (
                span(get(work, f.BACK_SPANS), n, 2 * q),
                span(get(work, f.BACK_SPANS), n, 2 * q + 1),
            )
            low, high = a, b
            if op == col.CONCAT_ROWS:
                at = index(net, get(t, col.INDEX) + k)
                a, b = max(a, at), min(b, at + rows - 1)
                low, high = a - at, b - at
            elif op == col.TAKE_ROWS:
                low, high = (
                    get(t, col.FIRST) + get(t, col.STEP) * a,
                    get(t, col.FIRST) + get(t, col.STEP) * b,
                )
                low, high = min(low, high), max(low, high)
            add_span(get(work, f.BACK_SPANS), get(work, f.BACK_COUNTS), s, low, high)
            for i in range(a, b + 1):
                if flag(get(work, f.MOVED), get(t, col.FLAGS) + i):
                    send_row(net, work, n, i, k)


@by_address("void(int64, int64, int64)")
def backward(net: int, works: int, group: int) -> None:
    """All nodes of a group of mutants, from the top of the trunk down to the sequence."""
    for n in range(get(net, f.NODES) - 1, 0, -1):
        op = get(node(net, n), col.OP)
        if op == col.CONV:
            convolution_back(net, works, group, n)
            continue
        chain = np.int64(0) if get(get(works, 0), f.PLAIN) else get(node(net, n), col.CHAIN)
        if chain & col.FROM_ABOVE:
            continue
        for g in range(group):
            work = get(works, g)
            if op == col.ACTIVATION or op == col.MAX_POOL:
                gather_spans(net, work, n)
                if chain & col.GATE:
                    spread_gate(net, work, n)
                elif op == col.ACTIVATION:
                    activation_back(net, work, n)
                elif get(work, f.RULE) == col.SHAP:
                    max_pool_share(net, work, n)
                else:
                    max_pool_back(net, work, n)
            elif op == col.AVERAGE_POOL:
                average_pool_back(net, work, n)
            else:
                rearranged_back(net, work, n)
        if chain & col.GATE:
            gate_rows(net, works, group, n)


@kernel
def forget(net: int, flags: int, spans: int, counts: int) -> None:
    """Clear the flags of all rows in the lists, and the lists."""
    for n in range(get(net, f.NODES)):
        start = get(node(net, n), col.FLAGS)
        for q in range(get(counts, n)):
            for i in range(span(spans, n, 2 * q), span(spans, n, 2 * q + 1) + 1):
                set_flag(flags, start + i, 0)
        put(counts, n, 0)

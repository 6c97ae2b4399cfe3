"""Many gradients at once through the original's trunk.

Where the head has hidden layers, what arrives at the trunk is a combination of basis vectors (or,
where there are too many, each mutant's own gradient). They share the original's gates, so they are
propagated side by side: ``values`` holds ``lanes`` floats for every (row, channel), a closed gate
skips all of them, and one weight serves 16 or 32. A thread owns a slice of the lanes.

``known`` has an integer per (row, channel): 0 where nothing has arrived, else 1 + the number of its
vector of lanes. Where an entry only passes on what one other entry has got (below a pool, say), it
shares that one's vector, and ``scale`` says by how much to multiply; nothing is written. A
convolution whose only reader is an activation has no entries: its gate is applied when the
activation's are read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.access import index, node
from dfim_fast.backends.numba_cpu.events.arriving import vector_of
from dfim_fast.backends.numba_cpu.events.multipliers import shares, slope_at
from dfim_fast.backends.numba_cpu.events.simd import (
    fma,
    get,
    get_short,
    load,
    load_scalar,
    multiply,
    put,
    put_short,
    splat,
    store,
    store_scalar,
)
from dfim_fast.jit import entry, kernel


@kernel
def pass_on(
    work: int, source: int, t: int, i: int, factor: float, first: int, vectors: int
) -> None:
    """Entry i of the node at t gets ``factor`` times entry ``source``, in this thread's lanes."""
    known, scales = get(work, f.U_KNOWN), get(work, f.U_SCALE)
    if factor == 0 or get_short(known, source) == 0:
        return
    target, scale = get(t, col.ENTRY) + i, factor * load_scalar(scales + source * 4)
    fresh = get_short(known, target) == 0
    if get(t, col.STORE) < 0:
        put_short(known + target * 4, get_short(known, source))
        store_scalar(
            scales + target * 4, scale if fresh else scale + load_scalar(scales + target * 4))
        return
    a, many = vector_of(work, source) + first * 64, splat(scale)
    if fresh:
        b = own_vector(work, t, i) + first * 64
        for v in range(vectors):
            store(b + v * 64, multiply(load(a + v * 64), many))
    else:
        b = vector_of(work, target) + first * 64
        for v in range(vectors):
            store(b + v * 64, fma(load(a + v * 64), many, load(b + v * 64)))


@kernel
def own_vector(work: int, t: int, i: int) -> int:
    """Entry i of the node at t is known from now on; returns the address of its vector."""
    entry = get(t, col.ENTRY) + i
    put_short(get(work, f.U_KNOWN) + entry * 4, get(t, col.STORE) + i + 1)
    store_scalar(get(work, f.U_SCALE) + entry * 4, np.float32(1))
    return vector_of(work, entry)


@kernel
def gates(net: int, work: int, n: int, i: int) -> int:
    """Address of the multipliers of row i of activation n."""
    t = node(net, n)
    pitch = get(t, col.PITCH)
    if get(work, f.RULE) != col.GRADIENT:
        return get(work, f.QUOTIENTS) + (get(t, col.BASE) + i * pitch) * 4
    x = get(work, f.ACTS) + (get(node(net, get(t, col.SOURCE)), col.BASE) + i * pitch) * 4
    slope = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
    out = get(work, f.SCRATCH)
    for v in range(0, pitch * 4, 64):
        store(out + v, slope_at(x + v, slope + v))
    return out


@kernel
def clear_row(net: int, work: int, n: int, i: int, first: int, vectors: int) -> int:
    """Make every entry of a row known; returns the address of its first one."""
    t = node(net, n)
    channels, zero = get(t, col.CHANNELS), splat(np.float32(0))
    start = get(t, col.ENTRY) + i * channels
    for c in range(channels):
        if get_short(get(work, f.U_KNOWN), start + c) == 0:
            row = own_vector(work, t, i * channels + c) + first * 64
            for v in range(vectors):
                store(row + v * 64, zero)
    return vector_of(work, start) + first * 64


@kernel
def tap_two(
    target: int, width: int, channels: int, weight: int, block: int, at: int, value: int,
    channel: int, place: int, e: int, count: int,
) -> None:  # fmt: skip
    """32 lanes of one row: target[c] += sum over up to 4 entries of weight[entry][c] * entry."""
    zero = splat(np.float32(0))
    a0 = splat(load_scalar(value + e * 4))
    p0 = at + get_short(place, e) * width
    x0, y0 = multiply(a0, load(p0)), multiply(a0, load(p0 + 64))
    x1, y1, x2, y2, x3, y3 = zero, zero, zero, zero, zero, zero
    w0 = weight + get(channel, e) * block
    w1, w2, w3 = w0, w0, w0
    if count > 1:
        a1 = splat(load_scalar(value + e * 4 + 4))
        p1 = at + get_short(place, e + 1) * width
        x1, y1 = multiply(a1, load(p1)), multiply(a1, load(p1 + 64))
        w1 = weight + get(channel, e + 1) * block
    if count > 2:
        a2 = splat(load_scalar(value + e * 4 + 8))
        p2 = at + get_short(place, e + 2) * width
        x2, y2 = multiply(a2, load(p2)), multiply(a2, load(p2 + 64))
        w2 = weight + get(channel, e + 2) * block
    if count > 3:
        a3 = splat(load_scalar(value + e * 4 + 12))
        p3 = at + get_short(place, e + 3) * width
        x3, y3 = multiply(a3, load(p3)), multiply(a3, load(p3 + 64))
        w3 = weight + get(channel, e + 3) * block
    for c in range(channels):
        o = target + c * width
        s, t = load(o), load(o + 64)
        w = splat(load_scalar(w0 + c * 4))
        s, t = fma(w, x0, s), fma(w, y0, t)
        w = splat(load_scalar(w1 + c * 4))
        s, t = fma(w, x1, s), fma(w, y1, t)
        w = splat(load_scalar(w2 + c * 4))
        s, t = fma(w, x2, s), fma(w, y2, t)
        w = splat(load_scalar(w3 + c * 4))
        s, t = fma(w, x3, s), fma(w, y3, t)
        store(o, s)
        store(o + 64, t)


@kernel
def tap_one(
    target: int, width: int, channels: int, weight: int, block: int, at: int, value: int,
    channel: int, place: int, e: int, count: int,
) -> None:  # fmt: skip
    """The same for 16 lanes."""
    zero = splat(np.float32(0))
    x0 = multiply(splat(load_scalar(value + e * 4)), load(at + get_short(place, e) * width))
    x1, x2, x3 = zero, zero, zero
    w0 = weight + get(channel, e) * block
    w1, w2, w3 = w0, w0, w0
    if count > 1:
        p1 = at + get_short(place, e + 1) * width
        x1 = multiply(splat(load_scalar(value + e * 4 + 4)), load(p1))
        w1 = weight + get(channel, e + 1) * block
    if count > 2:
        p2 = at + get_short(place, e + 2) * width
        x2 = multiply(splat(load_scalar(value + e * 4 + 8)), load(p2))
        w2 = weight + get(channel, e + 2) * block
    if count > 3:
        p3 = at + get_short(place, e + 3) * width
        x3 = multiply(splat(load_scalar(value + e * 4 + 12)), load(p3))
        w3 = weight + get(channel, e + 3) * block
    for c in range(channels):
        o = target + c * width
        s = fma(splat(load_scalar(w0 + c * 4)), x0, load(o))
        s = fma(splat(load_scalar(w1 + c * 4)), x1, s)
        s = fma(splat(load_scalar(w2 + c * 4)), x2, s)
        store(o, fma(splat(load_scalar(w3 + c * 4)), x3, s))


@kernel
def convolution_lanes(net: int, work: int, n: int, first: int, vectors: int) -> None:
    """Entries behind open gates times the transposed weights."""
    t = node(net, n)
    s = get(t, col.SOURCE)
    below = node(net, s)
    fused = get(t, col.FUSED)
    source = node(net, fused) if fused >= 0 else t
    channels, width = get(t, col.CHANNELS), get(work, f.U_LANES) * 4
    value, channel, place = get(work, f.VALUE), get(work, f.CHANNEL), get(work, f.PLACES)
    known, scales = get(work, f.U_KNOWN), get(work, f.U_SCALE)
    pitch, block = get(below, col.PITCH), get(t, col.BACKWARD_BLOCK) * 4
    for i in range(get(t, col.ROWS)):
        start = get(source, col.ENTRY) + i * channels
        count = np.int64(0)
        q = gates(net, work, fused, i) if fused >= 0 else np.int64(0)
        for c in range(channels):
            vector = get_short(known, start + c)
            if vector:
                factor = load_scalar(scales + (start + c) * 4)
                if fused >= 0:
                    factor *= load_scalar(q + c * 4)
                if factor != 0:
                    put(channel, count, c)
                    put_short(place + count * 4, vector - 1)
                    store_scalar(value + count * 4, factor)
                    count += 1
        if count == 0:
            continue
        at = get(work, f.U_VALUES) + first * 64
        for j in range(get(t, col.KERNEL)):
            r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
            if r < 0 or r >= get(below, col.ROWS):
                continue
            target = clear_row(net, work, s, r, first, vectors)
            weight = get(net, f.WEIGHT) + (get(t, col.BACKWARD) + j * pitch) * 4
            for e in range(0, count, 4):
                v = 0
                while v + 2 <= vectors:
                    tap_two(
                        target + v * 64, width, get(below, col.CHANNELS), weight, block,
                        at + v * 64, value, channel, place, e, count - e,
                    )  # fmt: skip
                    v += 2
                if v < vectors:
                    tap_one(
                        target + v * 64, width, get(below, col.CHANNELS), weight, block,
                        at + v * 64, value, channel, place, e, count - e,
                    )  # fmt: skip


@kernel
def max_pool_lanes(net: int, work: int, n: int, first: int, vectors: int) -> None:
    """To the winner of x, or shared with the winner of r."""
    t = node(net, n)
    below = node(net, get(t, col.SOURCE))
    channels, pitch = get(t, col.CHANNELS), get(t, col.PITCH)
    epsilon = load_scalar(work + f.EPSILON * 8)
    reference = get(work, f.REFERENCE)
    for i in range(get(t, col.ROWS)):
        for c in range(channels):
            source = get(t, col.ENTRY) + i * channels + c
            k = (get(t, col.WINNER) + i * pitch + c) * 4
            w = np.int64(load_scalar(get(work, f.WINNERS) + k))
            to_x, to_r, r = np.float32(1), np.float32(0), w
            if get(work, f.RULE) == col.SHAP:
                r = np.int64(load_scalar(get(work, f.REFERENCE_WINNERS) + k))
                o = (get(t, col.BASE) + i * pitch + c) * 4
                to_x, to_r = shares(
                    load_scalar(get(work, f.ACTS) + o),
                    load_scalar(reference + o),
                    load_scalar(reference + (get(below, col.BASE) + w * pitch + c) * 4),
                    load_scalar(get(work, f.ACTS) + (get(below, col.BASE) + r * pitch + c) * 4),
                    epsilon,
                )
            pass_on(work, source, below, w * channels + c, to_x, first, vectors)
            pass_on(work, source, below, r * channels + c, to_r, first, vectors)


@kernel
def average_pool_lanes(net: int, work: int, n: int, first: int, vectors: int) -> None:
    """factor times to every row of the window."""
    t = node(net, n)
    below = node(net, get(t, col.SOURCE))
    channels = get(t, col.CHANNELS)
    for i in range(get(t, col.ROWS)):
        factor = load_scalar(get(net, f.WEIGHT) + (get(t, col.SCALE) + i) * 4)
        for j in range(get(t, col.KERNEL)):
            r = i * get(t, col.STRIDE) - get(t, col.PAD) + j * get(t, col.DILATION)
            if 0 <= r < get(below, col.ROWS):
                for c in range(channels):
                    pass_on(
                        work,
                        get(t, col.ENTRY) + i * channels + c,
                        below,
                        r * channels + c,
                        factor,
                        first,
                        vectors,
                    )


@kernel
def row_lanes(net: int, work: int, n: int, i: int, first: int, vectors: int) -> None:
    """One row of an operator that only scales, adds or moves entries."""
    t = node(net, n)
    op, channels = get(t, col.OP), get(t, col.CHANNELS)
    start = get(t, col.ENTRY) + i * channels
    factors = np.int64(0)
    if op == col.ACTIVATION:
        factors = gates(net, work, n, i)
    elif op == col.AFFINE:
        factors = get(net, f.WEIGHT) + (get(t, col.SCALE) + i * get(t, col.SCALE_PITCH)) * 4
    for k in range(get(t, col.COUNT)):
        below = node(net, index(net, get(t, col.SOURCES) + k))
        width = get(below, col.CHANNELS)
        at = (
            index(net, get(t, col.INDEX) + k)
            if (op == col.CONCAT_ROWS or op == col.CONCAT_CHANNELS)
            else np.int64(0)
        )
        r: Any = i
        if op == col.CONCAT_ROWS:
            r = i - at
            if r < 0 or r >= get(below, col.ROWS):
                continue
        elif op == col.TAKE_ROWS:
            r = get(t, col.FIRST) + get(t, col.STEP) * i
        if op == col.CONCAT_CHANNELS:
            for c in range(width):
                pass_on(work, start + at + c, below, r * width + c, np.float32(1), first, vectors)
        elif op == col.TAKE_CHANNELS:
            for c in range(channels):
                pass_on(
                    work,
                    start + c,
                    below,
                    r * width + index(net, get(t, col.INDEX) + c),
                    np.float32(1),
                    first,
                    vectors,
                )
        else:
            sign = np.float32(1)
            if op == col.ADD and index(net, get(t, col.INDEX) + k) < 0:
                sign = np.float32(-1)
            for c in range(channels):
                factor = load_scalar(factors + c * 4) if factors != 0 else sign
                pass_on(work, start + c, below, r * width + c, factor, first, vectors)


@entry
def basis_backward(net: int, work: int, first: int, vectors: int) -> None:
    """All nodes, for the lanes ``16 * first`` onwards, ``vectors`` times 16 of them.

    The cut nodes' entries hold what comes from the head, and are known.
    """
    for n in range(get(net, f.NODES) - 1, 0, -1):
        op = get(node(net, n), col.OP)
        if op == col.CONV:
            convolution_lanes(net, work, n, first, vectors)
        elif op == col.MAX_POOL:
            max_pool_lanes(net, work, n, first, vectors)
        elif op == col.AVERAGE_POOL:
            average_pool_lanes(net, work, n, first, vectors)
        else:
            if op == col.ACTIVATION:
                s = get(node(net, n), col.SOURCE)
                if get(node(net, s), col.FUSED) == n:
                    continue
            for i in range(get(node(net, n), col.ROWS)):
                row_lanes(net, work, n, i, first, vectors)


@entry
def read_importance(net: int, work: int, reading: np.ndarray, out: np.ndarray) -> None:
    """Importance per basis vector, out (L, lanes): what arrives at node 0 . ``reading``."""
    t = node(net, 0)
    lanes = get(work, f.U_LANES)
    for p in range(len(reading)):
        o = out.ctypes.data + p * lanes * 4
        for b in range(4):
            entry_ = get(t, col.ENTRY) + p * 4 + b
            if reading[p, b] == 0 or get_short(get(work, f.U_KNOWN), entry_) == 0:
                continue
            scale = splat(reading[p, b] * load_scalar(get(work, f.U_SCALE) + entry_ * 4))
            a = vector_of(work, entry_)
            for v in range(lanes >> 4):
                store(o + v * 64, fma(load(a + v * 64), scale, load(o + v * 64)))

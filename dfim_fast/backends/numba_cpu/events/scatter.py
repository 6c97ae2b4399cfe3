"""The inner loop of everything: non-zero entries of a row times their blocks of weights.

``target[first + t * step] += sum_e value[e] * block[channel[e]][t]`` for the taps t that land
inside ``low..high``. Blocks are (taps, pitch) and contiguous, so that with step 1 one entry is a
single axpy; entries go four at a time, so that the accumulator is loaded once for four.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events.jit import kernel
from dfim_fast.backends.numba_cpu.events.simd import (
    differ,
    first_bit,
    flag,
    fma,
    get,
    load,
    load_scalar,
    put,
    set_flag,
    splat,
    store,
    store_scalar,
)


@kernel
def axpy(
    target: int, block: int, stride: int, channel: int, value: int, count: int, vectors: int
) -> None:
    """Add ``count`` scaled blocks of ``vectors`` vectors to the target, in ascending order."""
    e = 0
    while count - e >= 3:
        # a missing fourth entry is the third once more, times zero
        f = e + 3 if count - e > 3 else e + 2
        w0, w1 = block + get(channel, e) * stride, block + get(channel, e + 1) * stride
        w2, w3 = block + get(channel, e + 2) * stride, block + get(channel, f) * stride
        a, b, c = (
            splat(load_scalar(value + (e) * 4)),
            splat(load_scalar(value + (e + 1) * 4)),
            splat(load_scalar(value + (e + 2) * 4)),
        )
        d = splat(load_scalar(value + f * 4) if count - e > 3 else np.float32(0))
        for i in range(vectors):
            o = i * 64
            s = fma(a, load(w0 + o), load(target + o))
            s = fma(b, load(w1 + o), s)
            s = fma(c, load(w2 + o), s)
            s = fma(d, load(w3 + o), s)
            store(target + o, s)
        e += 4
    if count - e == 2:
        w0, w1 = block + get(channel, e) * stride, block + get(channel, e + 1) * stride
        a, b = splat(load_scalar(value + (e) * 4)), splat(load_scalar(value + (e + 1) * 4))
        for i in range(vectors):
            o = i * 64
            s = fma(a, load(w0 + o), load(target + o))
            store(target + o, fma(b, load(w1 + o), s))
    elif count - e == 1:
        w0 = block + get(channel, e) * stride
        a = splat(load_scalar(value + (e) * 4))
        for i in range(vectors):
            o = i * 64
            store(target + o, fma(a, load(w0 + o), load(target + o)))


@kernel
def clear(row: int, pitch: int) -> None:
    """Zero one row."""
    zero = splat(np.float32(0))
    if pitch < 16:
        # rows of the bases: what lies behind is cleared before it is used
        for c in range(pitch):
            store_scalar(row + 4 * c, np.float32(0))
        return
    for q in range(pitch >> 4):
        store(row + q * 64, zero)


@kernel
def scatter(
    target: int,
    pitch: int,
    flags: int,
    start: int,
    low: int,
    high: int,
    first: int,
    step: int,
    taps: int,
    block: int,
    stride: int,
    channel: int,
    value: int,
    count: int,
) -> None:
    """Add a row's entries to the target rows low..high; rows not flagged are cleared first.

    ``target`` is the address of row 0 and ``start`` the entry of row 0 in ``flags``.
    """
    if step == 1:
        t0 = max(0, low - first)
        t1 = min(taps, high - first + 1)
        if t0 >= t1:
            return
        for row in range(first + t0, first + t1):
            if flag(flags, start + row) == 0:
                clear(target + row * pitch * 4, pitch)
                set_flag(flags, start + row, 1)
        axpy(
            target + (first + t0) * pitch * 4,
            block + t0 * pitch * 4,
            stride,
            channel,
            value,
            count,
            ((t1 - t0) * pitch + 15) >> 4,
        )
        return
    for t in range(taps):
        row = first + t * step
        if row < low or row > high:
            continue
        if flag(flags, start + row) == 0:
            clear(target + row * pitch * 4, pitch)
            set_flag(flags, start + row, 1)
        axpy(
            target + row * pitch * 4,
            block + t * pitch * 4,
            stride,
            channel,
            value,
            count,
            (pitch + 15) >> 4,
        )


@kernel
def entries(row: int, channels: int, channel: int, value: int) -> int:
    """The non-zero entries of a row, in ascending order; returns their number."""
    count = 0
    zero = splat(np.float32(0))
    for q in range((channels + 15) >> 4):
        bits = differ(load(row + q * 64), zero)
        left = channels - q * 16
        if left < 16:
            bits &= (1 << left) - 1
        while bits != 0:
            c = q * 16 + first_bit(bits)
            put(channel, count, c)
            store_scalar(value + count * 4, load_scalar(row + c * 4))
            count += 1
            bits &= bits - 1
    return count


@kernel
def changes(new: int, old: int, channels: int, channel: int, value: int) -> int:
    """The entries where two rows differ, and by how much."""
    count = 0
    for q in range((channels + 15) >> 4):
        a, b = load(new + q * 64), load(old + q * 64)
        bits = differ(a, b)
        left = channels - q * 16
        if left < 16:
            bits &= (1 << left) - 1
        while bits != 0:
            c = q * 16 + first_bit(bits)
            put(channel, count, c)
            store_scalar(value + count * 4, load_scalar(new + c * 4) - load_scalar(old + c * 4))
            count += 1
            bits &= bits - 1
    return count

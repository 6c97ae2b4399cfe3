"""From the trunk into dense layers: a row's changes times their rows of weights."""

from __future__ import annotations

from dfim_fast.backends.numba_cpu.events.simd import (
    differ,
    first_bit,
    fma,
    get,
    load,
    load_scalar,
    put,
    splat,
    store,
    store_scalar,
)
from dfim_fast.jit import kernel


@kernel
def pour(
    target: int,
    weight: int,
    stride: int,
    channel: int,
    value: int,
    start: int,
    stop: int,
    vectors: int,
) -> None:
    """Add entries start..stop - 1 to some vectors of the target, in order."""
    while vectors >= 8:
        a, b, c, d = load(target), load(target + 64), load(target + 128), load(target + 192)
        p, q, r, s = (
            load(target + 256),
            load(target + 320),
            load(target + 384),
            load(target + 448),
        )
        for e in range(start, stop):
            x = splat(load_scalar(value + e * 4))
            w = weight + get(channel, e) * stride
            a, b = fma(x, load(w), a), fma(x, load(w + 64), b)
            c, d = fma(x, load(w + 128), c), fma(x, load(w + 192), d)
            p, q = fma(x, load(w + 256), p), fma(x, load(w + 320), q)
            r, s = fma(x, load(w + 384), r), fma(x, load(w + 448), s)
        store(target, a)
        store(target + 64, b)
        store(target + 128, c)
        store(target + 192, d)
        store(target + 256, p)
        store(target + 320, q)
        store(target + 384, r)
        store(target + 448, s)
        target, weight, vectors = target + 512, weight + 512, vectors - 8
    while vectors >= 4:
        a, b, c, d = load(target), load(target + 64), load(target + 128), load(target + 192)
        for e in range(start, stop):
            x = splat(load_scalar(value + e * 4))
            w = weight + get(channel, e) * stride
            a, b = fma(x, load(w), a), fma(x, load(w + 64), b)
            c, d = fma(x, load(w + 128), c), fma(x, load(w + 192), d)
        store(target, a)
        store(target + 64, b)
        store(target + 128, c)
        store(target + 192, d)
        target, weight, vectors = target + 256, weight + 256, vectors - 4
    while vectors >= 2:
        a, b = load(target), load(target + 64)
        for e in range(start, stop):
            x = splat(load_scalar(value + e * 4))
            w = weight + get(channel, e) * stride
            a, b = fma(x, load(w), a), fma(x, load(w + 64), b)
        store(target, a)
        store(target + 64, b)
        target, weight, vectors = target + 128, weight + 128, vectors - 2
    if vectors == 1:
        a = load(target)
        for e in range(start, stop):
            x = splat(load_scalar(value + e * 4))
            a = fma(x, load(weight + get(channel, e) * stride), a)
        store(target, a)


@kernel
def changes(new: int, old: int, channels: int, channel: int, value: int, count: int) -> int:
    """Append the entries where two rows differ, and by how much."""
    for q in range((channels + 15) >> 4):
        bits = differ(load(new + q * 64), load(old + q * 64))
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

"""The far part of hidden heads: combinations of the importance of basis vectors.

Few of a mutant's coefficients differ from zero where gates only open and close, so that a general
product would mostly multiply zeros. Each row is made alike, whichever others stand beside it.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.numba_cpu.events.simd import (
    differ,
    first_bit,
    fma,
    load,
    load_scalar,
    splat,
    store,
)
from dfim_fast.jit import entry, kernel

RUN = 4  # vectors of coefficients at a time: what they are multiplied with stays in the first cache
ROWS = 128  # results at a time, even: they stay in the second


@kernel
def combine_four(
    w: int, x: int, first: int, last: int, vectors: int, pitch: int, out: int, beside: int
) -> None:
    """64 positions of two rows: out += coefficients @ vectors, for vectors first..last - 1 of them.

    The coefficients of the rows stand at w and x, the rows at ``out`` and ``beside``; ``pitch``:
    bytes of a basis vector.
    """
    a, b, c, d = load(out), load(out + 64), load(out + 128), load(out + 192)
    e, f, g, h = load(beside), load(beside + 64), load(beside + 128), load(beside + 192)
    zero = splat(np.float32(0))
    for v in range(first, last):
        bits = differ(load(w + v * 64), zero) | differ(load(x + v * 64), zero)
        while bits != 0:
            i = v * 16 + first_bit(bits)
            bits &= bits - 1
            at = vectors + i * pitch
            y, z = splat(load_scalar(w + i * 4)), splat(load_scalar(x + i * 4))
            p, q, r, s = load(at), load(at + 64), load(at + 128), load(at + 192)
            a, e = fma(y, p, a), fma(z, p, e)
            b, f = fma(y, q, b), fma(z, q, f)
            c, g = fma(y, r, c), fma(z, r, g)
            d, h = fma(y, s, d), fma(z, s, h)
    store(out, a)
    store(out + 64, b)
    store(out + 128, c)
    store(out + 192, d)
    store(beside, e)
    store(beside + 64, f)
    store(beside + 128, g)
    store(beside + 192, h)


@kernel
def combine_one(
    w: int, x: int, first: int, last: int, vectors: int, pitch: int, out: int, beside: int
) -> None:
    """The same for 16 positions."""
    a, e, zero = load(out), load(beside), splat(np.float32(0))
    for v in range(first, last):
        bits = differ(load(w + v * 64), zero) | differ(load(x + v * 64), zero)
        while bits != 0:
            i = v * 16 + first_bit(bits)
            bits &= bits - 1
            p = load(vectors + i * pitch)
            a = fma(splat(load_scalar(w + i * 4)), p, a)
            e = fma(splat(load_scalar(x + i * 4)), p, e)
    store(out, a)
    store(beside, e)


@kernel
def far_block(
    vectors: int, coefficients: int, lanes: int, out: int, row: int, many: int, before: int
) -> None:
    """``many`` rows of one reference, ``row`` floats each: added to what came before, if any."""
    pitch, width, zero = row * 4, lanes * 4, splat(np.float32(0))
    if before == 0:
        for at in range(out, out + many * pitch, 64):
            store(at, zero)
    for p in range(0, pitch, 256):
        for first in range(0, lanes >> 4, RUN):
            last = min(first + RUN, lanes >> 4)
            for m in range(0, many, 2):
                n = min(m + 1, many - 1)  # alone, a last row is made twice
                w, x = coefficients + m * width, coefficients + n * width
                at, to, beside = vectors + p, out + m * pitch + p, out + n * pitch + p
                if p + 256 <= pitch:
                    combine_four(w, x, first, last, at, pitch, to, beside)
                else:
                    for q in range(0, pitch - p, 64):
                        combine_one(w, x, first, last, at + q, pitch, to + q, beside + q)


@entry
def far_rows(
    fis: np.ndarray,
    vectors: np.ndarray,
    coefficients: np.ndarray,
    lanes: np.ndarray,
    group: np.ndarray,
    reference: int,
    start: int,
    stop: int,
) -> None:
    """Rows start..stop of fis (K, G, M, L in whole vectors), for some references.

    The first reference of a group writes, the others add.

    Parameters
    ----------
    vectors : ndarray (R,) int64
        Addresses of basis vectors (lanes, L in whole vectors).
    coefficients : ndarray (K, R) int64
        Addresses of (M, lanes) floats.
    lanes : ndarray (R,) int64
    group : ndarray int64
        Of every reference; these begin at ``reference``.
    """
    for block in range(start, stop, ROWS):
        for k in range(len(fis)):
            for r in range(len(lanes)):
                g, before = group[reference + r], np.int64(0)
                for i in range(reference + r):
                    before += group[i] == g
                row = (k * fis.shape[1] + g) * fis.shape[2] + block
                far_block(
                    vectors[r],
                    coefficients[k, r] + block * lanes[r] * 4,
                    lanes[r],
                    fis.ctypes.data + row * fis.shape[3] * 4,
                    fis.shape[3],
                    min(ROWS, stop - block),
                    before,
                )

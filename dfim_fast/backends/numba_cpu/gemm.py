"""Single-precision matrix products in which every row is computed alike.

BLAS gives a row other bits when it stands elsewhere in the matrix. Repeats in DNA make real ties
in pooling, and two equal windows must stay equal to the bit wherever they stand. Here each number
of the result is a sum of chains of fused multiply-adds in the order of the inner axis, whatever
the number and position of the rows; results depend neither on tiles nor on threads. Rows may
overlap in memory (``lda`` below the row length): a convolution without dilation needs no copy of
its windows.

The right-hand matrix is packed once into panels of a few vectors; a block of rows by a panel stays
in registers. Block shapes follow the processor's vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from dfim_fast.jit import entry, kernel

LANES = 16
CHAIN = 256  # inner entries summed before they join the rest: rounding grows with a chain's length
_F32, _I64 = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)


@cache
def _wide() -> bool:
    """Whether a vector of 16 floats is one register on the processor that is compiled for."""
    if config.CPU_NAME is not None:  # NUMBA_CPU_NAME and NUMBA_CPU_FEATURES name another one
        return "+avx512f" in (config.CPU_FEATURES or "")
    return bool(binding.get_host_cpu_features().get("avx512f", False))


def _block(rows: int, vectors: int) -> Any:
    """C[rows, 16 * vectors] = A @ panel (or +=), the sums in registers."""

    @intrinsic
    def block(
        _: Any, a: Any, lda: Any, panel: Any, c: Any, ldc: Any, inner: Any, columns: Any, add: Any
    ) -> Any:
        """Addresses a, panel, c; strides in bytes; columns to write; add: 1 to accumulate."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            a, lda, panel, c, ldc, inner, columns, add = args
            module = builder.module
            zero = ir.Constant(_VECTOR, [0.0] * LANES)
            lanes = ir.Constant(ir.VectorType(_I64, LANES), list(range(LANES)))
            pointer = _VECTOR.as_pointer()
            i32, i1 = ir.IntType(32), ir.IntType(1)

            def declared(name: str, kind: Any) -> Any:
                return cgutils.get_or_insert_function(module, kind, name)

            fma = declared(f"llvm.fma.v{LANES}f32", ir.FunctionType(_VECTOR, [_VECTOR] * 3))
            load = declared(
                f"llvm.masked.load.v{LANES}f32.p0v{LANES}f32",
                ir.FunctionType(_VECTOR, [pointer, i32, _MASK, _VECTOR]),
            )
            store = declared(
                f"llvm.masked.store.v{LANES}f32.p0v{LANES}f32",
                ir.FunctionType(ir.VoidType(), [_VECTOR, pointer, i32, _MASK]),
            )

            def splat(x: Any, kind: Any) -> Any:
                one = builder.insert_element(
                    ir.Constant(kind, ir.Undefined), x, ir.Constant(i32, 0)
                )
                return builder.shuffle_vector(
                    one,
                    ir.Constant(kind, ir.Undefined),
                    ir.Constant(ir.VectorType(i32, LANES), [0] * LANES),
                )

            def at(base: Any, offset: Any, kind: Any) -> Any:
                return builder.inttoptr(builder.add(base, offset), kind)

            masks, places = [], []
            for v in range(vectors):
                left = builder.sub(columns, ir.Constant(_I64, v * LANES))
                masks.append(
                    builder.icmp_signed("<", lanes, splat(left, ir.VectorType(_I64, LANES)))
                )
            align = ir.Constant(i32, 4)
            start = [zero] * (rows * vectors)
            for r in range(rows):
                row = builder.add(c, builder.mul(ldc, ir.Constant(_I64, r)))
                for v in range(vectors):
                    where = at(row, ir.Constant(_I64, 4 * LANES * v), pointer)
                    places.append((where, masks[v]))
            before = builder.block
            loop = builder.append_basic_block("inner")
            done = builder.append_basic_block("done")
            builder.cbranch(builder.icmp_signed(">", inner, ir.Constant(_I64, 0)), loop, done)
            builder.position_at_end(loop)
            k = builder.phi(_I64)
            k.add_incoming(ir.Constant(_I64, 0), before)
            sums = []
            for value in start:
                phi = builder.phi(_VECTOR)
                phi.add_incoming(value, before)
                sums.append(phi)
            base = builder.add(panel, builder.mul(k, ir.Constant(_I64, 4 * LANES * vectors)))
            right = [
                builder.load(at(base, ir.Constant(_I64, 4 * LANES * v), pointer), align=4)
                for v in range(vectors)
            ]
            column = builder.add(a, builder.mul(k, ir.Constant(_I64, 4)))
            new = []
            for r in range(rows):
                where = at(column, builder.mul(lda, ir.Constant(_I64, r)), _F32.as_pointer())
                left = splat(builder.load(where, align=4), _VECTOR)
                new += [
                    builder.call(fma, [left, right[v], sums[r * vectors + v]])
                    for v in range(vectors)
                ]
            after = builder.add(k, ir.Constant(_I64, 1))
            k.add_incoming(after, loop)
            for phi, value in zip(sums, new, strict=True):
                phi.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed("<", after, inner), loop, done)
            builder.position_at_end(done)
            finals = []
            for value in new:
                final = builder.phi(_VECTOR)
                final.add_incoming(zero, before)
                final.add_incoming(value, loop)
                finals.append(final)
            accumulate = builder.icmp_signed("!=", add, ir.Constant(_I64, 0))
            for (where, mask), final in zip(places, finals, strict=True):
                old = builder.select(accumulate, mask, ir.Constant(_MASK, [i1(0)] * LANES))
                known = builder.call(load, [where, align, old, zero])
                builder.call(store, [builder.fadd(known, final), where, align, mask])
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), generate

    return block


# rows a block holds for 1, 2, 3, 4 vectors: as many accumulators as fit the register file
_1, _2, _3, _4 = (
    _block(n, v) for v, n in enumerate((12, 12, 8, 6) if _wide() else (6, 3, 2, 1), 1)
)
_ROWS = (0, 12, 12, 8, 6) if _wide() else (0, 6, 3, 2, 1)
_one1, _one2, _one3, _one4 = (_block(1, v) for v in (1, 2, 3, 4))
MOST = 4 if _wide() else 1  # vectors in a panel


@kernel
def _rows(size, vectors, a, lda, panel, inner, columns, c, ldc, add):
    """One block of ``size`` rows, whole or single."""
    if size == 1:
        if vectors == 1:
            _one1(a, lda, panel, c, ldc, inner, columns, add)
        elif vectors == 2:
            _one2(a, lda, panel, c, ldc, inner, columns, add)
        elif vectors == 3:
            _one3(a, lda, panel, c, ldc, inner, columns, add)
        else:
            _one4(a, lda, panel, c, ldc, inner, columns, add)
    elif vectors == 1:
        _1(a, lda, panel, c, ldc, inner, columns, add)
    elif vectors == 2:
        _2(a, lda, panel, c, ldc, inner, columns, add)
    elif vectors == 3:
        _3(a, lda, panel, c, ldc, inner, columns, add)
    else:
        _4(a, lda, panel, c, ldc, inner, columns, add)


@entry
def _multiply(a, lda, panels, inner, columns, most, taps, step, c, ldc, rows):
    """C (rows, columns) = sum over taps of A @ B. Addresses a, panels, c; strides in bytes.

    Tap j reads A from ``j * step`` on, and the panels that follow those of tap j - 1. A last block
    that would be short starts earlier and computes some rows again, to the same bits.
    """
    first = 0
    at = panels
    whole = 0  # bytes of one tap's panels
    while first < columns:
        v = min(most, (columns - first + LANES - 1) // LANES)
        whole += 4 * LANES * v * inner
        first += LANES * v
    first = 0
    while first < columns:
        left = columns - first
        v = min(most, (left + LANES - 1) // LANES)
        size = _ROWS[v] if rows >= _ROWS[v] else 1
        i = 0
        while i < rows:
            row = min(i, rows - size)
            for tap in range(taps):
                for begin in range(0, inner, CHAIN):
                    _rows(
                        size,
                        v,
                        a + row * lda + tap * step + 4 * begin,
                        lda,
                        at + tap * whole + 4 * LANES * v * begin,
                        min(CHAIN, inner - begin),
                        left,
                        c + row * ldc + 4 * first,
                        ldc,
                        1 if tap or begin else 0,
                    )
            i += size
        at += 4 * LANES * v * inner
        first += LANES * v


@dataclass(frozen=True, eq=False)
class Packed:
    """A right-hand matrix (K, H) in panels.

    Attributes
    ----------
    data : ndarray, flat float32
        Panel after panel; each (K, 16 * vectors), columns beyond H zero.
    inner, columns : int
        K and H.
    most : int
        Vectors of every panel but the last, which may have fewer.
    """

    data: np.ndarray
    inner: int
    columns: int
    most: int


def panel_vectors(columns: int) -> int:
    """Vectors in a panel: as few unused columns as possible, then as few panels."""
    vectors = -(-columns // LANES)
    panels = -(-vectors // MOST)
    return min(MOST, -(-vectors // panels))


def pack(b: np.ndarray) -> Packed:
    """Lay a matrix (K, H) out in panels."""
    inner, columns = b.shape
    most = panel_vectors(columns)
    parts = []
    first = 0
    while first < columns:
        v = min(most, -(-(columns - first) // LANES))
        panel = np.zeros((inner, LANES * v), np.float32)
        part = b[:, first : first + LANES * v]
        panel[:, : part.shape[1]] = part
        parts.append(panel.ravel())
        first += LANES * v
    return Packed(np.concatenate(parts), inner, columns, most)


def multiply(a: np.ndarray, b: Packed) -> np.ndarray:
    """A @ B for an array (rows, K)."""
    a = np.ascontiguousarray(a, np.float32)
    out = np.empty((len(a), b.columns), np.float32)
    _multiply(
        a.ctypes.data,
        4 * b.inner,
        b.data.ctypes.data,
        b.inner,
        b.columns,
        b.most,
        1,
        0,
        out.ctypes.data,
        4 * b.columns,
        len(a),
    )
    return out

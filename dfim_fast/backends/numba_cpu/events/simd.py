"""Sixteen floats at a time, for Numba.

A Numba type whose values are LLVM's ``<16 x float>`` and the few operations that the walk needs.
The code that comes out does not hang on what the auto-vectoriser makes of a loop: fused
multiply-adds are explicit, and with them the bits of every result. Where the processor's vectors
are shorter, LLVM splits them. Addresses are plain integers (``array.ctypes.data``); masks are
integers with one bit per lane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from dfim_fast.jit import kernel

LANES = 16
# whether a vector's lanes can be squeezed together in one instruction, and LLVM knows how
SQUEEZES = llvm.llvm_version_info[0] >= 19 and bool(
    llvm.get_host_cpu_features().get("avx512f")
)
F32, F64 = ir.FloatType(), ir.DoubleType()
_I16, I32, I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(F32, LANES)
HALF = ir.VectorType(F32, LANES // 2)
_MASK = ir.VectorType(ir.IntType(1), LANES)


class _Vector(types.Type):
    def __init__(self) -> None:
        super().__init__(name="float32x16")


vector = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, VECTOR)


def _lanes(builder: Any, v: Any, picked: list[int]) -> Any:
    pattern = ir.Constant(ir.VectorType(I32, len(picked)), picked)
    return builder.shuffle_vector(v, ir.Constant(v.type, ir.Undefined), pattern)


def splat_of(builder: Any, x: Any) -> Any:
    v = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), x, ir.Constant(I32, 0))
    return _lanes(builder, v, [0] * LANES)


def zeros_of(kind: Any) -> Any:
    return ir.Constant(kind, [0.0] * kind.count)


def low_half(builder: Any, v: Any) -> Any:
    return _lanes(builder, v, list(range(LANES // 2)))


def with_zeros(builder: Any, half: Any) -> Any:
    pattern = ir.Constant(ir.VectorType(I32, LANES), list(range(LANES)))
    return builder.shuffle_vector(half, zeros_of(HALF), pattern)


def bits_of(builder: Any, mask: Any) -> Any:
    return builder.zext(builder.bitcast(mask, _I16), I64)


def _load_of(numba_type: Any, kind: Any, align: int, text: str) -> Any:
    def stub(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=align)

        return numba_type(types.intp), generate

    stub.__doc__ = text
    return intrinsic(stub)


def _store_of(numba_type: Any, kind: Any, align: int, text: str) -> Any:
    def stub(_: Any, address: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            builder.store(args[1], builder.inttoptr(args[0], kind.as_pointer()), align=align)
            return context.get_dummy_value()

        return types.void(types.intp, numba_type), generate

    stub.__doc__ = text
    return intrinsic(stub)


load = _load_of(vector, VECTOR, 4, "16 floats at an address.")
load_scalar = _load_of(types.float32, F32, 4, "One float at an address.")
load_double = _load_of(types.float64, F64, 8, "One double at an address.")
store = _store_of(vector, VECTOR, 4, "Write 16 floats.")
store_scalar = _store_of(types.float32, F32, 4, "Write one float.")
store_double = _store_of(types.float64, F64, 8, "Write one double.")


@intrinsic
def splat(_: Any, x: Any) -> Any:
    """The same number in every lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return splat_of(builder, args[0])

    return vector(types.float32), generate


@intrinsic
def fma(_: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return vector(vector, vector, vector), generate


def _binary(operation: Callable[[Any, Any, Any], Any], text: str) -> Any:
    def stub(_: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return operation(builder, args[0], args[1])

        return vector(vector, vector), generate

    stub.__doc__ = text
    return intrinsic(stub)


def _compare(operator: str, text: str, ordered: bool = True) -> Any:
    def stub(_: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            make = builder.fcmp_ordered if ordered else builder.fcmp_unordered
            return bits_of(builder, make(operator, args[0], args[1]))

        return types.int64(vector, vector), generate

    stub.__doc__ = text
    return intrinsic(stub)


add = _binary(lambda b, x, y: b.fadd(x, y), "a + b")
subtract = _binary(lambda b, x, y: b.fsub(x, y), "a - b")
multiply = _binary(lambda b, x, y: b.fmul(x, y), "a * b")
divide = _binary(lambda b, x, y: b.fdiv(x, y), "a / b")
greater = _compare(">", "Bits of the lanes where a > b.")
less = _compare("<", "Bits of the lanes where a < b.")
equal = _compare("==", "Bits of the lanes where a == b.")
differ = _compare("!=", "Bits of the lanes where a and b differ; NaN differs from all.", False)


def _unary(name: str, text: str) -> Any:
    def stub(_: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(VECTOR, [VECTOR])
            full = f"llvm.{name}.v{LANES}f32"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), args)

        return vector(vector), generate

    stub.__doc__ = text
    return intrinsic(stub)


absolute = _unary("fabs", "|a|")
root = _unary("sqrt", "Square root of a.")


@intrinsic
def select(_: Any, bits: Any, a: Any, b: Any) -> Any:
    """a where the lane's bit is set, else b."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        mask = builder.bitcast(builder.trunc(args[0], _I16), _MASK)
        return builder.select(mask, args[1], args[2])

    return vector(types.int64, vector, vector), generate


@intrinsic
def first_bit(_: Any, bits: Any) -> Any:
    """The lowest set bit of a mask that is not zero."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(I64, [I64, ir.IntType(1)])
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64")
        return builder.call(count, [args[0], ir.Constant(ir.IntType(1), 1)])

    return types.int64(types.int64), generate


@intrinsic
def _squeeze(_: Any, address: Any, first: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address, first, bits = args
        kind = ir.VectorType(I32, LANES)
        start = builder.insert_element(
            ir.Constant(kind, ir.Undefined), builder.trunc(first, I32), ir.Constant(I32, 0))
        numbers = builder.add(
            _lanes(builder, start, [0] * LANES), ir.Constant(kind, list(range(LANES))))
        compress = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind, _MASK, kind]),
            f"llvm.experimental.vector.compress.v{LANES}i32")
        mask = builder.bitcast(builder.trunc(bits, _I16), _MASK)
        found = builder.call(compress, [numbers, mask, ir.Constant(kind, ir.Undefined)])
        builder.store(found, builder.inttoptr(address, kind.as_pointer()), align=4)
        count = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(I64, [I64]), "llvm.ctpop.i64")
        return builder.call(count, [bits])

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def put_short(_: Any, address: Any, value: Any) -> Any:
    """Write an int32."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place = builder.inttoptr(args[0], I32.as_pointer())
        builder.store(builder.trunc(args[1], I32), place, align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def get_short(_: Any, address: Any, i: Any) -> Any:
    """The i-th integer of an int32 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.inttoptr(args[0], I32.as_pointer())
        return builder.sext(builder.load(builder.gep(start, [args[1]]), align=4), I64)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def call(_: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
    """Call a function of three integers by its address."""
    kind = ir.FunctionType(ir.VoidType(), [I64] * 3)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@intrinsic
def total(_: Any, v: Any) -> Any:
    """The sum over the lanes, always in the same tree order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, width = args[0], LANES
        while width > 1:
            width //= 2
            low = _lanes(builder, value, list(range(width)))
            high = _lanes(builder, value, list(range(width, 2 * width)))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(I32, 0))

    return types.float32(vector), generate


@intrinsic
def get(_: Any, address: Any, i: Any) -> Any:
    """The i-th integer of an int64 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.inttoptr(args[0], I64.as_pointer())
        return builder.load(builder.gep(start, [args[1]]), align=8)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put(_: Any, address: Any, i: Any, value: Any) -> Any:
    """Set the i-th integer of an int64 array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.inttoptr(args[0], I64.as_pointer())
        builder.store(args[2], builder.gep(start, [args[1]]), align=8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def flag(_: Any, address: Any, i: Any) -> Any:
    """The i-th of an array of bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(builder.gep(start, [args[1]])), I64)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def set_flag(_: Any, address: Any, i: Any, value: Any) -> Any:
    """Set the i-th of an array of bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        start = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        builder.store(builder.trunc(args[2], ir.IntType(8)), builder.gep(start, [args[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def shorts_set(_: Any, address: Any) -> Any:
    """Bits of the 16 int32 from an address on that are not zero."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.VectorType(I32, LANES)
        value = builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=4)
        return bits_of(builder, builder.icmp_unsigned("!=", value, ir.Constant(kind, [0] * LANES)))

    return types.int64(types.int64), generate


if SQUEEZES:

    @kernel
    def lanes_set(address: int, first: int, bits: int) -> int:
        """Write ``first`` + lane, int32, for each of the ``bits``; returns how many.

        Room for 16 is needed.
        """
        return _squeeze(address, first, bits)

else:

    @kernel
    def lanes_set(address: int, first: int, bits: int) -> int:
        """Write ``first`` + lane, int32, for each of the ``bits``; returns how many."""
        count = 0
        while bits != 0:
            put_short(address + count * 4, first + first_bit(bits))
            count += 1
            bits &= bits - 1
        return count

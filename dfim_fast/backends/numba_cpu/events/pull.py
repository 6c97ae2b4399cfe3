"""The inner loop of everything: entries that differ from zero times their weights.

For some mutants g and some vectors v of one output row, the last of which may be half a vector,

    sum[g][v] += sum over e of delta[g][code[e]] * weight[code[e]][v]

The sums stay in registers while the entries pass, and a weight that was loaded serves all mutants
of the group. Entries come in ascending order of row and channel, each in a multiply-add of its
own, so that a sum does not depend on the group (an entry that a mutant does not have adds an exact
zero) nor on how many vectors go together.

What becomes of the sums is part of the function, so that they need not leave the registers: WRITE
writes them, MORE adds them to what stands there, VALUES makes a row of a convolution and of the
activation above it, SLOPES and QUOTIENTS send them through the activation below.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dfim_fast.backends.numba_cpu.events.finish import (
    BASE_VECTORS,
    BYTES,
    FUNCTIONS,
    GROUP,
    HALVES,
    Finish,
    put_at,
    quotients,
    slopes,
    sums_of,
    values,
    write,
)
from dfim_fast.backends.numba_cpu.events.simd import I64, get
from dfim_fast.jit import entry, kernel

# kind of function: what becomes of the sums, and whether they are added to what ``SUMS`` holds.
# Slopes and quotients are, so that they also serve where something else than a convolution sent it.
WRITE, MORE, VALUES, SLOPES, QUOTIENTS, BASES = range(6)
KINDS: tuple[tuple[Finish, bool], ...] = (
    (write, False), (write, True), (values, False), (slopes, True), (quotients, True),
    (write, False))
ALL_BASES = 2 * BASE_VECTORS  # half vectors of BASES, whose entries' places are in bytes
ARGUMENTS = 6  # frame, first and last entry (not included), weights, offset of the row, and mutants
_TYPE = ir.FunctionType(ir.VoidType(), [I64] * ARGUMENTS)


@intrinsic(prefer_literal=True)
def _define(_: Any, kind: Any, halves: Any, out: Any) -> Any:
    """Make the functions of a kind, for one mutant and for a GROUP, and write their addresses.

    They are called by address: compiled once, they stay out of what calls them, which else would
    optimise each of them again at every level.
    """
    (finish, more), width = KINDS[kind.literal_value], halves.literal_value
    scale = 1 if kind.literal_value == BASES else (width + 1) // 2 * BYTES

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for slot, mutants in enumerate((1, GROUP)):
            name = f"dfim_pull_{kind.literal_value}_{width}_{mutants}"
            function = ir.Function(builder.module, _TYPE, name)
            function.linkage = "internal"
            inside = ir.IRBuilder(function.append_basic_block())
            finish(inside, function.args,
                   sums_of(inside, function.args, mutants, width, scale, more))
            inside.ret_void()
            put_at(builder, builder.ptrtoint(function, I64), args[2], slot)
        return context.get_dummy_value()

    return types.void(kind, halves, types.int64), generate


ADDRESSES = np.zeros((len(KINDS), HALVES, 2), np.int64)  # of what was asked for, for the process


@cache
def compile_pull(kind: int, halves: int) -> Any:
    """Compile the functions of a kind that sum so many half vectors; returns what keeps them."""

    @entry
    def addresses(out: int) -> None:
        _define(kind, halves, out)

    addresses(ADDRESSES[kind, halves - 1].ctypes.data)
    return addresses


@intrinsic
def _call(_: Any, address: Any, frame: Any, start: Any, stop: Any, weight: Any, offset: Any,
          last: Any) -> Any:  # fmt: skip
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(builder.inttoptr(args[0], _TYPE.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * (1 + ARGUMENTS)), generate


@kernel
def vectors_of(halves: int) -> int:
    """Whole vectors that hold so many half ones."""
    return (halves + 1) >> 1


@kernel
def pull(
    kind: int, mutants: int, halves: int, frame: int, start: int, stop: int, weight: int,
    offset: int, last: int,
) -> None:  # fmt: skip
    """Call the function of a kind for 1 mutant or a GROUP, and 1 to HALVES half vectors.

    ``start``, ``stop``: entries. ``weight``: address of entry 0's. Where there are new rows,
    ``offset`` is that of the row in bytes, and ``last`` has a bit for each mutant that has one (or
    is the address of VALUES' base).
    """
    slot = 2 * (HALVES * kind + halves - 1) + (mutants > 1)
    _call(get(get(frame, FUNCTIONS), slot), frame, start, stop, weight, offset, last)


@kernel
def pull_bases(mutants: int, frame: int, start: int, stop: int, weight: int) -> None:
    """Down to the sequence: ``PLACE`` says how many bytes behind ``weight`` an entry's lie."""
    none = np.int64(0)
    pull(BASES, mutants, ALL_BASES, frame, start, stop, weight, none, none)

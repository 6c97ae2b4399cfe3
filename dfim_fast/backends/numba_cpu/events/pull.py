"""The inner loop of everything: entries that differ from zero times their weights.

For some mutants g and some vectors v of one output row,

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
    WIDE,
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
    (write, False), (write, True), (values, False), (slopes, True), (quotients, True))
SLOTS = 8 * len(KINDS) + 2
ARGUMENTS = 6  # frame, first and last entry (not included), weights, offset of the row, and mutants
_TYPE = ir.FunctionType(ir.VoidType(), [I64] * ARGUMENTS)


def _define(
    module: Any, name: str, mutants: int, vectors: int, finish: Finish, more: bool, scale: int
) -> Any:
    """One function, for so many mutants and vectors."""
    function = ir.Function(module, _TYPE, name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block())
    args = list(function.args)
    finish(builder, args, sums_of(builder, args, mutants, vectors, scale, more))
    builder.ret_void()
    return function


@intrinsic
def _define_all(_: Any, out: Any) -> Any:
    """Make all functions, and write their addresses.

    They are called by address: compiled once, they stay out of what calls them, which else would
    optimise each of them again at every level.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def put(slot: int, *how: Any) -> None:
            made = _define(builder.module, f"dfim_pull_{slot}", *how)
            put_at(builder, builder.ptrtoint(made, I64), args[0], slot)

        for kind, (finish, more) in enumerate(KINDS):
            for group, mutants in enumerate((1, GROUP)):
                for vectors in range(1, WIDE + 1):
                    slot = 8 * kind + 4 * group + vectors - 1
                    put(slot, mutants, vectors, finish, more, vectors * BYTES)
        for group, mutants in enumerate((1, GROUP)):
            put(8 * BASES + group, mutants, BASE_VECTORS, write, False, 1)
        return context.get_dummy_value()

    return types.void(types.int64), generate


@entry
def _addresses(out: np.ndarray) -> None:
    _define_all(out.ctypes.data)


@cache
def functions() -> np.ndarray:
    """Addresses of all functions (SLOTS,); kept as long as the process lives."""
    out = np.zeros(SLOTS, np.int64)
    _addresses(out)
    return out


@intrinsic
def _call(_: Any, address: Any, frame: Any, start: Any, stop: Any, weight: Any, offset: Any,
          last: Any) -> Any:  # fmt: skip
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(builder.inttoptr(args[0], _TYPE.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * (1 + ARGUMENTS)), generate


@kernel
def pull(
    kind: int, mutants: int, vectors: int, frame: int, start: int, stop: int, weight: int,
    offset: int, last: int,
) -> None:  # fmt: skip
    """Call the function of a kind for 1 mutant or a GROUP, and 1 to WIDE vectors.

    ``start``, ``stop``: entries. ``weight``: address of entry 0's. Where there are new rows,
    ``offset`` is that of the row in bytes, and ``last`` has a bit for each mutant that has one (or
    is the address of VALUES' base).
    """
    slot = 8 * kind + 4 * (mutants > 1) + vectors - 1
    _call(get(get(frame, FUNCTIONS), slot), frame, start, stop, weight, offset, last)


@kernel
def pull_bases(mutants: int, frame: int, start: int, stop: int, weight: int) -> None:
    """Down to the sequence: ``PLACE`` says how many bytes behind ``weight`` an entry's lie."""
    none, slot = np.int64(0), 8 * BASES + (mutants > 1)
    _call(get(get(frame, FUNCTIONS), slot), frame, start, stop, weight, none, none)

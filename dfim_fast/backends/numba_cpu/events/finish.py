"""What a row's sums are made of, and what becomes of them, in LLVM's own terms.

Generators of the bodies of ``pull``'s functions: the loop over entries, and after it one of the
finishes (to write the sums, or to send them through an activation), with the sums in registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

from dfim_fast.backends.numba_cpu.events.simd import (
    F32,
    HALF,
    I32,
    I64,
    LANES,
    VECTOR,
    bits_of,
    low_half,
    splat_of,
    with_zeros,
    zeros_of,
)

GROUP = 3  # mutants: the alternates of a position
BASE_VECTORS = 2  # of four bases at four positions each
# vectors of one row: as many sums as the processor has registers for
WIDE = 4 if llvm.get_host_cpu_features().get("avx512f") else 2
HALVES = 2 * WIDE  # a row is summed in half vectors: of its last one only what holds channels
BYTES = LANES * 4
NONE = zeros_of(VECTOR)

# Fields of a frame: what stays the same for all rows of a convolution. Addresses: of row 0.
CODE, PLACE, SUMS = 0, 1, 2  # entries, where their weights lie, where results go
SLOPE = 3  # of the activation, below zero
ACTS = 4  # the original's values below the activation
ABOVE = 5  # the original's values, or multipliers, of the activation
REFERENCE = 6  # the reference's values below the activation
EPSILON = 7  # float32
UPSTREAM = 8  # the original's own part of what arrives at the activation; 0 where there is none
NOTHING = 9  # zeros for as many vectors as go together
FUNCTIONS = 10  # addresses
DELTAS = 11  # for each mutant: what its entries are multiplied with
NEW = DELTAS + GROUP  # its values below the activation
TARGETS = NEW + GROUP  # what is written
FRAME = TARGETS + GROUP

Sums = list[list[Any]]  # by mutant and vector
Finish = Callable[[Any, Any, Sums], None]


def _get(builder: Any, frame: Any, field: int) -> Any:
    start = builder.inttoptr(frame, I64.as_pointer())
    return builder.load(builder.gep(start, [ir.Constant(I64, field)]), align=8)


def _row(builder: Any, frame: Any, field: int, offset: Any) -> Any:
    return builder.add(_get(builder, frame, field), offset)


def _bit(builder: Any, bits: Any, i: int) -> Any:
    picked = builder.and_(bits, ir.Constant(I64, 1 << i))
    return builder.icmp_signed("!=", picked, ir.Constant(I64, 0))


def _fma(builder: Any, kind: Any = VECTOR) -> Any:
    return cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * 3), f"llvm.fma.v{kind.count}f32")


def _at(builder: Any, address: Any, vector: int, kind: Any = VECTOR) -> Any:
    moved = builder.add(address, ir.Constant(I64, vector * BYTES))
    return builder.inttoptr(moved, kind.as_pointer())


def _load(builder: Any, address: Any, vector: int = 0, kind: Any = VECTOR) -> Any:
    return builder.load(_at(builder, address, vector, kind), align=4)


def _store(builder: Any, value: Any, address: Any, vector: int = 0) -> None:
    builder.store(value, _at(builder, address, vector), align=4)


def put_at(builder: Any, value: Any, address: Any, i: int) -> None:
    start = builder.inttoptr(address, I64.as_pointer())
    builder.store(value, builder.gep(start, [ir.Constant(I64, i)]), align=8)


def _differ(builder: Any, a: Any, b: Any) -> Any:
    return builder.fcmp_unordered("!=", a, b)


def _above(builder: Any, x: Any) -> Any:
    return builder.fcmp_ordered(">", x, NONE)


def _any(builder: Any, masks: list[Any]) -> Any:
    found = masks[0]
    for mask in masks[1:]:
        found = builder.or_(found, mask)
    return found


def _join(builder: Any, masks: list[Any]) -> Any:
    """Lanes of some vectors as the bits of one integer."""
    bits = [bits_of(builder, mask) for mask in masks]
    moved = [builder.shl(b, ir.Constant(I64, LANES * v)) for v, b in enumerate(bits)]
    return _any(builder, moved)


def _keep_rolled(builder: Any, branch: Any) -> None:
    """Runs of entries are short: a second loop for what is left over costs more than it saves."""
    module = builder.module
    wish = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([wish, wish])
    loop.operands = (loop, wish)  # a loop's own node comes first
    branch.set_metadata("llvm.loop", loop)


def _sum(builder: Any, first: Sums, scale: int, code: Any, place: Any, start: Any, stop: Any,
         deltas: list[Any], weight: Any) -> Sums:
    """The loop. Entry e reads ``code[e]`` of each mutant's deltas, and weights from
    ``weight + scale * place[e]`` on. Sums may be vectors and halves of them."""
    codes = builder.inttoptr(code, I32.as_pointer())
    places = builder.inttoptr(place, I32.as_pointer())
    before = builder.block
    body, after = builder.append_basic_block("entries"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", start, stop), body, after)
    builder.position_at_end(body)
    e = builder.phi(I64)
    e.add_incoming(start, before)
    sums = [[builder.phi(value.type) for value in row] for row in first]
    for row, values in zip(sums, first, strict=True):
        for phi, value in zip(row, values, strict=True):
            phi.add_incoming(value, before)
    entry = builder.sext(builder.load(builder.gep(codes, [e]), align=4), I64)
    lies = builder.sext(builder.load(builder.gep(places, [e]), align=4), I64)
    at = builder.add(weight, builder.mul(lies, ir.Constant(I64, scale)))
    weights = [_load(builder, at, v, value.type) for v, value in enumerate(first[0])]
    further = []
    for row, delta in zip(sums, deltas, strict=False):
        known = builder.gep(builder.inttoptr(delta, F32.as_pointer()), [entry])
        x = splat_of(builder, builder.load(known, align=4))
        further.append([
            builder.call(
                _fma(builder, s.type), [low_half(builder, x) if s.type == HALF else x, w, s])
            for w, s in zip(weights, row, strict=True)
        ])
    following = builder.add(e, ir.Constant(I64, 1))
    e.add_incoming(following, body)
    _keep_rolled(builder, builder.cbranch(builder.icmp_signed("<", following, stop), body, after))
    builder.position_at_end(after)
    totals = [[builder.phi(value.type) for value in row] for row in first]
    for total, row, values, new in zip(totals, sums, first, further, strict=True):
        for t, phi, value, late in zip(total, row, values, new, strict=True):
            phi.add_incoming(late, body)
            t.add_incoming(value, before)
            t.add_incoming(late, body)
    return totals


def sums_of(builder: Any, args: Any, mutants: int, halves: int, scale: int, more: bool) -> Sums:
    """The sums of a call, whole vectors of them; see the fields of a frame.

    Where the last vector's upper half holds no channel, it is left out of the loop and zero.
    """
    frame, start, stop, weight = args[:4]
    held, vectors = _get(builder, frame, SUMS), (halves + 1) // 2
    kinds = [VECTOR] * (halves // 2) + [HALF] * (halves % 2)
    first = [
        [
            _load(builder, held, g * vectors + v, kind) if more else zeros_of(kind)
            for v, kind in enumerate(kinds)
        ]
        for g in range(mutants)
    ]
    deltas = [_get(builder, frame, DELTAS + g) for g in range(mutants)]
    code = _get(builder, frame, CODE)
    place = code if scale > 1 else _get(builder, frame, PLACE)
    sums = _sum(builder, first, scale, code, place, start, stop, deltas, weight)
    return [[with_zeros(builder, s) if s.type == HALF else s for s in row] for row in sums]


def write(builder: Any, args: Any, sums: Sums) -> None:
    held = _get(builder, args[0], SUMS)
    for i, value in enumerate(value for row in sums for value in row):
        _store(builder, value, held, i)


def _results(builder: Any, frame: Any, marks: list[Any], entries: list[list[Any]]) -> None:
    """Where the sums would be: an integer per mutant, then the lanes of each vector that hold an
    entry of any mutant."""
    held = _get(builder, frame, SUMS)
    for g, mark in enumerate(marks):
        put_at(builder, mark, held, g)
    for v, masks in enumerate(zip(*entries, strict=True)):
        put_at(builder, bits_of(builder, _any(builder, list(masks))), held, GROUP + v)


def values(builder: Any, args: Any, sums: Sums) -> None:
    """z' = base + sum, where the call ends in the address of base instead of the mutants' bits, and
    what an activation makes of it: y' - y. The marks: where z' is not z."""
    frame, offset, base = args[0], args[4], args[5]
    old_z, old_y = _row(builder, frame, ACTS, offset), _row(builder, frame, ABOVE, offset)
    slope = _get(builder, frame, SLOPE)
    marks, entries = [], []
    for g, row in enumerate(sums):
        new = _row(builder, frame, NEW + g, offset)
        target = _row(builder, frame, TARGETS + g, offset)
        found, moved = [], []
        for v, change in enumerate(row):
            z = builder.fadd(_load(builder, base, v), change)
            low = builder.fmul(z, _load(builder, slope, v))
            y = builder.select(_above(builder, z), z, low)
            delta = builder.fsub(y, _load(builder, old_y, v))
            _store(builder, z, new, v)
            _store(builder, delta, target, v)
            found.append(_differ(builder, delta, NONE))
            moved.append(_differ(builder, z, _load(builder, old_z, v)))
        entries.append(found)
        marks.append(_join(builder, moved))
    _results(builder, frame, marks, entries)


def _slope(builder: Any, is_open: Any, below: Any) -> Any:
    return builder.select(is_open, ir.Constant(VECTOR, [1.0] * LANES), below)


def _upstream(builder: Any, frame: Any, offset: Any) -> Any:
    """Where u is read."""
    known = builder.icmp_signed("!=", _get(builder, frame, UPSTREAM), ir.Constant(I64, 0))
    return builder.select(
        known, _row(builder, frame, UPSTREAM, offset), _get(builder, frame, NOTHING))


def slopes(builder: Any, args: Any, sums: Sums) -> None:
    """q' times the sums plus (q' - q) u, for derivatives; the marks are gates that differ."""
    frame, offset, changed = args[0], args[4], args[5]
    old, slope = _row(builder, frame, ACTS, offset), _get(builder, frame, SLOPE)
    u = _upstream(builder, frame, offset)
    fma = _fma(builder)
    marks, entries = [], []
    for g, row in enumerate(sums):
        new = builder.select(_bit(builder, changed, g), _row(builder, frame, NEW + g, offset), old)
        target = _row(builder, frame, TARGETS + g, offset)
        found, flips = [], []
        for v, dv in enumerate(row):
            below = _load(builder, slope, v)
            is_open = _above(builder, _load(builder, new, v))
            was_open = _above(builder, _load(builder, old, v))
            out = builder.select(is_open, dv, builder.fmul(dv, below))
            change = builder.fsub(_slope(builder, is_open, below), _slope(builder, was_open, below))
            out = builder.call(fma, [change, _load(builder, u, v), out])
            _store(builder, out, target, v)
            found.append(_differ(builder, out, NONE))
            flips.append(builder.xor(is_open, was_open))
        entries.append(found)
        marks.append(_join(builder, flips))
    _results(builder, frame, marks, entries)


def _quotient(builder: Any, a: Any, b: Any, below: Any, epsilon: Any) -> Any:
    """(f(a) - f(b)) / (a - b), and the slope itself where both lie on one side of zero or near."""
    absolute = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR]), f"llvm.fabs.v{LANES}f32")
    up_a, up_b = _above(builder, a), _above(builder, b)
    fa = builder.select(up_a, a, builder.fmul(a, below))
    fb = builder.select(up_b, b, builder.fmul(b, below))
    d = builder.fsub(a, b)
    apart = builder.fcmp_unordered(">=", builder.call(absolute, [d]), epsilon)
    q = builder.fdiv(builder.fsub(fa, fb), d)
    across = builder.and_(builder.xor(up_a, up_b), apart)
    return builder.select(across, q, _slope(builder, up_a, below))


def quotients(builder: Any, args: Any, sums: Sums) -> None:
    """The same for Rescale multipliers."""
    frame, offset, changed = args[0], args[4], args[5]
    old, slope = _row(builder, frame, ABOVE, offset), _get(builder, frame, SLOPE)
    reference = _row(builder, frame, REFERENCE, offset)
    epsilon = splat_of(builder, builder.bitcast(
        builder.trunc(_get(builder, frame, EPSILON), I32), F32))
    u = _upstream(builder, frame, offset)
    fma = _fma(builder)
    marks, entries = [], []
    for g, row in enumerate(sums):
        new = _row(builder, frame, NEW + g, offset)
        target = _row(builder, frame, TARGETS + g, offset)
        with builder.if_else(_bit(builder, changed, g)) as (then, otherwise):
            with then:
                fresh, flips = [], []
                for v in range(len(row)):
                    q = _quotient(builder, _load(builder, new, v), _load(builder, reference, v),
                                  _load(builder, slope, v), epsilon)
                    change = builder.fsub(q, _load(builder, old, v))
                    out = builder.fmul(q, row[v])
                    fresh.append(builder.call(fma, [change, _load(builder, u, v), out]))
                    flips.append(_differ(builder, change, NONE))
                mark, left = _join(builder, flips), builder.block
            with otherwise:
                kept = [builder.fmul(_load(builder, old, v), dv) for v, dv in enumerate(row)]
                right = builder.block
        outs = [builder.phi(VECTOR) for _ in row]
        for out, new_out, old_out in zip(outs, fresh, kept, strict=True):
            out.add_incoming(new_out, left)
            out.add_incoming(old_out, right)
        flipped = builder.phi(I64)
        flipped.add_incoming(mark, left)
        flipped.add_incoming(ir.Constant(I64, 0), right)
        for v, out in enumerate(outs):
            _store(builder, out, target, v)
        entries.append([_differ(builder, out, NONE) for out in outs])
        marks.append(flipped)
    _results(builder, frame, marks, entries)

"""Heads with hidden layers: the far part from a basis, the near part by the walk.

A mutant's gradient at the top of the trunk differs from the original's everywhere, but lies in a
space of few dimensions (``expand``). The basis goes down the original's trunk once per sequence and
reference; where it would be larger than the mutants are many, or than memory allows, the mutants'
own gradients go down instead, a tile at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dfim_fast.backends.numba_cpu.events import columns as col
from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.backends.numba_cpu.events.arriving import DOT, LANE
from dfim_fast.backends.numba_cpu.events.basis import basis_backward, read_importance
from dfim_fast.backends.numba_cpu.events.case import Part, Sums, Upstream
from dfim_fast.backends.numba_cpu.events.expand import Basis, expand
from dfim_fast.backends.numba_cpu.events.far import ROWS, far_rows
from dfim_fast.backends.numba_cpu.events.head import Acts
from dfim_fast.backends.numba_cpu.events.layout import SLACK, aligned, whole_vectors
from dfim_fast.backends.numba_cpu.events.memory import piece_of
from dfim_fast.backends.numba_cpu.events.walk import walk_forward
from dfim_fast.ops.base import Array

if TYPE_CHECKING:
    from dfim_fast.backends.numba_cpu.events.run import Run

TILE = 64  # mutants whose own gradients go down together
BYTES = 600 << 20  # most that all bases of a sequence may take


class Lanes:
    """Vectors side by side in the trunk: memory, and the way down."""

    def __init__(self, run: Run, size: int) -> None:
        self.run, self.size, self.lanes = run, size, whole_vectors(size)
        builder = run.program.builder
        self.values = run.memory.large((builder.stored, self.lanes), run.head.most)
        self.known = np.zeros((2, builder.entries + SLACK), np.int32)  # and scales, as floats
        self.importance = np.zeros((len(run.x), self.lanes), np.float32)

    def descend(
        self, tops: Acts, r: int, thread: int | None = None, own: Sequence[Array] = ()
    ) -> None:
        """Propagate what arrives at the head's inputs, (F, 1, width); r: reference.

        On one thread, or with the lanes split over all. The first vectors once more by themselves,
        row by row, into the blobs ``own``.
        """
        run = self.run
        self.known[0] = 0
        run.head.lay(tops, self.place)
        for k, blob in enumerate(own):
            run.arrive(self.top(k), blob, r, thread or 0)
        vectors = self.lanes // 16
        share = vectors if thread is not None else -(-vectors // run.threads)
        share += share % 2 if vectors > share else 0  # pairs of vectors go faster
        top = self.known.copy()

        def go(first: int, t: int) -> None:
            work = run.memory.works[t]
            known = self.known if first == 0 else top.copy()
            kept = self.enter(work, known, r)
            basis_backward(run.net.address, work.address, first, min(share, vectors - first))
            work.header[:] = kept

        if thread is None:
            run.spread_out(go, list(range(0, vectors, share)))
        else:
            go(0, thread)
        self.importance[:] = 0
        work = run.memory.works[thread or 0]
        kept = self.enter(work, self.known, r)
        read_importance(run.net.address, work.address, run.case.reading[r], self.importance)
        work.header[:] = kept

    def place(self, n: int, size: int) -> Array:
        """The values of cut node n (L * C, lanes), of which ``size`` are to be written."""
        row = self.run.net.table[self.run.program.builder.place[n]]
        count, entry, start = row[col.ROWS] * row[col.CHANNELS], row[col.ENTRY], row[col.STORE]
        self.known[0, entry : entry + count] = np.arange(start + 1, start + count + 1)
        self.known[1, entry : entry + count].view(np.float32)[:] = 1
        values = self.values[start : start + count]
        values[:, size:] = 0
        return values

    def top(self, k: int) -> Array:
        """Vector k at the cut nodes, laid out as the table says."""
        builder = self.run.program.builder
        blob = aligned(builder.tops + SLACK)
        for n in builder.cut:
            row = self.run.net.table[builder.place[n]]
            rows, channels, pitch, entry, first, start = row[
                [col.ROWS, col.CHANNELS, col.PITCH, col.ENTRY, col.STORE, col.TOP]]
            if self.known[0, entry]:
                values = self.values[first : first + rows * channels, k].reshape(rows, channels)
                blob[start : start + rows * pitch].reshape(rows, pitch)[:, :channels] = values
        return blob

    def enter(self, work: Any, known: Array, r: int) -> Array:
        """Point a thread's header here, at memory that the caller keeps; returns the old header."""
        kept = work.header.copy()
        work.header[f.U_VALUES] = self.values.ctypes.data
        work.header[f.U_LANES] = self.lanes
        work.header[[f.U_KNOWN, f.U_SCALE]] = known[0].ctypes.data, known[1].ctypes.data
        self.run.case.face(work.header, r)
        return kept


def hidden_rows(run: Run) -> None:
    """Fill in ``run.found``."""
    head, many = run.head, len(run.mutated.start)
    inputs = run.memory.large((many, head.width))
    inputs[:] = head.inputs(run.acts)
    piece = piece_of(many, run.threads)
    keep_all(run, many)

    def go(first: int, t: int) -> None:
        walk_forward(
            run.net.address,
            run.mutated.address,
            first,
            min(first + piece, many),
            inputs.ctypes.data,
            inputs.shape[1],
            run.memory.crews[t].address,
            run.memory.group,
            run.slots,
            run.slot,
        )

    run.spread_out(go, list(range(0, many, piece)))
    mutants = head.from_inputs(inputs, run.memory.large)
    run.found.score[:, run.mutated.place] = head.scores(mutants)
    bases: list[Any] = [None] * run.count

    def express(r: int, t: int) -> None:
        bases[r] = expand(head, original, mutants, against[r], run.program.rule, run.memory)

    original, against = {n: a[:1] for n, a in run.acts.items()}, references(run)
    run.spread_out(express, list(range(run.count)))
    row = whole_vectors(len(run.x))
    run.fis = run.memory.large((run.tasks, run.groups, many, row))
    run.own = np.zeros((run.tasks, many, run.groups, run.mutated.columns.shape[1]), np.float32)
    size = max(b.size for b in bases)
    builder = run.program.builder
    bytes_each = (builder.stored * whole_vectors(size) + builder.floats * run.tasks) * 4
    chunk = references_at_once(size, many, bytes_each)
    if chunk:
        by_basis(run, bases, chunk)
    else:
        by_tiles(run, original, mutants, against)
    run.memory.give_all_back()


def references(run: Run) -> list[Acts | None]:
    """What the hidden nodes read, in each reference; one None for gradients."""
    if not len(run.references):
        return [None]
    sources = [h.source for h in run.head.hidden]
    return [{n: run.acts[n][1 + r : 2 + r] for n in sources} for r in range(run.count)]


def keep_all(run: Run, many: int) -> None:
    """Room for what all mutants' ways up have found, if there is enough."""
    width = run.mutated.columns.shape[1]
    if run.program.kept_bytes(many, width):
        floats = run.program.slot(width)
        room = run.memory.large((many, floats))
        run.slots, run.slot = room.ctypes.data, floats * 4


def no_upstream(shape: tuple[int, int], kind: int) -> Upstream:
    """Addresses still to be filled in, for tasks and references."""
    rows, values, known, scale, lanes, coefficients = np.zeros((6, *shape), np.int64)
    none = np.zeros(0, np.int64)
    return Upstream(rows, values, known, scale, lanes, coefficients, kind, False, none)


def references_at_once(size: int, many: int, bytes_each: int) -> int:
    """How many references' bases to hold; 0 where the mutants' own gradients are the better way."""
    return BYTES // bytes_each if size < many else 0


def by_basis(run: Run, bases: list[Basis], chunk: int) -> None:
    """Bases down the trunk, ``chunk`` references at a time."""
    for first in range(0, run.count, chunk):
        some_references(run, bases, first, min(first + chunk, run.count))


def some_references(run: Run, bases: list[Basis], first: int, last: int) -> None:
    """Far and near part of references first..last - 1."""
    many, shape = len(run.mutated.start), (run.tasks, run.count)
    upstream = no_upstream(shape, DOT)
    lanes = [Lanes(run, b.size) for b in bases[first:last]]
    own = run.memory.upstreams(run.tasks * len(lanes))

    def descend(i: int, t: int) -> None:
        down, basis = lanes[i], bases[first + i]
        rows = own[i * run.tasks : (i + 1) * run.tasks]
        down.descend(basis.vectors, first + i, t if last - first > 1 else None, rows)

    if last - first > 1:
        run.spread_out(descend, list(range(len(lanes))))
    else:
        descend(0, 0)
    for i, down in enumerate(lanes):
        r = first + i
        for k in range(run.tasks):
            upstream.rows[k, r] = own[i * run.tasks + k].ctypes.data
            upstream.values[k, r] = down.values.ctypes.data
            upstream.known[k, r], upstream.scale[k, r] = (half.ctypes.data for half in down.known)
            upstream.lanes[k, r] = down.lanes
            upstream.coefficients[k, r] = bases[r].coefficients[k].ctypes.data
            run.case.original[k, run.case.group[r]] += run.case.share[r] * down.importance[:, k]
    far(run, lanes, upstream, first, last)
    run.settle()
    finish(run, upstream, first, last, 0, many)
    run.memory.give_back(*(down.values for down in lanes))


def far(run: Run, lanes: list[Lanes], upstream: Upstream, first: int, last: int) -> None:
    """importance += coefficients (M, F) @ basis (F, L), of references first..last - 1."""
    many, length, row = len(run.mutated.start), len(run.x), run.fis.shape[3]
    total, most = sum(d.lanes for d in lanes), len(lanes) * whole_vectors(run.head.most)
    room = run.memory.large((row, total), most).reshape(total, row)
    room[:, length:] = 0
    vectors, start = np.empty(len(lanes), np.int64), 0
    for i, (share, down) in enumerate(zip(run.case.share[first:last], lanes, strict=True)):
        vectors[i] = room[start:].ctypes.data
        np.multiply(down.importance.T, -share, out=room[start : start + down.lanes, :length])
        start += down.lanes

    piece = max(1, -(-many // run.threads // ROWS)) * ROWS

    def go(start: int, t: int) -> None:
        far_rows(
            run.fis,
            vectors,
            upstream.coefficients[:, first:last],
            upstream.lanes[0, first:last],
            run.case.group,
            first,
            start,
            min(start + piece, many),
        )

    run.spread_out(go, list(range(0, many, piece)))
    run.memory.give_back(room)


def finish(
    run: Run,
    upstream: Upstream,
    first: int,
    last: int,
    start: int,
    stop: int,
    tasks: tuple[int, int] | None = None,
) -> None:
    """The near part of mutants start..stop, for references first..last."""
    piece = piece_of(stop - start, run.threads)
    low, high = (0, run.tasks) if tasks is None else tasks
    sums = Sums(run.fis, run.own, *run.fis.shape[2:])

    def go(m: int, t: int) -> None:
        part = Part(m, min(m + piece, stop), low, high, first, last, last == run.count, start)
        run.walk(part, upstream, sums, t)

    run.spread_out(go, list(range(start, stop, piece)))


def by_tiles(run: Run, original: Acts, mutants: Acts, against: list[Acts | None]) -> None:
    """Each mutant's own gradient down the trunk, less the original's."""
    many, shape = len(run.mutated.start), (run.tasks, run.count)
    down, rule = Lanes(run, TILE), run.program.rule
    run.fis[:] = 0
    base = np.zeros((*shape, len(run.x)), np.float32)
    for k in range(run.tasks):
        for r in range(run.count):
            down.descend(run.head.own(original, against[r], rule, k), r)
            base[k, r] = down.importance[:, 0]
            run.case.original[k, run.case.group[r]] += run.case.share[r] * base[k, r]
    run.settle()
    for k in range(run.tasks):
        for start in range(0, many, TILE):
            stop = min(start + TILE, many)
            tile = {n: a[start:stop] for n, a in mutants.items()}
            for r in range(run.count):
                theirs = run.head.own(tile, against[r], rule, k)
                down.descend(theirs, r)
                run.fis[k, run.case.group[r], start:stop, : len(run.x)] -= run.case.share[r] * (
                    down.importance[:, : stop - start].T - base[k, r]
                )
                upstream = no_upstream(shape, LANE)
                upstream.values[k, r] = down.values.ctypes.data
                upstream.known[k, r], upstream.scale[k, r] = (
                    half.ctypes.data for half in down.known)
                upstream.lanes[k, r] = down.lanes
                finish(run, upstream, r, r + 1, start, stop, (k, k + 1))

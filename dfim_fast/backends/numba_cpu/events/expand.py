"""Mutants' gradients at the head's inputs, written in a basis.

The basis: each task's gradient of the original, and the units whose multiplier differs in at least
one mutant, each pushed down through the original's head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.numba_cpu.events.gates import differing, weighted_changes
from dfim_fast.backends.numba_cpu.events.head import Acts, Head, Hidden, collect, whole_rows
from dfim_fast.backends.numba_cpu.events.layout import aligned, whole_vectors
from dfim_fast.backends.numba_cpu.events.memory import Memory
from dfim_fast.ops.base import Array, Rule


@dataclass(frozen=True)
class Basis:
    """Gradients at the head's inputs, and the mutants written in them.

    Attributes
    ----------
    vectors : dict of ndarray (F, 1, width)
        By entry node; the first K are the tasks' own, of the original.
    size : int
        F.
    coefficients : ndarray (K, M, F in whole vectors)
        What mutants differ by: those of the tasks' own are zero.
    """

    vectors: Acts
    size: int
    coefficients: Array


@dataclass(frozen=True)
class Changes:
    """A hidden node whose multipliers differ between mutants.

    Attributes
    ----------
    hidden : Hidden
    new, old : ndarray (M, units in whole vectors), (same,)
        Multipliers of the mutants and of the original.
    picked : ndarray int64
        Units that differ.
    first, last : int
        Their basis vectors, from .. to (not included).
    """

    hidden: Hidden
    new: Array
    old: Array
    picked: Array
    first: int
    last: int


def expand(
    head: Head, acts: Acts, mutants: Acts, reference: Acts | None, rule: Rule, memory: Memory
) -> Basis:
    """The basis for all mutants, and their coefficients in memory that is lent."""
    tasks, count = len(head.tasks), len(next(iter(mutants.values())))
    changes, size = [], tasks
    for h in head.hidden:
        both = memory.large((count + 1, h.vectors * 16))
        new, old = both[:count], both[count:]
        head.gates(h, mutants, reference, rule, new)
        head.gates(h, acts, reference, rule, old)
        room = np.empty(17 * h.vectors, np.int64)
        found = differing(
            new.ctypes.data, count, h.vectors, h.width, old.ctypes.data, room.ctypes.data
        )
        changes.append(Changes(h, new, old[0], room[:found], size, size + found))
        size += found
    coefficients = memory.large((tasks, count, whole_vectors(size)), head.most)
    coefficients[:, :, :tasks] = coefficients[:, :, size:] = 0
    for k in range(tasks):
        weigh(head, changes, k, coefficients[k])
    vectors = push(head, changes, size)
    memory.give_back(*(c.new for c in changes))
    return Basis(vectors, size, coefficients)


def weigh(head: Head, changes: list[Changes], k: int, out: Array) -> None:
    """Task k's coefficients, (M, F in whole vectors)."""
    arriving = dict(head.starts[k])
    for c in changes:
        h = c.hidden
        g = arriving.pop(h.node, None)
        if g is None:
            out[:, c.first : c.last] = 0
            continue
        rows, scratch = whole_rows(g), aligned(h.vectors * 16)
        weighted_changes(
            c.new.ctypes.data,
            len(c.new),
            h.vectors,
            c.old.ctypes.data,
            rows.ctypes.data,
            rows.strides[0] if len(rows) > 1 else 0,
            c.picked.ctypes.data,
            len(c.picked),
            scratch.ctypes.data,
            out.ctypes.data + c.first * 4,
            out.strides[0],
        )
        if h.node in head.leading:
            collect(arriving, head.down(h.source, g * c.new[:, None, : h.width]).items())


def push(head: Head, changes: list[Changes], size: int) -> Acts:
    """All basis vectors at once, from where they start down to the head's inputs."""
    arriving: dict[int, list[Array]] = {}
    for k, start in enumerate(head.starts):
        for n, g in start.items():
            rows = np.zeros((len(head.starts), *g.shape[1:]), np.float32)
            rows[k] = g
            arriving.setdefault(n, []).append(rows)
    for c in changes:
        h = c.hidden
        g = added(arriving.pop(h.node, []), (c.last, 1, h.width))
        g[: c.first] *= c.old[: h.width]
        g[np.arange(c.first, c.last), 0, c.picked] = 1
        for n, v in head.down(h.source, g).items():
            arriving.setdefault(n, []).append(v)
    return {
        n: v[0] if len(v) == 1 and len(v[0]) == size else added(v, (size, *v[0].shape[1:]))
        for n, v in arriving.items()
    }


def added(parts: list[Array], shape: tuple[int, int, int]) -> Array:
    """The sum of vectors, of which each part holds the first few."""
    found = np.zeros(shape, np.float32)
    for part in parts:
        found[: len(part)] += part
    return found

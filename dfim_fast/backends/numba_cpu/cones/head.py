"""The head of all mutants at once, and the small space that their gradients live in.

Between the trunk's top and a task stand only tensors of one row. A mutant's gradient there is
``D1' W2^T D2' W3^T ...`` with slopes D' that differ from the original's in few units. Walking down,
a unit whose slope differs in at least one mutant adds one basis vector; everything else passes on
what the original passes (ALGORITHM 2, far part). The basis is exact, not a projection.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dfim_fast.backends.passes import Acts, Passes
from dfim_fast.graph.graph import Task
from dfim_fast.ops.base import Elementwise, Rule


@dataclass
class Basis:
    """Gradients of M mutants at the trunk's top: ``coefficients @ vectors``.

    Attributes
    ----------
    coefficients : ndarray (M, n)
        The first column is 1: the original's own gradient.
    vectors : dict of ndarray (n, L, C)
        By border node; once spread, by every trunk node that is not linear.
    slopes : dict of ndarray (L, C)
        The original's slopes or multipliers at smooth trunk nodes; empty before it is spread.
    """

    coefficients: np.ndarray
    vectors: dict[int, np.ndarray]
    slopes: dict[int, np.ndarray] = field(default_factory=dict)


def head_forward(passes: Passes, head: tuple[int, ...], acts: Acts) -> None:
    """Complete ``acts`` (M, 1, C), which holds the head's entries, in place."""
    for i in head:
        if i not in acts:
            node = passes.graph.nodes[i]
            acts[i] = passes.rule(node.op, "forward")([acts[j] for j in node.inputs])


def head_basis(
    passes: Passes,
    head: tuple[int, ...],
    borders: tuple[int, ...],
    task: Task,
    acts: Acts,
    mutants: Acts,
    count: int,
    reference: Acts | None,
    rule: Rule,
) -> Basis | None:
    """The basis of one task (and reference), or None where a head layer has no such form.

    Parameters
    ----------
    acts, mutants : dict of ndarray
        Of the original (1, ...) and, in the head, of the M mutants (M, 1, C).
    count : int
        M.
    reference : dict of ndarray, optional
        With it multipliers are propagated, else gradients.
    """
    graph = passes.graph
    below = set(passes.below[task.node])
    rows, channels = graph.nodes[task.node].shape
    seed = np.zeros((1, rows, channels), np.float32)
    seed[0, task.position, task.channel] = 1
    arriving: dict[int, np.ndarray] = {task.node: seed}
    columns = [np.ones((count, 1), np.float32)]
    size = 1

    def add(i: int, g: np.ndarray) -> None:
        old = arriving.get(i)
        if old is None:
            arriving[i] = g
        else:
            both = np.zeros((max(len(old), len(g)), *g.shape[1:]), np.float32)
            both[: len(old)] = old
            both[: len(g)] += g
            arriving[i] = both

    for i in reversed([i for i in head if i in below]):
        if i not in arriving:
            continue
        node, g = graph.nodes[i], arriving.pop(i)
        xs = [acts[j] for j in node.inputs]
        if node.op.linear:
            for j, d in zip(
                node.inputs, passes.rule(node.op, "gradient")(g, xs, acts[i]), strict=True
            ):
                add(j, d)
            continue
        if not isinstance(node.op, Elementwise):
            return None
        j = node.inputs[0]
        if reference is None:
            old, new = node.op.slope(acts[j]), node.op.slope(mutants[j])
        else:
            old = node.op.quotient(acts[j], reference[j], rule.epsilon)
            new = node.op.quotient(mutants[j], reference[j], rule.epsilon)
        old = np.broadcast_to(old, acts[j].shape).astype(np.float32, copy=False)[0, 0]
        new = np.broadcast_to(new, (count, *acts[j].shape[1:])).astype(np.float32, copy=False)[:, 0]
        units = np.flatnonzero((new != old).any(axis=0))
        known = np.concatenate(columns, axis=1)[:, : len(g)]
        here = known @ g[:, 0][:, units]
        columns.append((new[:, units] - old[units]) * here)
        down = np.zeros((size + len(units), *g.shape[1:]), np.float32)
        down[: len(g)] = g * old
        down[size + np.arange(len(units)), 0, units] = 1
        size += len(units)
        add(j, down)
    coefficients = np.concatenate(columns, axis=1)
    vectors = {}
    for b in borders:
        if b in arriving:
            full = np.zeros((size, *graph.nodes[b].shape), np.float32)
            full[: len(arriving[b])] = arriving[b]
            vectors[b] = full
    return Basis(np.ascontiguousarray(coefficients), vectors)


def own_gradients(
    passes: Passes,
    head: tuple[int, ...],
    borders: tuple[int, ...],
    task: Task,
    acts: Acts,
    mutants: Acts,
    count: int,
    reference: Acts | None,
    rule: Rule,
) -> Basis:
    """Every mutant's own gradient as a vector: for heads whose gradients fill a large space.

    Parameters as `head_basis`; the first vector is the original's gradient, the others what each
    of the mutants adds to it.
    """
    graph = passes.graph

    def at_borders(own: Acts, batch: int) -> dict[int, np.ndarray]:
        seed = np.zeros((batch, *graph.nodes[task.node].shape), np.float32)
        seed[:, task.position, task.channel] = 1
        arriving = {task.node: seed}
        for i in reversed([i for i in head if i in passes.below[task.node]]):
            if i not in arriving:
                continue
            node, g = graph.nodes[i], arriving.pop(i)
            xs = [own[j] if j in own else like(acts[j], batch) for j in node.inputs]
            if node.op.linear or reference is None:
                down = passes.rule(node.op, "gradient")(g, xs, own[i])
            else:
                rs = [reference[j] for j in node.inputs]
                down = passes.rule(node.op, "rescale")(g, xs, rs, own[i], reference[i], rule)
            for j, d in zip(node.inputs, down, strict=True):
                arriving[j] = arriving[j] + d if j in arriving else d
        return {b: arriving[b] for b in borders if b in arriving}

    first = at_borders({i: acts[i] for i in head}, 1)
    each = at_borders({i: mutants[i] for i in head}, count)
    vectors = {b: np.concatenate([first[b], each[b] - first[b]]) for b in first}
    coefficients = np.concatenate(
        [np.ones((count, 1), np.float32), np.eye(count, dtype=np.float32)], axis=1
    )
    return Basis(coefficients, vectors)


def like(x: np.ndarray, batch: int) -> np.ndarray:
    """x with another batch: linear operators read nothing of it but its shape."""
    return np.broadcast_to(x, (batch, *x.shape[1:]))

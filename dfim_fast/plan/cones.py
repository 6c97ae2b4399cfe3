"""Which rows of each tensor a source changes, and which nodes are trunk and which are head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.graph.cone import CHUNK, changed_rows
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.pad import Pad
from dfim_fast.ops.source import Input
from dfim_fast.ops.take import Take

LOCAL = (Input, Conv, AveragePool, MaxPool, Concat, Take, Pad)  # and all that is rowwise


@dataclass(frozen=True, eq=False)
class Hulls:
    """The first and last row (S,) of a tensor that each source may alter; last < first: none."""

    first: np.ndarray
    last: np.ndarray
    length: int

    def window(self, sources: np.ndarray) -> tuple[np.ndarray, int]:
        """Start (M,) and common width of the windows of some sources."""
        first, last = self.first[sources], self.last[sources]
        width = max(1, int((last - first + 1).max(initial=1)))
        return np.clip(np.minimum(first, self.length - width), 0, None), width


def hull(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last marked row of each line of a mask (S, L)."""
    some = mask.any(axis=1)
    first = np.where(some, mask.argmax(axis=1), 0)
    last = np.where(some, mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1), -1)
    return first, last


@dataclass(frozen=True, eq=False)
class Split:
    """The graph of some tasks, divided.

    Attributes
    ----------
    trunk : tuple of int
        Nodes that are local in position, in order; node 0 first.
    head : tuple of int
        Nodes from the first one that mixes all positions.
    borders : tuple of int
        Trunk nodes that the head reads.
    """

    trunk: tuple[int, ...]
    head: tuple[int, ...]
    borders: tuple[int, ...]


def split(graph: Graph, tasks: tuple[int, ...]) -> Split | str:
    """Trunk and head, or why the graph has no such division."""
    scored = {graph.tasks[t].node for t in tasks}
    nodes = graph.needed(tasks)
    head: list[int] = []
    for i in nodes:
        node = graph.nodes[i]
        local = isinstance(node.op, LOCAL) or node.op.rowwise
        if not local or any(j in head for j in node.inputs):
            if node.shape[0] != 1:
                return f"node {node.name!r} holds positions after they were mixed"
            if not node.op.linear and not set(node.inputs) <= {*head}:
                return f"node {node.name!r} reads all positions and is not linear"
            head.append(i)
    trunk = tuple(i for i in nodes if i not in head)
    for i in trunk:
        node = graph.nodes[i]
        if node.op.rowwise:
            constants = [v for v in vars(node.op).values() if isinstance(v, np.ndarray)]
            if any(v.ndim == 2 and v.shape[0] > 1 for v in constants):
                return f"node {node.name!r} has constants for each position"
            if any(graph.nodes[j].shape[0] != node.shape[0] for j in node.inputs):
                return f"node {node.name!r} repeats one row over all positions"
    read = {j for i in head for j in graph.nodes[i].inputs} | scored
    return Split(trunk, tuple(head), tuple(i for i in trunk if i in read))


def entries(graph: Graph, division: Split) -> tuple[int, ...]:
    """Nodes of the head that read the trunk."""
    trunk = {*division.trunk}
    return tuple(i for i in division.head if not trunk.isdisjoint(graph.nodes[i].inputs))


def hulls(
    graph: Graph,
    trunk: tuple[int, ...],
    sources: np.ndarray,
    targets: np.ndarray,
    width: int = 1,
) -> tuple[dict[int, Hulls], dict[int, Hulls]]:
    """Changed rows I, and rows D whose gradient differs once the far part is taken out.

    D holds only rows that reach a target (or the source itself): a narrow window of targets costs
    what its width costs.
    """
    count = len(sources)
    bounds: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {
        (kind, v): (np.zeros(count, int), np.zeros(count, int)) for kind in "ID" for v in trunk
    }
    for begin in range(0, count, CHUNK):
        part = slice(begin, begin + CHUNK)
        rows = np.arange(graph.length)[None]
        start = (rows >= sources[part, None]) & (rows < sources[part, None] + width)
        changed = changed_rows(graph, trunk, start)
        differing = {v: np.zeros_like(changed[v]) for v in trunk}
        for v in reversed(trunk):
            node = graph.nodes[v]
            above = differing[v] if node.op.linear else differing[v] | changed[v]
            lengths = [graph.nodes[j].shape[0] for j in node.inputs]
            for j, mask in zip(node.inputs, node.op.collect(above, lengths), strict=True):
                differing[j] = differing[j] | mask
        needed = changed_rows(graph, trunk, start | marked(targets[part], graph.length))
        differing = {v: mask & needed[v] for v, mask in differing.items()}
        for v in trunk:
            for kind, masks in (("I", changed), ("D", differing)):
                first, last = hull(masks[v])
                bounds[kind, v][0][part], bounds[kind, v][1][part] = first, last
    made = {key: Hulls(*ends, graph.nodes[key[1]].shape[0]) for key, ends in bounds.items()}
    return {v: made["I", v] for v in trunk}, {v: made["D", v] for v in trunk}


@dataclass(frozen=True, eq=False)
class Cones:
    """Everything about a plan's cones.

    Attributes
    ----------
    split : Split
    changed, differing : dict of Hulls
        I and D of every trunk node.
    """

    split: Split
    changed: dict[int, Hulls]
    differing: dict[int, Hulls]

    def width(self, i: int) -> tuple[float, float]:
        """Mean rows of I and of D over the sources."""
        found = []
        for h in (self.changed[i], self.differing[i]):
            found.append(float(np.maximum(h.last - h.first + 1, 0).mean()))
        return found[0], found[1]

    def multiply_adds(self, graph: Graph) -> tuple[float, float]:
        """Counted work of one mutant: the forward cone with the head, and one near part."""
        forward = backward = 0.0
        for i in (*self.split.trunk, *self.split.head):
            node = graph.nodes[i]
            whole = node.op.multiply_adds(*(graph.nodes[j].shape for j in node.inputs))
            if i in self.changed:
                forward += whole * self.width(i)[0] / node.shape[0]
                if i:
                    below = node.inputs[0]
                    backward += whole * self.width(below)[1] / graph.nodes[below].shape[0]
            else:
                forward += whole
        return forward, backward


def marked(table: np.ndarray, length: int) -> np.ndarray:
    """Positions (S, L) that a table of targets (S, W) names."""
    mask = np.zeros((len(table), length + 1), bool)
    np.put_along_axis(mask, np.where(table < 0, length, table), True, axis=1)
    return mask[:, :length]


def cones(
    graph: Graph, tasks: tuple[int, ...], sources: np.ndarray, targets: np.ndarray
) -> Cones | str:
    """The cones of a graph, or why it has none."""
    division = split(graph, tasks)
    if isinstance(division, str):
        return division
    return Cones(division, *hulls(graph, division.trunk, sources, targets))

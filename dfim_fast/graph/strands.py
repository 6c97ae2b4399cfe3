"""A network and its reading of the other strand as one graph."""

from __future__ import annotations

import dataclasses

import numpy as np

from dfim_fast.graph.graph import Graph, GraphNode, Task
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Operator
from dfim_fast.ops.take import Take


def both_strands(graph: Graph) -> Graph:
    """The graph whose tasks are ``(Y(X) + Y(reverse complement of X)) / 2``.

    Because it is a graph like any other, all that is computed from it is the mean over both
    strands by the same arithmetic: importance at each position of X, with references that are
    reverse-complemented as X is, interactions, standard errors, what a source can reach.

    Parameters
    ----------
    graph : Graph
        Tasks at single positions, or at a position of outputs with one channel: the mirrored
        position is its counterpart.

    Returns
    -------
    Graph
    """
    nodes = list(graph.nodes)

    def add(name: str, op: Operator, *inputs: int) -> int:
        shape = op.output_shape(*(nodes[i].shape for i in inputs))
        nodes.append(GraphNode(name, op, inputs, shape))
        return len(nodes) - 1

    name = graph.nodes[0].name
    complement = add(f"{name} complement", Take(2, np.arange(4)[::-1]), 0)
    there = {0: add(f"{name} reversed", Take(1, np.arange(graph.length)[::-1]), complement)}
    for i, node in enumerate(graph.nodes[1:], start=1):
        there[i] = add(f"{node.name} reverse", node.op, *(there[j] for j in node.inputs))
    means: dict[int, int] = {}
    for i in dict.fromkeys(task.node for task in graph.tasks):
        own, rows = graph.nodes[i], graph.nodes[i].shape[0]
        other = there[i]
        if rows > 1:
            other = add(f"{own.name} mirrored", Take(1, np.arange(rows)[::-1]), other)
        total = add(f"{own.name} sum", Add((1.0, 1.0)), i, other)
        half = Affine(np.full((1, 1), 0.5), np.zeros((1, 1)))
        means[i] = add(f"{own.name} mean", half, total)
    tasks: tuple[Task, ...] = tuple(
        dataclasses.replace(task, node=means[task.node]) for task in graph.tasks
    )
    return Graph(tuple(nodes), tasks)

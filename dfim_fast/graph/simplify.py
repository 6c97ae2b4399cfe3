"""Fewer nodes, same function: constants folded into the layer before them, dead nodes dropped."""

from __future__ import annotations

import dataclasses

from dfim_fast.graph.graph import Graph, GraphNode
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Operator
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense


def simplify(graph: Graph) -> Graph:
    """Fold BatchNormalization and other affine nodes into their layer, then drop unused nodes."""
    nodes = list(graph.nodes)
    scored = {t.node for t in graph.tasks}
    moved = list(range(len(nodes)))  # where each node's value is found now
    for i, node in enumerate(nodes):
        inputs = tuple(moved[j] for j in node.inputs)
        nodes[i] = dataclasses.replace(node, inputs=inputs)
        if not isinstance(node.op, Affine):
            continue
        before = inputs[0]
        if graph.consumers[node.inputs[0]] != (i,) or node.inputs[0] in scored:
            continue
        merged = merge(nodes[before].op, node.op)
        if merged is not None and nodes[before].shape == node.shape:
            nodes[before] = dataclasses.replace(nodes[before], op=merged)
            moved[i] = before
    tasks = tuple(dataclasses.replace(t, node=moved[t.node]) for t in graph.tasks)
    return prune(Graph(tuple(nodes), tasks))


def merge(first: Operator, second: Affine) -> Operator | None:
    """``second`` after ``first`` as one operator, where that is exact."""
    scale, shift = second.scale, second.shift
    if isinstance(first, Affine):
        return Affine(first.scale * scale, first.shift * scale + shift)
    if scale.shape[0] == shift.shape[0] == 1 and isinstance(first, (Conv, Dense)):
        return dataclasses.replace(
            first, weight=first.weight * scale[0], bias=first.bias * scale[0] + shift[0]
        )
    return None


def prune(graph: Graph) -> Graph:
    """Keep only what some task depends on."""
    kept = sorted({0, *graph.needed(range(len(graph.tasks)))})
    new = {old: i for i, old in enumerate(kept)}
    nodes = tuple(
        GraphNode(n.name, n.op, tuple(new[j] for j in n.inputs), n.shape)
        for n in (graph.nodes[i] for i in kept)
    )
    return Graph(nodes, tuple(dataclasses.replace(t, node=new[t.node]) for t in graph.tasks))

"""Fewer nodes, same function: what exporters took apart, constants, padding, dead nodes."""

from __future__ import annotations

import dataclasses

from dfim_fast.graph.functions import put_together
from dfim_fast.graph.graph import Graph, GraphNode
from dfim_fast.graph.normalization import normalize_again
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Operator
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.pad import Pad


def simplify(graph: Graph) -> Graph:
    """The same function in as few nodes as there are layers."""
    graph = prune(pad_in_windows(normalize_again(put_together(graph))))
    return prune(fold_constants(graph))


def pad_in_windows(graph: Graph) -> Graph:
    """Layers that sum over windows pad with zeros themselves."""
    nodes = list(graph.nodes)
    for i, node in enumerate(nodes):
        below = nodes[node.inputs[0]] if node.inputs else node
        if (
            isinstance(node.op, (Conv, AveragePool))
            and isinstance(below.op, Pad)
            and below.op.axis == 1
            and below.op.zero
        ):
            window = node.op.window
            window = dataclasses.replace(window, pad=window.pad + below.op.start)
            op = dataclasses.replace(node.op, window=window)
            nodes[i] = dataclasses.replace(node, op=op, inputs=below.inputs)
    return Graph(tuple(nodes), graph.tasks)


def fold_constants(graph: Graph) -> Graph:
    """BatchNormalization and other affine nodes become part of the layer before them."""
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
    return Graph(tuple(nodes), tasks)


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

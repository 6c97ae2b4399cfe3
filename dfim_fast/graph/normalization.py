"""LayerNorm and its kin, which exporters spell out in means, squares and roots, put together again.

The rules of the parts give the same multipliers as the whole (ops/normalize.py), near-zero tests
apart; one node is cheaper, and local in position where the parts' means would not be.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from dfim_fast.graph.graph import Graph
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Operator
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.multiply import Multiply
from dfim_fast.ops.normalize import Normalize
from dfim_fast.ops.power import Power, Reciprocal, Sqrt


def normalize_again(graph: Graph) -> Graph:
    """Replace (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) by Normalize."""
    nodes = list(graph.nodes)
    for i, node in enumerate(nodes):
        if isinstance(node.op, Multiply):
            for a, b in (node.inputs, node.inputs[::-1]):
                found = normalized(graph, a, b)
                if found is not None:
                    source, op = found
                    nodes[i] = dataclasses.replace(node, op=op, inputs=(source,))
    return Graph(tuple(nodes), graph.tasks)


def normalized(graph: Graph, centred: int, inverse: int) -> tuple[int, Normalize] | None:
    """What ``centred`` times ``inverse`` normalises, and how; None where it does not."""
    root = graph.nodes[inverse]
    if isinstance(root.op, Reciprocal):
        root = graph.nodes[root.inputs[0]]
        if not isinstance(root.op, Sqrt):
            return None
    elif not is_power(root.op, -0.5):
        return None
    variance = graph.nodes[root.inputs[0]]
    added = variance.op
    if not isinstance(added, Affine) or (added.scale != 1).any() or added.shift.size != 1:
        return None
    square = variance.inputs[0]
    while mean_axis(graph, square) is not None:
        square = graph.nodes[square].inputs[0]
    if not is_power(graph.nodes[square].op, 2):
        return None
    axes = mean_axes(graph, variance.inputs[0], square)
    source = centre_of(graph, centred, axes)
    if source is None or source != centre_of(graph, graph.nodes[square].inputs[0], axes):
        return None
    return source, Normalize(axes, float(added.shift.item()))


def is_power(op: Operator, exponent: float) -> bool:
    """Whether an operator raises to this power."""
    return isinstance(op, Power) and op.exponent == exponent


def centre_of(graph: Graph, i: int, axes: tuple[int, ...]) -> int | None:
    """x, where node i is x minus its mean over ``axes``."""
    node = graph.nodes[i]
    if not axes or not isinstance(node.op, Add) or node.op.signs != (1.0, -1.0):
        return None
    x, mean = node.inputs
    return x if mean_axes(graph, mean, x) == axes else None


def mean_axes(graph: Graph, i: int, source: int) -> tuple[int, ...]:
    """Over which axes node i is the mean of ``source``; none if it is something else."""
    axes = set()
    while i != source:
        axis = mean_axis(graph, i)
        if axis is None:
            return ()
        axes.add(axis)
        i = graph.nodes[i].inputs[0]
    return tuple(sorted(axes))


def mean_axis(graph: Graph, i: int) -> int | None:
    """1 or 2 for a mean over all positions or channels."""
    node = graph.nodes[i]
    op = node.op
    if isinstance(op, AveragePool):
        rows = graph.nodes[node.inputs[0]].shape[0]
        whole = op.window.kernel == rows and node.shape[0] == 1
        return 1 if whole and np.allclose(op.factor, 1 / rows) else None
    if isinstance(op, Conv) and op.weight.shape[0] == 1 and op.weight.shape[2] == 1:
        channels = op.weight.shape[1]
        plain = op.groups == 1 and not op.bias.any() and node.shape[0] == op.window.out_length
        same = graph.nodes[node.inputs[0]].shape == (node.shape[0], channels)
        return 2 if plain and same and np.allclose(op.weight, 1 / channels) else None
    return None

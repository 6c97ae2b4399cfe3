"""Every layer there is, by the operator that it lowers."""

from __future__ import annotations

from collections.abc import Sequence

from dfim_fast.backends.cuda.layers import (  # noqa: F401
    convolution,
    gates,
    joints,
    moves,
    pools,
    segments,
)
from dfim_fast.backends.cuda.layers.layer import LAYERS, Layer
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Operator


def layer_of(op: Operator) -> type[Layer] | None:
    """The Layer that lowers an operator, if there is one."""
    return LAYERS.get(type(op))


def unsupported(graph: Graph, nodes: Sequence[int]) -> str | None:
    """Why some node has no kernels, or None."""
    for i in nodes:
        node = graph.nodes[i]
        kind = layer_of(node.op)
        why = "has no kernels" if kind is None else kind.unsupported(node.op)
        if i and why:
            return f"node {node.name!r} ({type(node.op).__name__}) {why}"
    return None

"""Which plans a GPU can walk in one kernel, and how much memory a walk keeps at hand.

The fused walk (ALGORITHM sections 3 and 7) takes a chain of convolutions, each with a ReLU, then at
most one max pool, then a head that is linear. Everything else goes layer by layer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.graph.graph import Graph
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu
from dfim_fast.plan.cones import split

LANES = 32
ALTERNATES = 3
SCRATCH = 6144  # floats that a warp has at hand, as csrc/kernels/walk.cuh; a test compares the two


@dataclass(frozen=True)
class Chain:
    """The parts of a network that can be walked.

    Attributes
    ----------
    convolutions, gates : tuple of int
        Nodes, from the sequence up.
    pool : int or None
    """

    convolutions: tuple[int, ...]
    gates: tuple[int, ...]
    pool: int | None


def whole_warps(channels: int) -> int:
    """Channels with those that fill the last warp."""
    return -(-channels // LANES) * LANES


def convolutions(graph: Graph, chain: Chain) -> list[Conv]:
    """The chain's operators."""
    found = [graph.nodes[i].op for i in chain.convolutions]
    return [op for op in found if isinstance(op, Conv)]


def spans(graph: Graph, chain: Chain) -> list[int]:
    """Rows that each convolution's window covers."""
    windows = [op.window for op in convolutions(graph, chain)]
    return [(w.kernel - 1) * w.dilation + 1 for w in windows]


def rings(graph: Graph, chain: Chain) -> tuple[list[int], list[int]]:
    """Floats of the rows that each layer keeps, on the way up and on the way down."""
    each = [ALTERNATES * whole_warps(graph.nodes[i].shape[1]) for i in chain.convolutions]
    span = spans(graph, chain)
    up = [size * rows for size, rows in zip(each[:-1], span[1:], strict=True)]
    return [*up, 0], [size * rows for size, rows in zip(each, span, strict=True)]


def walkable(graph: Graph, tasks: tuple[int, ...]) -> Chain | str:
    """The chain of a plan's tasks, or the line that says what cannot be walked.

    Parameters
    ----------
    graph : Graph
    tasks : tuple of int
    """
    division = split(graph, tasks)
    if isinstance(division, str):
        return division
    for i in division.head:
        if not graph.nodes[i].op.linear:
            return f"the head is not linear at node {graph.nodes[i].name!r}"
    found: list[int] = []
    gates: list[int] = []
    pool = None
    for before, i in zip(division.trunk, division.trunk[1:], strict=False):
        node = graph.nodes[i]
        op = node.op
        what = f"node {node.name!r} ({type(op).__name__})"
        if node.inputs != (before,) or pool is not None:
            return f"{what} is not part of a plain chain"
        turn = len(found) == len(gates)
        if turn and isinstance(op, Conv):
            if op.groups != 1 or op.window.stride != 1:
                return f"{what} has groups or a stride"
            found.append(i)
        elif not turn and isinstance(op, (Relu, LeakyRelu)):
            if isinstance(op, LeakyRelu) and np.size(op.alpha) != 1:
                return f"{what} has slopes of its own for each channel"
            gates.append(i)
        elif turn and gates and isinstance(op, MaxPool):
            if op.window.dilation != 1:
                return f"{what} is dilated"
            pool = i
        else:
            return f"{what} does not follow in a chain of convolutions and ReLUs"
    if not gates or len(gates) != len(found):
        return "its trunk is no chain of convolutions and ReLUs"
    if division.borders != (division.trunk[-1],):
        return "its head reads inner layers of the trunk"
    chain = Chain(tuple(found), tuple(gates), pool)
    most = max(sum(part) for part in rings(graph, chain))
    if most > SCRATCH:
        return f"its rows take {4 * most} bytes for each warp, {4 * SCRATCH} are at hand"
    return chain

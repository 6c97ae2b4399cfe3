"""Which plans a GPU walks up and down in a launch each, and the rows that every position walks.

The fused walk (ALGORITHM sections 3 and 7) takes a trunk of stages: a convolution, a ReLU, and a
pool where there is one. Its head may be any: a hidden one is passed for all mutants at once, and
gives the far part from a basis of units. Everything else goes layer by layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dfim_fast.graph.graph import Graph, GraphNode
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu
from dfim_fast.plan.cones import Hulls, Split, entries, split

LANES = 32
ALTERNATES = 3


@dataclass(frozen=True)
class Stage:
    """Nodes of one stage: a convolution, its gate, and the pool above.

    Attributes
    ----------
    conv, gate : int
    pool : int or None
    """

    conv: int
    gate: int
    pool: int | None = None

    @property
    def top(self) -> int:
        """The node that leaves the stage."""
        return self.gate if self.pool is None else self.pool


@dataclass(frozen=True)
class Chain:
    """A network that can be walked.

    Attributes
    ----------
    stages : tuple of Stage
        From the sequence up.
    division : Split
        Trunk and head.
    units : int
        Of the layers that begin a hidden head; 0 where the head is linear.
    """

    stages: tuple[Stage, ...]
    division: Split
    units: int

    def describe(self) -> str:
        """How the walk goes, for ``explain``."""
        walk = "one fused walk for each position and its three mutants"
        return walk + (f", the rest from at most {self.units} hidden units" if self.units else "")


def whole_warps(channels: int) -> int:
    """Channels with those that fill the last warp."""
    return -(-channels // LANES) * LANES


def _why_not(node: GraphNode) -> str | None:
    """What is wrong with a node in its place, or None."""
    op = node.op
    what = f"node {node.name!r} ({type(op).__name__})"
    if isinstance(op, Conv) and op.groups != 1:
        return f"{what} has groups"
    if isinstance(op, LeakyRelu) and np.size(op.alpha) != 1:
        return f"{what} has slopes of its own for each channel"
    if isinstance(op, (MaxPool, AveragePool)) and op.window.dilation != 1:
        return f"{what} is dilated"
    return None


def _stages(graph: Graph, trunk: tuple[int, ...]) -> list[Stage] | str:
    """The trunk as stages, or why it has none."""
    found: list[Stage] = []
    conv: int | None = None
    for before, i in pairwise(trunk):
        node = graph.nodes[i]
        op = node.op
        what = f"node {node.name!r} ({type(op).__name__})"
        if node.inputs != (before,):
            return f"{what} is not part of a plain chain"
        why = _why_not(node)
        if why is not None:
            return why
        if conv is None and isinstance(op, Conv):
            conv = i
        elif conv is not None and isinstance(op, (Relu, LeakyRelu)):
            found.append(Stage(conv, i))
            conv = None
        elif (
            conv is None
            and found
            and found[-1].top == before == found[-1].gate
            and isinstance(op, (MaxPool, AveragePool))
        ):
            found[-1] = Stage(found[-1].conv, found[-1].gate, i)
        else:
            return f"{what} does not follow in a chain of convolutions, ReLUs and pools"
    if not found or conv is not None:
        return "its trunk is no chain of convolutions, ReLUs and pools"
    return found


def walkable(graph: Graph, tasks: tuple[int, ...], mutants: int) -> Chain | str:
    """The chain of a plan's tasks, or the line that says what cannot be walked.

    Parameters
    ----------
    graph : Graph
    tasks : tuple of int
    mutants : int
        Of a sequence: with a hidden head they have to be as many as its units.
    """
    division = split(graph, tasks)
    if isinstance(division, str):
        return division
    stages = _stages(graph, division.trunk)
    if isinstance(stages, str):
        return stages
    if division.borders != (division.trunk[-1],):
        return "its head reads inner layers of the trunk"
    units = 0
    if not all(graph.nodes[i].op.linear for i in division.head):
        units = sum(graph.nodes[i].shape[1] for i in entries(graph, division))
    if units > mutants:
        return f"its head has {units} hidden units for {mutants} mutants"
    return Chain(tuple(stages), division, units)


def spans(
    chain: Chain, changed: dict[int, Hulls], differing: dict[int, Hulls]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that each source walks, as csrc/kernels/walk.cuh reads them.

    Returns
    -------
    ndarray (S, stages, 8) of int32
        First and last row of what changes of a convolution and of what leaves its stage, and of
        gradients that differ at the convolution and at what leaves its stage.
    ndarray (S, 2) of int32
        First and last position at which gradients differ.
    """

    def ends(hulls: Hulls) -> list[np.ndarray]:
        return [hulls.first, hulls.last]

    found = []
    for n, stage in enumerate(chain.stages):
        rows = ends(changed[stage.conv]) + ends(changed[stage.top]) + ends(differing[stage.conv])
        above = differing[stage.top]
        if n == len(chain.stages) - 1 or stage.pool is None:
            none = np.zeros_like(above.first)
            rows += [none, none - 1]
        else:
            rows += ends(above)
        found.append(np.stack(rows, axis=1))
    return (
        np.stack(found, axis=1).astype(np.int32),
        np.stack(ends(differing[0]), axis=1).astype(np.int32),
    )


def longest(table: np.ndarray) -> np.ndarray:
    """Rows of the widest span (..., K) in a table (S, ..., 2 K) of first and last rows."""
    widths = table[..., 1::2] - table[..., 0::2] + 1
    most: np.ndarray = np.maximum(widths, 0).max(axis=0)
    return most

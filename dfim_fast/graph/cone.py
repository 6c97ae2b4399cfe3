"""Which targets a source can reach: the cones of ALGORITHM sections 1 and 2 as row masks.

A mutation at s changes the rows I_v of every tensor v. The gradient (or multiplier) of v differs
from the original's on the rows D_v: walking down from the task, D grows through each operator, and
an operator that is not linear adds the rows whose activations changed, as far as a gradient arrives
there at all. At the input D is all that FIS can be non-zero on. Masks are exact for strides,
dilations, crops and reversed branches.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.graph.graph import Graph, Task

CHUNK = 256  # sources at a time: bounds memory at CHUNK * positions bytes a tensor


def changed_rows(graph: Graph, nodes: tuple[int, ...], start: np.ndarray) -> dict[int, np.ndarray]:
    """Rows (S, L_v) of each node that a change of the input rows ``start`` (S, L) can alter."""
    changed = {0: start}
    for v in nodes:
        if v:
            node = graph.nodes[v]
            changed[v] = node.op.spread([changed[i] for i in node.inputs])
    return changed


def live_rows(graph: Graph, nodes: tuple[int, ...], task: Task) -> dict[int, np.ndarray]:
    """Rows (1, L_v) of each node that the task reads: not what is cut off or skipped."""
    live = {v: np.zeros((1, graph.nodes[v].shape[0]), bool) for v in nodes}
    live[task.node][0, task.position] = True
    for v in reversed(nodes):
        node = graph.nodes[v]
        lengths = [graph.nodes[i].shape[0] for i in node.inputs]
        for i, rows in zip(node.inputs, node.op.collect(live[v], lengths), strict=True):
            live[i] = live[i] | rows
    return live


def differing_rows(
    graph: Graph,
    nodes: tuple[int, ...],
    changed: dict[int, np.ndarray],
    live: dict[int, np.ndarray],
) -> dict[int, np.ndarray]:
    """Rows (S, L_v) of each node whose gradient can differ from the original's.

    By RevealCancel a linear layer sends down by the signs of what it reads, which may change; but
    then what it puts out changes too, up to the function that set positive and negative apart, and
    the walk down from there has these rows already.
    """
    sources = len(changed[0])
    differing = {v: np.zeros((sources, graph.nodes[v].shape[0]), bool) for v in nodes}
    for v in reversed(nodes):
        node = graph.nodes[v]
        above = differing[v] if node.op.linear else differing[v] | (changed[v] & live[v])
        lengths = [graph.nodes[i].shape[0] for i in node.inputs]
        for i, rows in zip(node.inputs, node.op.collect(above, lengths), strict=True):
            differing[i] = differing[i] | rows
    return differing


def reach(
    graph: Graph, task: Task, sources: np.ndarray, targets: np.ndarray, width: int = 1
) -> np.ndarray:
    """Whether a path can carry a change from each source to the importance of each target.

    Parameters
    ----------
    graph : Graph
    task : Task
    sources : ndarray (S,)
        First position of each source.
    targets : ndarray (S, W)
        Target positions of each source; -1 for none.
    width : int
        Positions a source covers.

    Returns
    -------
    ndarray (S, W) of bool
    """
    found = np.zeros(targets.shape, bool)
    nodes = graph.ancestors(task.node)
    live = live_rows(graph, nodes, task)
    for first in range(0, len(sources), CHUNK):
        part = slice(first, first + CHUNK)
        rows = np.arange(graph.length)[None]
        start = (rows >= sources[part, None]) & (rows < sources[part, None] + width)
        reached = differing_rows(graph, nodes, changed_rows(graph, nodes, start), live)[0]
        wanted = targets[part]
        found[part] = np.take_along_axis(reached, np.maximum(wanted, 0), 1) & (wanted >= 0)
    return found


def receptive_field(graph: Graph, node: int) -> int:
    """Positions that one row of the deepest layer before all positions mix can see."""
    below = graph.ancestors(node)
    local = [i for i in below if graph.nodes[i].shape[0] > 1] or [0]
    top = local[-1]
    seen = {i: np.zeros((1, graph.nodes[i].shape[0]), bool) for i in below}
    seen[top][0, graph.nodes[top].shape[0] // 2] = True
    for i in reversed([i for i in below if i <= top]):
        lengths = [graph.nodes[j].shape[0] for j in graph.nodes[i].inputs]
        for j, rows in zip(
            graph.nodes[i].inputs, graph.nodes[i].op.collect(seen[i], lengths), strict=True
        ):
            seen[j] = seen[j] | rows
    rows = np.flatnonzero(seen[0][0])
    return int(rows[-1] - rows[0] + 1) if len(rows) else 0

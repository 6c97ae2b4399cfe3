"""Which rule each node goes by, and what that leaves of the ways to save work."""

from __future__ import annotations

from collections.abc import Iterable

from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Elementwise, Rule
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.plan.cones import Cones


def choose_rule(
    graph: Graph, nodes: Iterable[int], method: str, epsilon: float, maxpool: str
) -> Rule:
    """The rule of a method, with the nodes that go by RevealCancel."""
    functions = [i for i in nodes if isinstance(graph.nodes[i].op, Elementwise)]
    revealed: frozenset[int] = frozenset()
    if method == "revealcancel":
        revealed = frozenset(functions)
    elif method == "deeplift_revealcancel":
        revealed = frozenset(i for i in functions if is_after_dense(graph, i))
    gates = method if method in ("guided_backprop", "deconv") else "gradient"
    return Rule(epsilon, maxpool, revealed, gates)


def is_after_dense(graph: Graph, i: int) -> bool:
    """Whether all that a node adds up comes from dense layers: what DeepLIFT's own code reveals.

    Up from the node, through operators that have no weights of their own or scale entry by entry.
    """
    before = graph.nodes[i].inputs
    if not before:
        return False
    return all(
        isinstance(op := graph.nodes[j].op, Dense)
        or (op.linear and not isinstance(op, Conv) and is_after_dense(graph, j))
        for j in before
    )


def why_whole(graph: Graph, rule: Rule, found: Cones) -> str | None:
    """Why a rule leaves nothing but whole passes, or None.

    RevealCancel sends down by the signs of the differences below a layer, which no basis of the
    head's gradients spans; guided backpropagation and deconvolution are not linear in the gradient,
    so that where it differs at the trunk's top all of it has to come down again.
    """
    if rule.revealed:
        return "RevealCancel passes on by the sign of each difference"
    if rule.gates != "gradient":
        hidden = [graph.nodes[i].name for i in found.split.head if not graph.nodes[i].op.linear]
        if hidden:
            return f"{rule.gates} is not linear in the gradient that {hidden[0]!r} changes"
    return None

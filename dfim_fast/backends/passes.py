"""Whole passes over a graph, and what they say of a sequence.

The loops stand here once; the formulas come from the operators. A backend may give kernels of its
own for some operators, method by method (``overrides``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dfim_fast.backends.reveal_cancel import RevealCancel
from dfim_fast.graph.graph import Graph, Task
from dfim_fast.ops.base import Array, Elementwise, Operator, Rule

Acts = dict[int, Array]
Overrides = Mapping[tuple[type, str], Callable[..., Any]]


class Passes:
    """Forward, gradient and multiplier passes of one graph.

    Parameters
    ----------
    graph : Graph
        In the precision to compute in.
    tasks : tuple of int
        Only what these depend on is computed.
    overrides : mapping
        (operator class, "forward" | "gradient" | "rescale") -> function(op, ...) to use instead.
    """

    def __init__(self, graph: Graph, tasks: tuple[int, ...], overrides: Overrides | None = None):
        self.graph, self.tasks = graph, tuple(graph.tasks[t] for t in tasks)
        self.nodes = graph.needed(tasks)
        self.below = {t.node: graph.ancestors(t.node) for t in self.tasks}
        self.overrides = overrides or {}
        self._absolute: dict[int, Operator] = {}

    def rule(self, op: Any, name: str) -> Callable[..., Any]:
        """The backend's own function for an operator, or the operator's."""
        own = self.overrides.get((type(op), name))
        return getattr(op, name) if own is None else lambda *args: own(op, *args)

    def forward(self, x: Array) -> Acts:
        """Every node's output (B, L, C) for one-hot x (B, L, 4)."""
        acts: Acts = {0: x}
        for i in self.nodes:
            if i:
                node = self.graph.nodes[i]
                acts[i] = self.rule(node.op, "forward")([acts[j] for j in node.inputs])
        return acts

    def scores(self, acts: Acts) -> Array:
        """The tasks' values (K, B)."""
        return np.stack([acts[t.node][:, t.position, t.channel] for t in self.tasks])

    def gradient(self, task: Task, acts: Acts) -> Array:
        """dY/dX (B, L, 4) of one task."""

        def down(i: int, g: Array) -> list[Array]:
            node = self.graph.nodes[i]
            xs = [acts[j] for j in node.inputs]
            return self.rule(node.op, "gradient")(g, xs, acts[i])

        return self._backward(task, acts, down)

    def multipliers(self, task: Task, acts: Acts, reference: Acts, rule: Rule) -> Array:
        """DeepLIFT multipliers (B, L, 4) of one task, x against one reference."""

        def down(i: int, m: Array) -> list[Array]:
            node = self.graph.nodes[i]
            xs = [acts[j] for j in node.inputs]
            if node.op.linear:
                return self.rule(node.op, "gradient")(m, xs, acts[i])
            rs = [reference[j] for j in node.inputs]
            return self.rule(node.op, "rescale")(m, xs, rs, acts[i], reference[i], rule)

        return self._backward(task, acts, down)

    def rectified(self, task: Task, acts: Acts, gates: str) -> Array:
        """What guided backpropagation or a deconvolutional network brings down (B, L, 4)."""

        def down(i: int, g: Array) -> list[Array]:
            node = self.graph.nodes[i]
            xs = [acts[j] for j in node.inputs]
            if isinstance(node.op, Elementwise):
                return [getattr(node.op, gates)(g, xs[0])]
            return self.rule(node.op, "gradient")(g, xs, acts[i])

        return self._backward(task, acts, down)

    def signal(self, task: Task, acts: Acts, reference: Acts | None, rule: Rule) -> Array:
        """What arrives at the input (B, L, 4) of one task by the rule's way down."""
        if reference is not None:
            if rule.revealed:
                return RevealCancel(self, acts, reference, rule).multipliers(task)
            return self.multipliers(task, acts, reference, rule)
        if rule.gates != "gradient":
            return self.rectified(task, acts, rule.gates)
        return self.gradient(task, acts)

    def absolute(self, i: int) -> Operator:
        """The linear operator of a node with its weights' absolute values; made once."""
        if i not in self._absolute:
            self._absolute[i] = self.graph.nodes[i].op.absolute()
        return self._absolute[i]

    def _backward(self, task: Task, acts: Acts, down: Callable[[int, Array], list[Array]]) -> Array:
        seed = np.zeros_like(acts[task.node])
        seed[:, task.position, task.channel] = 1
        arriving: Acts = {task.node: seed}
        for i in reversed(self.below[task.node]):
            if i == 0:
                continue
            for j, g in zip(self.graph.nodes[i].inputs, down(i, arriving.pop(i)), strict=True):
                arriving[j] = arriving[j] + g if j in arriving else g
        return arriving[0]


def contributions(method: str, contribution: str, m: Array, x: Array, r: Array | None) -> Array:
    """Importance (B, L) of what stands at each position.

    Without references: ``sum_b m[b] x[b]``; gradient_corrected: the same after subtracting the mean
    of m over the bases. With references, projected: ``sum_b m[b] (x[b] - r[b])``, observed:
    ``sum_b x[b] m[b] (1 - r[b])``. m, x: (B, L, 4); r: (1, L, 4).
    """
    if method == "gradient_corrected":
        m = m - m.mean(axis=2, keepdims=True)
    if r is None:
        return (m * x).sum(axis=2)
    if contribution == "projected":
        return (m * (x - r)).sum(axis=2)
    return (m * x * (1 - r)).sum(axis=2)


def hypothetical(method: str, contribution: str, m: Array, r: Array | None) -> Array:
    """Importance (B, L, 4) that each base would have under the same multipliers."""
    if method == "gradient_corrected":
        m = m - m.mean(axis=2, keepdims=True)
    if r is None:
        return m
    if contribution == "projected":
        return m - (m * r).sum(axis=2, keepdims=True)
    return m * (1 - r)

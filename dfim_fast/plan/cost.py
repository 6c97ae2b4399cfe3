"""Counted multiply-adds. Benchmarks divide by these."""

from __future__ import annotations

from dataclasses import dataclass

from dfim_fast.graph.graph import Graph


def pass_cost(graph: Graph, tasks: tuple[int, ...]) -> int:
    """Multiply-adds of one forward pass; a backward pass of one task costs at most the same."""
    return sum(
        node.op.multiply_adds(*(graph.nodes[i].shape for i in node.inputs))
        for node in (graph.nodes[i] for i in graph.needed(tasks))
    )


@dataclass(frozen=True)
class Cost:
    """Work for one sequence.

    Attributes
    ----------
    mutants : int
        Mutants of a sequence without N bases.
    forward, backward : int
        Multiply-adds of the naive way: a whole pass per mutant (and task, and reference).
    planned : int
        Multiply-adds of this plan; data-dependent savings (exact zeros) are not counted in.
    """

    mutants: int
    forward: int
    backward: int
    planned: int

    @property
    def naive(self) -> int:
        """Multiply-adds of the naive way."""
        return self.forward + self.backward


def count(n: float) -> str:
    """A large number for people: 50.4 M."""
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f}"

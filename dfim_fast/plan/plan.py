"""The frozen decision that a backend carries out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Rule
from dfim_fast.plan.cones import Cones
from dfim_fast.plan.cost import Cost, count
from dfim_fast.plan.walk import walkable

METHODS = (
    "deeplift",
    "deeplift_revealcancel",
    "revealcancel",
    "gradient",
    "gradient_corrected",
    "guided_backprop",
    "deconv",
)
COMPARING = ("deeplift", "deeplift_revealcancel", "revealcancel")  # with references
CONTRIBUTIONS = ("projected", "observed")
MAXPOOLS = ("shap", "deeplift")


def compares(method: str) -> bool:
    """Whether a method compares with references."""
    return method in COMPARING


def is_additive(method: str, contribution: str, maxpool: str) -> bool:
    """Whether contributions by these rules sum to the difference from the reference."""
    return compares(method) and (contribution, maxpool) == ("projected", "shap")


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a backend needs beside the sequences.

    Attributes
    ----------
    graph : Graph
        In float64; a backend converts it to its own precision.
    tasks : tuple of int
    method : str
        One of METHODS.
    contribution : str
        One of CONTRIBUTIONS; for methods that compare with references.
    rule : Rule
    n_references : int
        0 where the method needs none.
    sources : ndarray (S,) of int
    targets : ndarray (S, W) of int
        Target positions of each source; -1 for none.
    reach : ndarray (K, S, W) of bool
        Cells that the architecture can connect, by task; the others are zero by construction.
    tile : int
        Mutants that pass through the network together; fixed by the model, so that neither batch,
        chunk nor thread count changes a bit of the result.
    threads : int
    memory_limit : int
        Bytes of workspace, results not counted.
    workspace : int
        Bytes the full-pass engine takes for this plan.
    cost : Cost
    cones : Cones or None
        Windows that each source changes; None where whole passes are cheaper, or the only way.
    strategy : {"events", "cones", "whole"}
        Walk the non-zero changes one by one, recompute the windows, or pass through all.
    reason : str
        Why.
    """

    graph: Graph
    tasks: tuple[int, ...]
    method: str
    contribution: str
    rule: Rule
    n_references: int
    sources: np.ndarray
    targets: np.ndarray
    reach: np.ndarray
    tile: int
    threads: int
    memory_limit: int
    workspace: int
    cost: Cost
    cones: Cones | None
    strategy: str
    reason: str

    @property
    def groups(self) -> int:
        """Groups of references, whose spread is the standard error; r is in group r % groups."""
        return min(self.n_references, 5)

    @property
    def additive(self) -> bool:
        """Whether contributions sum to the difference from the reference (summation-to-delta).

        Weights held at the sequence's own value give them another sum than Y(X) - Y(R).
        """
        held = any(self.graph.nodes[i].op.held for i in self.graph.needed(self.tasks))
        return not held and is_additive(self.method, self.contribution, self.rule.maxpool)

    def _rows(self, i: int) -> str:
        """Rows of a node that a mutant changes, for explain."""
        if self.cones is None or i not in self.cones.changed:
            return ""
        changed, differing = self.cones.width(i)
        return f"changed {changed:.0f}, gradient differs on {differing:.0f}"

    def explain(self) -> str:
        """The plan in words: layers, counted work, memory."""
        g = self.graph
        lines = [f"{self.method}, tasks " + ", ".join(g.tasks[t].name for t in self.tasks)]
        if self.n_references:
            lines[0] += f", {self.n_references} references, max-pool rule {self.rule.maxpool}"
        lines.append(
            f"{len(self.sources)} sources x up to {self.targets.shape[1]} targets, "
            f"{self.cost.mutants} mutants a sequence; "
            f"{100 * self.reach.mean() if self.reach.size else 0:.1f}% of the cells can interact"
        )
        for i, node in enumerate(g.nodes):
            rows = f"{node.shape[0]:6d} x {node.shape[1]:<5d}"
            lines.append(f"  {i:3d}  {node.op.describe():28s} {rows} {self._rows(i)}".rstrip())
        lines.append(f"{self.strategy}: {self.reason}")
        if self.rule.plain:
            found = walkable(g, self.tasks, self.cost.mutants)
            layers = f"layer by layer, since {found}"
            lines.append("on a GPU: " + (layers if isinstance(found, str) else found.describe()))
        c = self.cost
        lines.append(
            f"multiply-adds a sequence: naive {count(c.naive)} (forward {count(c.forward)}, "
            f"backward {count(c.backward)}), planned {count(c.planned)}, "
            f"ratio {c.naive / max(c.planned, 1):.3g}"
        )
        lines.append(
            f"tiles of {self.tile} mutants, {self.threads} threads, "
            f"workspace {self.workspace / 1e6:.0f} MB of {self.memory_limit / 1e6:.0f} MB"
        )
        return "\n".join(lines)

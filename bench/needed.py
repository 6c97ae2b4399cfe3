"""The multiply-adds that no exact way can leave out: those on entries that do change.

Counted on some mutants with whole float64 passes, apart from any engine, as ALGORITHM's three ideas
leave them: forward changes of each layer's input; differences of what comes back, with the head's
own gradient taken out; and the head's basis. It is what the achieved rate should be judged by: the
plan's count cannot know the zeros of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from dfim_fast.backends.passes import Acts, Passes
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Rule
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.plan.cost import pass_cost

TOGETHER = 8  # mutants in one float64 pass
SAME = 1e-11  # of a tensor's scale: below this two float64 values differ by rounding alone
MUTANTS = {"gradient": 24, "deeplift": 16}  # that stand for all
SLOPES = Rule(1e-6, "shap")


@dataclass
class _Recorder:
    """Float64 passes that note what arrives at every Conv and Dense."""

    graph: Graph
    arriving: dict[int, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        node_of = {id(node.op): i for i, node in enumerate(self.graph.nodes)}

        def note(op: Any, g: np.ndarray, xs: list[np.ndarray], y: np.ndarray) -> list[np.ndarray]:
            self.arriving[node_of[id(op)]] = g
            return op.gradient(g, xs, y)

        self.passes = Passes(self.graph, (0,), {(kind, "gradient"): note for kind in (Conv, Dense)})

    def back(self, acts: Acts, reference: Acts | None) -> dict[int, np.ndarray]:
        """What arrives at each Conv and Dense: gradients, or multipliers against a reference."""
        self.arriving = {}
        task = self.passes.tasks[0]
        if reference is None:
            self.passes.gradient(task, acts)
        else:
            self.passes.multipliers(task, acts, reference, SLOPES)
        return self.arriving


def _changed(a: np.ndarray, b: np.ndarray) -> int:
    """Entries that differ by more than rounding."""
    return int((np.abs(a - b) > SAME * max(float(np.abs(b).max()), 1e-30)).sum())


def basis_size(module: nn.Sequential, x: np.ndarray, mutants: torch.Tensor,
               references: np.ndarray | None) -> float:
    """1 + the hidden units of the head that pass a changing share; the mean over references.

    Parameters
    ----------
    module : Sequential
    x : ndarray (4, L)
    mutants : Tensor (M, 4, L)
    references : ndarray (R, 4, L) or None
    """
    first = next(i for i, layer in enumerate(module) if isinstance(layer, nn.Linear))
    trunk, head = module[:first], module[first:]

    def hidden(rows: torch.Tensor) -> list[torch.Tensor]:
        found = []
        with torch.no_grad():
            values = torch.cat([trunk(part) for part in rows.split(64)])
            for layer in head:
                if isinstance(layer, nn.ReLU | nn.GELU):
                    found.append(values)
                values = layer(values)
        return found

    smooth = any(isinstance(layer, nn.GELU) for layer in head)
    one = hidden(torch.from_numpy(x[None]))
    if smooth:
        return 1.0 + sum(h.shape[1] for h in one)
    changing = [((o > 0) != (m > 0)).any(0) for o, m in zip(one, hidden(mutants), strict=True)]
    if references is None:
        return 1.0 + sum(int(c.sum()) for c in changing)
    # a unit on one side of zero for the sequence and all mutants, too, varies where r is not there
    sizes = [1.0] * len(references)
    for o, c, r in zip(one, changing, hidden(torch.from_numpy(references)), strict=True):
        for k, row in enumerate(r):
            sizes[k] += int((c | ((o[0] > 0) != (row > 0))).sum())
    return float(np.mean(sizes))


def count(
    graph: Graph, method: str, x: np.ndarray, mutants: torch.Tensor,
    references: np.ndarray | None, module: nn.Sequential,
) -> dict[str, Any]:
    """Multiply-adds that a whole map of one sequence needs.

    Parameters
    ----------
    graph : Graph
    method : {"gradient", "deeplift"}
    x : ndarray (4, L)
    mutants : Tensor (M, 4, L)
        All of them.
    references : ndarray (R, 4, L) or None
    module : Sequential
        The same network in torch.

    Returns
    -------
    dict
        ``total`` and its parts for all mutants; shares of entries that change; the basis size.
    """
    recorder = _Recorder(graph.astype(np.float64))
    passes, nodes = recorder.passes, recorder.graph.nodes
    head_nodes = _head(passes)

    def back(i: int) -> int:
        """What one entry that comes back to node i sets off."""
        each = _reach(nodes[i].op, nodes[nodes[i].inputs[0]].shape, forward=False)
        # at the input only the observed base is read
        return each // 4 if nodes[i].inputs[0] == 0 else each

    total = len(mutants)
    chosen = np.unique(np.linspace(0, total - 1, MUTANTS[method]).astype(int))
    chosen = chosen[: len(chosen) // TOGETHER * TOGETHER]
    against: list[Acts | None] = [None] if references is None else [
        passes.forward(_rows(r[None])) for r in references]
    original = passes.forward(_rows(x[None]).repeat(TOGETHER, 0))
    forward = near = head = 0
    for begin in range(0, len(chosen), TOGETHER):
        part = mutants[torch.from_numpy(chosen[begin : begin + TOGETHER])].numpy()
        acts = passes.forward(_rows(part))
        for i in passes.nodes:
            op, below = nodes[i].op, nodes[i].inputs
            if not isinstance(op, Conv | Dense):
                continue
            if below[0] == 0 and isinstance(op, Conv):
                changed = len(part)  # one column is exchanged for another
            else:
                changed = _changed(acts[below[0]], original[below[0]])
            each = _reach(op, nodes[below[0]].shape, forward=True)
            if i in head_nodes:
                head += changed * each
            else:
                forward += changed * each
        # the head as the mutant has it over the trunk as the original has it: the far part
        mixed = {i: acts[i] if i in head_nodes else original[i] for i in acts}
        for reference in against:
            own, far = recorder.back(acts, reference), recorder.back(mixed, reference)
            for i, g in own.items():
                if i not in head_nodes:
                    near += _changed(g, far[i]) * back(i)
                elif nodes[i].inputs[0] in head_nodes:
                    head += int((g != 0).sum()) * back(i)
    scale = total / len(chosen)
    size = min(basis_size(module, x, mutants, references), float(total))
    # a vector of the basis goes down the original's trunk, where closed gates stop it, too
    alone = {i: a[:1] for i, a in original.items()}
    below_head = 0
    for reference in against:
        for i, g in recorder.back(alone, reference).items():
            if i not in head_nodes:
                below_head += int((g != 0).sum()) * back(i)
    far_part = size * below_head
    mixing = len(against) * total * (size - 1) * x.shape[1]
    parts = {"forward": forward * scale, "near": near * scale, "head": head * scale,
             "basis": far_part, "far": mixing}
    parts = {name: int(value) for name, value in parts.items()}
    return {"total": sum(parts.values()), **parts, "basis_size": size,
            "mutants_counted": len(chosen), "full_pass": pass_cost(graph, (0,))}


def _head(passes: Passes) -> set[int]:
    """Nodes from the first one that makes one row of many."""
    found: set[int] = set()
    for i in passes.nodes:
        node = passes.graph.nodes[i]
        mixes = node.shape[0] == 1 and any(passes.graph.nodes[j].shape[0] > 1 for j in node.inputs)
        if mixes or found.intersection(node.inputs):
            found.add(i)
    return found


def _rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.swapaxes(1, 2), np.float64)


def _reach(op: Conv | Dense, below: tuple[int, int], forward: bool) -> int:
    """Multiply-adds that one changed entry of the input, or of what comes back, sets off."""
    if isinstance(op, Dense):
        return op.weight.shape[1] if forward else op.weight.shape[0]
    per_output = op.multiply_adds(below) // (
        op.output_shape(below)[0] * op.output_shape(below)[1])
    if not forward:
        return per_output
    # away from the edges every input entry meets (taps x channels out / groups / stride) outputs
    return max(1, round(op.multiply_adds(below) / (below[0] * below[1])))

"""A float32 backend against float64, as SEMANTICS defines agreement.

Scores agree to 1e-5 of scale, the largest |C| over original and mutants, except for mutants where
float64 itself finds a decision within 1e-6 of its layer's scale: the sign at a gate, the winner of
a pool, or the epsilon test. There float32 may decide otherwise and be right, so those mutants are
compared with float64 made to take the backend's decisions: the float64 formulas on the activations
that the backend's float32 passes give. They are counted.

So are the few mutants beyond 1e-5 in which a gate or pool divides by an x - r below 1e-3 of its
layer's scale: rounding of x and r in float32 shows in such a quotient, whoever divides. They, too,
have to agree with the float64 formulas on the float32 activations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.base import SequenceMap
from dfim_fast.backends.numba_cpu.backend import NumbaBackend
from dfim_fast.backends.passes import Acts, Passes, contributions
from dfim_fast.graph.cone import changed_rows
from dfim_fast.graph.graph import Graph
from dfim_fast.ops.base import Operator
from dfim_fast.ops.elu import Elu
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import ChannelMax, MaxPool, send, winners
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.window import Window
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants, single_nucleotide
from dfim_fast.sequence.one_hot import encode

AGREE = 1e-5  # of the largest |C|
MARGIN = 1e-6  # of a layer's largest |activation|
STEEP = 1e-3  # of it
SAME = 1e-13  # of it: equal numbers that only rounding in float64 parts
GATES = (Relu, LeakyRelu, Elu)
POOLS = (MaxPool, ChannelMax)


@dataclass
class Agreement:
    """What came of a comparison; differences are relative to the scale.

    Attributes
    ----------
    decided, undecided : float
        Largest difference of FIS, self term and importance over mutants without and with a close
        decision or a steep quotient.
    plain : float
        As ``undecided``, but against float64's own decisions.
    scores : float
        Largest difference of the predictions, relative to the largest of them and of |C|.
    mutants, close, steep : int
        All mutants; those with a close decision; those beyond AGREE with a steep quotient.
    """

    decided: float = 0.0
    undecided: float = 0.0
    plain: float = 0.0
    scores: float = 0.0
    mutants: int = 0
    close: int = 0
    steep: int = 0


def as_pool(op: Operator, x: np.ndarray) -> tuple[np.ndarray, Window]:
    """A pool's input (B, rows, columns) and window, the pooled axis second."""
    if isinstance(op, ChannelMax):
        return x.swapaxes(1, 2), Window(x.shape[2], x.shape[2], 1, 0, 1)
    assert isinstance(op, MaxPool)
    return x, op.window


def pool_gaps(op: Operator, x: np.ndarray) -> np.ndarray:
    """How far each window's winner is ahead; infinite among exact zeros.

    What a closed gate leaves is exactly zero in any precision, and the first of them wins.
    """
    x, window = as_pool(op, x)
    index, inside = window.indices(x.shape[1])
    entries = np.where(inside[:, :, None], x[:, index], -1e300)
    if entries.shape[2] == 1:
        return np.full(entries[:, :, 0].shape, np.inf)
    top = np.sort(entries, axis=2)[:, :, -2:]
    return np.where((top == 0).all(axis=2), np.inf, top[:, :, 1] - top[:, :, 0])


def close_decisions(op: Operator, x: np.ndarray, scale: float) -> np.ndarray:
    """Gates and pool winners (B, ...) within MARGIN of the layer's scale."""
    if isinstance(op, GATES):
        return (np.abs(x) <= MARGIN * scale) & (x != 0)
    return pool_gaps(op, x) <= MARGIN * scale


def close_to_epsilon(
    op: Operator, x: np.ndarray, r: np.ndarray, epsilon: float, scale: float
) -> np.ndarray:
    """Epsilon tests (B, ...) within MARGIN that make a difference.

    On one side of a kink derivative and quotient are the same number; numbers that are equal in
    float64 are far closer than epsilon.
    """
    d = np.abs(x - r)
    close = (np.abs(d - epsilon) <= MARGIN * scale) & (d > SAME * scale)
    return close & ((x > 0) != (r > 0)) if isinstance(op, GATES) else close


def steep_quotients(op: Operator, x: np.ndarray, r: np.ndarray, scale: float) -> np.ndarray:
    """Quotients (B, ...) that are neither 0 nor 1 and divide by less than STEEP."""
    small = np.abs(x - r) <= STEEP * scale
    if isinstance(op, GATES):
        return small & ((x > 0) != (r > 0))
    x, window = as_pool(op, x)
    r, _ = as_pool(op, r)
    won, lost = winners(x, window), winners(r, window)
    moved = (won != lost).astype(np.float64)
    length = x.shape[1]
    shared = send(moved, won, length) + send(moved, np.broadcast_to(lost, won.shape), length)
    return (shared > 0) & (np.abs(x - r) <= STEEP * scale)


def marked(
    graph: Graph, nodes: tuple[int, ...], acts: Acts, test: Callable[..., np.ndarray]
) -> np.ndarray:
    """Which sequences (B,) have a gate or pool for which ``test(op, input's index)`` is true."""
    found = np.zeros(len(acts[0]), bool)
    for i in nodes:
        if isinstance(graph.nodes[i].op, GATES + POOLS):
            hits = test(graph.nodes[i].op, graph.nodes[i].inputs[0])
            found |= hits.reshape(len(hits), -1).any(axis=1)
    return found


def importance(passes: Passes, plan: Plan, acts: Acts, references: list[Acts]) -> np.ndarray:
    """Contributions (K, B, L), the mean over references."""
    rule, how = plan.rule, (plan.method, plan.contribution)
    found = [
        [
            contributions(
                *how,
                passes.gradient(t, acts) if r is None else passes.multipliers(t, acts, r, rule),
                acts[0],
                None if r is None else r[0],
            )
            for t in passes.tasks
        ]
        for r in references or [None]
    ]
    return np.mean(found, axis=0)


def decided_by(backend: NumbaBackend, rows: np.ndarray) -> Acts:
    """The backend's own float32 activations of sequences (B, L, 4), in float64."""
    acts = backend.passes.forward(np.ascontiguousarray(rows, np.float32))
    return {i: a.astype(np.float64) for i, a in acts.items()}


def with_originals_rows(graph: Graph, nodes: tuple, acts: Acts, mutants: Mutants) -> Acts:
    """The same activations, the original's (row 0 of the batch) where a mutant changes nothing.

    A backend that recomputes only what a mutation changes has the original's decisions elsewhere.
    """
    rows = np.arange(graph.length)[None]
    first = np.concatenate([[0], mutants.start])[:, None]
    width = np.concatenate([[0], mutants.width])[:, None]
    changed = changed_rows(graph, nodes, (rows >= first) & (rows < first + width))
    return {i: np.where(changed[i][:, :, None], acts[i], acts[i][:1]) for i in acts}


@dataclass
class Truth:
    """Float64's importance of one sequence (row 0) and its mutants, and how well it is decided."""

    plan: Plan
    mutants: Mutants
    values: np.ndarray  # (K, 1 + M, L)
    scores: np.ndarray  # (K, 1 + M)
    close: np.ndarray
    steep: np.ndarray
    others: list[np.ndarray]  # values at the backend's decisions

    @classmethod
    def of(
        cls, plan: Plan, backend: NumbaBackend, x: np.ndarray, references: np.ndarray | None
    ) -> Truth:
        """Of x (4, L) with references (R, 4, L)."""
        graph, rows = plan.graph, x.T.astype(np.float64)
        wide = Passes(graph.astype(np.float64), plan.tasks)
        mutants = single_nucleotide(encode(x[None])[0], plan.sources)
        batch = np.concatenate([rows[None], mutants.apply(rows)])
        own = [] if references is None else [r.T[None].astype(np.float64) for r in references]
        acts, against = wide.forward(batch), [wide.forward(r) for r in own]
        scale = {i: max(np.abs(a[i]).max() for a in (acts, *against)) for i in acts}
        epsilon = plan.rule.epsilon

        def over(some: Acts, test: Callable[..., np.ndarray]) -> np.ndarray:
            return marked(graph, wide.nodes, some, test)

        close = over(acts, lambda op, j: close_decisions(op, acts[j], scale[j]))
        steep = np.zeros_like(close)
        for r in against:
            if plan.rule.maxpool == "shap":
                close |= over(r, lambda op, j, r=r: close_decisions(op, r[j], scale[j]))
            close |= over(
                acts, lambda op, j, r=r: close_to_epsilon(op, acts[j], r[j], epsilon, scale[j])
            )
            steep |= over(acts, lambda op, j, r=r: steep_quotients(op, acts[j], r[j], scale[j]))
        others = []
        if (close | steep).any():
            low = decided_by(backend, batch)
            low_against = [decided_by(backend, r) for r in own]
            for a in (low, with_originals_rows(graph, wide.nodes, low, mutants)):
                others.append(importance(wide, plan, a, low_against))
        return cls(
            plan,
            mutants,
            importance(wide, plan, acts, against),
            wide.scores(acts),
            close | close[0],
            steep | steep[0],
            others,
        )

    @property
    def scale(self) -> float:
        """The largest |C| over original and mutants."""
        return float(np.abs(self.values).max())

    def off(self, result: SequenceMap, change: int, options: list[np.ndarray]) -> float:
        """How far mutant ``change`` (0: the original's importance) is off, at best."""
        if change == 0:
            return min(np.abs(result.attributions - o[:, 0]).max() for o in options) / self.scale
        s, base = self.mutants.slot[change - 1]
        columns, source = self.plan.targets[s], self.plan.sources[s]
        live = (columns >= 0) & (columns != source) & self.plan.reach[:, s]
        best = np.inf
        for lost in (o[:, 0] - m[:, change] for o in options for m in options):
            fis = np.abs(result.fis[:, s, base] - np.where(live, lost[:, columns], 0))
            own = np.abs(result.self_effect[:, s, base] - lost[:, source])
            best = min(best, max(fis.max(initial=0), own.max()))
        return float(best / self.scale)


def compare(plan: Plan, x: np.ndarray, references: np.ndarray | None) -> Agreement:
    """Numba's maps of x (N, 4, L) with references (N, R, 4, L) against float64."""
    backend, found = NumbaBackend(plan), Agreement()
    for n, result in enumerate(backend.maps(x, references)):
        truth = Truth.of(plan, backend, x[n], None if references is None else references[n])
        for change in range(truth.values.shape[1]):
            plain = truth.off(result, change, [truth.values])
            steep = plain > AGREE and truth.steep[change]
            if truth.close[change] or steep:
                best = truth.off(result, change, [truth.values, *truth.others])
                found.undecided = max(found.undecided, best)
                found.plain = max(found.plain, plain)
                found.close += bool(truth.close[change] and change)
                found.steep += bool(not truth.close[change] and change)
            else:
                found.decided = max(found.decided, plain)
        found.mutants += len(truth.mutants)
        s, base = truth.mutants.slot.T
        size = max(truth.scale, np.abs(truth.scores).max())
        for d in (
            result.predictions - truth.scores[:, 0],
            result.mutant_predictions[:, s, base] - truth.scores[:, 1:],
        ):
            found.scores = max(found.scores, float(np.abs(d).max(initial=0) / size))
    return found

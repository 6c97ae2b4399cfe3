"""A float32 backend against float64, as SEMANTICS defines agreement.

Scores agree to 1e-5 of scale, the largest |C| over original and mutants, except for mutants where
float64 itself finds a decision within 1e-6 of its layer's scale: the sign at a gate, the winner of
a pool, or the epsilon test. There float32 may decide otherwise and be right, so those mutants are
compared with float64 made to take other decisions: starting from float64's own, one close decision
after the other is turned over as long as that brings the scores nearer to the backend's. What the
backend computed has to be what some set of close decisions gives. They are counted.

So are the few mutants beyond 1e-5 in which a gate or pool divides by an x - r below 1e-3 of its
layer's scale: rounding of x and r in float32 shows in such a quotient, whoever divides. They have
to agree to 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from dfim_fast.backends.base import SequenceMap
from dfim_fast.backends.passes import Acts, Passes, contributions
from dfim_fast.backends.select import make_backend
from dfim_fast.graph.cone import changed_rows
from dfim_fast.ops.absolute import Abs
from dfim_fast.ops.base import Operator
from dfim_fast.ops.clip import Clip
from dfim_fast.ops.elu import Elu
from dfim_fast.ops.hard_sigmoid import HardSigmoid, HardSwish
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import ChannelMax, MaxPool, send, winners
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.step import Step
from dfim_fast.ops.window import Window
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants, single_nucleotide
from dfim_fast.sequence.one_hot import encode

AGREE = 1e-5  # of the largest |C|
STEEP_AGREE = 1e-4  # of it
MARGIN = 1e-6  # of a layer's largest |activation|
STEEP = 1e-3  # of it
SAME = 1e-13  # of it: equal numbers that only rounding in float64 parts
GATES = (Relu, LeakyRelu, Elu, Abs, Clip, HardSigmoid, HardSwish, Step)
POOLS = (MaxPool, ChannelMax)


@dataclass
class Agreement:
    """What came of a comparison; differences are relative to the scale.

    Attributes
    ----------
    decided : float
        Largest difference of FIS, self term and importance where float64 has no close decision.
    undecided : float
        The same where it has, at the best of the close decisions.
    plain : float
        As ``undecided``, but against float64's own decisions.
    steep_off : float
        The same where a quotient is steep and no decision close.
    scores : float
        Largest difference of the predictions, relative to the largest of them and of |C|.
    mutants, close, other, steep : int
        All mutants; those with a close decision; those of them that are beyond AGREE from float64's
        own decisions; those without one that are beyond AGREE, with a steep quotient.
    """

    decided: float = 0.0
    undecided: float = 0.0
    plain: float = 0.0
    steep_off: float = 0.0
    scores: float = 0.0
    mutants: int = 0
    close: int = 0
    other: int = 0
    steep: int = 0

    @property
    def good(self) -> bool:
        """Whether scores agree."""
        return max(self.decided, self.undecided) <= AGREE and self.steep_off <= STEEP_AGREE


@dataclass(frozen=True)
class Flip:
    """A close decision turned over: another value for one activation.

    Attributes
    ----------
    reference : int
        Whose activation: -1 for the sequence, else the reference's number.
    node : int
    place : tuple of int
        Row and channel.
    value : float
    """

    reference: int
    node: int
    place: tuple[int, int]
    value: float


def as_pool(op: Operator, x: np.ndarray) -> tuple[np.ndarray, Window]:
    """A pool's input (B, rows, columns) and window, the pooled axis second."""
    if isinstance(op, ChannelMax):
        return x.swapaxes(1, 2), Window(x.shape[2], x.shape[2], 1, 0, 1)
    assert isinstance(op, MaxPool)
    return x, op.window


def rivals(op: Operator, x: np.ndarray, scale: float) -> Iterator[tuple[tuple[int, int], float]]:
    """Entries of x (1, L, C) that all but win a pool, with a value at which they do.

    What a closed gate leaves is exactly zero in any precision, and the first of them wins.
    """
    rows, window = as_pool(op, x)
    index, inside = window.indices(rows.shape[1])
    entries = np.where(inside[:, :, None], rows[0][index], -np.inf)  # (L', kernel, C)
    best = entries.max(axis=1)
    near = (entries >= best[:, None] - MARGIN * scale) & (best != 0)[:, None]
    near[np.arange(len(best))[:, None], entries.argmax(axis=1), np.arange(best.shape[1])] = False
    for i, j, c in np.argwhere(near):
        place = (int(index[i, j]), int(c))
        value = float(best[i, c]) + 1e-12 * scale
        yield (place[::-1] if isinstance(op, ChannelMax) else place), value


def kinks(op: Operator) -> list[np.ndarray | float]:
    """Where a gate's slope jumps."""
    if isinstance(op, Clip):
        return [op.low, op.high]
    if isinstance(op, HardSigmoid):
        return [-op.beta / op.alpha, (1 - op.beta) / op.alpha]
    if isinstance(op, HardSwish):
        return [-3.0, 3.0]
    return [op.threshold if isinstance(op, Step) else 0.0]


def across(op: Operator, x: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Whether a kink lies between x and r."""
    return np.logical_or.reduce([(x > k) != (r > k) for k in kinks(op)])


def steep_quotient(op: Operator, x: np.ndarray, r: np.ndarray, scale: float) -> bool:
    """Whether some quotient is neither 0 nor 1 and divides by less than STEEP."""
    if isinstance(op, GATES):
        return bool(((np.abs(x - r) <= STEEP * scale) & across(op, x, r)).any())
    x, window = as_pool(op, x)
    r, _ = as_pool(op, r)
    won, lost = winners(x, window), winners(r, window)
    moved = (won != lost).astype(np.float64)
    shared = send(moved, won, x.shape[1]) + send(moved, lost, x.shape[1])
    return bool(((shared > 0) & (np.abs(x - r) <= STEEP * scale)).any())


@dataclass
class Truth:
    """Float64's view of one sequence and its mutants.

    Attributes
    ----------
    acts : dict of ndarray (1 + M, L, C)
        The original first.
    references : list of dict of ndarray (1, L, C)
    """

    plan: Plan
    passes: Passes
    mutants: Mutants
    acts: Acts
    references: list[Acts]
    known: dict[int, list[Flip]] = field(default_factory=dict)

    @classmethod
    def of(cls, plan: Plan, x: np.ndarray, references: np.ndarray | None) -> Truth:
        """Of x (4, L) with references (R, 4, L)."""
        rows = x.T.astype(np.float64)
        passes = Passes(plan.graph.astype(np.float64), plan.tasks)
        mutants = single_nucleotide(encode(x[None])[0], plan.sources)
        batch = np.concatenate([rows[None], mutants.apply(rows)])
        own = [] if references is None else [r.T[None].astype(np.float64) for r in references]
        return cls(plan, passes, mutants, passes.forward(batch), [passes.forward(r) for r in own])

    @cached_property
    def scale(self) -> dict[int, float]:
        """Largest |activation| by node."""
        every = (self.acts, *self.references)
        return {i: max(float(np.abs(a[i]).max()) for a in every) for i in self.acts}

    @cached_property
    def changed(self) -> dict[int, np.ndarray]:
        """Rows (M, L) of each node that a mutant can alter."""
        marks = np.arange(self.plan.graph.length)[None] == self.mutants.start[:, None]
        return changed_rows(self.plan.graph, self.passes.nodes, marks)

    def importance(self, acts: Acts, references: list[Acts]) -> np.ndarray:
        """Contributions (K, B, L), the mean over references."""
        plan, passes, rule = self.plan, self.passes, self.plan.rule
        how, x = (plan.method, plan.contribution), acts[0]
        found = [
            [
                contributions(*how, passes.gradient(t, acts), x, None)
                if r is None
                else contributions(*how, passes.multipliers(t, acts, r, rule), x, r[0])
                for t in passes.tasks
            ]
            for r in references or [None]
        ]
        return np.mean(found, axis=0)

    def curved(self) -> Iterator[tuple[Operator, int]]:
        """Gates and pools, with the node that they read."""
        for i in self.passes.nodes:
            node = self.plan.graph.nodes[i]
            if isinstance(node.op, GATES + POOLS):
                yield node.op, node.inputs[0]

    def flips(self, acts: Acts) -> list[Flip]:
        """All close decisions of one sequence (1, L, C)."""
        found: list[Flip] = []
        epsilon = self.plan.rule.epsilon
        for op, j in self.curved():
            x, scale = acts[j], self.scale[j]
            if isinstance(op, GATES):
                # a sum that is zero in float64 need not be in float32; a closed gate's zero is one
                exact = isinstance(self.plan.graph.nodes[j].op, GATES + POOLS)
                for kink in kinks(op):
                    off = np.where(np.isfinite(kink), x[0] - kink, np.inf)
                    near = (np.abs(off) <= MARGIN * scale) & ((off != 0) | (not exact))
                    for p, c in np.argwhere(near):
                        other = float(x[0, p, c] - (2 * off[p, c] or -1e-12 * scale))
                        found.append(Flip(-1, j, (int(p), int(c)), other))
            else:
                found += [Flip(-1, j, *rival) for rival in rivals(op, x, scale)]
            for k, reference in enumerate(self.references):
                r = reference[j]
                d = np.abs(x - r)[0]
                test = (np.abs(d - epsilon) <= MARGIN * scale) & (d > SAME * scale)
                if isinstance(op, GATES):  # elsewhere derivative and quotient are one number
                    test &= across(op, x, r)[0]
                for p, c in np.argwhere(test):
                    off = np.sign(x[0, p, c] - r[0, p, c]) * epsilon
                    other = float(r[0, p, c] + (off / 2 if d[p, c] >= epsilon else 2 * off))
                    found.append(Flip(-1, j, (int(p), int(c)), other))
                if isinstance(op, POOLS) and self.plan.rule.maxpool == "shap":
                    found += [Flip(k, j, *rival) for rival in rivals(op, r, scale)]
        return list(dict.fromkeys(found))

    def steep(self, acts: Acts) -> bool:
        """Whether some quotient of one sequence (1, L, C) is steep."""
        return any(
            steep_quotient(op, acts[j], r[j], self.scale[j])
            for op, j in self.curved()
            for r in self.references
        )

    def settle(
        self,
        acts: Acts,
        references: list[Acts],
        flips: list[Flip],
        off: Callable[[np.ndarray], np.ndarray],
        enough: float,
    ) -> tuple[Acts, list[Acts], float]:
        """Turn over one close decision after the other while ``off`` (D values) grows shorter.

        Returns the activations that were settled on, and the largest value left.
        """
        best = off(self.importance(acts, references))
        while flips and np.abs(best).max() > enough:
            tried = [turned(acts, references, flip) for flip in flips]
            left = [off(self.importance(*t)) for t in tried]
            sizes = [float(np.linalg.norm(d)) for d in left]
            k = int(np.argmin(sizes))
            if sizes[k] >= np.linalg.norm(best) * (1 - 1e-9):
                break
            (acts, references), best = tried[k], left[k]
            flips = flips[:k] + flips[k + 1 :]
        return acts, references, float(np.abs(best).max())

    @cached_property
    def own(self) -> np.ndarray:
        """Importance (K, 1 + M, L) at float64's own decisions."""
        return self.importance(self.acts, self.references)

    @property
    def size(self) -> float:
        """The scale: the largest |C| over original and mutants."""
        return float(np.abs(self.own).max())

    def flips_of(self, change: int) -> list[Flip]:
        """All close decisions of mutant ``change``, 0 for the original."""
        if change not in self.known:
            self.known[change] = self.flips(self.one(change))
        return self.known[change]

    def one(self, change: int) -> Acts:
        """Activations (1, L, C) of mutant ``change``, 0 for the original."""
        return {i: a[change : change + 1] for i, a in self.acts.items()}


def turned(acts: Acts, references: list[Acts], flip: Flip) -> tuple[Acts, list[Acts]]:
    """The activations with one decision turned over."""
    target = acts if flip.reference < 0 else references[flip.reference]
    array = target[flip.node].copy()
    array[0, flip.place[0], flip.place[1]] = flip.value
    new = {**target, flip.node: array}
    if flip.reference < 0:
        return new, references
    return acts, [new if k == flip.reference else r for k, r in enumerate(references)]


def compare_one(truth: Truth, result: SequenceMap, found: Agreement) -> None:
    """Add one sequence's comparison to ``found``."""
    plan, own, scale = truth.plan, truth.own, truth.size
    enough = AGREE * scale
    flips = truth.flips_of(0)

    def against_original(values: np.ndarray) -> np.ndarray:
        return (result.attributions - values[:, 0]).ravel()

    plain = float(np.abs(against_original(own[:, :1])).max())
    acts, references, off = truth.settle(
        truth.one(0), truth.references, flips, against_original, enough
    )
    original = truth.importance(acts, references)[:, 0]
    steep = plain > enough and truth.steep(truth.one(0))
    note(found, plain / scale, off / scale, bool(flips), steep)
    for m in range(len(truth.mutants)):
        s, base = truth.mutants.slot[m]
        columns, source = plan.targets[s], plan.sources[s]
        live = (columns >= 0) & (columns != source) & plan.reach[:, s]
        seen = np.concatenate([result.fis[:, s, base], result.self_effect[:, s, base, None]], 1)

        def missed(start: np.ndarray, values: np.ndarray, seen=seen, s=s, live=live) -> np.ndarray:
            lost = start - values[:, 0]
            wanted = np.where(live, lost[:, plan.targets[s]], 0)
            return (seen - np.concatenate([wanted, lost[:, plan.sources[s], None]], 1)).ravel()

        plain = off = float(np.abs(missed(own[:, 0], own[:, m + 1 : m + 2])).max())
        own_flips = truth.flips_of(m + 1)
        mutant = truth.one(m + 1)
        if (flips or own_flips) and plain > enough:
            # what the mutation leaves alone was decided with the original
            start = {
                i: np.where(truth.changed[i][m][None, :, None], a, acts[i])
                for i, a in mutant.items()
            }
            off = min(
                truth.settle(
                    begin,
                    references,
                    own_flips,
                    lambda v, missed=missed: missed(original, v),
                    enough,
                )[2]
                for begin in (start, mutant)
            )
        steep = plain > enough and (truth.steep(truth.one(0)) or truth.steep(mutant))
        note(found, plain / scale, off / scale, bool(flips or own_flips), steep, mutant=True)
    scores = truth.passes.scores(truth.acts)
    s, base = truth.mutants.slot.T
    size = max(scale, float(np.abs(scores).max()))
    for d in (
        result.predictions - scores[:, 0],
        result.mutant_predictions[:, s, base] - scores[:, 1:],
    ):
        found.scores = max(found.scores, float(np.abs(d).max(initial=0) / size))


def note(
    found: Agreement, plain: float, off: float, close: bool, steep: bool, mutant: bool = False
) -> None:
    """Enter one map row, or the original's importance."""
    found.mutants += mutant
    if plain > AGREE and steep and (not close or off > AGREE):
        found.steep += mutant
        found.steep_off = max(found.steep_off, off)
    elif close:
        found.close += mutant
        found.other += mutant and plain > AGREE
        found.undecided = max(found.undecided, off)
        found.plain = max(found.plain, plain)
    else:
        found.decided = max(found.decided, plain)


def compare_all(
    plans: dict[str, Plan],
    x: np.ndarray,
    references: np.ndarray | None,
    backend: str = "numba",
) -> dict[str, Agreement]:
    """A backend's maps of x (N, 4, L) with references (N, R, 4, L) against float64.

    The plans differ in their strategy only.
    """
    found = {name: Agreement() for name in plans}
    for n in range(len(x)):
        own = None if references is None else references[n]
        truth = Truth.of(next(iter(plans.values())), x[n], own)
        part = None if references is None else references[n : n + 1]
        for name, plan in plans.items():
            (result,) = make_backend(backend, plan).maps(x[n : n + 1], part)
            compare_one(truth, result, found[name])
    return found


def compare(plan: Plan, x: np.ndarray, references: np.ndarray | None) -> Agreement:
    """The same for one plan."""
    return compare_all({"": plan}, x, references)[""]

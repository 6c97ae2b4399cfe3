"""Maps of one sequence from dense cones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu.cones.backward import Backward
from dfim_fast.backends.numba_cpu.cones.forward import Forward, Piece, Windows, values
from dfim_fast.backends.numba_cpu.cones.head import (
    Basis,
    head_basis,
    head_forward,
    like,
    own_gradients,
)
from dfim_fast.backends.numba_cpu.sequence import Work
from dfim_fast.backends.passes import Acts, Passes, contributions
from dfim_fast.backends.rows import EffectsBuilder, MapBuilder
from dfim_fast.graph.graph import Task
from dfim_fast.ops.base import Elementwise
from dfim_fast.ops.relu import Relu
from dfim_fast.plan.cones import Cones, Hulls
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants

KEEP_BYTES = 256_000_000  # forward windows kept between the head and the near part
BASIS_BYTES = 256_000_000  # bases of several references held at a time
TILE_BYTES = 6_000_000  # windows of one tile: Python's share is small, and they stay near the cache
TILE_RANGE = (8, 192)


@dataclass
class Tile:
    """Mutants that are walked together: neighbours, so that their windows nearly coincide.

    Attributes
    ----------
    index : ndarray (B,)
        Which mutants.
    forward, backward : dict
        Windows I and D of every trunk node.
    change : Piece
        The mutated columns, (B, w, 4).
    changed : ndarray (B, w) of bool
        Which of them belong to the mutant's span.
    columns : ndarray (B, W)
        Target positions, -1 for none.
    pieces : dict of Piece, optional
        The forward cone, kept where memory allows.
    """

    index: np.ndarray
    forward: Windows
    backward: Windows
    change: Piece
    changed: np.ndarray
    columns: np.ndarray
    pieces: dict[int, Piece] | None = None


@dataclass
class Spread:
    """A basis at every node that needs it, and at the input.

    Attributes
    ----------
    basis : Basis
        Vectors (n, L, C) by trunk node.
    at_input : ndarray (n, L, 4)
    """

    basis: Basis
    at_input: np.ndarray

    @property
    def bytes(self) -> int:
        """Memory held."""
        return self.at_input.nbytes + sum(v.nbytes for v in self.basis.vectors.values())


@dataclass
class Case:
    """One reference (or none, for gradients) with the bases of all tasks.

    Attributes
    ----------
    group : int
        Which group of references it counts into.
    reference : dict of ndarray, or None
    shared : list of Spread or None
        By task; None where each tile takes its mutants' own gradients.
    """

    group: int
    reference: Acts | None
    shared: list[Spread | None]


class ConeEngine:
    """Exact maps from the windows that each mutant changes.

    Parameters
    ----------
    plan : Plan
    passes : Passes
        Float32 full passes over the plan's graph.
    cones : Cones
    """

    def __init__(self, plan: Plan, passes: Passes, cones: Cones) -> None:
        self.plan, self.passes, self.split = plan, passes, cones.split
        self.changed, self.differing = cones.changed, cones.differing
        division = cones.split
        widths = [
            max(
                h[i].window(np.arange(len(plan.sources)))[1] for h in (self.changed, self.differing)
            )
            * plan.graph.nodes[i].shape[1]
            for i in division.trunk
        ]
        self.tile = int(np.clip(TILE_BYTES // (4 * sum(widths)), *TILE_RANGE))
        self.forward = Forward(passes.graph, division.trunk)
        self.backward = Backward(passes.graph, division.trunk, plan.rule)
        self.curved = tuple(i for i in division.trunk if not passes.graph.nodes[i].op.linear)
        self.opaque = any(
            j in division.trunk and not passes.graph.nodes[i].op.linear
            for i in division.head
            for j in passes.graph.nodes[i].inputs
        )

    def tiles(self, rows: np.ndarray, mutants: Mutants) -> list[Tile]:
        """Mutants in order of position, a tile's worth at a time."""
        order = np.argsort(mutants.start, kind="stable")
        made = []
        for first in range(0, len(order), self.tile):
            index = order[first : first + self.tile]
            source, start = mutants.slot[index, 0], mutants.start[index].astype(np.int64)
            replaced, width = mutants.columns[index], mutants.width[index, None]
            # of one width, and inside the sequence: a short span at its end begins further in
            begin = np.minimum(start, len(rows) - replaced.shape[1])
            offset = np.arange(replaced.shape[1]) - (start - begin)[:, None]
            changed = (offset >= 0) & (offset < width)
            new = np.take_along_axis(replaced, np.maximum(offset, 0)[:, :, None], axis=1)
            own = rows[begin[:, None] + np.arange(replaced.shape[1])]
            change = np.where(changed[:, :, None], new, own)
            made.append(
                Tile(
                    index,
                    _windows(self.changed, source),
                    _windows(self.differing, source),
                    Piece(begin, change),
                    changed,
                    self.plan.targets[source],
                )
            )
        return made

    def fill(
        self, work: Work, builder: MapBuilder | EffectsBuilder, in_threads: Callable[..., list]
    ) -> bool:
        """Enter all mutants of one sequence.

        Returns
        -------
        bool
            False where the head admits no basis; nothing was entered then.
        """
        passes, acts = self.passes, work.acts
        tiles = self.tiles(work.rows, work.mutants)
        keep = KEEP_BYTES // max(1, len(tiles))
        heads = in_threads(tiles, lambda tile: self.to_head(tile, acts, keep))
        merged = {
            i: np.concatenate([h[i] for h in heads] or [acts[i][:0]]) for i in self.split.head
        }
        bounds = np.cumsum([0] + [len(t.index) for t in tiles])
        references = work.references
        count = max(references.count, 1)
        totals: list[tuple[np.ndarray, np.ndarray] | None] = [None] * len(tiles)
        first = 0
        while first < count:
            cases: list[Case] = []
            held = 0
            while first + len(cases) < count and (not cases or held < BASIS_BYTES):
                reference = references.acts(first + len(cases)) if references.count else None
                shared = self.shared(acts, merged, len(work.mutants), reference)
                if shared is None:
                    return False
                cases.append(
                    Case((first + len(cases)) % max(self.plan.groups, 1), reference, shared)
                )
                held += sum(s.bytes for s in shared if s)
                held += sum(a.nbytes for a in (reference or {}).values())
            last = first + len(cases) == count

            def near(k: int, cases: list[Case] = cases, last: bool = last) -> None:
                tile = tiles[k]
                part = slice(int(bounds[k]), int(bounds[k + 1]))
                pieces = tile.pieces or self.forward.run(acts, tile.change, tile.forward)
                found = self.lost(tile, part, pieces, acts, cases, heads[k], work.rows)
                known = totals[k]
                if known is not None:
                    found = (known[0] + found[0], known[1] + found[1])
                totals[k] = None if last else found
                if last:
                    tile.pieces = None
                    sizes = np.bincount(np.arange(count) % len(found[0])).astype(np.float32)
                    lost = found[0] / sizes[:, None, None, None]
                    own = found[1] / sizes[:, None, None]
                    builder.add(tile.index, lost, own, passes.scores({**acts, **heads[k]}))

            in_threads(list(range(len(tiles))), near)
            first += len(cases)
        return True

    def to_head(self, tile: Tile, acts: Acts, keep: int) -> Acts:
        """Head activations (M, 1, C) of a tile's mutants."""
        pieces = self.forward.run(acts, tile.change, tile.forward)
        found: Acts = {}
        count = len(tile.index)
        for b in self.split.borders:
            length = self.passes.graph.nodes[b].shape[0]
            found[b] = values(acts[b][0], pieces[b], np.zeros(count, np.int64), length)
        head_forward(self.passes, self.split.head, found)
        if sum(p.data.nbytes for p in pieces.values()) <= keep:
            tile.pieces = pieces
        scored = {t.node for t in self.passes.tasks}
        return {i: v for i, v in found.items() if i in self.split.head or i in scored}

    def shared(
        self, acts: Acts, merged: Acts, count: int, reference: Acts | None
    ) -> list[Spread | None] | None:
        """The basis that all mutants share, of each task.

        An entry is None where it would be larger than the mutants' own gradients; the whole is
        None where these cannot be had from the head alone.
        """
        found: list[Spread | None] = []
        for task in self.passes.tasks:
            basis = head_basis(
                self.passes,
                self.split.head,
                self.split.borders,
                task,
                acts,
                merged,
                count,
                reference,
                self.plan.rule,
            )
            if basis is not None and basis.coefficients.shape[1] <= max(count // 2, 8):
                found.append(self.spread(basis, acts, reference))
            elif self.opaque:
                return None
            else:
                found.append(None)
        return found

    def own(self, task: Task, acts: Acts, head: Acts, count: int, reference: Acts | None) -> Spread:
        """The same for the mutants of one tile, from their own gradients."""
        basis = own_gradients(
            self.passes,
            self.split.head,
            self.split.borders,
            task,
            acts,
            head,
            count,
            reference,
            self.plan.rule,
        )
        return self.spread(basis, acts, reference)

    def spread(self, basis: Basis, acts: Acts, reference: Acts | None) -> Spread:
        """Carry a basis down the original's trunk, to every node where the near part needs it."""
        passes, graph = self.passes, self.passes.graph
        arriving = dict(basis.vectors)
        kept: dict[int, np.ndarray] = {}
        slopes: dict[int, np.ndarray] = {}
        for i in reversed(self.split.trunk):
            if i not in arriving or i == 0:
                continue
            node, g = graph.nodes[i], arriving.pop(i)
            if i in self.curved:
                kept[i] = np.ascontiguousarray(g)
            xs = [acts[j] for j in node.inputs]
            if node.op.linear:
                down = passes.rule(node.op, "gradient")(g, [like(x, len(g)) for x in xs], acts[i])
            elif isinstance(node.op, Elementwise) and self.plan.rule.gates != "gradient":
                down = [getattr(node.op, self.plan.rule.gates)(g, xs[0])]
            elif isinstance(node.op, Elementwise):
                slope = (
                    node.op.slope(xs[0])
                    if reference is None
                    else node.op.quotient(xs[0], reference[node.inputs[0]], self.plan.rule.epsilon)
                )
                slope = np.broadcast_to(slope, xs[0].shape).astype(np.float32, copy=False)
                if not isinstance(node.op, Relu):
                    slopes[i] = np.ascontiguousarray(slope[0])
                down = [g * slope]
            elif reference is None:
                down = node.op.gradient(g, xs, acts[i])
            else:
                rs = [reference[j] for j in node.inputs]
                down = node.op.rescale(g, xs, rs, acts[i], reference[i], self.plan.rule)
            for j, d in zip(node.inputs, down, strict=True):
                arriving[j] = arriving[j] + d if j in arriving else d
        n = basis.coefficients.shape[1]
        at_input = arriving.get(0, np.zeros((n, graph.length, 4), np.float32))
        return Spread(Basis(basis.coefficients, kept, slopes), at_input)

    def lost(
        self,
        tile: Tile,
        part: slice,
        pieces: dict[int, Piece],
        acts: Acts,
        cases: list[Case],
        head: Acts,
        rows: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """C_X - C_X' of a tile, summed over the references of each group.

        Returns
        -------
        lost : ndarray (G, K, B, W)
            At the targets.
        own : ndarray (G, K, B)
            At the mutated positions.
        """
        plan, length = self.plan, self.plan.graph.length
        count, groups = len(tile.index), max(plan.groups, 1)
        columns = tile.columns
        low = int(np.min(columns, where=columns >= 0, initial=length))
        high = int(columns.max(initial=0)) + 1
        picked = np.clip(columns - low, 0, max(high - low - 1, 0))
        lost = np.zeros((groups, len(plan.tasks), count, columns.shape[1]), np.float32)
        self_lost = np.zeros((groups, len(plan.tasks), count), np.float32)
        start, width = tile.backward[0]
        window = start[:, None] + np.arange(width)
        in_window = columns - start[:, None]
        near_target = (columns >= 0) & (in_window >= 0) & (in_window < width)
        in_window = np.clip(in_window, 0, width - 1)
        at = tile.change.start[:, None] + np.arange(tile.change.width)
        changed = tile.changed
        edited = rows[window]
        spot = np.clip(at - start[:, None], 0, width - 1)
        lines = np.arange(count)[:, None]
        edited[lines, spot] = np.where(changed[:, :, None], tile.change.data, edited[lines, spot])
        for case in cases:
            reference = case.reference
            r = None if reference is None else reference[0]

            def score(
                m: np.ndarray, x: np.ndarray, where: Any, r: np.ndarray | None = r
            ) -> np.ndarray:
                base = None if r is None else r[0][where]
                return contributions(plan.method, plan.contribution, m, x, base)

            for k, shared in enumerate(case.shared):
                chosen, own_part = shared, part
                if chosen is None:
                    task = self.passes.tasks[k]
                    chosen, own_part = self.own(task, acts, head, count, reference), slice(None)
                basis, vectors = chosen.basis, chosen.at_input
                near = self.backward.run(acts, reference, pieces, basis, own_part, tile.backward)
                out, own = lost[case.group, k], self_lost[case.group, k]
                coefficients = basis.coefficients[own_part, : len(vectors)]
                if len(vectors) > 1 and high > low:
                    plain = contributions(
                        plan.method,
                        plan.contribution,
                        vectors[1:, low:high],
                        rows[None, low:high],
                        None if r is None else r[:, low:high],
                    )
                    out -= np.take_along_axis(coefficients[:, 1:] @ plain, picked, 1)
                spread = score(near.data, edited, window)
                out -= np.where(near_target, np.take_along_axis(spread, in_window, 1), 0)
                # at the mutated positions the original's part, too, reads other bases
                mixed = np.einsum("bn,nbwc->bwc", coefficients, vectors[:, at])
                before = score(np.broadcast_to(vectors[0][at], mixed.shape), rows[at], at)
                after = score(mixed, tile.change.data, at) + spread[lines, spot]
                own += np.where(changed, before - after, 0).sum(1)
        return lost, self_lost


def _windows(bounds: dict[int, Hulls], sources: np.ndarray) -> Windows:
    return {i: h.window(sources) for i, h in bounds.items()}

"""Maps of one sequence from dense cones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.numba_cpu.cones.backward import Backward
from dfim_fast.backends.numba_cpu.cones.forward import Forward, Piece, Windows, values
from dfim_fast.backends.numba_cpu.cones.head import Basis, head_basis, head_forward
from dfim_fast.backends.passes import Acts, Passes, contributions
from dfim_fast.graph.graph import Task
from dfim_fast.ops.base import Elementwise
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.plan.cones import Cones, Hulls
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants

KEEP_BYTES = 256_000_000  # forward windows kept between the head and the near part
TILE_BYTES = 6_000_000  # windows of one tile: Python's share is small, and they stay near the cache
TILE_RANGE = (8, 192)


@dataclass
class Tile:
    """Mutants that are walked together: neighbours, so that their windows nearly coincide."""

    index: np.ndarray
    forward: Windows
    backward: Windows
    change: Piece
    pieces: dict[int, Piece] | None = None


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
        self.curved = tuple(
            i
            for i in division.trunk
            if isinstance(passes.graph.nodes[i].op, (Elementwise, MaxPool))
        )
        self.linear_head = all(passes.graph.nodes[i].op.linear for i in division.head)

    def tiles(self, rows: np.ndarray, mutants: Mutants, size: int) -> list[Tile]:
        """Mutants in order of position, ``size`` at a time."""
        order = np.argsort(mutants.start, kind="stable")
        made = []
        for first in range(0, len(order), size):
            index = order[first : first + size]
            source = mutants.slot[index, 0]
            part = Mutants(
                mutants.start[index],
                mutants.width[index],
                mutants.columns[index],
                mutants.slot[index],
            )
            at = part.start[:, None] + np.arange(part.columns.shape[1])
            kept = np.arange(part.columns.shape[1]) >= part.width[:, None]
            change = np.where(kept[:, :, None], rows[np.minimum(at, len(rows) - 1)], part.columns)
            made.append(
                Tile(
                    index,
                    _windows(self.changed, source),
                    _windows(self.differing, source),
                    Piece(part.start.astype(np.int64), change),
                )
            )
        return made

    def run(
        self,
        rows: np.ndarray,
        mutants: Mutants,
        acts: Acts,
        references: list[Acts],
        in_threads: Callable[[list, Callable], list],
        deliver: Callable[[np.ndarray, np.ndarray, np.ndarray], None],
    ) -> bool:
        """Walk all mutants; ``deliver(index, importance lost (G, K, B, L), scores (K, B))``.

        Returns
        -------
        bool
            False where the head has no small basis; nothing was delivered then.
        """
        passes = self.passes
        tiles = self.tiles(rows, mutants, self.tile)
        keep = KEEP_BYTES // max(1, len(tiles))
        heads = in_threads(tiles, lambda tile: self.to_head(tile, acts, keep))
        merged = (
            {i: np.concatenate([h[i] for h in heads]) for i in self.split.head}
            if heads and not self.linear_head
            else {}
        )
        bounds = np.cumsum([0] + [len(t.index) for t in tiles])
        against: list[Acts | None] = list(references) if references else [None]
        bases: list[list[Basis]] = []
        for reference in against:
            own = []
            for task in passes.tasks:
                basis = self.basis(task, acts, merged, len(mutants), reference)
                if basis is None:
                    return False
                own.append(basis)
            bases.append(own)
        inputs = [
            [
                self.spread(basis, task, acts, reference)
                for basis, task in zip(own, passes.tasks, strict=True)
            ]
            for own, reference in zip(bases, against, strict=True)
        ]

        def near(k: int) -> None:
            tile = tiles[k]
            part = slice(int(bounds[k]), int(bounds[k + 1]))
            pieces = tile.pieces or self.forward.run(acts, tile.change, tile.forward)
            lost = self.lost(tile, part, pieces, acts, against, bases, inputs, rows)
            tile.pieces = None
            scores = passes.scores({**acts, **heads[k]})
            deliver(tile.index, lost, np.broadcast_to(scores, (len(passes.tasks), len(tile.index))))

        in_threads(list(range(len(tiles))), near)
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

    def basis(
        self, task: Task, acts: Acts, merged: Acts, count: int, reference: Acts | None
    ) -> Basis | None:
        """The basis at the borders; None where the head has none that is small."""
        found = head_basis(
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
        if found is not None and found.coefficients.shape[1] > max(count // 2, 8):
            return None
        return found

    def spread(self, basis: Basis, task: Task, acts: Acts, reference: Acts | None) -> np.ndarray:
        """Carry the basis down the original's trunk: at every node where the near part needs it.

        Returns the vectors at the input (n, L, 4); the others are added to ``basis.vectors``.
        """
        passes, graph = self.passes, self.passes.graph
        arriving = dict(basis.vectors)
        kept: dict[int, np.ndarray] = {}
        for i in reversed(self.split.trunk):
            if i not in arriving or i == 0:
                continue
            node, g = graph.nodes[i], arriving.pop(i)
            if i in self.curved:
                kept[i] = np.ascontiguousarray(g)
            xs = [acts[j] for j in node.inputs]
            if node.op.linear:
                down = passes.rule(node.op, "gradient")(g, [_like(x, g) for x in xs], acts[i])
            elif reference is None:
                down = node.op.gradient(g, xs, acts[i])
            else:
                rs = [reference[j] for j in node.inputs]
                down = node.op.rescale(g, xs, rs, acts[i], reference[i], self.plan.rule)
            for j, d in zip(node.inputs, down, strict=True):
                arriving[j] = arriving[j] + d if j in arriving else d
        basis.vectors = kept
        n = basis.coefficients.shape[1]
        return arriving.get(0, np.zeros((n, graph.length, 4), np.float32))

    def lost(
        self,
        tile: Tile,
        part: slice,
        pieces: dict[int, Piece],
        acts: Acts,
        against: list[Acts | None],
        bases: list[list[Basis]],
        inputs: list[list[np.ndarray]],
        rows: np.ndarray,
    ) -> np.ndarray:
        """C_X - C_X' (G, K, B, L) of a tile, per group of references."""
        plan = self.plan
        count, length = len(tile.index), plan.graph.length
        groups = max(plan.groups, 1)
        total = np.zeros((groups, len(plan.tasks), count, length), np.float32)
        start, width = tile.backward[0]
        at = tile.change.start[:, None] + np.arange(tile.change.width)[None]
        inside = at < length
        at = np.minimum(at, length - 1)
        mutant = np.broadcast_to(rows, (count, *rows.shape))
        window = np.clip(start[:, None] + np.arange(width)[None], 0, length - 1)
        owner = np.arange(count)[:, None]
        columns = np.where(inside[:, :, None], tile.change.data, 0)
        edited = rows[window]
        position = at - start[:, None]
        ok = inside & (position >= 0) & (position < width)
        edited[np.nonzero(ok)[0], position[ok]] = columns[ok]
        for i, reference in enumerate(against):
            r = None if reference is None else reference[0][0]
            for k, basis in enumerate(bases[i]):
                near = self.backward.run(acts, reference, pieces, basis, part, tile.backward)
                out = total[i % groups, k]
                vectors = inputs[i][k]
                plain = contributions(
                    plan.method,
                    plan.contribution,
                    vectors,
                    rows[None],
                    None if r is None else r[None],
                )
                coefficients = basis.coefficients[part, : len(plain)]
                if len(plain) > 1:
                    out -= coefficients[:, 1:] @ plain[1:]
                own = contributions(
                    plan.method,
                    plan.contribution,
                    near.data,
                    edited,
                    None if r is None else r[window],
                )
                np.subtract.at(out, (owner, window), own)
                # at the mutated positions the far part, too, reads the new bases
                mixed = np.einsum("bn,nbwc->bwc", coefficients, vectors[:, at])
                against_here = None if r is None else r[at]
                before = contributions(
                    plan.method, plan.contribution, mixed, mutant[owner, at], against_here
                )
                after = contributions(plan.method, plan.contribution, mixed, columns, against_here)
                np.subtract.at(out, (owner, at), np.where(inside, after - before, 0))
        if len(against) > 1:
            sizes = np.bincount(np.arange(len(against)) % groups).astype(np.float32)
            total /= sizes[:, None, None, None]
        return total


def _windows(bounds: dict[int, Hulls], sources: np.ndarray) -> Windows:
    return {i: h.window(sources) for i, h in bounds.items()}


def _like(x: np.ndarray, g: np.ndarray) -> np.ndarray:
    """x with the batch of g: linear operators read nothing of it but its shape."""
    return np.broadcast_to(x, (len(g), *x.shape[1:]))

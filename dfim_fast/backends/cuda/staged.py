"""Layer by layer over many mutants at once: any network that has kernels, any plan.

Forward, the mutants' own rows of every tensor are computed over the original's. Down, the same
holds for gradients: outside the cone they are the original's. All references of a mutant go down
together, and only rows of results leave the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.far import FarPart, pays
from dfim_fast.backends.cuda.geometry import Windows, geometry
from dfim_fast.backends.cuda.network import Acts, Network, Pairs
from dfim_fast.backends.cuda.shuffles import Shuffled
from dfim_fast.backends.cuda.views import View
from dfim_fast.backends.rows import group_weights
from dfim_fast.graph.graph import Task
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants

METHODS = ("gradient", "gradient_corrected", "deeplift")  # as csrc/kernels/importance.cuh counts


@dataclass(frozen=True)
class Original:
    """One sequence and its references, passed through the network.

    Attributes
    ----------
    acts, references : dict
        Whole tensors: of the sequence, and of its references (None for gradients).
    scores : ndarray (K,)
    expected : ndarray (K,) or None
        Mean score of the references.
    """

    acts: Acts
    references: Acts | None
    scores: np.ndarray
    expected: np.ndarray | None


@dataclass(frozen=True)
class Part:
    """Some mutants of one sequence.

    Attributes
    ----------
    count : int
    mutants : Mutants
    first, span : Buffer (M,) int32
        Start and width of what is replaced.
    source : Buffer (M,) int32
    """

    count: int
    mutants: Mutants
    first: Buffer
    span: Buffer
    source: Buffer


@dataclass(frozen=True)
class Chunk(Part):
    """Some mutants of one sequence, passed forward.

    Attributes
    ----------
    acts : dict of Value
    pairs : Pairs
        Each mutant against each reference, the reference fastest.
    pair_source : Buffer (M * R,) int32
    zeros : Buffer (M * R,) int32
    """

    acts: Acts
    pairs: Pairs
    pair_source: Buffer
    zeros: Buffer


class StagedEngine:
    """Maps and effects of one plan.

    Parameters
    ----------
    network : Network
    plan : Plan
        That of the network, or one with other sources and targets.
    budget : int
        Bytes of device memory to use.
    mutants : int
        Of a sequence.
    """

    def __init__(self, network: Network, plan: Plan, budget: int, mutants: int) -> None:
        self.network, self.plan, self.budget = network, plan, budget
        self.device: Device = network.device
        self.changed, self.differing = geometry(plan, self.device, network.nodes)
        self.groups = max(plan.groups, 1)
        self.count = max(plan.n_references, 1)
        weights = group_weights(plan).astype(np.float32)
        self.weights = self.device.upload(weights)
        self.far = FarPart(network, plan, budget) if pays(plan, mutants) else None
        down = self.count * network.live_bytes(self.differing.width)
        if self.far is not None:
            down = self.far.bytes_of()
        each = network.held_bytes(self.changed.width) + down
        self.tile = int(max(1, budget // 2 // max(each, 1)))

    # -- passes over the original ---------------------------------------------------------------

    def original(self, rows: np.ndarray, own: np.ndarray | Shuffled | None) -> Original:
        """Pass a sequence (L, 4) and its references (R, 4, L) through the network."""
        acts = self.whole(self.rows(rows[None]), 1)
        references = None
        if isinstance(own, Shuffled):
            references = self.whole(own.draw(self.device), self.count)
        elif own is not None:
            references = self.whole(self.rows(own.swapaxes(1, 2)), self.count)
        expected = None
        if references is not None:
            scores = self.scores(references, self.count)
            expected = scores.mean(axis=1, dtype=np.float64).astype(np.float32)
        return Original(acts, references, self.scores(acts, 1)[:, 0], expected)

    def rows(self, x: np.ndarray) -> Buffer:
        """A device copy of x (B, L, 4)."""
        return self.device.upload(np.ascontiguousarray(x, np.float32))

    def whole(self, x: Buffer, items: int) -> Acts:
        """Activations of x (items, L, 4)."""
        shape = self.network.graph.nodes[0].shape
        return self.network.forward(
            items,
            View(*shape, shape[0], x),
            lambda i, channels, won=False: self._whole(i, channels, items),
        )

    def _whole(self, i: int, channels: int, items: int) -> View:
        """Memory for the whole tensors of a node."""
        rows = self.network.graph.nodes[i].shape[0]
        return View(rows, channels, rows, self.device.allocate(4 * items * rows * channels))

    def scores(self, acts: Acts, items: int) -> np.ndarray:
        """Of the tasks (K, items)."""
        found = []
        for task in self.network.tasks:
            out = self.device.allocate(4 * items)
            view = acts[task.node].y.pack()
            self.device.launch("pick", items, out.address, view, task.position, task.channel, items)
            found.append(self.device.read(out, (items,)))
        return np.stack(found)

    def down(self, task: Task, original: Original, also: Container[int] = ()) -> dict[int, View]:
        """Gradients or multipliers (R, L, C) of the original by whole passes.

        At every node where mutants read them as their base, at the input, and at some nodes more.
        """
        zeros = self.device.upload(np.zeros(self.count, np.int32))
        below = self.network.graph.ancestors(task.node)
        walk = self.network.backward(
            self.network.seed(task, zeros),
            below,
            below,
            Pairs(self.count, zeros, None),
            original.acts,
            original.references,
            lambda i, channels, won=False: self._whole(i, channels, self.count),
        )
        far = self.far is not None
        return {
            i: view for i, view in walk if i == 0 or far or i in also or self.differing.has_base(i)
        }

    def importance(
        self,
        items: int,
        m: View,
        x: View,
        references: Acts | None,
        member: Buffer | None,
        out: View,
    ) -> View:
        """Contributions (items, rows, G) of windows, per group of references."""
        plan = self.plan
        r = x if references is None else references[0].y.through(member)
        self.device.launch(
            "contribute",
            items * out.width,
            out.pack(),
            m.pack(),
            x.pack(),
            r.pack(),
            METHODS.index("deeplift" if plan.n_references else plan.method),
            plan.contribution == "projected",
            plan.n_references,
            items,
        )
        return out

    def original_importance(self, original: Original, down: dict[int, View]) -> View:
        """Contributions (1, L, G) of the original."""
        length = self.network.graph.length
        out = View(length, self.groups, length, self.device.allocate(4 * length * self.groups))
        return self.importance(1, down[0], original.acts[0].y, original.references, None, out)

    # -- passes over mutants --------------------------------------------------------------------

    def part(self, mutants: Mutants) -> Part:
        """Some mutants, named on the device."""
        arrays = (mutants.start, mutants.width, mutants.slot[:, 0])
        first, span, source = (self.device.upload(a.astype(np.int32)) for a in arrays)
        return Part(len(mutants), mutants, first, span, source)

    def chunk(self, original: Original, mutants: Mutants) -> Chunk:
        """Pass some mutants of a sequence forward."""
        part = self.part(mutants)
        count, on_device = part.count, part.source
        owner = self.device.upload(np.zeros(count, np.int32))

        def room(i: int, channels: int, won: bool = False) -> View:
            base = original.acts[i].won if won else original.acts[i].y
            assert base is not None
            return self.changed.view(i, channels, count, base.own, source=on_device, owner=owner)

        x = room(0, 4)
        columns = self.device.upload(np.ascontiguousarray(mutants.columns, np.float32))
        self.device.launch(
            "edit",
            count * x.width,
            x.pack(),
            original.acts[0].y.pack(),
            columns.address,
            part.first.address,
            part.span.address,
            mutants.columns.shape[1],
            count,
        )
        acts = self.network.forward(count, x, room)
        pair = np.arange(count * self.count, dtype=np.int32)
        window = self.device.upload(pair // self.count)
        reference = self.device.upload(pair % self.count)
        zeros = self.device.upload(np.zeros(len(pair), np.int32))
        return Chunk(
            count,
            mutants,
            part.first,
            part.span,
            part.source,
            acts,
            Pairs(len(pair), window, reference),
            self.device.upload(np.repeat(mutants.slot[:, 0].astype(np.int32), self.count)),
            zeros,
        )

    def mutant_importance(
        self, task: Task, original: Original, down: dict[int, View], base: View, chunk: Chunk
    ) -> View:
        """Contributions of mutants where they can differ from the original's (M, width, G)."""
        m, windows = self._walk(task, original, down, chunk)
        width = windows.width[0]
        memory = self.device.allocate(4 * chunk.count * width * self.groups) if width else None
        # the base even where the window is the whole: it is what mutants are compared with
        out = View(
            base.rows,
            self.groups,
            width,
            memory,
            base.own,
            windows.start.get(0),
            chunk.source,
            chunk.zeros,
        )
        if not width:
            return out
        return self.importance(
            chunk.count, m, chunk.acts[0].y, original.references, chunk.pairs.reference, out
        )

    def _walk(
        self, task: Task, original: Original, down: dict[int, View], chunk: Chunk
    ) -> tuple[View, Windows]:
        """Gradients or multipliers of mutants at the input, and the windows that they are in."""
        pairs, acts, references = chunk.pairs, chunk.acts, original.references
        assert pairs.reference is not None
        if self.far is not None:
            m = self.far.walk(
                task, pairs, chunk.pair_source, chunk.zeros, acts, original.acts, references, down
            )
            return m, self.far.held

        def room(i: int, channels: int, won: bool = False) -> View:
            return self.differing.view(
                i,
                channels,
                pairs.count,
                down[i].own if i in down else None,
                source=chunk.pair_source,
                owner=pairs.reference,
            )

        below = self.network.graph.ancestors(task.node)
        seed = self.network.seed(task, chunk.zeros)
        walk = self.network.backward(seed, below, below, pairs, acts, references, room)
        _, m = deque(walk, maxlen=1)[0]  # what stands above is let go as the walk comes down
        return m, self.differing

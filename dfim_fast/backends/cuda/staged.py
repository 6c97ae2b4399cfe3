"""Layer by layer over many mutants at once: any network that has kernels, any plan.

Forward, the mutants' own rows of every tensor are computed over the original's. Down, the same
holds for gradients: outside the cone they are the original's. All references of a mutant go down
together, and only rows of results leave the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.edits import Edits
from dfim_fast.backends.cuda.far import FarPart, pays
from dfim_fast.backends.cuda.geometry import Windows, geometry
from dfim_fast.backends.cuda.layers.layer import Value
from dfim_fast.backends.cuda.network import Acts, Network, Pairs
from dfim_fast.backends.cuda.sheet import Sheet
from dfim_fast.backends.cuda.shuffles import Shuffles, one_hot_rows
from dfim_fast.backends.cuda.views import View
from dfim_fast.backends.rows import group_weights
from dfim_fast.graph.graph import Task
from dfim_fast.plan.plan import Plan

METHODS = ("gradient", "gradient_corrected", "deeplift")  # as csrc/kernels/importance.cuh counts
SHARE = 2  # of the budget that one chunk of mutants may take: a half
LANES = 32


@dataclass(frozen=True)
class Original:
    """A batch of B sequences and their references, passed through the network.

    Attributes
    ----------
    count : int
        B.
    acts, references : dict
        Whole tensors: of the sequences, and of their references, B * R items (None for gradients).
    down : list of dict of View
        Gradients or multipliers (B * R items) by task, where mutants read them.
    base : list of View (B, L, G)
        Importance by task.
    sheet : Sheet
        What the host wants to know: importance (K, B, L, G), scores (K, B), and with references
        their scores, expected (K, B, R).
    """

    count: int
    acts: Acts
    references: Acts | None
    down: list[dict[int, View]]
    base: list[View]
    sheet: Sheet

    def one(self, number: int, references: int) -> Original:
        """One of the sequences, with its references."""

        def of(value: Value, first: int, count: int) -> Value:
            won = None if value.won is None else value.won.items(first, count)
            return Value(value.y.items(first, count), won)

        first, against = number * references, None
        if self.references is not None:
            against = {i: of(v, first, references) for i, v in self.references.items()}
        return Original(
            1,
            {i: of(v, number, 1) for i, v in self.acts.items()},
            against,
            [{i: v.items(first, references) for i, v in walk.items()} for walk in self.down],
            [view.items(number, 1) for view in self.base],
            self.sheet,
        )


@dataclass(frozen=True)
class Part:
    """Some mutants, named on the device.

    Attributes
    ----------
    count : int
    edits : Edits
    first, span : Buffer (M,) int32
        Start and width of what is replaced.
    source, owner : Buffer (M,) int32
        Source, and sequence of the batch.
    """

    count: int
    edits: Edits
    first: Buffer
    span: Buffer
    source: Buffer
    owner: Buffer


@dataclass(frozen=True)
class Chunk(Part):
    """Some mutants, passed forward.

    Attributes
    ----------
    acts : dict of Value
    pairs : Pairs
        Each mutant against each reference of its sequence, the reference fastest.
    pair_source : Buffer (M * R,) int32
    """

    acts: Acts
    pairs: Pairs
    pair_source: Buffer


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
        self.mutants = mutants
        self.groups = max(plan.groups, 1)
        self.count = max(plan.n_references, 1)
        weights = group_weights(plan).astype(np.float32)
        self.weights = self.device.upload(weights)

    # Windows are made when mutants first go layer by layer, and never for a walk.

    @cached_property
    def windows(self) -> tuple[Windows, Windows]:
        """Changed rows, and rows whose gradient differs."""
        return geometry(self.plan, self.device, self.network.nodes)

    @cached_property
    def far(self) -> FarPart | None:
        """The way down through a hidden head, where a basis of units pays."""
        pay = pays(self.plan, self.mutants)
        return FarPart(self.network, self.plan, self.budget) if pay else None

    @cached_property
    def tile(self) -> int:
        """Mutants of one chunk."""
        changed, differing = self.windows
        down = self.count * self.network.live_bytes(differing.width)
        if self.far is not None:
            down = self.far.bytes_of()
        each = self.network.held_bytes(changed.width) + down
        return int(max(1, self.budget // SHARE // max(each, 1)))

    @cached_property
    def bases(self) -> set[int]:
        """Nodes at which mutants read what comes down for their original."""
        nodes = self.network.nodes
        return {i for i in nodes if i == 0 or self.far is not None or self.windows[1].has_base(i)}

    # -- passes over the originals --------------------------------------------------------------

    @property
    def bytes_of_original(self) -> int:
        """Memory that one sequence takes with its references, and what comes down for it."""
        graph, nodes = self.network.graph, self.network.nodes
        up = self.network.held_bytes({i: graph.nodes[i].shape[0] for i in nodes})
        kept = len(self.network.tasks) * 4 * graph.values(nodes)
        return up + self.count * (up + kept if self.plan.n_references else kept)

    def original(
        self,
        codes: np.ndarray,
        own: np.ndarray | Shuffles | None,
        keep: Container[int],
    ) -> Original:
        """Pass sequences, codes (B, L), and their references (B, R, 4, L) up and down.

        ``keep`` names the nodes at which what comes down is read again; the input is one of them.
        """
        device, count, length = self.device, len(codes), self.network.graph.length
        acts = self.whole(one_hot_rows(device, device.upload(codes), count, length), count)
        many = count * self.count
        references = None
        if isinstance(own, Shuffles):
            references = self.whole(own.draw(device), many)
        elif own is not None:
            references = self.whole(self.rows(own.reshape(many, 4, length).swapaxes(1, 2)), many)
        tasks = len(self.network.tasks)
        sizes = {"importance": (tasks, count, length, self.groups), "scores": (tasks, count)}
        if references is not None:
            sizes["expected"] = (tasks, count, self.count)
        sheet = Sheet(device, sizes)
        down, base = [], []
        for k, task in enumerate(self.network.tasks):
            self.score(task, acts, count, sheet.part("scores", k))
            if references is not None:
                self.score(task, references, many, sheet.part("expected", k))
            down.append(self.down(task, count, acts, references, keep))
            room = sheet.part("importance", k)
            view = View(length, self.groups, length, room)
            m, x = down[k][0], acts[0].y
            base.append(self.importance(count, m, x, references, None, view))
        return Original(count, acts, references, down, base, sheet)

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

    def score(self, task: Task, acts: Acts, items: int, out: Buffer) -> None:
        """Scores (items,) of a task."""
        view = acts[task.node].y.pack()
        self.device.launch("pick", items, out.address, view, task.position, task.channel, items)

    def down(
        self,
        task: Task,
        count: int,
        acts: Acts,
        references: Acts | None,
        keep: Container[int],
    ) -> dict[int, View]:
        """Gradients or multipliers (B * R, L, C) of the originals, at some nodes."""
        many = count * self.count
        window = self.device.upload(np.repeat(np.arange(count, dtype=np.int32), self.count))
        below = self.network.graph.ancestors(task.node)
        walk = self.network.backward(
            self.network.seed(task),
            below,
            below,
            Pairs(many, window, None),
            acts,
            references,
            lambda i, channels, won=False: self._whole(i, channels, many),
        )
        return {i: view for i, view in walk if i in keep}

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

    # -- passes over mutants --------------------------------------------------------------------

    def part(self, edits: Edits) -> Part:
        """Some mutants, named on the device."""
        mutants, count = edits.mutants, len(edits)
        table = np.stack([mutants.start, mutants.width, mutants.slot[:, 0], edits.owner])
        named = self.device.upload(table.astype(np.int32))
        columns = [named.part(4 * count * k, 4 * count) for k in range(len(table))]
        return Part(count, edits, *columns)

    def chunk(self, original: Original, edits: Edits) -> Chunk:
        """Pass some mutants forward."""
        part = self.part(edits)
        count, mutants = part.count, edits.mutants

        def room(i: int, channels: int, won: bool = False) -> View:
            base = original.acts[i].won if won else original.acts[i].y
            assert base is not None
            how = {"source": part.source, "owner": part.owner}
            return self.windows[0].view(i, channels, count, base.own, **how)

        x = room(0, 4)
        columns = self.device.upload(np.ascontiguousarray(mutants.columns, np.float32))
        self.device.launch(
            "edit",
            count * x.width,
            x.pack(),
            original.acts[0].y.through(part.owner).pack(),
            columns.address,
            part.first.address,
            part.span.address,
            mutants.columns.shape[1],
            count,
        )
        acts = self.network.forward(count, x, room)
        named = (part.first, part.span, part.source, part.owner)
        return Chunk(count, edits, *named, acts, *self.pairs(part))

    def pairs(self, part: Part) -> tuple[Pairs, Buffer]:
        """Mutants against every reference of their sequence, the reference fastest; sources."""
        pairs = part.count * self.count
        window, reference, source = (self.device.allocate(4 * pairs) for _ in range(3))
        self.device.launch(
            "pair_up",
            -(-pairs // LANES),
            window.address,
            reference.address,
            source.address,
            part.owner.address,
            part.source.address,
            self.count,
            pairs,
        )
        return Pairs(pairs, window, reference), source

    def mutant_importance(self, k: int, original: Original, chunk: Chunk) -> View:
        """Contributions of mutants where they can differ from the original's (M, width, G)."""
        m, windows = self._walk(k, original, chunk)
        width, base = windows.width[0], original.base[k]
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
            chunk.owner,
        )
        if not width:
            return out
        x, references = chunk.acts[0].y, original.references
        return self.importance(chunk.count, m, x, references, chunk.pairs.reference, out)

    def _walk(self, k: int, original: Original, chunk: Chunk) -> tuple[View, Windows]:
        """Gradients or multipliers of mutants at the input, and the windows that they are in."""
        pairs, acts, down = chunk.pairs, chunk.acts, original.down[k]
        task = self.network.tasks[k]
        if self.far is not None:
            span = [chunk.edits.span_of(b, b + 1) for b in range(original.count)]
            m = self.far.walk(
                task, pairs, chunk.pair_source, span, acts, original.acts, original.references, down
            )
            return m, self.far.held

        differing = self.windows[1]

        def room(i: int, channels: int, won: bool = False) -> View:
            return differing.view(
                i,
                channels,
                pairs.count,
                down[i].own if i in down else None,
                source=chunk.pair_source,
                owner=pairs.reference,
            )

        below = self.network.graph.ancestors(task.node)
        seed = self.network.seed(task)
        walk = self.network.backward(seed, below, below, pairs, acts, original.references, room)
        _, m = deque(walk, maxlen=1)[0]  # what stands above is let go as the walk comes down
        return m, differing

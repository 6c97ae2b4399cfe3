"""All mutants of a sequence by the fused walk, csrc/kernels/walk.cuh: one launch for each task.

Rows of the map come out banded: a mutant's importance on its own rows, the original's elsewhere.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.layers.convolution import ConvLayer
from dfim_fast.backends.cuda.layers.layer import Value
from dfim_fast.backends.cuda.network import Network
from dfim_fast.backends.cuda.results import Rows
from dfim_fast.backends.cuda.staged import METHODS, Original, Part, StagedEngine
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.walk import (
    ALTERNATES,
    Chain,
    convolutions,
    rings,
    spans,
    walkable,
    whole_warps,
)

# A layer's numbers, as csrc/kernels/walk.cuh has them; a test compares the two.
COLUMNS = (
    "kernel dilation inputs outputs rows lead width late above above_rows below below_rows after"
).split()


class FusedWalk:
    """The walk of one plan.

    Parameters
    ----------
    network : Network
    plan : Plan
    chain : Chain
    budget : int
        Bytes of device memory to use.

    Attributes
    ----------
    nodes : set of int
        Where it reads what arrives on the original's way down.
    """

    def __init__(self, network: Network, plan: Plan, chain: Chain, budget: int) -> None:
        self.network, self.plan, self.chain = network, plan, chain
        self.device: Device = network.device
        graph, nodes = network.graph, network.graph.nodes
        top = None if chain.pool is None else nodes[chain.pool].op
        pool = top.window if isinstance(top, MaxPool) else None
        margin = 0 if pool is None else pool.kernel - 1
        table, kept = self._table(margin)
        last = dict(zip(COLUMNS, table[-1], strict=True))
        pooled = [0, 1, 0, 0, kept]
        if pool is not None:
            pooled = [pool.kernel, pool.stride, pool.pad, pool.out_length, kept]
            # windows that changed rows can lie in; their values, and their winners
            most = (last["width"] + 2 * margin) // pool.stride + 2
            kept += 2 * ALTERNATES * most * whole_warps(last["outputs"])
        self.each = kept
        slopes = [
            float(np.ravel(op.alpha)[0]) if isinstance(op, LeakyRelu) else 0.0
            for op in (nodes[i].op for i in chain.gates)
        ]
        self.layers = self.device.upload(np.array(table, np.int32))
        self.slopes = self.device.upload(np.array(slopes, np.float32))
        self.pool = self.device.upload(np.array(pooled, np.int32))
        before = margin + sum(rows - 1 for rows in spans(graph, chain))
        self.width = min(graph.length, before + last["width"] + margin)
        start = np.clip(plan.sources - before, 0, graph.length - self.width)
        self.start = self.device.upload(start.astype(np.int32))
        self.groups = max(plan.groups, 1)
        self.nodes = {*chain.gates, *(() if chain.pool is None else (chain.pool,))}
        each = 4 * (self.each + ALTERNATES * self.width * self.groups)
        self.tile = int(max(1, budget // 2 // each))  # positions

    def _table(self, margin: int) -> tuple[list[list[int]], int]:
        """COLUMNS of every layer, and the floats of z' that a position takes."""
        graph, span = self.network.graph, spans(self.network.graph, self.chain)
        up, down = rings(graph, self.chain)
        lead, width, kept, table = 0, 1, 0, []
        for n, op in enumerate(convolutions(graph, self.chain)):
            window, above = op.window, span[n + 1 :]
            rows, channels = op.output_shape()
            lead += span[n] - 1 - window.pad
            width += span[n] - 1
            sizes = [window.kernel, window.dilation, op.weight.shape[1], channels, rows]
            late = margin + sum(s - 1 for s in above)
            ring_up = [sum(up[:n]), above[0] if above else 1]
            ring_down = [sum(down[:n]), span[n]]
            table.append([*sizes, lead, width, late, *ring_up, *ring_down, kept])
            kept += ALTERNATES * width * whole_warps(channels)
        return table, kept

    @classmethod
    def of(cls, network: Network, plan: Plan, budget: int) -> FusedWalk | None:
        """The walk of a plan, or None where it has to go layer by layer."""
        chain = walkable(plan.graph, plan.tasks)
        return None if isinstance(chain, str) else cls(network, plan, chain, budget)

    def fill(self, engine: StagedEngine, rows: Rows) -> None:
        """Enter all single-nucleotide mutants, three for each position, sequence by sequence."""
        rows.gained = True
        tile = ALTERNATES * self.tile
        for number in range(rows.original.count):
            own = rows.edits.span_of(number, number + 1)
            original = rows.original.one(number, engine.count)
            tensors = [self._tensors(original, walk) for walk in original.down]
            for first in range(own.start, own.stop, tile):
                part = engine.part(rows.edits[first : min(first + tile, own.stop)])
                gamma = np.ascontiguousarray(part.edits.mutants.slot[:, 1], np.int32)
                base_of = self.device.upload(gamma)
                after = self.device.allocate(4 * self.each * (part.count // ALTERNATES))
                for k in range(len(self.network.tasks)):
                    base, gained = rows.original.base[k], rows.scores(k, first)
                    found = self._walk(part, base_of, after, original, k, base, tensors[k], gained)
                    rows.add(k, first, part, found)

    def _layer(self, i: int) -> ConvLayer:
        """A convolution as it is lowered for whole passes: the weights are the same."""
        layer = self.network.layers[i]
        assert isinstance(layer, ConvLayer)
        return layer

    def _tensors(self, original: Original, down: dict[int, View]) -> Buffer:
        """Addresses of all that the walk reads, in the order of csrc/kernels/walk.cuh."""

        def own(view: View | None) -> int:
            return 0 if view is None or view.own is None else view.own.address

        def of(value: Value | None) -> tuple[int, int]:
            return (0, 0) if value is None else (own(value.y), own(value.won))

        references = original.references or {}
        table = []
        for i, gate in zip(self.chain.convolutions, self.chain.gates, strict=True):
            layer = self._layer(i)
            z, r = of(original.acts[i])[0], of(references.get(i))[0]
            table.append([z, r, own(down[gate]), layer.weight.address, layer.back.address])
        pool = self.chain.pool
        if pool is not None:
            (y, won), (r, lost) = of(original.acts[pool]), of(references.get(pool))
            table.append([y, r, won, lost, own(down[pool])])
        else:
            table.append([0] * 5)
        return self.device.upload(np.array(table, np.uint64))

    def _walk(
        self,
        part: Part,
        gamma: Buffer,
        after: Buffer,
        original: Original,
        k: int,
        base: View,
        tensors: Buffer,
        gained: Buffer,
    ) -> View:
        """Importance (M, width, G) of some mutants, over that of their originals."""
        plan, device = self.plan, self.device
        memory = device.allocate(4 * part.count * self.width * self.groups)
        out = View(
            base.rows, self.groups, self.width, memory, base.own, self.start, part.source,
            part.owner,
        )  # fmt: skip
        against = original.references
        sequence, gradients = original.acts[0].y.own, original.down[k][0].own
        reference = None if against is None else against[0].y.own
        assert sequence is not None and gradients is not None
        positions = part.count // ALTERNATES
        device.launch(
            "walk",
            positions,
            out.pack(),
            gained.address,
            after.address,
            self.each,
            tensors.address,
            self.layers.address,
            self.slopes.address,
            len(self.chain.convolutions),
            self.pool.address,
            self._layer(self.chain.convolutions[0]).bias.address,
            sequence.address,
            0 if reference is None else reference.address,
            gradients.address,
            part.first.address,
            gamma.address,
            METHODS.index(plan.method),
            int(plan.contribution == "projected"),
            int(against is not None and plan.rule.maxpool == "shap"),
            plan.n_references,
            plan.rule.epsilon,
            positions,
        )
        return out

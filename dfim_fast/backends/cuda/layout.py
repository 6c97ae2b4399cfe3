"""Tables of the fused walk: its stages, the rows that every source walks, and its memory."""

from __future__ import annotations

import numpy as np

from dfim_fast.backends.cuda.device import Buffer
from dfim_fast.backends.cuda.layers.convolution import AverageLayer, ConvLayer
from dfim_fast.backends.cuda.layers.layer import Value
from dfim_fast.backends.cuda.network import Network
from dfim_fast.backends.cuda.staged import Original
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.plan.cones import hulls
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.walk import ALTERNATES, Chain, Stage, longest, spans, whole_warps

# A stage's numbers, as csrc/kernels/walk.cuh has them; a test compares the two.
COLUMNS = (
    "kernel stride dilation pad inputs outputs rows pool pool_kernel pool_stride pool_pad "
    "pool_rows kept pooled"
).split()
POOLS = ("NO_POOL", "MAX_POOL", "AVERAGE_POOL")  # likewise


class Layout:
    """What csrc/kernels/walk.cuh reads of a plan; the same for every sequence.

    Parameters
    ----------
    network : Network
    plan : Plan
    chain : Chain

    Attributes
    ----------
    stages, slopes, spans, reads : Buffer
        COLUMNS of every stage, its gate's slope below zero; rows by source, as plan/walk.py has
        them.
    moving, room, each : int
        Floats of a position: where its buffers begin, what one of them holds, and all.
    start : Buffer or None (S,) int32
        First row of each source's importance that can differ; None where all can.
    width : int
        How many do at most.
    top_start : Buffer (S,) int32
    top_width : int
        The same of what leaves the trunk.
    """

    def __init__(self, network: Network, plan: Plan, chain: Chain) -> None:
        self.network, self.chain, self.device = network, chain, network.device
        graph, device = network.graph, network.device
        if plan.cones is None:
            changed, differing = hulls(graph, chain.division.trunk, plan.sources, plan.targets)
        else:
            changed, differing = plan.cones.changed, plan.cones.differing
        table, reads = spans(chain, changed, differing)
        self.spans, self.reads = device.upload(table), device.upload(reads)
        gates = (graph.nodes[stage.gate].op for stage in chain.stages)
        slopes = [op.alpha.item() if isinstance(op, LeakyRelu) else 0.0 for op in gates]
        self.slopes = device.upload(np.array(slopes, np.float32))
        self.stages = device.upload(self._stages(network, chain, longest(table), plan.groups))
        self.start: Buffer | None = None
        self.width = graph.length
        if not chain.units:
            start, self.width = self._window(reads, plan.sources, graph.length)
            self.start = device.upload(start)
        start, self.top_width = changed[chain.stages[-1].top].window(np.arange(len(plan.sources)))
        self.top_start = device.upload(start.astype(np.int32))

    def _stages(self, network: Network, chain: Chain, most: np.ndarray, groups: int) -> np.ndarray:
        """COLUMNS of every stage; ``most`` (stages, 4) rows of each kind."""
        nodes, kept, moving = network.graph.nodes, 0, 0
        table: list[list[int]] = []
        for stage, (z, y, dz, dv) in zip(chain.stages, most.tolist(), strict=True):
            conv = nodes[stage.conv].op
            assert isinstance(conv, Conv)
            rows, channels = conv.output_shape()
            window, lanes = conv.window, ALTERNATES * whole_warps(channels)
            row = [window.kernel, window.stride, window.dilation, window.pad]
            row += [conv.weight.shape[1], channels, rows]
            pool = [0, 0, 1, 0, rows]
            if stage.pool is not None:
                op = nodes[stage.pool].op
                of = op.window  # type: ignore[attr-defined]
                kind = POOLS.index("MAX_POOL" if isinstance(op, MaxPool) else "AVERAGE_POOL")
                pool = [kind, of.kernel, of.stride, of.pad, of.out_length]
            table.append([*row, *pool, kept, kept + lanes * z])
            kept += lanes * z
            if pool[0] == POOLS.index("MAX_POOL"):
                kept += 2 * lanes * y
            moving = max(moving, lanes * max(y, dz, dv))
        self.moving, self.room, self.each = kept, moving, kept + 2 * moving * max(groups, 1)
        return np.array(table, np.int32)

    @staticmethod
    def _window(reads: np.ndarray, sources: np.ndarray, length: int) -> tuple[np.ndarray, int]:
        """Windows that hold what a source reads, and the source."""
        none = reads[:, 1] < reads[:, 0]
        first = np.where(none, sources, np.minimum(reads[:, 0], sources))
        last = np.where(none, sources, np.maximum(reads[:, 1], sources))
        width = int((last - first + 1).max(initial=1))
        start = np.clip(np.minimum(first, length - width), 0, None)
        return start.astype(np.int32), width

    def conv(self, stage: Stage) -> ConvLayer:
        """A convolution as it is lowered for whole passes: the weights are the same."""
        layer = self.network.layers[stage.conv]
        assert isinstance(layer, ConvLayer)
        return layer

    def tensors(self, original: Original, k: int, basis: dict[int, Buffer]) -> Buffer:
        """Addresses of all that the walk reads, in the order of csrc/kernels/walk.cuh."""
        references, down = original.references or {}, original.down[k]

        def own(view: View | None) -> int:
            return 0 if view is None or view.own is None else view.own.address

        def of(value: Value | None) -> tuple[int, int]:
            return (0, 0) if value is None else (own(value.y), own(value.won))

        def unit(i: int) -> int:
            return basis[i].address if i in basis else 0

        table = []
        for stage in self.chain.stages:
            conv, gate, pool = self.conv(stage), stage.gate, stage.pool
            z, r = of(original.acts[stage.conv])[0], of(references.get(stage.conv))[0]
            row = [z, r, own(down[gate]), unit(gate), conv.weight.address, conv.back.address]
            if pool is None:
                row += [0] * 7
            else:
                (y, won), (y_r, lost) = of(original.acts[pool]), of(references.get(pool))
                layer = self.network.layers[pool]
                factor = layer.factor.address if isinstance(layer, AverageLayer) else 0
                row += [y, y_r, won, lost, own(down[pool]), unit(pool), factor]
            table.append(row)
        return self.device.upload(np.array(table, np.uint64))

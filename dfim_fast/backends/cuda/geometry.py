"""Where each node's windows begin for every source, and how wide they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.views import View
from dfim_fast.graph.graph import Graph
from dfim_fast.plan.cones import Hulls
from dfim_fast.plan.plan import Plan


class Windows:
    """Windows of all nodes for all sources.

    Attributes
    ----------
    width : dict of int
        Rows of the window at each node; 0 where nothing differs from the base.
    start : dict of Buffer (S,) int32
        Absent where the window is the whole tensor, or empty.
    """

    def __init__(self, device: Device, graph: Graph, nodes: tuple[int, ...]) -> None:
        self.device, self.graph = device, graph
        self.width = {i: graph.nodes[i].shape[0] for i in nodes}
        self.start: dict[int, Buffer] = {}
        self.first: dict[int, np.ndarray] = {}  # the same on the host
        self.nowhere = device.upload(np.zeros(1, np.int32))

    def narrow(self, i: int, hulls: Hulls) -> None:
        """Confine node i to its changed rows."""
        if (hulls.last < hulls.first).all():
            self.width[i] = 0
            return
        start, self.width[i] = hulls.window(np.arange(len(hulls.first)))
        if self.width[i] < hulls.length:
            self.first[i] = start
            self.start[i] = self.device.upload(start.astype(np.int32))

    def has_base(self, i: int) -> bool:
        """Whether some rows of node i are read from the base."""
        return self.width[i] < self.graph.nodes[i].shape[0]

    def mask(self, i: int, sources: int) -> np.ndarray:
        """Rows (S, L) of node i that lie in the windows."""
        length = self.graph.nodes[i].shape[0]
        if not self.has_base(i):
            return np.ones((sources, length), bool)
        rows, start = np.arange(length), self.first.get(i, np.zeros(sources, int))[:, None]
        return (rows >= start) & (rows < start + self.width[i])

    def inside(self, view: View, i: int, source: Buffer) -> View:
        """A wider window of node i, of which these rows alone are computed."""
        if self.width[i] == view.width:
            return view
        start = self.start.get(i, self.nowhere)  # not read where nothing is computed
        return replace(view, source=source, inner=start, inner_width=self.width[i])

    def view(
        self,
        i: int,
        channels: int,
        items: int,
        base: Buffer | None,
        source: Buffer,
        owner: Buffer | None,
    ) -> View:
        """Windows of node i for ``items``, in memory of their own, over a base."""
        rows, width = self.graph.nodes[i].shape[0], self.width[i]
        own = self.device.allocate(4 * items * width * channels) if width else None
        if not self.has_base(i):
            return View(rows, channels, width, own)
        return View(rows, channels, width, own, base, self.start.get(i), source, owner)


def joined(a: Hulls, b: Hulls) -> Hulls:
    """From the first changed row of either to the last."""
    empty_a, empty_b = a.last < a.first, b.last < b.first
    first = np.where(empty_a, b.first, np.where(empty_b, a.first, np.minimum(a.first, b.first)))
    last = np.where(empty_a, b.last, np.where(empty_b, a.last, np.maximum(a.last, b.last)))
    return Hulls(first, last, a.length)


def geometry(plan: Plan, device: Device, nodes: tuple[int, ...]) -> tuple[Windows, Windows]:
    """Changed rows, and rows whose gradient differs from the original's.

    With a head that is not linear every mutant has its own gradient at the top of the trunk, and
    so everywhere.
    """
    graph = plan.graph
    changed, differing = (Windows(device, graph, nodes) for _ in range(2))
    if plan.cones is None:
        return changed, differing
    head = plan.cones.split.head
    linear = all(graph.nodes[i].op.linear for i in head)
    for i in plan.cones.split.trunk:
        changed.narrow(i, plan.cones.changed[i])
        if linear:
            differing.narrow(i, plan.cones.differing[i])
    if linear:
        differing.width.update(dict.fromkeys(head, 0))
        # the importance of what is replaced changes even where no gradient does
        differing.narrow(0, joined(plan.cones.differing[0], plan.cones.changed[0]))
    return changed, differing

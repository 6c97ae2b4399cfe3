"""A plan's network on a device: layers, and passes over them for many items at once."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dfim_fast.backends.cuda.device import Buffer, Device
from dfim_fast.backends.cuda.layers.all import layer_of
from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value
from dfim_fast.backends.cuda.views import View
from dfim_fast.graph.graph import Task
from dfim_fast.plan.plan import Plan

Acts = dict[int, Value]


class Room(Protocol):
    """Gives memory for the outputs of all items at a node, or for the winners of a pool."""

    def __call__(self, i: int, channels: int, won: bool = False) -> View: ...


@dataclass(frozen=True)
class Pairs:
    """Items that are a window of activations each, against one reference each.

    Attributes
    ----------
    count : int
    window, reference : Buffer or None
        Numbers of both, int32; None where item i has number i.
    """

    count: int
    window: Buffer | None
    reference: Buffer | None


class Network:
    """The nodes that a plan's tasks need, lowered.

    Parameters
    ----------
    plan : Plan
    device : Device
    products : int
        As Layer has it.
    """

    def __init__(self, plan: Plan, device: Device, products: int = 0) -> None:
        self.plan, self.device = plan, device
        self.graph = graph = plan.graph.astype(np.float32)
        self.nodes = graph.needed(plan.tasks)
        self.tasks = tuple(graph.tasks[t] for t in plan.tasks)
        self.layers: dict[int, Layer] = {}
        for i in self.nodes:
            if i:
                node = graph.nodes[i]
                kind = layer_of(node.op)
                assert kind is not None, node.name
                self.layers[i] = kind(device, node.op, [graph.nodes[j].shape for j in node.inputs])
                self.layers[i].products = products
        self.seeds = {t: self._seed(t) for t in self.tasks}

    def _seed(self, task: Task) -> Buffer:
        """dY/dY at the task's node: one entry is 1."""
        seed = np.zeros(self.graph.nodes[task.node].shape, np.float32)
        seed[task.position, task.channel] = 1
        return self.device.upload(seed)

    def forward(self, items: int, x: View, room: Room) -> Acts:
        """Every node's output; ``room`` gives the memory."""
        acts: Acts = {0: Value(x)}
        for i in self.nodes:
            if i:
                layer, channels = self.layers[i], self.graph.nodes[i].shape[1]
                won = room(i, channels, won=True) if layer.pools else None
                acts[i] = Value(room(i, channels), won)
                if acts[i].y.width:
                    layer.forward(items, acts[i], [acts[j].y for j in self.graph.nodes[i].inputs])
        return acts

    def seed(self, task: Task) -> dict[int, View]:
        """What arrives at a task's own node: the same for every item."""
        shape = self.graph.nodes[task.node].shape
        return {task.node: View(*shape, 0, None, self.seeds[task])}

    def backward(
        self,
        arriving: dict[int, View],
        nodes: Sequence[int],
        onto: Container[int],
        pairs: Pairs,
        acts: Acts,
        references: Acts | None,
        room: Room,
    ) -> Iterator[tuple[int, View]]:
        """What arrives at some nodes, from the top; gradients or multipliers.

        Parameters
        ----------
        arriving : dict of View
            Where the walk begins.
        nodes : sequence of int
            In topological order.
        onto : container of int
            Nodes to which something is passed on.
        """
        graph, rule = self.graph, self.plan.rule
        arriving = dict(arriving)
        for i in reversed(nodes):
            if i not in arriving:
                continue
            g = arriving.pop(i)
            yield i, g
            node = graph.nodes[i]
            if not any(j in onto for j in node.inputs):
                continue
            at = Arriving(
                items=pairs.count,
                g=g,
                xs=tuple(acts[j].y.through(pairs.window) for j in node.inputs),
                value=through(acts[i], pairs.window),
                rs=against(references, node.inputs, pairs.reference),
                reference=None if references is None else through(references[i], pairs.reference),
                rule=rule,
            )
            for number, j in enumerate(node.inputs):
                if j not in onto:
                    continue
                add = j in arriving
                if not add:
                    arriving[j] = room(j, graph.nodes[j].shape[1])
                if arriving[j].computed:
                    self.layers[i].backward(at, number, arriving[j], add)

    def live_bytes(self, width: dict[int, int]) -> int:
        """Largest memory that a backward pass of one item holds at once, for widths by node."""
        graph, largest = self.graph, 0
        for task in self.tasks:
            arriving = {task.node}
            for i in reversed(graph.ancestors(task.node)):
                arriving |= set(graph.nodes[i].inputs)
                held = sum(width[j] * graph.nodes[j].shape[1] for j in arriving)
                arriving.discard(i)
                largest = max(largest, 4 * held)
        return largest

    def held_bytes(self, width: dict[int, int]) -> int:
        """Memory that the activations of one item take, for widths by node."""
        each = (
            width[i] * self.graph.nodes[i].shape[1] * (2 if i and self.layers[i].pools else 1)
            for i in self.nodes
        )
        return 4 * sum(each)


def through(value: Value, member: Buffer | None) -> Value:
    """The same windows, looked up by other items."""
    won = None if value.won is None else value.won.through(member)
    return Value(value.y.through(member), won)


def against(
    references: Acts | None, inputs: tuple[int, ...], member: Buffer | None
) -> tuple[View, ...] | None:
    """The references' views of some nodes."""
    if references is None:
        return None
    return tuple(references[j].y.through(member) for j in inputs)

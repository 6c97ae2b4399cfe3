"""The network as the engine sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dfim_fast.errors import SettingsError
from dfim_fast.ops.base import Operator, Shape


@dataclass(frozen=True, eq=False)
class GraphNode:
    """One operator at work.

    Attributes
    ----------
    name : str
        The ONNX node's name.
    op : Operator
    inputs : tuple of int
        Indices of earlier nodes.
    shape : (int, int)
        Output (positions, channels).
    """

    name: str
    op: Operator
    inputs: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True)
class Task:
    """One number that the network predicts.

    Attributes
    ----------
    name : str
        The graph output's name, with the column where it has several.
    node : int
    position, channel : int
        Where in the node's output it stands.
    squashed : bool
        Whether the network goes on with a Sigmoid or Softmax that is left out of the score.
    """

    name: str
    node: int
    position: int
    channel: int
    squashed: bool = False


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in topological order; node 0 is the sequence.

    Attributes
    ----------
    nodes : tuple of GraphNode
    tasks : tuple of Task
    """

    nodes: tuple[GraphNode, ...]
    tasks: tuple[Task, ...]

    @property
    def length(self) -> int:
        """Positions of the input sequence."""
        return self.nodes[0].shape[0]

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the nodes that read it."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            for source in node.inputs:
                found[source].append(index)
        return tuple(tuple(f) for f in found)

    def ancestors(self, index: int) -> tuple[int, ...]:
        """The nodes that ``index`` depends on, itself included, in topological order."""
        wanted = {index}
        for i in range(index, -1, -1):
            if i in wanted:
                wanted.update(self.nodes[i].inputs)
        return tuple(sorted(wanted))

    def needed(self, tasks: Iterable[int]) -> tuple[int, ...]:
        """The nodes that some of these tasks depend on, in topological order."""
        ends = {self.tasks[t].node for t in tasks}
        return tuple(sorted({i for end in ends for i in self.ancestors(end)}))

    def values(self, nodes: Iterable[int]) -> int:
        """How many numbers these nodes put out for one sequence."""
        return sum(self.nodes[i].shape[0] * self.nodes[i].shape[1] for i in nodes)

    def astype(self, dtype: type) -> Graph:
        """The same graph with its constants in another precision."""
        nodes = tuple(dataclasses.replace(n, op=n.op.astype(dtype)) for n in self.nodes)
        return Graph(nodes, self.tasks)

    def task_indices(self, task: int | str | list[int | str]) -> list[int]:
        """Task numbers for an index, a name or a list of them.

        Raises
        ------
        SettingsError
            If there is no such task.
        """
        names = [t.name for t in self.tasks]
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        found = []
        for wanted in task if isinstance(task, (list, tuple)) else [task]:
            if isinstance(wanted, str) and wanted in names:
                found.append(names.index(wanted))
            elif not isinstance(wanted, (int, np.integer)) or not 0 <= wanted < len(names):
                raise SettingsError(
                    f"task {wanted!r} does not exist; this model has {len(names)} "
                    f"(0 to {len(names) - 1}): {shown}"
                )
            else:
                found.append(int(wanted))
        if len(set(found)) < len(found):
            twice = next(names[t] for t in found if found.count(t) > 1)
            raise SettingsError(f"task {twice!r} is named twice; list each once")
        if not found:
            raise SettingsError(f"task=[] names no task; choose from: {shown}")
        return found

"""Which numbers of a network's outputs are scored: the outputs themselves, or a scalar of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.errors import SettingsError
from dfim_fast.graph.graph import GraphNode, Task
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Operator
from dfim_fast.ops.concat import Concat
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.exp import Exp
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.log_sum_exp import LogSumExp
from dfim_fast.ops.profile import Profile
from dfim_fast.ops.registry import Unsupported
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.softplus import Softplus
from dfim_fast.ops.take import Take
from dfim_fast.ops.window import Window

TARGETS = ("logit", "output", "counts", "profile")
STRANDS = ("joint", "sum", "separate")
RATES = (Exp, Relu, Softplus)  # at a base-resolution output: counts, not their logarithm


@dataclass(frozen=True)
class Head:
    """What is scored.

    Attributes
    ----------
    target : str
        One of TARGETS.
    strands : str
        One of STRANDS: what becomes of the channels of a base-resolution output.
    output_range : (int, int) or None
        The output positions that a scalar head reads, from 0 and half-open; None for all.
    reverse_complement : bool
        Score the mean over both strands.
    """

    target: str = "logit"
    strands: str = "joint"
    output_range: tuple[int, int] | None = None
    reverse_complement: bool = False

    @property
    def scalar(self) -> bool:
        """Whether base-resolution outputs become one number."""
        return self.target in ("counts", "profile")

    def __str__(self) -> str:
        text = self.target
        if self.scalar and self.strands != "joint":
            text += f", strands {self.strands}"
        if self.output_range is not None:
            text += f", output positions {self.output_range[0]} to {self.output_range[1]}"
        return text + (", mean of both strands" if self.reverse_complement else "")


LOGIT = Head()


class Scorer:
    """Turns outputs into tasks, appending what a scalar head computes.

    Parameters
    ----------
    builder : object with ``add`` and ``nodes``
        The importer.
    head : Head
    """

    def __init__(self, builder: Any, head: Head) -> None:
        self.builder, self.head = builder, head

    def tasks(self, outputs: list[tuple[str, Tensor]]) -> list[Task]:
        """The tasks of all outputs, in order.

        Raises
        ------
        Unsupported
            If no output has what the head reads.
        SettingsError
            If the range of positions lies outside an output.
        """
        if not self.head.scalar:
            found = [self.numbers(name, value) for name, value in outputs]
            return [task for tasks in found for task in tasks]
        wide = [(name, value) for name, value in outputs if value.shape[0] > 1]
        single = [(name, value) for name, value in outputs if value.shape[0] == 1]
        if self.head.target == "counts" and single and self.head.output_range is None:
            return [task for name, value in single for task in self.numbers(name, value)]
        if not wide:
            raise Unsupported(
                f"no output has positions, which target={self.head.target!r}"
                + (" with output_range=" if self.head.output_range else "")
                + " reads; use target='logit'"
            )
        return [task for name, value in wide for task in self.scalars(name, value)]

    def numbers(self, name: str, value: Tensor) -> list[Task]:
        """One task for each number of an output, in ONNX order."""
        rows, channels = value.shape
        order = "".join(value.axes)
        count = rows * channels
        if rows > 1:
            self.check_strands(name, channels)
        tasks = []
        for k in range(count):
            if rows == 1 or channels == 1:
                row, channel = (k, 0) if channels == 1 else (0, k)
                label = str(k)
            elif order.index("L") < order.index("C"):
                row, channel = divmod(k, channels)
                label = f"{row},{channel}"
            else:
                channel, row = divmod(k, rows)
                label = f"{channel},{row}"
            task = Task(name if count == 1 else f"{name}[{label}]", value.node, row, channel)
            raw = self.head.target == "output"
            tasks.append(task if raw else before_squash(task, self.builder.nodes))
        return tasks

    def scalars(self, name: str, value: Tensor) -> list[Task]:
        """One task for a base-resolution output, or one for each of its channels."""
        node: int = value.node
        squashed = self.builder.nodes[node].op.squashes
        if squashed and self.head.target == "counts":
            raise Unsupported(
                f"output {name!r} holds probabilities, which say nothing of counts; "
                "use target='profile'"
            )
        if squashed:
            node = self.builder.nodes[node].inputs[0]
        rates = isinstance(self.builder.nodes[node].op, RATES)
        node = self.cropped(name, node)
        joint = self.head.strands == "joint"
        if self.head.target == "profile":
            node = self.add(name, Profile((1, 2) if joint else (1,)), node)
        elif rates:
            rows = self.builder.nodes[node].shape[0]
            total = AveragePool(Window(rows, rows, 1, 0, 1), np.ones((1, 1)))
            node = self.add(name, total, node)
        else:
            separate = self.head.strands == "separate"
            node = self.add(name, LogSumExp((1,) if separate else (1, 2)), node)
        channels = self.builder.nodes[node].shape[1]
        if self.head.strands == "separate":
            self.check_strands(name, channels)
        if channels > 1 and self.head.strands != "separate":
            ones = np.ones((1, channels, 1))
            node = self.add(name, Conv(ones, np.zeros(1), Window(1, 1, 1, 0, 1)), node)
            channels = 1
        return [
            Task(name if channels == 1 else f"{name}[{c}]", node, 0, c) for c in range(channels)
        ]

    def cropped(self, name: str, node: int) -> int:
        """The node with only the positions that are asked for."""
        if self.head.output_range is None:
            return node
        start, stop = self.head.output_range
        rows = self.builder.nodes[node].shape[0]
        if not 0 <= start < stop <= rows:
            raise SettingsError(
                f"output_range=({start}, {stop}) does not lie in output {name!r} of {rows} "
                f"positions; give a start and an end within 0 and {rows}"
            )
        edge = min(start, rows - stop)
        if self.head.reverse_complement and start + stop != rows:
            raise SettingsError(
                f"output_range=({start}, {stop}) is not in the middle of output {name!r} of {rows} "
                "positions, so the other strand would read other bases; with "
                f"reverse_complement=True use ({edge}, {rows - edge}) or leave it out"
            )
        return self.add(name, Take(1, np.arange(start, stop)), node)

    def check_strands(self, name: str, channels: int) -> None:
        """Refuse channels whose counterpart on the other strand nobody knows."""
        if self.head.reverse_complement and channels > 1:
            raise SettingsError(
                f"reverse_complement=True: which of the {channels} channels of output {name!r} is "
                "which on the other strand is not known; use target='profile' or 'counts' with "
                "strands='joint' or 'sum'"
            )

    def add(self, name: str, op: Operator, node: int) -> int:
        """Append an operator of the head."""
        added: int = self.builder.add(
            f"{name} {self.head.target}", op, (node,), [self.builder.nodes[node].shape]
        )
        return added


def before_squash(task: Task, nodes: list[GraphNode]) -> Task:
    """The same number before its Sigmoid or Softmax, also where Concat joined several."""
    node = nodes[task.node]
    if isinstance(node.op, Concat):
        row, channel = task.position, task.channel
        for i in node.inputs:
            rows, channels = nodes[i].shape
            if row < rows and channel < channels:
                inner = before_squash(Task(task.name, i, row, channel), nodes)
                return inner if inner.squashed else task
            row, channel = (row - rows, channel) if node.op.axis == 1 else (row, channel - channels)
    if node.op.squashes:
        return Task(task.name, node.inputs[0], task.position, task.channel, squashed=True)
    return task

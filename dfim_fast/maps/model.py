"""The model as users hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.backends.select import BACKENDS, PLANNED, make_backend
from dfim_fast.errors import SettingsError
from dfim_fast.graph.cone import receptive_field
from dfim_fast.graph.graph import Graph
from dfim_fast.graph.reader import read_graph
from dfim_fast.graph.source import read_proto
from dfim_fast.plan.planner import choose, make_plan
from dfim_fast.sequence.one_hot import as_one_hot


class Model:
    """A trained network, imported from ONNX. Made by `load_model`.

    Attributes
    ----------
    graph : Graph
        The layers, with the tasks that can be scored.
    name : str
        Path of the file, or "model".
    hash : str
        16 hex digits of the ONNX content's SHA-256.
    target : {"logit", "output"}
        What is scored where the network ends in a Sigmoid or Softmax.
    """

    def __init__(self, graph: Graph, name: str, digest: str, target: str) -> None:
        self.graph, self.name, self.hash, self.target = graph, name, digest, target

    @property
    def sequence_length(self) -> int:
        """Positions L of the sequences it takes."""
        return self.graph.length

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks, in graph order."""
        return [t.name for t in self.graph.tasks]

    def predict(self, X: Any) -> np.ndarray:
        """Scores of sequences.

        Parameters
        ----------
        X : list of str, or one-hot array (N, 4, L)

        Returns
        -------
        ndarray (N, T) float32
            Logits, or outputs with ``target="output"``.

        Raises
        ------
        InputError
            If a sequence has another length or is not DNA.
        """
        x = as_one_hot(X, self.sequence_length)
        tasks: list[int | str] = list(range(len(self.graph.tasks)))
        plan = make_plan(self.graph, method="gradient", task=tasks, sources=[0], window=0)
        return make_backend("numba", plan).predictions(x)

    def __repr__(self) -> str:
        names = self.task_names
        tasks = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        return (
            f"Model({self.name!r}, sequence_length={self.sequence_length}, "
            f"{len(names)} task{'s' * (len(names) != 1)}: {tasks})"
        )

    def __str__(self) -> str:
        g, names = self.graph, self.task_names
        parameters = sum(
            v.size
            for n in g.nodes
            for v in vars(n.op).values()
            if isinstance(v, np.ndarray) and v.dtype.kind == "f"
        )
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        field = receptive_field(g, g.tasks[0].node)
        lines = [
            f"{self.name} ({self.hash})",
            f"  sequence length {self.sequence_length}, {parameters:,} parameters, "
            f"receptive field {field} bp",
            f"  {len(names)} task{'s' * (len(names) != 1)}, scored at the {self.target}: {shown}",
            f"  every layer runs on {' and '.join(BACKENDS)}; "
            f"{', '.join(PLANNED)}: not part of this version",
        ]
        for i, node in enumerate(g.nodes):
            reads = ", ".join(str(j) for j in node.inputs)
            lines.append(
                f"  {i:4d}  {node.op.describe():30s} {node.shape[0]:6d} x "
                f"{node.shape[1]:<6d} {'from ' + reads if reads else ''}".rstrip()
            )
        return "\n".join(lines)


def load_model(
    source: str | Path | bytes | Any,
    *,
    target: str = "logit",
    sequence_length: int | None = None,
    flat_order: str | None = None,
) -> Model:
    """Import a trained network.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto
        Any opset from 11 on. The input is one-hot DNA, (N, 4, L), (N, L, 4), (N, 1, 4, L),
        (N, 4, 1, L) or flat (N, 4L); sequences are passed as (N, 4, L) or strings all the same.
    target : {"logit", "output"}
        A Sigmoid or Softmax at an output is scored at its input, or as it is: a squashing output
        makes interactions of its own.
    sequence_length : int, optional
        Needed where the model leaves it open.
    flat_order : {"CL", "LC"}, optional
        Only for a flat input (N, 4L) that no Reshape explains: all positions of A first ("CL", the
        default) or the four bases of position 0 first ("LC").

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If the file cannot be imported: every problem is listed, each with its node, operator and
        reason.
    SettingsError
        If ``target`` or ``flat_order`` is unknown.
    """
    choose("target", target, ("logit", "output"))
    if sequence_length is not None:
        whole = isinstance(sequence_length, int | np.integer)
        if not whole or isinstance(sequence_length, bool) or sequence_length < 1:
            raise SettingsError(f"sequence_length={sequence_length!r} is not a positive number")
    if flat_order is not None:
        choose("flat_order", flat_order, ("CL", "LC"))
    proto, label, digest = read_proto(source)
    graph = read_graph(proto, label, target, sequence_length, flat_order)
    return Model(graph, label, digest, target)

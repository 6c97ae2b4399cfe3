"""The model as users hold it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.layers.all import unsupported
from dfim_fast.backends.select import cpu_backend, make_backend
from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.graph.cone import receptive_field
from dfim_fast.graph.graph import Graph
from dfim_fast.graph.heads import LOGIT, STRANDS, TARGETS, Head
from dfim_fast.graph.reader import read_graph
from dfim_fast.graph.source import read_proto
from dfim_fast.maps.labelled import lines_html
from dfim_fast.plan.planner import choose, make_plan
from dfim_fast.sequence.one_hot import as_one_hot


class Model:
    """A trained network, imported from ONNX, or the folds of one. Made by `load_model`.

    Attributes
    ----------
    graphs : tuple of Graph
        The layers, with the tasks that can be scored, of each fold.
    names : list of str
        Path of each file, or "model".
    hash : str
        16 hex digits of the SHA-256 of the ONNX content, of all folds, and of what extra inputs
        are held at.
    head : Head
        What is scored.
    """

    def __init__(self, graphs: Sequence[Graph], names: Sequence[str], digest: str, head: Head):
        self.graphs, self.names, self.hash, self.head = tuple(graphs), list(names), digest, head

    @property
    def graph(self) -> Graph:
        """Of the first fold: its tasks stand for those of all."""
        return self.graphs[0]

    @property
    def name(self) -> str:
        """The path, or all folds' paths."""
        if len(self.names) == 1:
            return self.names[0]
        return f"{len(self.names)} folds: {', '.join(self.names)}"

    @property
    def target(self) -> str:
        """What is scored of an output: "logit", "output", "counts" or "profile"."""
        return self.head.target

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
            Logits, or what else ``target`` says; the mean over folds.

        Raises
        ------
        InputError
            If a sequence has another length or is not DNA.
        """
        x = as_one_hot(X, self.sequence_length)
        tasks: list[int | str] = list(range(len(self.graph.tasks)))
        scores = []
        for graph in self.graphs:
            plan = make_plan(graph, method="gradient", task=tasks, sources=[0], window=0)
            scores.append(make_backend(cpu_backend(), plan).predictions(x))
        return np.asarray(np.mean(scores, axis=0, dtype=np.float64), np.float32)

    def __repr__(self) -> str:
        names = self.task_names
        tasks = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        scored = "" if self.head == LOGIT else f", scored at the {self.head}"
        return (
            f"Model({self.name!r}, sequence_length={self.sequence_length}, "
            f"{len(names)} task{'s' * (len(names) != 1)}: {tasks}{scored})"
        )

    def _repr_html_(self) -> str:
        return lines_html(str(self))

    def __str__(self) -> str:
        names = self.task_names
        shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        several = len(self.graphs) > 1
        lines = [
            f"{self.name} ({self.hash})",
            f"  scores are means over {len(self.graphs)} folds" if several else size(self.graph),
            f"  {len(names)} task{'s' * (len(names) != 1)}, scored at the {self.head}: {shown}",
            f"  {runs_on(self.graphs)}",
        ]
        for name, graph in zip(self.names, self.graphs, strict=True):
            lines += [f"  {name}", size(graph)] if several else []
            lines += layers(graph)
        return "\n".join(lines)


def runs_on(graphs: Sequence[Graph]) -> str:
    """On which backends every layer can be computed."""
    for graph in graphs:
        why = unsupported(graph, range(len(graph.nodes)))
        if why is not None:
            return f"every layer runs on reference and numba; on CUDA: {why}"
    return "every layer runs on every backend"


def size(graph: Graph) -> str:
    """A line on length, parameters and reach."""
    # those that both strands share are the same arrays
    weights = {
        id(v): v.size
        for n in graph.nodes
        for v in vars(n.op).values()
        if isinstance(v, np.ndarray) and v.dtype.kind == "f"
    }
    return (
        f"  sequence length {graph.length}, {sum(weights.values()):,} parameters, "
        f"receptive field {receptive_field(graph, graph.tasks[0].node)} bp"
    )


def layers(graph: Graph) -> list[str]:
    """A line for each node."""
    lines = []
    for i, node in enumerate(graph.nodes):
        reads = ", ".join(str(j) for j in node.inputs)
        lines.append(
            f"  {i:4d}  {node.op.describe():30s} {node.shape[0]:6d} x "
            f"{node.shape[1]:<6d} {'from ' + reads if reads else ''}".rstrip()
        )
    return lines


def load_model(
    source: str | Path | bytes | Any,
    *,
    target: str = "logit",
    strands: str = "joint",
    output_range: tuple[int, int] | None = None,
    reverse_complement: bool = False,
    constants: Mapping[str, Any] | None = None,
    sequence_length: int | None = None,
    flat_order: str | None = None,
) -> Model:
    """Import a trained network, or the folds of one.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto, or a list of them
        Any opset from 11 on. The input is one-hot DNA, (N, 4, L), (N, L, 4), (N, 1, 4, L),
        (N, 4, 1, L) or flat (N, 4L); sequences are passed as (N, 4, L) or strings all the same.
        A list is read as folds of one question, of one architecture or several: predictions,
        importance and maps are means over them, with the same references for all, and maps hold
        their spread and agreement in sign as well.
    target : {"logit", "output", "counts", "profile"}
        What is scored.

        - "logit", "output": every number of the outputs is a task. A Sigmoid or Softmax at an
          output is scored at its input, or as it is: a squashing output makes interactions of its
          own.
        - "profile": of each base-resolution output ``sum_i p_i (l_i - mean of l)`` over its
          logits l with ``p = softmax(l)`` held constant at the sequence's own (a mutant's at the
          mutant's), so that the importance that reaches ``l_i`` is that of ``p_i - 1/n``. That
          is what bpnet-lite and ChromBPNet explain, with the same score, except that DeepLIFT as
          they run it does not hold p: ChromBPNet's takes the mean of p over sequence and
          reference, bpnet-lite's rescales ``l p`` as one. Held, contributions of a sequence sum to
          the difference from its references *under its own p*, so summation-to-delta, and the
          exact split of a variant's effect into self effect and FIS, do not hold.
        - "counts": the outputs that hold single numbers, each one a task (BPNet's and ChromBPNet's
          log counts). Of a network that has base-resolution outputs only (or with
          ``output_range``): the sum over positions where the output ends in a ReLU, Exp or
          Softplus, and else ``log(sum of exp)``, the outputs being taken for log rates.
    strands : {"joint", "sum", "separate"}
        Of base-resolution outputs with several channels. "joint": one task, one softmax over
        positions and strands together (bpnet-lite). "sum": one task, the scores of a softmax for
        each strand (BPNet, ChromBPNet) added up; for counts the same as "joint". "separate": a
        task for each channel.
    output_range : (int, int), optional
        Positions of base-resolution outputs that "profile" and "counts" read, from 0 and
        half-open: crops an output that is wider than what matters.
    reverse_complement : bool
        Score ``(Y(X) + Y(reverse complement of X)) / 2``. All that follows from the score is then
        the mean over both strands, references reverse-complemented too.
    constants : mapping of str to number or array, optional
        What inputs beside the sequence are held at, such as ``{"control": 0.0}``.
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
        If a file cannot be imported: every problem is listed, each with its node, operator and
        reason. If folds differ in sequence length or tasks, or are the same.
    SettingsError
        If an option is unknown or does not go with the model.

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> model.sequence_length, model.task_names
    (200, ['ELF1_and_SIX5'])
    >>> model.predict(["ACGTT" * 40]).shape
    (1, 1)
    """
    head = make_head(target, strands, output_range, reverse_complement)
    if sequence_length is not None:
        whole = isinstance(sequence_length, int | np.integer)
        if not whole or isinstance(sequence_length, bool) or sequence_length < 1:
            raise SettingsError(f"sequence_length={sequence_length!r} is not a positive number")
    if flat_order is not None:
        choose("flat_order", flat_order, ("CL", "LC"))
    held = dict(constants or {})
    if reverse_complement and any(np.size(v) and np.ptp(np.asarray(v)) for v in held.values()):
        raise SettingsError(
            "constants that vary belong to one strand; with reverse_complement=True give numbers"
        )
    folds = list(source) if isinstance(source, list | tuple) else [source]
    if not folds:
        raise SettingsError("load_model([]) names no model; list at least one")
    graphs: list[Graph] = []
    names: list[str] = []
    digests: list[str] = []
    for one in folds:
        proto, label, digest = read_proto(one)
        graphs.append(read_graph(proto, label, head, sequence_length, flat_order, held))
        names.append(label if label != "model" or len(folds) == 1 else f"model {len(names)}")
        digests.append(digest)
    check_folds(graphs, names, digests)
    return Model(graphs, names, combined(digests, held), head)


def make_head(
    target: str, strands: str, output_range: tuple[int, int] | None, reverse_complement: bool
) -> Head:
    """What is scored, checked.

    Raises
    ------
    SettingsError
    """
    choose("target", target, TARGETS)
    choose("strands", strands, STRANDS)
    if output_range is not None:
        try:
            start, stop = (int(p) for p in output_range if p == int(p))
        except (TypeError, ValueError):
            raise SettingsError(
                f"output_range={output_range!r} is no range; give two whole numbers, (start, end)"
            ) from None
        output_range = (start, stop)
    head = Head(target, strands, output_range, bool(reverse_complement))
    if not head.scalar and (strands, output_range) != ("joint", None):
        raise SettingsError(
            "strands= and output_range= say how target='profile' or 'counts' reads an output; "
            f"they do not go with target={target!r}"
        )
    return head


def check_folds(graphs: Sequence[Graph], names: Sequence[str], digests: Sequence[str]) -> None:
    """Refuse networks that are no folds of one question.

    Raises
    ------
    ModelError
    """
    first, tasks = graphs[0], [t.name for t in graphs[0].tasks]
    for i, graph in enumerate(graphs[1:], start=1):
        own = [t.name for t in graph.tasks]
        if graph.length != first.length:
            raise ModelError(
                f"{names[i]}: takes {graph.length} bases, {names[0]} {first.length}; folds read "
                "the same sequences"
            )
        # of single tasks, whatever the exporter called them, there is no order to mistake
        if own != tasks and not len(own) == len(tasks) == 1:
            raise ModelError(
                f"{names[i]}: has the tasks {shortened(own)}, {names[0]} has {shortened(tasks)}; "
                "folds have the same tasks in the same order"
            )
        if digests[i] in digests[:i]:
            raise ModelError(
                f"{names[i]}: is the same network as {names[digests.index(digests[i])]}, which "
                "would count twice; list each fold once"
            )


def shortened(names: Sequence[str]) -> str:
    """A list of names for a message."""
    return ", ".join(names[:4]) + (f", ... ({len(names)})" if len(names) > 4 else "")


def combined(digests: Sequence[str], constants: Mapping[str, Any]) -> str:
    """One hash for all that was loaded; of a single model without constants its own."""
    if len(digests) == 1 and not constants:
        return digests[0]
    content = hashlib.sha256(" ".join(digests).encode())
    for name in sorted(constants):
        value = np.asarray(constants[name], np.float64)
        content.update(f" {name} {value.shape} ".encode() + value.tobytes())
    return content.hexdigest()[:16]

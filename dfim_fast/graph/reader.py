"""ONNX nodes, one after the other, into operators. All that cannot be read is listed at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.graph.graph import Graph, GraphNode
from dfim_fast.graph.heads import LOGIT, Head, Scorer
from dfim_fast.graph.simplify import simplify
from dfim_fast.graph.source import InputSpec, constant_inputs, input_specs
from dfim_fast.graph.strands import both_strands
from dfim_fast.ops.base import Operator, Shape
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, readers
from dfim_fast.ops.source import Input

# Stands for an open batch size while shapes are computed; a large prime is no layer's size.
OPEN_BATCH = 7919

# Without a Tensor among their inputs these would pass for constants.
RANDOM = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)


class Unread:
    """The output of a node that could not be read; what depends on it is passed over."""


class Importer:
    """Builds a graph node by node; ``problems`` collects what stands in the way.

    Parameters
    ----------
    proto : onnx.ModelProto
    spec : InputSpec
    constants : dict of ndarray, optional
        Values of the other inputs.
    """

    def __init__(
        self, proto: Any, spec: InputSpec, constants: dict[str, np.ndarray] | None = None
    ) -> None:
        self.nodes: list[GraphNode] = []
        self.problems: list[str] = []
        self.opset = max(
            (o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), default=1
        )
        batch = spec.batch or OPEN_BATCH
        shape = (spec.length, 4)
        self.add(spec.name, Input(spec.length), (), [])
        self.values: dict[str, Any] = {"": None, spec.name: Tensor(0, shape, spec.axes, batch)}
        self.values.update(constants or {})
        nodes, names = needed(proto.graph)
        elsewhere = []
        for weight in (w for w in proto.graph.initializer if w.name in names):
            if onnx.external_data_helper.uses_external_data(weight):
                elsewhere.append(weight)
                self.values[weight.name] = Unread()
            else:
                array = onnx.numpy_helper.to_array(weight)
                self.values[weight.name] = self.checked(weight.name, array)
        self.report_unread(elsewhere)
        for node in nodes:
            self.read(node)

    def add(self, name: str, op: Operator, inputs: tuple[int, ...], shapes: list[Shape]) -> int:
        """Append an operator; returns its index."""
        self.nodes.append(GraphNode(name, op, inputs, op.output_shape(*shapes)))
        return len(self.nodes) - 1

    def report_unread(self, weights: list[Any]) -> None:
        """Name the file that holds weights which were not read with the model."""
        if weights:
            file = {e.key: e.value for e in weights[0].external_data}.get("location", "")
            self.problems.append(
                f"weight {weights[0].name!r} ({len(weights)} in all): its values are in the file "
                f"{file!r}, which was not read; pass the path of the model, or save it with its "
                "weights inside"
            )

    def checked(self, name: str, array: np.ndarray) -> np.ndarray:
        """A weight, reported if it holds NaN or infinity."""
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int((~np.isfinite(array)).sum())
            self.problems.append(
                f"weight {name!r}: {bad} of {array.size} values are NaN or infinite; "
                "check the training run and export again"
            )
        return array

    def read(self, proto: Any) -> None:
        """Read one ONNX node into ``values``."""
        name = proto.name or (proto.output[0] if proto.output else proto.op_type)
        outputs: Any
        try:
            for missing in (i for i in proto.input if i not in self.values):
                raise Unsupported(f"reads {missing!r}, which no node before it makes")
            outputs = self.outputs(proto, name, [self.values[i] for i in proto.input])
        except Unsupported as reason:
            self.problems.append(f"node {name!r} ({proto.op_type}): {reason}")
            outputs = Unread()
        if not isinstance(outputs, list):
            outputs = [outputs]
        for i, output in enumerate(proto.output):
            self.values[output] = outputs[i] if i < len(outputs) else Unread()

    def outputs(self, proto: Any, name: str, inputs: list[Any]) -> Any:
        """The node's value: folded if constant, else through its reader."""
        subgraphs = any(
            a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
            for a in proto.attribute
        )
        if proto.op_type in RANDOM:
            raise Unsupported("draws random numbers; export the model after model.eval()")
        if not subgraphs and all(v is None or isinstance(v, np.ndarray) for v in inputs):
            return [self.checked(name, v) for v in fold(proto, inputs, self.opset)]
        reader = readers().get(proto.op_type) if proto.domain in ("", "ai.onnx") else None
        if reader is None:
            domain = f" of domain {proto.domain!r}" if proto.domain not in ("", "ai.onnx") else ""
            raise Unsupported(f"this operator{domain} is not supported")
        if any(isinstance(v, Unread) for v in inputs):
            return Unread()
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}
        return reader(
            Node(self, name, proto.op_type, inputs, attributes, self.opset, len(proto.output))
        )


def needed(graph: Any) -> tuple[list[Any], set[str]]:
    """The ONNX nodes that some output depends on, in order, and the names of all they read."""
    names, nodes = {o.name for o in graph.output}, []
    for node in reversed(graph.node):
        if names.intersection(node.output):
            nodes.append(node)
            names.update(node.input)
    return nodes[::-1], names


def fold(proto: Any, inputs: list[Any], opset: int) -> list[np.ndarray]:
    """A node of constants, computed by onnx's own evaluator."""
    feeds = {n: v for n, v in zip(proto.input, inputs, strict=True) if v is not None}
    graph = onnx.helper.make_graph(
        [proto],
        "constant",
        [
            onnx.helper.make_tensor_value_info(
                n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape
            )
            for n, v in feeds.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(o) for o in proto.output if o],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid(proto.domain, opset)]
    )
    try:
        results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever its operator raises
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Unsupported(f"its constant inputs cannot be evaluated ({why})") from None
    return [np.asarray(r) for r in results]


def read_graph(
    proto: Any,
    label: str,
    head: Head = LOGIT,
    sequence_length: int | None = None,
    flat_order: str | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Graph:
    """The graph of an ONNX model.

    Parameters
    ----------
    proto : onnx.ModelProto
    label : str
        Name of the model in messages.
    head : Head
        What is scored.
    sequence_length : int, optional
        Needed where the model leaves the length open.
    flat_order : {"CL", "LC"}, optional
        How a flat input is laid out: position fastest or base fastest. Found out from the first
        reshape where there is one; else "CL".
    constants : mapping of str to number or array, optional
        What every input but the sequence is held at.

    Raises
    ------
    ModelError
        Every problem of the model, one line each.
    SettingsError
        For ``flat_order`` where the input is not flat, or constants that fit no input.
    """
    first: list[str] = []
    constants = constants or {}
    for spec in input_specs(proto, label, sequence_length, constants):
        if flat_order and len(spec.axes) != 2:
            raise SettingsError(
                f"{label}: flat_order={flat_order!r} is for a flat input (N, 4L), but input "
                f"{spec.name!r} has rank {len(spec.axes)}; drop it"
            )
        if flat_order and spec.axes[1] != flat_order:
            continue
        importer = Importer(proto, spec, constant_inputs(proto, label, spec, constants))
        graph = None if importer.problems else finish(importer, proto, head)
        if graph is not None:
            graph = simplify(graph)
            return both_strands(graph) if head.reverse_complement else graph
        first = first or importer.problems
    count = "1 problem" if len(first) == 1 else f"{len(first)} problems"
    if len(first) == 1:
        raise ModelError(f"{label}: {first[0]}")
    raise ModelError("\n".join([f"{label}: {count}:", *(f"  {p}" for p in first)]))


def finish(importer: Importer, proto: Any, head: Head) -> Graph | None:
    """Turn the graph outputs into tasks."""
    outputs: list[tuple[str, Tensor]] = []
    for output in proto.graph.output:
        value = importer.values.get(output.name)
        if isinstance(value, Tensor):
            outputs.append((output.name, value))
        else:
            importer.problems.append(f"output {output.name!r}: does not depend on the sequence")
    try:
        tasks = Scorer(importer, head).tasks(outputs)
    except Unsupported as reason:
        importer.problems.append(str(reason))
        return None
    return None if importer.problems else Graph(tuple(importer.nodes), tuple(tasks))

"""What a model's file says its outputs are, from evaluators that share no code with the package.

`run` asks onnxruntime, in the precision of the file. `run_double` asks onnx's own reference
evaluator, a few operators corrected, after the file has been rewritten in float64;
`finite_difference` differentiates that.
Inputs are always (N, 4, L); `layout` says what axes the model wants:

=========  =====================================
NCL        (N, 4, L)
NLC        (N, L, 4)
N1CL       (N, 1, 4, L)
NC1L       (N, 4, 1, L)
flat_CL    (N, 4L), all positions of A, then of C, ...
flat_LC    (N, 4L), the four bases of position 0, then of position 1, ...
=========  =====================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from .onnx_corrections import CORRECTED

Model = onnx.ModelProto | str | Path

SQUASHING = ("Sigmoid", "Softmax")


def to_layout(x: np.ndarray, layout: str = "NCL") -> np.ndarray:
    """Bring (N, 4, L) into the axes that a model wants.

    Raises
    ------
    ValueError
        If the layout is none of those listed in the module's text.
    """
    n, channels, length = x.shape
    if layout in ("NLC", "flat_LC"):
        x = np.ascontiguousarray(x.transpose(0, 2, 1))
    shapes = {
        "NCL": (n, channels, length),
        "NLC": (n, length, channels),
        "N1CL": (n, 1, channels, length),
        "NC1L": (n, channels, 1, length),
        "flat_CL": (n, channels * length),
        "flat_LC": (n, channels * length),
    }
    if layout not in shapes:
        raise ValueError(f"layout {layout!r} is unknown; use one of {sorted(shapes)}")
    return x.reshape(shapes[layout])


def as_model(model: Model) -> onnx.ModelProto:
    """Read a path; hand a model through."""
    return model if isinstance(model, onnx.ModelProto) else onnx.load(model)


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """List the inputs that have to be fed: old files list their weights as inputs, too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def fixed_batch(model: onnx.ModelProto) -> int | None:
    """Give the batch size that the file prescribes, or None."""
    dimension = graph_inputs(model)[0].type.tensor_type.shape.dim[0]
    return dimension.dim_value if dimension.HasField("dim_value") else None


def in_batches(x: np.ndarray, size: int | None) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (batch, rows that count); the last batch of a fixed size is filled up with zeros."""
    if size is None:
        yield x, len(x)
        return
    for start in range(0, len(x), size):
        part = x[start : start + size]
        padding = np.zeros((size - len(part), *x.shape[1:]), x.dtype)
        yield np.concatenate([part, padding]), len(part)


def evaluate(
    call: Callable[[dict[str, np.ndarray]], list[np.ndarray]],
    model: onnx.ModelProto,
    inputs: np.ndarray,
) -> list[np.ndarray]:
    """Run `call` over the batches that the model accepts and join the outputs."""
    name = graph_inputs(model)[0].name
    parts = [
        [output[:n] for output in call({name: batch})]
        for batch, n in in_batches(inputs, fixed_batch(model))
    ]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def run(model: Model, x: np.ndarray, layout: str = "NCL") -> list[np.ndarray]:
    """Run a model in onnxruntime, without any of its graph rewriting.

    Parameters
    ----------
    model : onnx.ModelProto or path
    x : array of shape (N, 4, L)
        One-hot DNA or any real numbers.
    layout : str
        The model's input axes.

    Returns
    -------
    list of arrays
        One per graph output, first axis N, whatever the model's batch size.
    """
    model = as_model(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    element = graph_inputs(model)[0].type.tensor_type.elem_type
    inputs = to_layout(np.asarray(x), layout).astype(helper.tensor_dtype_to_np_dtype(element))
    return evaluate(lambda feed: session.run(None, feed), model, inputs)


def run_double(model: Model, x: np.ndarray, layout: str = "NCL") -> list[np.ndarray]:
    """Run a model in float64 in onnx's reference evaluator; parameters and returns as `run`."""
    model = to_double(as_model(model))
    evaluator = ReferenceEvaluator(model, new_ops=CORRECTED)
    inputs = to_layout(np.asarray(x, np.float64), layout)
    return evaluate(lambda feed: evaluator.run(None, feed), model, inputs)


def finite_difference(
    model: Model,
    x: np.ndarray,
    direction: np.ndarray,
    layout: str = "NCL",
    output: int = 0,
    column: int = 0,
    step: float = 1e-7,
) -> np.ndarray:
    """Differentiate one output column along a direction, by central differences in float64.

    The step is small because even a small network has thousands of gates: between two points 1e-5
    apart, one of them flips every few sequences, and the difference then is no derivative. Rounding
    costs about 1e-8 of the output. Where a gate may still stand in between, compare two steps.

    Parameters
    ----------
    model : onnx.ModelProto or path
    x, direction : arrays of shape (N, 4, L)
    layout : str
        The model's input axes.
    output, column : int
        Which graph output, and which of its columns (ignored for an output of rank one).
    step : float
        Half the distance of the two points, in units of `direction`.

    Returns
    -------
    array of shape (N,), float64
    """
    evaluated = run_double(
        model, np.concatenate([x + step * direction, x - step * direction]), layout
    )[output]
    values = evaluated.reshape(len(evaluated), -1)[:, column]
    above, below = np.split(values, 2)
    return (above - below) / (2 * step)


def with_outputs(model: Model, names: list[str]) -> onnx.ModelProto:
    """Copy a model and make the named tensors its outputs, so that a test can look inside."""
    copy = onnx.ModelProto()
    copy.CopyFrom(as_model(model))
    element = graph_inputs(copy)[0].type.tensor_type.elem_type
    known = {value.name: value for value in [*copy.graph.output, *copy.graph.value_info]}
    outputs = [
        known.get(name) or helper.make_tensor_value_info(name, element, None) for name in names
    ]
    outputs = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in outputs]
    copy.graph.ClearField("output")
    copy.graph.output.extend(outputs)
    return copy


def before_squash(model: Model) -> onnx.ModelProto:
    """Copy a model whose outputs are the inputs of its final Sigmoid or Softmax nodes.

    Outputs that end in another operator stay. This is the `logit` of a loaded model.
    """
    model = as_model(model)
    producers = {name: node for node in model.graph.node for name in node.output}
    names = []
    for value in model.graph.output:
        node = producers.get(value.name)
        squashed = node is not None and node.op_type in SQUASHING
        names.append(node.input[0] if squashed else value.name)
    return with_outputs(model, names)


def to_double(model: onnx.ModelProto) -> onnx.ModelProto:
    """Copy a model with every float32 weight, constant, cast and declared type made float64."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph_to_double(copy.graph)
    return copy


def graph_to_double(graph: onnx.GraphProto) -> None:
    """Change a graph, and the graphs inside its nodes, in place."""
    for tensor in graph.initializer:
        tensor_to_double(tensor)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        for attribute in node.attribute:
            attribute_to_double(node, attribute)


def attribute_to_double(node: onnx.NodeProto, attribute: AttributeProto) -> None:
    """Change what an attribute makes float32: a tensor, a constant's number, a cast's target."""
    if attribute.type == AttributeProto.GRAPH:
        graph_to_double(attribute.g)
    elif attribute.type == AttributeProto.TENSOR:
        tensor_to_double(attribute.t)
    elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
        attribute.i = TensorProto.DOUBLE
    elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
        number = attribute.f if attribute.name == "value_float" else list(attribute.floats)
        tensor = numpy_helper.from_array(np.array(number, np.float64))
        attribute.CopyFrom(helper.make_attribute("value", tensor))


def tensor_to_double(tensor: TensorProto) -> None:
    """Change a float32 tensor in place."""
    if tensor.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

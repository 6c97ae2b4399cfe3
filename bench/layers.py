"""Networks as lists of layers: drawn or read weights, and the ONNX file that holds them.

One list gives the ONNX model that dfim_fast reads and, in ``peers``, the torch module that the
peers run, with the same weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET = 20  # the first with Gelu
EPSILON = 1e-5  # of BatchNorm, where no file says otherwise


@dataclass(frozen=True)
class Conv:
    """Convolution along positions; ``same`` pads with zeros on both sides."""

    filters: int
    width: int
    dilation: int = 1
    same: bool = True

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros added left and right."""
        total = self.dilation * (self.width - 1) if self.same else 0
        return total // 2, total - total // 2


@dataclass(frozen=True)
class BatchNorm:
    """Normalisation with fixed statistics, per channel."""


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class Gelu:
    """x times the normal distribution function of x."""


@dataclass(frozen=True)
class Exp:
    """exp(x)."""


@dataclass(frozen=True)
class MaxPool:
    """Maximum of ``width`` neighbours that do not overlap; an incomplete last window is dropped."""

    width: int


@dataclass(frozen=True)
class AveragePool:
    """Mean of ``width`` neighbours that do not overlap."""

    width: int


@dataclass(frozen=True)
class Residual:
    """x + inner(x)."""

    inner: tuple[Layer, ...]


@dataclass(frozen=True)
class Centre:
    """The middle ``positions`` rows."""

    positions: int


@dataclass(frozen=True)
class Mean:
    """Mean over all positions."""


@dataclass(frozen=True)
class Flatten:
    """To one vector: channel after channel ("CL"), or position after position ("LC")."""

    order: str = "CL"


@dataclass(frozen=True)
class Dense:
    """Fully connected layer."""

    units: int


Layer = (Conv | BatchNorm | Relu | Gelu | Exp | MaxPool | AveragePool | Residual | Centre | Mean
         | Flatten | Dense)
Layers = tuple[Layer, ...]
Weights = list[dict[str, np.ndarray]]  # of Conv, BatchNorm and Dense layers, in order


def flat(layers: Sequence[Layer]) -> Iterator[Layer]:
    """Every layer in order, those inside residual blocks included."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from flat(layer.inner)
        else:
            yield layer


def sizes(layers: Sequence[Layer], channels: int, length: int) -> Iterator[tuple[int, int]]:
    """Channels and positions that each layer of `flat` receives; a vector has one position."""
    for layer in flat(layers):
        yield channels, length
        if isinstance(layer, Conv):
            channels = layer.filters
            length += sum(layer.padding) - layer.dilation * (layer.width - 1)
        elif isinstance(layer, MaxPool | AveragePool):
            length //= layer.width
        elif isinstance(layer, Centre):
            length = layer.positions
        elif isinstance(layer, Mean):
            length = 1
        elif isinstance(layer, Flatten):
            channels, length = channels * length, 1
        elif isinstance(layer, Dense):
            channels = layer.units


def draw(layers: Sequence[Layer], length: int, seed: int) -> Weights:
    """Weights of an untrained network.

    He's normal initialisation (standard deviation ``sqrt(2 / inputs of a unit)``), small biases,
    and BatchNorm near its initial statistics. Half of the gates are open. One mutation or another
    of a sequence then flips the gates of a seventh of DeepSTARR's hidden units; in the trained
    networks at hand it is a tenth. (Were BatchNorm centred on random sequences, it would be a
    half: no trained network looks like that.)

    Parameters
    ----------
    layers : sequence of Layer
    length : int
        Positions of the input.
    seed : int

    Returns
    -------
    list of dict
    """
    rng = np.random.default_rng(seed)
    found: Weights = []
    for layer, (channels, _) in zip(flat(layers), sizes(layers, 4, length), strict=True):
        if isinstance(layer, Conv | Dense):
            taps = (layer.width,) if isinstance(layer, Conv) else ()
            units = layer.filters if isinstance(layer, Conv) else layer.units
            spread = np.sqrt(2 / (channels * int(np.prod(taps))))
            own = {"W": rng.normal(0, spread, (units, channels, *taps)),
                   "b": rng.normal(0, 0.05, units)}
        elif isinstance(layer, BatchNorm):
            own = {"scale": rng.uniform(0.8, 1.2, channels),
                   "shift": rng.normal(0, 0.1, channels),
                   "mean": rng.normal(0, 0.1, channels),
                   "variance": rng.uniform(0.8, 1.2, channels), "epsilon": np.array(EPSILON)}
        else:
            continue
        found.append({name: values.astype(np.float32) for name, values in own.items()})
    return found


def read(layers: Sequence[Layer], path: Path) -> Weights:
    """Weights of a trained network, taken in order from its ONNX file.

    A convolution over (1, width) or (4, width) becomes one along positions. Several dense layers
    at the end, one for each output, become one.
    """
    model = onnx.load(str(path))
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    convs: Weights = []
    norms: Weights = []
    dense: Weights = []
    for node in model.graph.node:
        given = [tensors[name] for name in node.input if name in tensors]
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Conv":
            w = given[0]
            if w.ndim == 4:
                w = w[:, 0] if w.shape[2] == 4 else w[:, :, 0]
            convs.append({"W": w, "b": given[1]})
        elif node.op_type == "BatchNormalization":
            names = ("scale", "shift", "mean", "variance")
            norms.append({**dict(zip(names, given, strict=True)),
                          "epsilon": np.float32(attributes.get("epsilon", EPSILON))})
        elif node.op_type == "Gemm":
            dense.append({"W": given[0] if attributes.get("transB") else given[0].T, "b": given[1]})
        elif node.op_type == "MatMul":
            dense.append({"W": given[0].T})
        elif node.op_type == "Add" and given:
            dense[-1]["b"] = given[0]
    wanted = [layer for layer in flat(layers) if isinstance(layer, Dense)]
    last = dense[len(wanted) - 1 :]
    dense[len(wanted) - 1 :] = [{k: np.concatenate([d[k] for d in last]) for k in ("W", "b")}]
    kinds = {Conv: iter(convs), BatchNorm: iter(norms), Dense: iter(dense)}
    return [next(kinds[type(layer)]) for layer in flat(layers) if type(layer) in kinds]


class _Writer:
    """Collects ONNX nodes; the running tensor is the last node's output."""

    def __init__(self, weights: Weights) -> None:
        self.weights = iter(weights)
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def constant(self, values: Any) -> str:
        name = f"w{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def layer(self, layer: Layer, x: str, size: tuple[int, int]) -> str:
        """Append one layer that receives ``size`` (channels, positions)."""
        if isinstance(layer, Conv):
            own = next(self.weights)
            return self.add("Conv", x, self.constant(own["W"]), self.constant(own["b"]),
                            kernel_shape=[layer.width], dilations=[layer.dilation],
                            pads=list(layer.padding))
        if isinstance(layer, BatchNorm):
            own = next(self.weights)
            names = (self.constant(own[k]) for k in ("scale", "shift", "mean", "variance"))
            return self.add("BatchNormalization", x, *names, epsilon=float(own["epsilon"]))
        if isinstance(layer, Dense):
            own = next(self.weights)
            return self.add("Gemm", x, self.constant(own["W"]), self.constant(own["b"]), transB=1)
        if isinstance(layer, Relu | Gelu | Exp):
            return self.add(type(layer).__name__, x)
        if isinstance(layer, MaxPool | AveragePool):
            return self.add(type(layer).__name__, x, kernel_shape=[layer.width],
                            strides=[layer.width])
        if isinstance(layer, Centre):
            first = (size[1] - layer.positions) // 2
            bounds = ([first], [first + layer.positions], [2])
            return self.add("Slice", x, *(self.constant(np.array(b, np.int64)) for b in bounds))
        if isinstance(layer, Mean):
            axes = self.constant(np.array([2], np.int64))
            return self.add("ReduceMean", x, axes, keepdims=0)
        if isinstance(layer, Flatten):
            if layer.order == "LC":
                x = self.add("Transpose", x, perm=[0, 2, 1])
            return self.add("Flatten", x)
        raise TypeError(f"no ONNX is written for {type(layer).__name__}")

    def chain(self, layers: Sequence[Layer], x: str, received: Iterator[tuple[int, int]]) -> str:
        for layer in layers:
            if isinstance(layer, Residual):
                x = self.add("Add", x, self.chain(layer.inner, x, received))
            else:
                x = self.layer(layer, x, next(received))
        return x


def to_onnx(layers: Sequence[Layer], weights: Weights, length: int) -> onnx.ModelProto:
    """The network as an ONNX model with input (N, 4, L) and output (N, tasks)."""
    writer = _Writer(weights)
    last = writer.chain(layers, "sequence", sizes(layers, 4, length))
    units = next(layer.units for layer in reversed(layers) if isinstance(layer, Dense))
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        writer.nodes, "network",
        [helper.make_tensor_value_info("sequence", floats, ["N", 4, length])],
        [helper.make_tensor_value_info(last, floats, ["N", units])], writer.tensors)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(graph, opset_imports=[opset],
                             ir_version=helper.find_min_ir_version_for([opset]))

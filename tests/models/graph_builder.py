"""A short way to write ONNX graphs by hand, for tests of the importer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LENGTH = 40
Dimensions = Sequence[int | str | None]


class Builder:
    """Collects nodes and weights, names what is not named, and knows what each opset wants.

    Parameters
    ----------
    opset : int
        Version of the standard operators.
    seed : int
        Of the random weights.
    input_shape : sequence of int, str or None, or None
        The input's dimensions: a number, a free dimension's name, or a free one without a name.
        None declares no shape at all.
    input_type : int
        Element type of the input.
    """

    def __init__(
        self,
        opset: int = 17,
        seed: int = 0,
        input_shape: Dimensions | None = ("N", 4, LENGTH),
        input_name: str = "x",
        input_type: int = TensorProto.FLOAT,
    ) -> None:
        self.opset = opset
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.x = input_name
        self.inputs = [helper.make_tensor_value_info(input_name, input_type, input_shape)]
        self.domains: dict[str, int] = {"": opset}
        # Weights become Constant nodes instead of initializers.
        self.constants = False
        self.counter = 0

    def fresh(self, stem: str) -> str:
        """Make a name that is not taken."""
        self.counter += 1
        return f"{stem}_{self.counter}"

    def add(self, op: str, *inputs: str, name: str | None = None, domain: str = "", **attributes):
        """Append a node with one output; return the output's name."""
        output = self.fresh(op.lower())
        label = self.fresh(name) if name else f"node_{output}"
        node = helper.make_node(op, inputs, [output], name=label, domain=domain, **attributes)
        if domain:
            self.domains[domain] = 1
        self.nodes.append(node)
        return output

    def weight(self, values: np.ndarray, stem: str = "weight") -> str:
        """Store an array as a weight; floats in float32, whole numbers in int64."""
        array = np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if self.constants:
            return self.add("Constant", value=numpy_helper.from_array(array))
        name = self.fresh(stem)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        """Store a vector of int64."""
        return self.weight(np.array(values, np.int64), "ints")

    def normal(self, *shape: int, fan: float = 1.0, mean: float = 0.0) -> np.ndarray:
        """Draw normal weights of standard deviation `fan` ** -0.5."""
        return mean + self.random.normal(size=shape) / np.sqrt(fan)

    def shape(self, tensor: str) -> list[int | str | None]:
        """Infer a tensor's dimensions from the nodes so far."""
        found = inferred_shapes(self.model(tensor)).get(tensor)
        if found is None:
            raise ValueError(f"no shape is known of {tensor}")
        return found

    # Layers. -------------------------------------------------------------------------------------

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int | Sequence[int],
        bias: bool = True,
        group: int = 1,
        **attributes,
    ) -> str:
        """Convolve with random weights that keep the spread of what comes in."""
        kernel_shape = [kernel] if isinstance(kernel, int) else list(kernel)
        wide = int(self.shape(x)[1])
        # A one-hot position holds a single one among its four channels.
        taps = np.prod(kernel_shape) * (wide / group if wide > 4 else 1)
        if wide == 1:
            taps /= 4
        weight = self.normal(channels, wide // group, *kernel_shape, fan=max(taps, 1) / 1.5)
        inputs = [self.weight(weight)]
        if bias:
            inputs.append(self.weight(self.normal(channels, fan=8), "bias"))
        if group > 1:
            attributes["group"] = group
        return self.add("Conv", x, *inputs, kernel_shape=kernel_shape, **attributes)

    def dense(self, x: str, units: int, wide: int | None = None) -> str:
        """Flatten if need be, then Gemm with transB, as PyTorch writes a Linear.

        `wide` is the number of columns where onnx cannot infer it.
        """
        if wide is None:
            shape = self.shape(x)
            wide = int(np.prod([int(d) for d in shape[1:]]))
            if len(shape) > 2:
                x = self.add("Flatten", x, axis=1)
        weight = self.weight(self.normal(units, wide, fan=wide / 2))
        bias = self.weight(self.normal(units, fan=8), "bias")
        return self.add("Gemm", x, weight, bias, transB=1)

    def matmul(self, x: str, units: int) -> str:
        """Multiply the last axis and add a bias, as Keras writes a Dense."""
        wide = int(self.shape(x)[-1])
        weight = self.weight(self.normal(wide, units, fan=wide / 2))
        bias = self.weight(self.normal(units, fan=8), "bias")
        return self.add("Add", self.add("MatMul", x, weight), bias)

    def batch_norm(self, x: str) -> str:
        """Normalise with statistics that are far from the identity."""
        wide = int(self.shape(x)[1])
        scale = self.random.uniform(0.6, 1.5, wide)
        scale[1] *= -1
        variance = self.random.uniform(0.4, 1.8, wide)
        parameters = [scale, self.normal(wide, fan=8), self.normal(wide, fan=8), variance]
        names = [self.weight(values, "norm") for values in parameters]
        return self.add("BatchNormalization", x, *names, epsilon=1e-3)

    def dropout(self, x: str) -> str:
        """Drop out, in inference mode: the rate is an attribute until opset 12, then an input."""
        if self.opset < 12:
            return self.add("Dropout", x, ratio=0.4)
        ratio = self.weight(np.float32(0.4), "ratio")
        return self.add("Dropout", x, ratio, self.weight(np.array(False), "training"))

    # Operators whose axes were attributes once. ---------------------------------------------------

    def with_axes(self, op: str, x: str, axes: Sequence[int], since: int, **attributes) -> str:
        """Pass axes as an attribute before opset `since` and as an input from then on."""
        if self.opset < since:
            return self.add(op, x, axes=list(axes), **attributes)
        return self.add(op, x, self.ints(*axes), **attributes)

    def squeeze(self, x: str, *axes: int) -> str:
        """Drop axes of length one."""
        return self.with_axes("Squeeze", x, axes, since=13)

    def unsqueeze(self, x: str, *axes: int) -> str:
        """Insert axes of length one."""
        return self.with_axes("Unsqueeze", x, axes, since=13)

    def reduce(self, kind: str, x: str, *axes: int, keepdims: int = 0) -> str:
        """Reduce by Sum, Mean or Max."""
        since = 13 if kind == "Sum" else 18
        return self.with_axes(f"Reduce{kind}", x, axes, since, keepdims=keepdims)

    def slice(self, x: str, starts: Sequence[int], ends: Sequence[int], axes, steps) -> str:
        """Slice along several axes at once."""
        return self.add("Slice", x, *(self.ints(*v) for v in (starts, ends, axes, steps)))

    def reverse(self, x: str, *axes: int) -> str:
        """Turn axes around by slices of step -1."""
        n = len(axes)
        return self.slice(x, [-1] * n, [np.iinfo(np.int64).min] * n, axes, [-1] * n)

    def model(self, *outputs: str) -> onnx.ModelProto:
        """Close the graph; the outputs' shapes are those that onnx infers."""
        version = onnx.helper.make_opsetid("", self.opset)
        imports = [helper.make_opsetid(domain, v) for domain, v in self.domains.items()]

        def close(shapes: dict[str, list[int | str | None]]) -> onnx.ModelProto:
            values = [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes.get(name))
                for name in outputs
            ]
            graph = helper.make_graph(
                self.nodes, "handmade", self.inputs, values, initializer=self.initializers
            )
            # The oldest file format that holds this opset, so that older runtimes read it, too.
            return helper.make_model(
                graph,
                opset_imports=imports,
                ir_version=helper.find_min_ir_version_for([version]),
                producer_name="handmade",
            )

        shapes = inferred_shapes(close({}))
        return close({name: shapes.get(name, ["N", 1]) for name in outputs})


def inferred_shapes(model: onnx.ModelProto) -> dict[str, list[int | str | None]]:
    """Give every tensor's dimensions, as far as onnx infers them."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    return {
        value.name: [
            d.dim_value if d.HasField("dim_value") else d.dim_param or None
            for d in value.type.tensor_type.shape.dim
        ]
        for value in [*graph.input, *graph.output, *graph.value_info]
        if value.type.tensor_type.HasField("shape")
    }

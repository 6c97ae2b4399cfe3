"""ONNX nodes that move data or nothing at all: they cost no operator, only a change of axes."""

from __future__ import annotations

import numpy as np

from dfim_fast.ops.flatten import unflatten
from dfim_fast.ops.layout import Tensor, reshape, squeeze, transpose, unsqueeze
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads

FLOATS = {1: "float", 10: "float16", 11: "double", 16: "bfloat16"}  # onnx.TensorProto.DataType


@reads("Identity", "Dropout")
def read_identity(node: Node) -> Tensor:
    """Nothing happens at inference; a Dropout left in training mode is refused."""
    if node.op_type == "Dropout":
        training = node.inputs[2] if len(node.inputs) > 2 else None
        if isinstance(training, np.ndarray) and training.any():
            raise Unsupported("is in training mode; export the model after model.eval()")
    return node.tensor(0)


@reads("Cast")
def read_cast(node: Node) -> Tensor:
    """Between float types; the engine has its own precision."""
    if node.attr("to") not in FLOATS:
        raise Unsupported(f"casts to data type {node.attr('to')}, which is not a float")
    return node.tensor(0)


@reads("CastLike")
def read_cast_like(node: Node) -> Tensor | np.ndarray | None:
    """To the float type of another tensor."""
    return node.inputs[0]


@reads("Transpose")
def read_transpose(node: Node) -> Tensor:
    """Permute axes."""
    return transpose(node.tensor(0), node.attr("perm"))


@reads("Squeeze")
def read_squeeze(node: Node) -> Tensor:
    """Drop axes of size one."""
    return squeeze(node.tensor(0), node.ints("axes", 1))


@reads("Unsqueeze")
def read_unsqueeze(node: Node) -> Tensor:
    """Insert axes of size one."""
    return unsqueeze(node.tensor(0), node.ints("axes", 1) or [])


@reads("Reshape")
def read_reshape(node: Node) -> Tensor:
    """Regroup axes."""
    t, target = node.tensor(0), [int(v) for v in node.constant(1, "the shape")]
    features = unflatten(node, t, target)
    return reshape(t, target, bool(node.attr("allowzero", 0))) if features is None else features


@reads("Flatten")
def read_flatten(node: Node) -> Tensor:
    """Merge the axes before and after ``axis``."""
    t = node.tensor(0)
    axis = int(node.attr("axis", 1))
    axis = axis + len(t.axes) if axis < 0 else axis
    left = int(np.prod(t.dims[:axis], initial=1))
    return reshape(t, [left, int(np.prod(t.dims[axis:], initial=1))])


@reads("Shape")
def read_shape(node: Node) -> np.ndarray:
    """The ONNX shape, a constant once the sequence length is known."""
    dims = node.tensor(0).dims
    return np.array(dims[node.attr("start", 0) : node.attr("end", len(dims))], np.int64)


@reads("Size")
def read_size(node: Node) -> np.ndarray:
    """The number of entries."""
    return np.array(int(np.prod(node.tensor(0).dims)), np.int64)

"""ReduceMean, ReduceSum, ReduceMax and ReduceLogSumExp over positions, channels or both."""

from __future__ import annotations

import numpy as np

from dfim_fast.ops.average_pool import over_all
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.flatten import Flatten
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.log_sum_exp import LogSumExp
from dfim_fast.ops.max_pool import ChannelMax, MaxPool
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads
from dfim_fast.ops.window import Window


@reads("ReduceMean", "ReduceSum", "ReduceMax", "ReduceLogSumExp")
def read_reduce(node: Node) -> Tensor:
    """Reduced axes keep size one (keepdims) or vanish."""
    t = node.tensor(0)
    axes = node.ints("axes", 1)
    if axes is None or not axes:
        if node.attr("noop_with_empty_axes", 0):
            return t
        axes = list(range(len(t.axes)))
    gone = {t.axis(a) for a in axes}
    letters = {f for i in gone for f in t.axes[i]}
    if "N" in letters:
        raise Unsupported(f"reduces the batch axis of {t.describe()}")
    full = t
    letters = {f for f in letters if t.size(f) > 1}
    if node.op_type == "ReduceMax":
        if letters == {"L", "C"}:
            t = node.add(Flatten("CL" if _channel_first(t) else "LC"), t)
            letters = {"C"}
        if letters == {"L"}:
            t = node.add(MaxPool(Window(t.shape[0], t.shape[0], 1, 0, 1)), t)
        elif letters == {"C"}:
            t = node.add(ChannelMax(), t)
    elif node.op_type == "ReduceLogSumExp":
        if letters:
            t = node.add(LogSumExp(tuple(1 + "LC".index(f) for f in sorted(letters)[::-1])), t)
    else:
        mean = node.op_type == "ReduceMean"
        if "L" in letters:
            t = over_all(node, t, mean)
        if "C" in letters:
            channels = t.shape[1]
            weight = np.full((1, channels, 1), 1.0 / channels if mean else 1.0)
            t = node.add(Conv(weight, np.zeros(1), Window(1, 1, 1, 0, t.shape[0])), t)
    keep = bool(node.attr("keepdims", 1))
    kept = ["" if i in gone else a for i, a in enumerate(full.axes) if keep or i not in gone]
    return t.with_axes(tuple(kept))


def _channel_first(t: Tensor) -> bool:
    """Whether channels are the outer of the two factors in the ONNX order."""
    order = "".join(t.axes)
    return order.index("C") < order.index("L")

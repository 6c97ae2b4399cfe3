"""What ONNX's pooling nodes have in common."""

from __future__ import annotations

from dfim_fast.ops.layout import Axes, Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported
from dfim_fast.ops.window import Window


def pool_window(node: Node, t: Tensor) -> tuple[Window | None, int]:
    """The window of a 1-D or 2-D pool, and the ONNX axis it slides along.

    The window is None where the pool covers a single position and changes nothing.
    """
    kernel = node.attr("kernel_shape")
    rank = len(kernel)
    if rank not in (1, 2) or len(t.axes) != rank + 2:
        raise Unsupported(f"a window of shape {list(kernel)} on {t.describe()}")
    sizes = t.dims[2:]
    along = next((i for i, a in enumerate(t.axes[2:]) if a == "L"), None)
    if along is None:
        along = max(range(rank), key=lambda i: sizes[i])
    strides = node.attr("strides", [1] * rank)
    dilations = node.attr("dilations", [1] * rank)
    pads = node.attr("pads", [0] * 2 * rank)
    auto_pad, ceil_mode = node.attr("auto_pad", "NOTSET"), bool(node.attr("ceil_mode", 0))
    for i in range(rank):
        if i != along and (kernel[i] != 1 or sizes[i] != 1 or pads[i] or pads[i + rank]):
            raise Unsupported(
                f"a window of shape {list(kernel)} on {t.describe()}; it may slide over positions "
                "only"
            )
    over_positions(t, 2 + along)
    window = Window.read(
        t.shape[0],
        int(kernel[along]),
        int(strides[along]),
        int(dilations[along]),
        (int(pads[along]), int(pads[along + rank])),
        auto_pad,
        ceil_mode,
    )
    idle = window.kernel == 1 and window.stride == 1 and window.out_length == t.shape[0]
    return (None if idle else window), 2 + along


def over_positions(t: Tensor, *pooled: int) -> None:
    """Refuse a pool over ONNX axes that hold channels."""
    if t.axes[1] == "L" or any("C" in t.axes[i] and t.size(t.axes[i]) > 1 for i in pooled):
        raise Unsupported(f"pools over the channels of {t.describe()}; transpose its input")


def spatial_axes(t: Tensor, along: int) -> Axes:
    """The axes after a pool: positions stay where they slid, even when one is left."""
    return tuple("L" if i == along else a for i, a in enumerate(t.axes))

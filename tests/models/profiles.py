"""Base-resolution models written by hand: BPNet in small, with strands and a control track."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from .graph_builder import LENGTH, Builder

CROP = 4  # positions that the profile loses at each end
OUT = LENGTH - 2 * CROP


def bpnet(
    strands: int = 2,
    control: int = 0,
    seed: int = 0,
    counts: bool = True,
    last: str | None = None,
    length: int | str = LENGTH,
    reverse_order: bool = False,
    dilation: int = 2,
) -> onnx.ModelProto:
    """Outputs ``logits`` (N, strands, OUT) and ``logcounts`` (N, 1).

    `control` tracks join the trunk before the profile's last convolution, and log(1 + their sum)
    joins what the counts are computed from, as in BPNet. `last` is an operator on the logits.
    With `reverse_order` the control track stands before the trunk's channels.
    """
    b = Builder(input_shape=("N", 4, length), seed=seed)
    x = b.add("Relu", b.conv(b.x, 6, 5, pads=[2, 2]))
    wider = b.conv(x, 6, 3, pads=[dilation, dilation], dilations=[dilation])
    x = b.add("Add", x, b.add("Relu", wider))
    pooled = b.reduce("Mean", x, 2)
    top, wide = x, 6
    if control:
        b.inputs.append(
            helper.make_tensor_value_info("control", TensorProto.FLOAT, ("N", control, length))
        )
        parts = ["control", x] if reverse_order else [x, "control"]
        top, wide = b.add("Concat", *parts, axis=1), 6 + control
        total = b.reduce("Sum", "control", 1, 2)
        one = b.weight(b.normal(1) * 0 + 1, "one")
        total = b.unsqueeze(b.add("Log", b.add("Add", total, one)), 1)
        pooled = b.add("Concat", pooled, total, axis=1)
    weight = b.weight(b.normal(strands, wide, 5, fan=wide))
    logits = b.add("Conv", top, weight, kernel_shape=[5], pads=[2, 2])
    logits = b.slice(logits, [CROP], [-CROP], [2], [1])
    if last:
        logits = b.add(last, logits, **({"axis": 2} if last == "Softmax" else {}))
    outputs = [logits]
    if counts:
        outputs.append(b.dense(pooled, 1, wide=6 + bool(control)))
    model = b.model(*outputs)
    for old, new in zip(outputs, ("logits", "logcounts"), strict=False):
        for node in model.graph.node:
            node.output[:] = [new if o == old else o for o in node.output]
        for value in model.graph.output:
            value.name = new if value.name == old else value.name
    return model


def outputs(model: onnx.ModelProto, x, **fed):
    """What onnxruntime says of sequences (n, 4, L), and of other inputs as given."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": np.asarray(x, np.float32), **fed})

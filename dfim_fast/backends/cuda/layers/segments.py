"""LogSumExp, LogSoftmax, Softmax, Profile and Normalize: each entry reads all of a segment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfim_fast.backends.cuda.layers.layer import Arriving, Layer, Value, lowers
from dfim_fast.backends.cuda.views import View
from dfim_fast.ops.log_sum_exp import LogSumExp
from dfim_fast.ops.normalize import Normalize
from dfim_fast.ops.profile import Profile
from dfim_fast.ops.softmax import LogSoftmax, Softmax

# The numbers of segments' functions, as csrc/kernels/segment.cuh has them; a test compares the two.
SEGMENTS = ("NORMALIZE", "LOG_SUM_EXP", "LOG_SOFTMAX", "SOFTMAX", "PROFILE")
KINDS = {
    Normalize: "NORMALIZE",
    LogSumExp: "LOG_SUM_EXP",
    LogSoftmax: "LOG_SOFTMAX",
    Softmax: "SOFTMAX",
    Profile: "PROFILE",
}
LANES = 32


@lowers(*KINDS)
class SegmentLayer(Layer):
    """One warp for each segment, or for 32 channels over all positions."""

    def _how(self) -> tuple[int, int]:
        return SEGMENTS.index(KINDS[type(self.op)]), sum(self.op.axes)

    def _launch(self, kernel: str, items: int, out: View, width: int, *arguments: Any) -> None:
        axes = self._how()[1]
        blocks = -(-self.inputs[0][1] // LANES)
        warps = items * {1: blocks, 2: width, 3: 1}[axes]
        self.launch(kernel, warps, items, out, *arguments)

    def forward(self, items: int, value: Value, xs: Sequence[View]) -> None:
        spread = float(getattr(self.op, "epsilon", 0.0))
        out = value.y
        self._launch("segment_forward", items, out, out.computed, xs[0], *self._how(), spread)

    def backward(self, at: Arriving, j: int, dx: View, add: bool) -> None:
        x, against = at.xs[0], at.rs is not None
        views = (at.g, x, x if at.rs is None else at.rs[0])
        how = (*self._how(), against, at.rule.epsilon, float(getattr(self.op, "epsilon", 0.0)))
        self._launch("segment_backward", at.items, dx, dx.computed, *views, *how, add)

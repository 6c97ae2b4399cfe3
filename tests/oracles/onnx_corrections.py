"""Operators that onnx's own reference evaluator gets wrong, or computes in float32.

Each class says what is wrong there. `CORRECTED` goes to `ReferenceEvaluator(new_ops=...)`.
"""

from __future__ import annotations

import math

import numpy as np
from onnx.reference.op_run import OpRun


class Erf(OpRun):
    """The error function; onnx's own evaluator computes it in float32 even for float64 input."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (np.vectorize(math.erf, otypes=[x.dtype])(x),)


class Gelu(OpRun):
    """Both forms of GELU; onnx's own evaluator goes through its float32 error function."""

    op_domain = ""

    def _run(self, x: np.ndarray, approximate: str | None = None) -> tuple[np.ndarray]:
        if approximate == "tanh":
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
            return (0.5 * x * (1 + np.tanh(inner)),)
        return (0.5 * x * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2))),)


class BatchNormalization(OpRun):
    """The inference formula; onnx's own evaluator uses the batch's statistics before opset 14."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        mean: np.ndarray,
        variance: np.ndarray,
        epsilon: float | None = None,
        **_training: float,
    ) -> tuple[np.ndarray]:
        wide = (-1, *[1] * (x.ndim - 2))
        centred = (x - mean.reshape(wide)) / np.sqrt(variance + epsilon).reshape(wide)
        return (centred * scale.reshape(wide) + bias.reshape(wide),)


class GlobalMaxPool(OpRun):
    """The maximum over positions; onnx's own evaluator takes it over channels, too."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def pool_taps(
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    before: int,
    after: int,
    auto_pad: str | None,
    ceil_mode: int | None,
) -> tuple[np.ndarray, int]:
    """Give the positions (outputs, kernel) that each window of one axis reads, and the right pad.

    Positions below 0 and from `size` on lie in the padding or, with ceil_mode, beyond it.
    """
    extent = (kernel - 1) * dilation + 1
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        total = max((-(-size // stride) - 1) * stride + extent - size, 0)
        before = (total + (auto_pad == "SAME_LOWER")) // 2
        after = total - before
    room = size + before + after - extent
    outputs = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (outputs - 1) * stride >= size + before:
        outputs -= 1  # a window may not start past the input and its left padding
    starts = np.arange(outputs)[:, None] * stride - before
    return starts + dilation * np.arange(kernel), after


class Pool(OpRun):
    """Pooling, one axis after the other; onnx's own evaluator gets some sizes and counts wrong."""

    op_domain = ""

    def reduce(self, windows: np.ndarray, taps: np.ndarray, size: int, counted: int) -> np.ndarray:
        """Pool the last axis of (..., outputs, kernel); positions in `counted` count in a mean."""
        raise NotImplementedError

    def _run(
        self,
        x: np.ndarray,
        auto_pad: str | None = None,
        ceil_mode: int | None = None,
        count_include_pad: int | None = None,
        dilations: list[int] | None = None,
        kernel_shape: list[int] | None = None,
        pads: list[int] | None = None,
        storage_order: int | None = None,
        strides: list[int] | None = None,
    ) -> tuple[np.ndarray]:
        kernel_shape = kernel_shape or []
        rank = len(kernel_shape)
        strides = strides or [1] * rank
        dilations = dilations or [1] * rank
        pads = pads or [0] * (2 * rank)
        for i, kernel in enumerate(kernel_shape):
            size = x.shape[2 + i]
            taps, after = pool_taps(
                size, kernel, strides[i], dilations[i], pads[i], pads[rank + i], auto_pad, ceil_mode
            )
            windows = np.moveaxis(x, 2 + i, -1)[..., taps.clip(0, size - 1)]
            pooled = self.reduce(windows, taps, size, size + after if count_include_pad else 0)
            x = np.moveaxis(pooled, -1, 2 + i)
        return (x,)


class MaxPool(Pool):
    """The largest of the positions that exist."""

    def reduce(self, windows: np.ndarray, taps: np.ndarray, size: int, counted: int) -> np.ndarray:
        """Leave out what lies outside."""
        return np.where((taps >= 0) & (taps < size), windows, -np.inf).max(axis=-1)


class AveragePool(Pool):
    """The mean; PyTorch and onnxruntime count padding, but not what ceil_mode adds past it."""

    def reduce(self, windows: np.ndarray, taps: np.ndarray, size: int, counted: int) -> np.ndarray:
        """Sum what exists and divide by what counts."""
        inside = (taps >= 0) & (taps < size)
        count = (taps < counted if counted else inside).sum(axis=-1)
        return np.where(inside, windows, 0).sum(axis=-1) / count


# Operators of onnx's evaluator that are wrong, or float32, for some of the models under test.
CORRECTED = [Erf, Gelu, BatchNormalization, GlobalMaxPool, MaxPool, AveragePool]

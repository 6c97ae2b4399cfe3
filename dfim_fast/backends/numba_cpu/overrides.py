"""The operators that have a kernel of their own here; all others run on their NumPy formulas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from dfim_fast.backends.numba_cpu import kernels
from dfim_fast.backends.numba_cpu.blas import product
from dfim_fast.ops.base import Array, Rule
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu


def convolve(x: Array, weight: Array, dilation: int, stride: int, rows: int) -> Array:
    """sum_j x[:, i * stride + j * dilation] @ weight[j] for i < rows.

    x (B, L, C) is padded already; weight (k, C, H). The tile is taken as one long sequence; rows
    that straddle two sequences are computed and left out. Without dilation a window is one run of
    k * C numbers, and windows k positions apart do not overlap: each product takes every k-th
    window straight from the input, so that no copy of the windows is made.
    """
    batch, length, channels = x.shape
    kernel, _, width = weight.shape
    x = np.ascontiguousarray(x)
    out = np.empty((batch, length, width), np.float32)
    start, end = x.ctypes.data, out.ctypes.data
    total = batch * length - (kernel - 1) * dilation
    if dilation > 1:
        for j in range(kernel):
            product(start + 4 * j * dilation * channels, channels, weight[j], end, width, total,
                    j > 0)
    else:
        flat = weight.reshape(-1, width)
        for first in range(min(kernel, total)):
            product(start + 4 * first * channels, kernel * channels, flat,
                    end + 4 * first * width, kernel * width, -(-(total - first) // kernel), False)
    return out[:, : (rows - 1) * stride + 1 : stride]


def conv_forward(op: Conv, xs: Sequence[Array]) -> Array:
    """Convolution as matrix products, group by group."""
    w, x = op.window, op.window.padded(xs[0])
    parts = [
        convolve(x[:, :, i], np.ascontiguousarray(op.weight[:, :, o]), w.dilation, w.stride,
                 w.out_length)
        for i, o in op.blocks()
    ]
    y = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    return y + op.bias


@lru_cache(maxsize=256)
def flipped(op: Conv) -> tuple[Array, ...]:
    """Each group's weights, taps reversed and transposed, for the backward pass."""
    return tuple(
        np.ascontiguousarray(op.weight[::-1, :, o].transpose(0, 2, 1)) for _, o in op.blocks()
    )


def conv_gradient(op: Conv, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    """Convolution of the (for strides: zero-stuffed) gradient with the flipped kernel."""
    w, length = op.window, xs[0].shape[1]
    reach = (w.kernel - 1) * w.dilation
    # room[q] = g of the window that starts at padded input row q - reach
    room = np.zeros((len(g), length + w.pad + w.right_pad(length) + reach, g.shape[2]), np.float32)
    room[:, reach : reach + (w.out_length - 1) * w.stride + 1 : w.stride] = g
    room = room[:, w.pad : w.pad + length + reach]
    parts = [
        convolve(room[:, :, o], weight, w.dilation, 1, length)
        for weight, (_, o) in zip(flipped(op), op.blocks(), strict=True)
    ]
    return [parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)]


def relu_forward(op: Relu, xs: Sequence[Array]) -> Array:
    x = np.ascontiguousarray(xs[0])
    y = np.empty_like(x)
    kernels.relu_forward(x.reshape(-1), y.reshape(-1))
    return y


def relu_gradient(op: Relu, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    g, x = np.ascontiguousarray(g), np.ascontiguousarray(xs[0])
    dx = np.empty_like(x)
    kernels.relu_gradient(g.reshape(-1), x.reshape(-1), dx.reshape(-1))
    return [dx]


def relu_rescale(
    op: Relu, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
) -> list[Array]:
    m, x = np.ascontiguousarray(m), np.ascontiguousarray(xs[0])
    dx, batch = np.empty_like(x), len(x)
    kernels.relu_rescale(m.reshape(batch, -1), x.reshape(batch, -1), rs[0].reshape(-1),
                         np.float32(rule.epsilon), dx.reshape(batch, -1))
    return [dx]


def pool_forward(op: MaxPool, xs: Sequence[Array]) -> Array:
    x, w = np.ascontiguousarray(xs[0]), op.window
    y = np.empty((len(x), w.out_length, x.shape[2]), np.float32)
    kernels.pool_forward(x, w.kernel, w.stride, w.dilation, w.pad, y)
    return y


def pool_gradient(op: MaxPool, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    w, dx = op.window, np.zeros_like(xs[0])
    kernels.pool_send(np.ascontiguousarray(g), np.ascontiguousarray(xs[0]), y, w.kernel, w.stride,
                      w.dilation, w.pad, dx)
    return [dx]


def pool_rescale(
    op: MaxPool, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
) -> list[Array]:
    if rule.maxpool == "deeplift":
        return pool_gradient(op, m, xs, y)
    w, x = op.window, np.ascontiguousarray(xs[0])
    dx, arriving = np.empty_like(x), np.empty((2, *x.shape[1:]), np.float32)
    kernels.pool_share(
        np.ascontiguousarray(m), x, np.ascontiguousarray(rs[0][0]), y, yr[0], w.kernel, w.stride,
        w.dilation, w.pad, np.float32(rule.epsilon), arriving, dx,
    )
    return [dx]


def dense_gradient(op: Dense, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    return [np.matmul(g[:, 0], transposed(op)).reshape(len(g), *xs[0].shape[1:])]


@lru_cache(maxsize=256)
def transposed(op: Dense) -> Array:
    """The weights by output: backward products then run over contiguous rows."""
    return np.ascontiguousarray(op.weight.T)


OVERRIDES = {
    (Conv, "forward"): conv_forward,
    (Conv, "gradient"): conv_gradient,
    (Dense, "gradient"): dense_gradient,
    (Relu, "forward"): relu_forward,
    (Relu, "gradient"): relu_gradient,
    (Relu, "rescale"): relu_rescale,
    (MaxPool, "forward"): pool_forward,
    (MaxPool, "gradient"): pool_gradient,
    (MaxPool, "rescale"): pool_rescale,
}

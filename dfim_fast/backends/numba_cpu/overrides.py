"""The operators that have a kernel of their own here; all others run on their NumPy formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dfim_fast.backends.numba_cpu import kernels
from dfim_fast.backends.numba_cpu.convolution import (
    conv_back_rows,
    conv_rows,
    dense_back,
    dense_rows,
)
from dfim_fast.ops.base import Array, Rule
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu


def conv_forward(op: Conv, xs: Sequence[Array]) -> Array:
    return conv_rows(op, op.window.padded(xs[0]), op.window.out_length) + op.bias


def conv_gradient(op: Conv, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    """Convolution of the (for strides: zero-stuffed) gradient with the flipped kernel."""
    w, length = op.window, xs[0].shape[1]
    reach = (w.kernel - 1) * w.dilation
    # room[q] = g of the window that starts at padded input row q - reach
    room = np.zeros((len(g), length + w.pad + w.right_pad(length) + reach, g.shape[2]), np.float32)
    room[:, reach : reach + (w.out_length - 1) * w.stride + 1 : w.stride] = g
    return [conv_back_rows(op, room[:, w.pad : w.pad + length + reach], length)]


def dense_forward(op: Dense, xs: Sequence[Array]) -> Array:
    return dense_rows(op, xs[0])


def dense_gradient(op: Dense, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    return [dense_back(op, g, xs[0].shape[1:])]


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
    kernels.relu_rescale(
        m.reshape(batch, -1),
        x.reshape(batch, -1),
        rs[0].reshape(-1),
        np.float32(rule.epsilon),
        dx.reshape(batch, -1),
    )
    return [dx]


def pool_forward(op: MaxPool, xs: Sequence[Array]) -> Array:
    x, w = np.ascontiguousarray(xs[0]), op.window
    y = np.empty((len(x), w.out_length, x.shape[2]), np.float32)
    kernels.pool_forward(x, w.kernel, w.stride, w.dilation, w.pad, y)
    return y


def pool_gradient(op: MaxPool, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
    w, dx = op.window, np.zeros_like(xs[0])
    kernels.pool_send(
        np.ascontiguousarray(g),
        np.ascontiguousarray(xs[0]),
        y,
        w.kernel,
        w.stride,
        w.dilation,
        w.pad,
        dx,
    )
    return [dx]


def pool_rescale(
    op: MaxPool, m: Array, xs: Sequence[Array], rs: Sequence[Array], y: Array, yr: Array, rule: Rule
) -> list[Array]:
    if rule.maxpool == "deeplift":
        return pool_gradient(op, m, xs, y)
    w, x = op.window, np.ascontiguousarray(xs[0])
    dx, arriving = np.empty_like(x), np.empty((2, *x.shape[1:]), np.float32)
    kernels.pool_share(
        np.ascontiguousarray(m),
        x,
        np.ascontiguousarray(rs[0][0]),
        y,
        yr[0],
        w.kernel,
        w.stride,
        w.dilation,
        w.pad,
        np.float32(rule.epsilon),
        arriving,
        dx,
    )
    return [dx]


OVERRIDES: dict[tuple[type, str], Callable[..., Any]] = {
    (Conv, "forward"): conv_forward,
    (Conv, "gradient"): conv_gradient,
    (Dense, "forward"): dense_forward,
    (Dense, "gradient"): dense_gradient,
    (Relu, "forward"): relu_forward,
    (Relu, "gradient"): relu_gradient,
    (Relu, "rescale"): relu_rescale,
    (MaxPool, "forward"): pool_forward,
    (MaxPool, "gradient"): pool_gradient,
    (MaxPool, "rescale"): pool_rescale,
}

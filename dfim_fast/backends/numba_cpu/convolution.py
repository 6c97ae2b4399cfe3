"""Convolutions and dense layers as products of gemm.py, forward and backward."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dfim_fast.backends.numba_cpu.gemm import Packed, _multiply, multiply, pack
from dfim_fast.jit import entry
from dfim_fast.ops.base import Array
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense


@entry
def _convolve(x, data, inner, columns, most, taps, dilation, stride, out):
    """out[m, i] = sum_j x[m, i * stride + j * dilation] @ weight[j]; x, out C-contiguous.

    Without dilation a window is one run of numbers (one tap), and the windows overlap in memory.
    """
    batch, length, channels = x.shape
    rows, outputs = out.shape[1], out.shape[2]
    for m in range(batch):
        _multiply(
            x.ctypes.data + 4 * m * length * channels,
            4 * stride * channels,
            data,
            inner,
            columns,
            most,
            taps,
            4 * dilation * channels,
            out.ctypes.data + 4 * m * rows * outputs,
            4 * outputs,
            rows,
        )


def convolve(x: Array, weight: Packed, dilation: int, stride: int, rows: int) -> Array:
    """sum_j x[:, i * stride + j * dilation] @ weight[j] for i < rows.

    Parameters
    ----------
    x : ndarray (M, n, C) float32
        Padded: every window is whole.
    weight : Packed
        From `pack_taps`.
    dilation, stride, rows : int

    Returns
    -------
    ndarray (M, rows, H) float32
    """
    x = np.ascontiguousarray(x, np.float32)
    out = np.empty((len(x), rows, weight.columns), np.float32)
    taps = 1 if dilation == 1 else weight.inner // x.shape[2]
    _convolve(
        x,
        weight.data.ctypes.data,
        weight.inner // taps,
        weight.columns,
        weight.most,
        taps,
        dilation,
        stride,
        out,
    )
    return out


def pack_taps(weight: Array, dilation: int) -> Packed:
    """A kernel (k, C, H) packed as one matrix, or with dilation tap after tap."""
    taps, channels, columns = weight.shape
    if dilation == 1:
        return pack(weight.reshape(-1, columns))
    parts = [pack(weight[j]) for j in range(taps)]
    return Packed(np.concatenate([p.data for p in parts]), taps * channels, columns, parts[0].most)


@lru_cache(maxsize=512)
def forward_weights(op: Conv) -> tuple[Packed, ...]:
    """Each group's kernel."""
    return tuple(pack_taps(op.weight[:, :, o], op.window.dilation) for _, o in op.blocks())


@lru_cache(maxsize=512)
def backward_weights(op: Conv) -> tuple[Packed, ...]:
    """Each group's kernel with its taps reversed and transposed."""
    return tuple(
        pack_taps(op.weight[::-1, :, o].transpose(0, 2, 1), op.window.dilation)
        for _, o in op.blocks()
    )


def conv_rows(op: Conv, x: Array, rows: int) -> Array:
    """The convolution of padded input (M, n, C) without its bias, ``rows`` outputs."""
    w = op.window
    parts = [
        convolve(x[:, :, i], weight, w.dilation, w.stride, rows)
        for weight, (i, _) in zip(forward_weights(op), op.blocks(), strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def conv_back_rows(op: Conv, g: Array, rows: int) -> Array:
    """Gradient at ``rows`` inputs from g (M, rows + reach, H), zero-stuffed for strides.

    Entry q of g belongs to the window that starts ``reach`` padded positions before input q.
    """
    parts = [
        convolve(g[:, :, o], weight, op.window.dilation, 1, rows)
        for weight, (_, o) in zip(backward_weights(op), op.blocks(), strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


@lru_cache(maxsize=512)
def _dense(op: Dense) -> Packed:
    return pack(op.weight)


@lru_cache(maxsize=512)
def _dense_back(op: Dense) -> Packed:
    return pack(op.weight.T)


def dense_rows(op: Dense, x: Array) -> Array:
    """x.flat @ weight + bias, (M, 1, H)."""
    return (multiply(x.reshape(len(x), -1), _dense(op)) + op.bias)[:, None, :]


def dense_back(op: Dense, g: Array, shape: tuple[int, int]) -> Array:
    """Gradient (M, L, C) from g (M, 1, H)."""
    return multiply(g[:, 0], _dense_back(op)).reshape(len(g), *shape)

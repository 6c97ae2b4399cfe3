"""Compiled loops for the operators whose NumPy formulas are slow. Shapes are run-time arguments."""

from __future__ import annotations

import numpy as np

from dfim_fast.jit import entry


@entry
def relu_forward(x, y):
    """y = max(x, 0), flat arrays."""
    for i in range(x.size):
        y[i] = max(x[i], np.float32(0))


@entry
def relu_gradient(g, x, dx):
    """dx = g where x > 0, flat arrays."""
    for i in range(x.size):
        dx[i] = g[i] if x[i] > 0 else np.float32(0)


@entry
def relu_rescale(m, x, r, epsilon, dx):
    """dx = m * (relu(x) - relu(r)) / (x - r). m, x, dx: (B, n), r: (n,)."""
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            u, v = x[b, i], r[i]
            d = u - v
            if abs(d) < epsilon:
                q = np.float32(1) if u > 0 else np.float32(0)
            elif u > 0 and v > 0:
                q = np.float32(1)
            elif u <= 0 and v <= 0:
                q = np.float32(0)
            else:
                q = (max(u, np.float32(0)) - max(v, np.float32(0))) / d
            dx[b, i] = m[b, i] * q


@entry
def pool_forward(x, kernel, stride, dilation, pad, y):
    """Maximum over each window. x (B, L, C), y (B, L', C)."""
    length = x.shape[1]
    for b in range(x.shape[0]):
        for i in range(y.shape[1]):
            y[b, i] = -np.inf
            for j in range(kernel):
                p = i * stride - pad + j * dilation
                if 0 <= p < length:
                    for c in range(x.shape[2]):
                        y[b, i, c] = max(y[b, i, c], x[b, p, c])


@entry
def pool_send(g, x, y, kernel, stride, dilation, pad, out):
    """Add g (B, L', C) to the first position of each window of x (B, L, C) that holds y."""
    length = x.shape[1]
    for b in range(g.shape[0]):
        for i in range(g.shape[1]):
            for c in range(g.shape[2]):
                if g[b, i, c] != 0:
                    best = y[b, i, c]
                    for j in range(kernel):
                        p = i * stride - pad + j * dilation
                        if 0 <= p < length and x[b, p, c] == best:
                            out[b, p, c] += g[b, i, c]
                            break


@entry
def pool_share(m, x, r, y, yr, kernel, stride, dilation, pad, epsilon, arriving, dx):
    """The shap rule of ops/max_pool.py. m, y: (B, L', C); x, dx: (B, L, C); r, yr: one batch less.

    ``arriving`` (2, L, C) is workspace: the shared difference, and the plain gradient.
    """
    length = x.shape[1]
    for b in range(m.shape[0]):
        arriving[:] = 0
        for i in range(m.shape[1]):
            for c in range(m.shape[2]):
                v = m[b, i, c]
                if v == 0:
                    continue
                best, other = y[b, i, c], yr[i, c]
                top = max(best, other)
                seen_x = seen_r = False
                for j in range(kernel):
                    p = i * stride - pad + j * dilation
                    if 0 <= p < length:
                        if not seen_x and x[b, p, c] == best:
                            arriving[0, p, c] += v * (top - other)
                            arriving[1, p, c] += v
                            seen_x = True
                        if not seen_r and r[p, c] == other:
                            arriving[0, p, c] += v * (best - top)
                            seen_r = True
                        if seen_x and seen_r:
                            break
        for p in range(length):
            for c in range(x.shape[2]):
                d = x[b, p, c] - r[p, c]
                dx[b, p, c] = arriving[1, p, c] if abs(d) < epsilon else arriving[0, p, c] / d

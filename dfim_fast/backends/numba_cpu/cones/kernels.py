"""Compiled loops over windows. M mutants, window width n, channels C; shapes are run-time values.

A window is an array (M, n, C) with a start (M,): entry [m, i] is row start[m] + i of its tensor.
"""

from __future__ import annotations

import numpy as np

from dfim_fast.jit import entry, kernel


@entry
def place(data, start, out, out_start, step):
    """out[m, (start[m] + i) * step - out_start[m]] += data[m, i], where that is inside."""
    rows = out.shape[1]
    for m in range(data.shape[0]):
        for i in range(data.shape[1]):
            at = (start[m] + i) * step - out_start[m]
            if 0 <= at < rows:
                source, target = data[m, i], out[m, at]
                for c in range(source.size):
                    target[c] += source[c]


@entry
def rows_of(base, start, fill, out):
    """out[m, i] = base[start[m] + i], or fill beyond the ends."""
    length = base.shape[0]
    for m in range(out.shape[0]):
        for i in range(out.shape[1]):
            at = start[m] + i
            target = out[m, i]
            if 0 <= at < length:
                source = base[at]
                for c in range(source.size):
                    target[c] = source[c]
            else:
                for c in range(target.size):
                    target[c] = fill


@entry
def send_rows(data, start, index, out, out_start):
    """out[m, index[start[m] + i] - out_start[m]] += data[m, i], where that is inside."""
    for m in range(data.shape[0]):
        for i in range(data.shape[1]):
            at = index[start[m] + i] - out_start[m]
            if 0 <= at < out.shape[1]:
                out[m, at] += data[m, i]


@entry
def overlay(data, start, out, out_start):
    """out[m, start[m] + i - out_start[m]] = data[m, i], where that is inside."""
    rows = out.shape[1]
    for m in range(data.shape[0]):
        for i in range(data.shape[1]):
            at = start[m] + i - out_start[m]
            if 0 <= at < rows:
                source, target = data[m, i], out[m, at]
                for c in range(source.size):
                    target[c] = source[c]


@entry
def relu(x):
    """x = max(x, 0), in place."""
    for m in range(x.shape[0]):
        for i in range(x.shape[1]):
            row = x[m, i]
            for c in range(row.size):
                row[c] = max(row[c], np.float32(0))


@entry
def relu_near(base, start, new_x, dv, u, out):
    """out += s' dv + (s' - s) u, with slopes s = [x > 0], s' = [x' > 0]."""
    zero, one = np.float32(0), np.float32(1)
    for m in range(dv.shape[0]):
        for i in range(dv.shape[1]):
            b, a, v, w, x = base[start[m] + i], new_x[m, i], dv[m, i], u[m, i], out[m, i]
            for c in range(v.size):
                new = one if a[c] > 0 else zero
                old = one if b[c] > 0 else zero
                x[c] += new * v[c] + (new - old) * w[c]


@entry
def relu_near_rescale(base, ref, start, new_x, dv, u, epsilon, out):
    """As relu_near, with Rescale multipliers against the reference."""
    zero, one = np.float32(0), np.float32(1)
    for m in range(dv.shape[0]):
        for i in range(dv.shape[1]):
            at = start[m] + i
            b, r, a, v, w, x = base[at], ref[at], new_x[m, i], dv[m, i], u[m, i], out[m, i]
            for c in range(v.size):
                t = r[c]
                positive = max(t, zero)
                p, q = a[c] - t, b[c] - t
                new = (max(a[c], zero) - positive) / p
                old = (max(b[c], zero) - positive) / q
                # a difference below epsilon means the slope; on one side of zero it is exact
                if abs(p) < epsilon or (a[c] > 0) == (t > 0):
                    new = one if a[c] > 0 else zero
                if abs(q) < epsilon or (b[c] > 0) == (t > 0):
                    old = one if b[c] > 0 else zero
                x[c] += new * v[c] + (new - old) * w[c]


@entry
def pool(x, kernel, stride, dilation, out):
    """Maximum over each window of x (M, n, C), which starts at its first row; -inf outside."""
    for m in range(out.shape[0]):
        for i in range(out.shape[1]):
            y = out[m, i]
            for c in range(y.size):
                y[c] = -np.inf
            for j in range(kernel):
                row = x[m, i * stride + j * dilation]
                for c in range(y.size):
                    y[c] = max(y[c], row[c])


@kernel
def _differs(a, b):
    """Whether two rows differ anywhere."""
    found = False
    for c in range(a.size):
        found |= a[c] != b[c]
    return found


@kernel
def _winner(x, first, kernel, dilation, c):
    """Row of the window's maximum in channel c; the first of equal ones."""
    best = first
    for j in range(1, kernel):
        at = first + j * dilation
        if x[at, c] > x[best, c]:
            best = at
    return best


@entry
def pool_near(x, old_x, kernel, stride, dilation, u, dv, out):
    """Gradient below a max pool, new minus old. x, old_x (M, n, C): x' and x, -inf outside.

    u, dv (M, w, C): what arrives at the outputs; out (M, n, C): on the rows of x.
    """
    turned = np.empty(x.shape[1], np.bool_)
    for m in range(dv.shape[0]):
        for p in range(x.shape[1]):
            turned[p] = _differs(x[m, p], old_x[m, p])
        for i in range(dv.shape[1]):
            first = i * stride
            touched = False
            for j in range(kernel):
                touched |= turned[first + j * dilation]
            for c in range(dv.shape[2]):
                if not touched and dv[m, i, c] == 0:
                    continue
                old = _winner(old_x[m], first, kernel, dilation, c)
                new = _winner(x[m], first, kernel, dilation, c) if touched else old
                if new == old:
                    out[m, new, c] += dv[m, i, c]
                else:
                    out[m, new, c] += u[m, i, c] + dv[m, i, c]
                    out[m, old, c] -= u[m, i, c]


@entry
def pool_shares(x, ref, kernel, stride, dilation, arriving, epsilon, out):
    """The shap rule on windows: out (M, n, C) += multipliers below a max pool.

    x, ref (M, n, C): values and reference, -inf outside; arriving (M, w, C) at the outputs.
    """
    rows, channels = x.shape[1], x.shape[2]
    shared = np.empty((rows, channels), np.float32)
    plain = np.empty((rows, channels), np.float32)
    for m in range(x.shape[0]):
        shared[:] = 0
        plain[:] = 0
        for i in range(arriving.shape[1]):
            for c in range(channels):
                v = arriving[m, i, c]
                if v == 0:
                    continue
                new = old = i * stride
                for j in range(1, kernel):
                    at = i * stride + j * dilation
                    if x[m, at, c] > x[m, new, c]:
                        new = at
                    if ref[m, at, c] > ref[m, old, c]:
                        old = at
                y, yr = x[m, new, c], ref[m, old, c]
                top = max(y, yr)
                shared[new, c] += v * (top - yr)
                plain[new, c] += v
                shared[old, c] += v * (y - top)
        for p in range(rows):
            for c in range(channels):
                d = x[m, p, c] - ref[m, p, c]
                if abs(d) < epsilon:
                    out[m, p, c] += plain[p, c]
                elif shared[p, c] != 0:
                    out[m, p, c] += shared[p, c] / d

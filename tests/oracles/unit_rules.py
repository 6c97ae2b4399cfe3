"""The papers' backward rules unit by unit, in float64 and in loops: RevealCancel, guided, deconv.

A network is a list of layers on a flat vector: ("weights", W (inputs, outputs), bias), ("relu",),
("leaky", slope), ("tanh",), or ("max", rows of indices that are pooled together).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

FUNCTIONS = {
    "relu": lambda x, _: max(x, 0.0),
    "leaky": lambda x, slope: x if x > 0 else slope * x,
    "tanh": lambda x, _: math.tanh(x),
}
SLOPES = {
    "relu": lambda x, _: float(x > 0),
    "leaky": lambda x, slope: 1.0 if x > 0 else slope,
    "tanh": lambda x, _: 1 - math.tanh(x) ** 2,
}
NEAR = 1e-9


def forward(layers: Sequence, x: np.ndarray) -> list[np.ndarray]:
    """What goes into each layer, and what comes out of the last."""
    passed = [x]
    for kind, *rest in layers:
        v = passed[-1]
        if kind == "weights":
            passed.append(v @ rest[0] + rest[1])
        elif kind == "max":
            passed.append(np.array([max(v[j] for j in pool) for pool in rest[0]]))
        else:
            argument = rest[0] if rest else None
            passed.append(np.array([FUNCTIONS[kind](value, argument) for value in v]))
    return passed


def send_to_winner(pools, v, m):
    """All of what a pool has to the first of its largest inputs."""
    down = np.zeros(len(v))
    for k, pool in enumerate(pools):
        down[max(pool, key=lambda j: (v[j], -j))] += m[k]
    return down


def deeplift(layers: Sequence, x: np.ndarray, r: np.ndarray, revealed: set[int]) -> np.ndarray:
    """Multipliers of the first output; the functions at ``revealed`` by RevealCancel.

    Shrikumar 2017: the linear rule (3.5.1), Rescale (3.5.2), RevealCancel (3.5.3); pools as the
    authors' code has them.
    """
    xs, rs = forward(layers, x), forward(layers, r)
    plus = np.zeros(len(xs[-1]))
    plus[0] = 1.0
    minus = plus.copy()
    for i in range(len(layers) - 1, -1, -1):
        kind, *rest = layers[i]
        d = xs[i] - rs[i]
        if kind == "weights":
            m = np.zeros(len(d))
            for j, change in enumerate(d):
                for k, w in enumerate(rest[0][j]):
                    if change == 0:
                        m[j] += 0.5 * w * (plus[k] + minus[k])
                    else:
                        m[j] += w * (plus[k] if w * change > 0 else minus[k])
            plus, minus = m, m.copy()
        elif kind == "max":
            plus, minus = (send_to_winner(rest[0], xs[i], m) for m in (plus, minus))
        else:
            argument = rest[0] if rest else None
            f = lambda value, kind=kind, argument=argument: FUNCTIONS[kind](value, argument)  # noqa: E731
            slope = lambda value, kind=kind, argument=argument: SLOPES[kind](value, argument)  # noqa: E731
            for k, change in enumerate(d):
                if i not in revealed:
                    near = abs(change) < NEAR
                    q = slope(xs[i][k]) if near else (xs[i + 1][k] - rs[i + 1][k]) / change
                    plus[k] *= q
                    minus[k] *= q
                    continue
                _, weight, _ = layers[i - 1]
                terms = [weight[j, k] * (xs[i - 1][j] - rs[i - 1][j]) for j in range(len(weight))]
                p, n = (sum(t for t in terms if sign * t > 0) for sign in (1, -1))
                base = rs[i][k]
                up = ((f(base + p) - f(base)) + (f(base + p + n) - f(base + n))) / 2
                down = ((f(base + n) - f(base)) + (f(base + n + p) - f(base + p))) / 2
                plus[k] *= up / p if p > NEAR else (slope(base) + slope(base + n)) / 2
                minus[k] *= down / n if n < -NEAR else (slope(base) + slope(base + p)) / 2
    return plus


def rectified(layers: Sequence, x: np.ndarray, how: str) -> np.ndarray:
    """What guided backpropagation or a deconvolutional network brings down from the first output.

    Springenberg 2014, figure 1: with R what arrives and f the values that went up, guided passes
    ``R (f > 0) (R > 0)``, deconvolution ``R (R > 0)``.
    """
    xs = forward(layers, x)
    g = np.zeros(len(xs[-1]))
    g[0] = 1.0
    for i in range(len(layers) - 1, -1, -1):
        kind, *rest = layers[i]
        if kind == "weights":
            g = rest[0] @ g
        elif kind == "max":
            g = send_to_winner(rest[0], xs[i], g)
        else:
            assert kind == "relu"
            open_gate = np.array([v > 0 or how == "deconv" for v in xs[i]])
            g = np.array([max(value, 0.0) for value in g]) * open_gate
    return g

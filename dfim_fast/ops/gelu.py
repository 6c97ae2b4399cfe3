"""GELU, exact and in its tanh form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from dfim_fast.ops.base import Array, Elementwise
from dfim_fast.ops.layout import Tensor
from dfim_fast.ops.node import Node
from dfim_fast.ops.registry import Unsupported, reads


@dataclass(frozen=True, eq=False)
class Gelu(Elementwise):
    """y = x * Phi(x), Phi the standard normal distribution function."""

    def value(self, x: Array) -> Array:
        half, root = x.dtype.type(0.5), x.dtype.type(np.sqrt(0.5))
        return half * x * (1 + erf(x * root))

    def slope(self, x: Array) -> Array:
        half, root = x.dtype.type(0.5), x.dtype.type(np.sqrt(0.5))
        density = np.exp(-half * x * x) * x.dtype.type(1 / np.sqrt(2 * np.pi))
        return half * (1 + erf(x * root)) + x * density


@dataclass(frozen=True, eq=False)
class TanhGelu(Elementwise):
    """y = x/2 * (1 + tanh(u)), u = sqrt(2/pi) * (x + 0.044715 x^3)."""

    def _tanh(self, x: Array) -> Array:
        c = x.dtype.type(np.sqrt(2 / np.pi))
        return np.tanh(c * (x + x.dtype.type(0.044715) * x * x * x))

    def value(self, x: Array) -> Array:
        return x.dtype.type(0.5) * x * (1 + self._tanh(x))

    def slope(self, x: Array) -> Array:
        half, c = x.dtype.type(0.5), x.dtype.type(np.sqrt(2 / np.pi))
        t = self._tanh(x)
        inner = c * (1 + x.dtype.type(3 * 0.044715) * x * x)
        return half * (1 + t) + half * x * (1 - t * t) * inner


@reads("Gelu")
def read_gelu(node: Node) -> Tensor:
    """approximate="none" or "tanh"."""
    kind = node.attr("approximate", "none")
    if kind not in ("none", "tanh"):
        raise Unsupported(f"approximate={kind!r} is unknown; export with 'none' or 'tanh'")
    return node.add(Gelu() if kind == "none" else TanhGelu(), node.tensor(0))

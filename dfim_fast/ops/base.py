"""What an operator is: shapes, forward, gradient, Rescale and cone rule of one kind of layer.

Every tensor of the graph is (positions, channels) for one sequence; arrays carry a leading batch
axis: ``(B, L, C)``. ONNX axes orders are resolved at import (see layout.py), so no operator ever
sees a transposed tensor. Formulas are written once in NumPy and keep the dtype they are given:
float64 in the reference backend, float32 where a fast backend has no kernel of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

Array = np.ndarray
Shape = tuple[int, int]  # (positions, channels)


@dataclass(frozen=True)
class Rule:
    """How multipliers are propagated (SEMANTICS: Importance scores).

    Attributes
    ----------
    epsilon : float
        For ``|x - r| < epsilon`` a multiplier is the derivative at x.
    maxpool : {"shap", "deeplift"}
        Which positions share a pooled difference.
    revealed : frozenset of int
        Elementwise nodes that go by RevealCancel; all others by Rescale.
    gates : {"gradient", "guided_backprop", "deconv"}
        What elementwise functions do to a gradient, where nothing is compared with a reference.
    """

    epsilon: float = 1e-6
    maxpool: str = "shap"
    revealed: frozenset[int] = frozenset()
    gates: str = "gradient"

    @property
    def plain(self) -> bool:
        """Whether it is the gradient, or Rescale throughout."""
        return not self.revealed and self.gates == "gradient"


@dataclass(frozen=True, eq=False)
class Operator:
    """Base of all operators.

    ``linear`` operators pass gradients and multipliers the same way whatever the activations, so
    they need only ``gradient``; for the others ``rescale`` says what DeepLIFT's Rescale rule does.
    """

    linear: ClassVar[bool] = False
    squashes: ClassVar[bool] = False  # at an output, its input is scored instead
    in_words: ClassVar[str] = "linear: the gradient"  # what ``rescale`` does, for README's table
    held: ClassVar[bool] = False  # weighs by constants of the sequence: multipliers do not sum up

    @property
    def rowwise(self) -> bool:
        """Whether output row i reads row i of each input, and no other."""
        return False

    def output_shape(self, *inputs: Shape) -> Shape:
        """Shape (L, C) of the output for the input shapes."""
        raise AssertionError(f"{type(self).__name__} has no shape rule")

    def forward(self, xs: Sequence[Array]) -> Array:
        """Output (B, L', C') for the inputs (B, L, C)."""
        raise AssertionError(f"{type(self).__name__} has no forward rule")

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        """Gradient at every input, given the gradient g at the output."""
        raise AssertionError(f"{type(self).__name__} has no gradient rule")

    def rescale(
        self,
        m: Array,
        xs: Sequence[Array],
        rs: Sequence[Array],
        y: Array,
        yr: Array,
        rule: Rule,
    ) -> list[Array]:
        """Multipliers at every input, given multipliers m at the output, for x against r."""
        if not self.linear:
            raise AssertionError(f"{type(self).__name__} has no Rescale rule")
        return self.gradient(m, xs, y)

    def absolute(self) -> Operator:
        """Of a linear operator: the same with the absolute values of its weights, no constants.

        RevealCancel needs it: what positive and negative contributions add up to apart. Operators
        that only move, repeat, sum or average their input are their own.
        """
        if not self.linear:
            raise AssertionError(f"{type(self).__name__} has no weights")
        return self

    def spread(self, masks: Sequence[Array]) -> Array:
        """Cone rule, forward: output rows (S, L') that read a changed input row (S, L)."""
        return np.logical_or.reduce(np.broadcast_arrays(*masks))

    def collect(self, mask: Array, lengths: Sequence[int]) -> list[Array]:
        """Cone rule, backward: input rows (S, L) whose gradient reads a changed output row."""
        folded = np.asarray(mask.any(1, keepdims=True))
        return [mask if n == mask.shape[1] else folded for n in lengths]

    def multiply_adds(self, *inputs: Shape) -> int:
        """Counted multiply-adds of one forward pass of one sequence (backward costs the same)."""
        return 0

    def astype(self, dtype: type) -> Self:
        """The same operator with its constants in another precision."""
        changed: dict[str, Any] = {
            f.name: v.astype(dtype)
            for f in dataclasses.fields(self)
            if isinstance(v := getattr(self, f.name), np.ndarray) and v.dtype.kind == "f"
        }
        return dataclasses.replace(self, **changed) if changed else self

    def describe(self) -> str:
        """Short text for ``info`` and ``print(model)``."""
        return type(self).__name__


@dataclass(frozen=True, eq=False)
class Elementwise(Operator):
    """y = f(x) for every element on its own. Subclasses give ``value`` and ``slope``."""

    piecewise_linear: ClassVar[bool] = False  # ReLU-like: one kink, at zero
    in_words: ClassVar[str] = "(f(x) - f(r)) / (x - r)"

    def value(self, x: Array) -> Array:
        """f(x)."""
        raise AssertionError(f"{type(self).__name__} has no formula")

    def slope(self, x: Array) -> Array:
        """f'(x); the field's convention at kinks."""
        raise AssertionError(f"{type(self).__name__} has no derivative")

    @property
    def rowwise(self) -> bool:
        return True

    def output_shape(self, *inputs: Shape) -> Shape:
        return inputs[0]

    def forward(self, xs: Sequence[Array]) -> Array:
        return self.value(xs[0])

    def gradient(self, g: Array, xs: Sequence[Array], y: Array) -> list[Array]:
        return [g * self.slope(xs[0])]

    def rescale(
        self,
        m: Array,
        xs: Sequence[Array],
        rs: Sequence[Array],
        y: Array,
        yr: Array,
        rule: Rule,
    ) -> list[Array]:
        return [m * self.quotient(xs[0], rs[0], rule.epsilon).astype(m.dtype, copy=False)]

    def guided_backprop(self, g: Array, x: Array) -> Array:
        """What guided backpropagation passes down (Springenberg 2014): ``max(g, 0) f'(x)``."""
        return np.maximum(g, 0) * self.slope(x)

    def deconv(self, g: Array, x: Array) -> Array:
        """What a deconvolutional network passes down (Zeiler 2013), whatever x is.

        A piecewise linear f is itself applied to the gradient, others count as ReLUs.
        """
        return self.value(g) if self.piecewise_linear else np.maximum(g, 0)

    def reveal(self, x: Array, r: Array, p: Array, n: Array, epsilon: float) -> tuple[Array, Array]:
        """RevealCancel (Shrikumar 2017, section 3.5.3): ``y+ / p`` and ``y- / n``.

        With p and n what the positive and the negative contributions add to r, x = r + p + n,
        ``y+ = ((f(r + p) - f(r)) + (f(r + p + n) - f(r + n))) / 2``, and y- with p and n exchanged:
        two quotients of differences over p, and two over n.
        """
        up, down = r + p, r + n
        return (
            (self.quotient(up, r, epsilon) + self.quotient(x, down, epsilon)) / 2,
            (self.quotient(down, r, epsilon) + self.quotient(x, up, epsilon)) / 2,
        )

    def quotient(self, x: Array, r: Array, epsilon: float) -> Array:
        """(f(x) - f(r)) / (x - r); the derivative at x where the two are closer than epsilon.

        In float32 the difference of two near values would lose all its digits long before epsilon:
        smooth functions are evaluated in float64, and on one side of a kink the quotient is the
        slope.
        """
        if not self.piecewise_linear:
            x, r = x.astype(np.float64, copy=False), r.astype(np.float64, copy=False)
        d = x - r
        near = np.abs(d) < epsilon
        if self.piecewise_linear:
            near |= (x > 0) == (r > 0)
        q = (self.value(x) - self.value(r)) / np.where(near, np.ones_like(d), d)
        return np.where(near, self.slope(x), q)


@dataclass(frozen=True, eq=False)
class Joint(Operator):
    """Base of operators on several inputs, entry by entry, broadcast over axes of size one."""

    @property
    def rowwise(self) -> bool:
        return True

    def output_shape(self, *inputs: Shape) -> Shape:
        rows, channels = np.broadcast_shapes(*inputs)
        return rows, channels

    def multiply_adds(self, *inputs: Shape) -> int:
        rows, channels = self.output_shape(*inputs)
        return rows * channels * (len(inputs) - 1)


def unbroadcast(g: Array, shape: Shape) -> Array:
    """Sum a gradient (B, L', C') over the axes along which an input (B, L, C) was repeated."""
    for axis in (1, 2):
        if shape[axis - 1] == 1 and g.shape[axis] != 1:
            g = g.sum(axis=axis, keepdims=True)
    return g

"""Where the axes of an ONNX tensor went.

Inside the package a tensor is always (positions L, channels C). ONNX graphs transpose, reshape,
squeeze and flatten; none of that computes anything. Each imported tensor therefore remembers, for
every ONNX axis, which of the factors N (batch), L and C it holds, outermost first: ``"C"``,
``"LC"`` (positions and channels flattened, channel fastest), ``""`` (an axis of size one). A
transpose is a permutation of these words, a reshape regroups their letters, and constants are
turned into (L, C) arrays once, at import.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from dfim_fast.ops.base import Array, Shape
from dfim_fast.ops.registry import Unsupported

Axes = tuple[str, ...]


@dataclass(frozen=True)
class Tensor:
    """A value that depends on the sequence.

    Attributes
    ----------
    node : int
        Index of the graph node that computes it.
    shape : (int, int)
        Its (L, C).
    axes : tuple of str
        What each ONNX axis holds.
    batch : int
        Size of the batch axis while importing (a stand-in when the model leaves it open).
    """

    node: int
    shape: Shape
    axes: Axes
    batch: int

    def size(self, factors: str) -> int:
        """Number of entries along an axis that holds these factors."""
        sizes = {"N": self.batch, "L": self.shape[0], "C": self.shape[1]}
        return prod(sizes[f] for f in factors)

    @property
    def dims(self) -> tuple[int, ...]:
        """The ONNX shape."""
        return tuple(self.size(a) for a in self.axes)

    def with_axes(self, axes: Axes) -> Tensor:
        """The same values under other ONNX axes."""
        return Tensor(self.node, self.shape, axes, self.batch)

    def axis(self, index: int) -> int:
        """A possibly negative ONNX axis as a number from 0."""
        rank = len(self.axes)
        if not -rank <= index < rank:
            raise Unsupported(f"axis {index} does not exist in a tensor of rank {rank}")
        return index % rank

    def describe(self) -> str:
        """The axes and sizes, for messages."""
        return "(" + ", ".join(f"{a or '1'}={self.size(a)}" for a in self.axes) + ")"


def transpose(t: Tensor, perm: list[int] | None) -> Tensor:
    """Permute the ONNX axes."""
    order = list(range(len(t.axes)))[::-1] if perm is None else [t.axis(p) for p in perm]
    return t.with_axes(tuple(t.axes[p] for p in order))


def squeeze(t: Tensor, axes: list[int] | None) -> Tensor:
    """Drop axes of size one."""
    gone = (
        {i for i, d in enumerate(t.dims) if d == 1} if axes is None else {t.axis(a) for a in axes}
    )
    for i in gone:
        if t.dims[i] != 1:
            raise Unsupported(f"squeezes axis {i} of {t.describe()}, whose size is not 1")
    return t.with_axes(tuple(a for i, a in enumerate(t.axes) if i not in gone))


def unsqueeze(t: Tensor, axes: list[int]) -> Tensor:
    """Insert axes of size one."""
    rank = len(t.axes) + len(axes)
    new = {a % rank for a in axes}
    rest = iter(t.axes)
    return t.with_axes(tuple("" if i in new else next(rest) for i in range(rank)))


def reshape(t: Tensor, target: list[int], allow_zero: bool = False) -> Tensor:
    """Regroup the factors; refuse a reshape that would split one."""
    dims = list(target)
    if not allow_zero:
        dims = [t.dims[i] if d == 0 and i < len(t.dims) else d for i, d in enumerate(dims)]
    total = prod(t.dims)
    if dims.count(-1) == 1:
        rest = prod(d for d in dims if d != -1)
        if rest == 0 or total % rest:
            raise Unsupported(f"cannot reshape {t.describe()} to {target}")
        dims[dims.index(-1)] = total // rest
    if prod(dims) != total:
        raise Unsupported(f"cannot reshape {t.describe()} to {target}")
    factors = [f for f in "".join(t.axes) if f == "N" or t.size(f) != 1]
    if t.batch == 1 and factors[:1] == ["N"] and dims[:1] != [1]:
        factors = factors[1:]  # a batch fixed at one may vanish
    axes: list[str] = []
    for d in dims:
        group, size = "", 1
        if d == 1 and factors[:1] == ["N"] and t.batch == 1:
            group = factors.pop(0)
        while size < d and factors:
            group += factors[0]
            size *= t.size(factors.pop(0))
        if size != d:
            raise Unsupported(
                f"reshapes {t.describe()} to {dims}, which splits or mixes axes; only merging "
                "whole axes and splitting them again is supported"
            )
        axes.append(group)
    return t.with_axes(tuple(axes))


def growing(t: Tensor, index: int) -> tuple[str, Axes]:
    """Which factor, L or C, an ONNX axis holds or may hold, and the axes once it does.

    An axis of size one that is to become longer takes a factor that no other axis needs.
    """
    elsewhere = {f for i, a in enumerate(t.axes) if i != index for f in a if t.size(f) > 1}
    free = [f for f in "CL" if f not in elsewhere]
    letter = "".join(f for f in t.axes[index] if t.size(f) > 1) or (free or ["N"])[0]
    if letter not in ("L", "C"):
        raise Unsupported(f"changes the size of axis {index} of {t.describe()}")
    axes = (letter if i == index else a.replace(letter, "") for i, a in enumerate(t.axes))
    return letter, tuple(axes)


def align_constant(t: Tensor, value: Array) -> tuple[Array, Axes]:
    """A constant that is combined with t, as a (L|1, C|1) array.

    Returns
    -------
    array : ndarray (L or 1, C or 1), float64
        May be larger than t where t has size one: the result then grows.
    axes : tuple of str
        ONNX axes of the result.
    """
    value = np.asarray(value, np.float64)
    rank = max(value.ndim, len(t.axes))
    axes = ("",) * (rank - len(t.axes)) + t.axes
    value = value.reshape((1,) * (rank - value.ndim) + value.shape)
    sizes = {"N": t.batch, "L": t.shape[0], "C": t.shape[1]}
    held = set("".join(axes))
    new_axes, letters, split = list(axes), "", []
    for i, factors in enumerate(axes):
        n = value.shape[i]
        if n == 1:
            letters += factors
            split += [1] * len(factors)
        elif t.size(factors) == n:
            letters += factors
            split += [sizes[f] for f in factors]
        elif t.size(factors) == 1:
            # the tensor is repeated along this axis, which becomes channels, or else positions
            free = factors.replace("N", "") or next((f for f in "CL" if f not in held), "")
            if not free:
                raise Unsupported(f"a constant of shape {value.shape} does not fit {t.describe()}")
            held.add(free)
            new_axes[i], letters, split = free[0], letters + free[0], [*split, n]
        else:
            raise Unsupported(f"a constant of shape {value.shape} does not fit {t.describe()}")
    # ``letters`` may miss factors the constant does not vary along; give those size one
    value = value.reshape(split)
    for f in "NLC":
        if f not in letters:
            letters, value = letters + f, value[..., None]
    value = value.transpose([letters.index(f) for f in "NLC"])
    if value.shape[0] != 1:
        if (value != value[:1]).any():
            raise Unsupported("a constant differs between the sequences of a batch")
        value = value[:1]
    return value[0], tuple(new_axes)

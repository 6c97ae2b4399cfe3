"""DeepLIFT's RevealCancel rule, at the nodes where the plan wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dfim_fast.graph.graph import Task
from dfim_fast.ops.base import Array, Rule
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense

if TYPE_CHECKING:
    from dfim_fast.backends.passes import Acts, Passes


class RevealCancel:
    """DeepLIFT multipliers that keep positive and negative contributions apart (Shrikumar 2017).

    A difference from the reference is d = p + n, a positive and a negative part, with multipliers
    m+ and m-. They are carried as d and s = p - n, and as a = (m+ + m-) / 2 and b = (m+ - m-) / 2:
    then a linear layer with weights w passes a by w and b by |w|, and s = |w| |d| (the paper's
    linear rule: a contribution's sign is that of w d). Where nothing is kept apart any more, b goes
    to the sign of d: the multiplier is ``a + sign(d) b``, and at d = 0 the mean of the two.

    Parameters
    ----------
    passes : Passes
    acts, reference : dict of ndarray (B, L, C) and (1, L, C)
    rule : Rule
        Its ``revealed`` nodes go by RevealCancel, all others by Rescale.
    """

    def __init__(self, passes: Passes, acts: Acts, reference: Acts, rule: Rule) -> None:
        self.passes, self.acts, self.reference, self.rule = passes, acts, reference, rule
        self.nodes = passes.graph.nodes
        self._factors: dict[int, tuple[Array, Array]] = {}

    def difference(self, i: int) -> Array:
        """d of a node."""
        return self.acts[i] - self.reference[i]

    def parts(self, i: int) -> tuple[Array, Array]:
        """p and n of a node."""
        d, s = self.difference(i), self.apart(i)
        return (d + s) / 2, (d - s) / 2

    def apart(self, i: int) -> Array:
        """p - n of a node, which is never less than |d| for a rising function."""
        node = self.nodes[i]
        if i in self.rule.revealed:
            (p, n), (up, down) = self.parts(node.inputs[0]), self.factors(i)
            return p * up - n * down
        if i == 0 or not node.op.linear:
            return np.abs(self.difference(i))
        weighs = isinstance(node.op, (Conv, Dense))  # others hand on the parts they are given
        below = [np.abs(self.difference(j)) if weighs else self.apart(j) for j in node.inputs]
        return self.passes.rule(self.passes.absolute(i), "forward")(below)

    def factors(self, i: int) -> tuple[Array, Array]:
        """What m+ and m- are multiplied with at a revealed node."""
        if i not in self._factors:
            j = self.nodes[i].inputs[0]
            up, down = self.nodes[i].op.reveal(  # type: ignore[attr-defined]
                self.acts[j], self.reference[j], *self.parts(j), self.rule.epsilon
            )
            dtype = self.acts[j].dtype
            self._factors[i] = up.astype(dtype, copy=False), down.astype(dtype, copy=False)
        return self._factors[i]

    def multipliers(self, task: Task) -> Array:
        """Multipliers (B, L, 4) of one task."""
        seed = np.zeros_like(self.acts[task.node])
        seed[:, task.position, task.channel] = 1
        means: Acts = {task.node: seed}
        halves: Acts = {}  # b, where it is not zero
        for i in reversed(self.passes.below[task.node]):
            if i:
                a, b = means.pop(i), halves.pop(i, None)
                for j, (mean, half) in zip(self.nodes[i].inputs, self.down(i, a, b), strict=True):
                    means[j] = means[j] + mean if j in means else mean
                    if half is not None:
                        halves[j] = halves[j] + half if j in halves else half
        return self.joined(0, means[0], halves.get(0))

    def joined(self, i: int, a: Array, b: Array | None) -> Array:
        """One multiplier for a node's whole difference."""
        return a if b is None else a + np.sign(self.difference(i)) * b

    def down(self, i: int, a: Array, b: Array | None) -> list[tuple[Array, Array | None]]:
        """a and b at every input of a node."""
        node, rule = self.nodes[i], self.passes.rule
        xs = [self.acts[j] for j in node.inputs]
        if i in self.rule.revealed:
            up, down = self.factors(i)
            plus, minus = (a, a) if b is None else (a + b, a - b)
            plus, minus = plus * up, minus * down
            return [((plus + minus) / 2, (plus - minus) / 2)]
        if not node.op.linear:
            m, rs = self.joined(i, a, b), [self.reference[j] for j in node.inputs]
            arriving = rule(node.op, "rescale")(
                m, xs, rs, self.acts[i], self.reference[i], self.rule
            )
            return [(m, None) for m in arriving]
        means = rule(node.op, "gradient")(a, xs, self.acts[i])
        if b is None:
            return [(m, None) for m in means]
        halves = rule(self.passes.absolute(i), "gradient")(b, xs, self.acts[i])
        if isinstance(node.op, (Conv, Dense)):
            return [(self.joined(node.inputs[0], means[0], halves[0]), None)]
        return list(zip(means, halves, strict=True))

"""Functions of one tensor that exporters spell out in several nodes, put together again.

x * Sigmoid(x) is SiLU, x / 2 * (1 + Erf(x / sqrt(2))) is GELU, and Softplus is a Where between x
and log(1 + exp(x)). Wherever branches that are computed from one tensor entry by entry come
together again, they are one function of it, and DeepLIFT's Rescale rule is meant for that function,
not for the products inside. Which function it is, is found out by its values, not by its spelling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import logit

from dfim_fast.graph.graph import Graph, GraphNode
from dfim_fast.ops.absolute import Abs
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Elementwise, Joint, Operator
from dfim_fast.ops.composite import Composite
from dfim_fast.ops.elu import Elu
from dfim_fast.ops.gelu import Gelu, TanhGelu
from dfim_fast.ops.hard_sigmoid import HardSwish
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.mish import Mish
from dfim_fast.ops.power import Power
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.silu import Silu
from dfim_fast.ops.softplus import Softplus

# Where two functions are compared, and how closely: exporters write constants such as sqrt(2) in
# float32, and PyTorch's Softplus leaves out 2e-9 above its threshold.
PROBE = np.linspace(-30, 30, 2001)[None, :, None]
CLOSE = 1e-6

# Each makes the one member of its family that f can be.
FAMILIES: tuple[Callable[[Callable[[float], float]], Elementwise], ...] = (
    lambda f: Relu(),
    lambda f: LeakyRelu(np.full((1, 1), -f(-1))),
    lambda f: Abs(),
    lambda f: Power(2.0),
    lambda f: Power(3.0),
    lambda f: Silu(float(logit(f(1)))),
    lambda f: Gelu(),
    lambda f: TanhGelu(),
    lambda f: Softplus(float(np.log(2) / f(0))),
    lambda f: Mish(),
    lambda f: HardSwish(),
    lambda f: Elu(-f(-30)),
)


def name(functions: Sequence[Operator]) -> Elementwise | None:
    """The known function that some elementwise operators, one after the other, compute."""

    def value(x: np.ndarray) -> np.ndarray:
        for op in functions:
            x = op.forward([x])
        return x

    def at(x: float) -> float:
        return float(value(np.full((1, 1, 1), float(x))).item())

    with np.errstate(all="ignore"):  # a branch that Where does not take may be anything
        wanted = value(PROBE)
        if wanted.shape != PROBE.shape or not np.isfinite(wanted).all():
            return None
        for make in FAMILIES:
            known = make(at)
            off = np.abs(known.value(PROBE) - wanted)
            if (off <= CLOSE * np.maximum(1, np.abs(wanted))).all():
                return known
    return None


def same_at_all_positions(graph: Graph, node: GraphNode) -> bool:
    """Whether a node computes each entry from one entry, in the same way at all positions."""
    constants = [v for v in vars(node.op).values() if isinstance(v, np.ndarray)]
    return (
        isinstance(node.op, (Elementwise, Affine))
        and node.shape == graph.nodes[node.inputs[0]].shape
        and all(v.shape[0] == 1 for v in constants)
    )


def put_together(graph: Graph) -> Graph:
    """Replace joins of branches that start from one tensor by one function of that tensor.

    Sums are left alone where nothing but sums joins: each summand keeps its own rule, and the sum
    of quotients is the quotient of the sum.
    """
    nodes = list(graph.nodes)
    made: dict[int, tuple[int, Operator]] = {}  # node -> what it is a function of, and which

    def path(i: int, root: int) -> tuple[Operator, ...]:
        found: list[Operator] = []
        while i != root:
            i, op = made[i]
            found.append(op)
        return tuple(found[::-1])

    def origins(i: int) -> list[int]:
        found = [i]
        while found[-1] in made:
            found.append(made[found[-1]][0])
        return found

    for i, node in enumerate(nodes):
        if not node.inputs:
            continue
        if same_at_all_positions(graph, node):
            root, op = node.inputs[0], node.op
            inner = made.get(root, (root, None))
            if isinstance(node.op, Affine) and isinstance(inner[1], Composite):
                known = name((inner[1], node.op))  # a factor may stand behind the join
                if known is not None:
                    root, op = inner[0], known
                    nodes[i] = dataclasses.replace(node, op=op, inputs=(root,))
            made[i] = root, op
        elif isinstance(node.op, Joint):
            lines = [origins(j) for j in node.inputs]
            common = [j for j in lines[0] if all(j in line for line in lines)]
            if not common or graph.nodes[common[0]].shape != node.shape:
                continue
            root = common[0]
            whole: Operator = Composite(node.op, tuple(path(j, root) for j in node.inputs))
            if not isinstance(node.op, Add):
                whole = name((whole,)) or whole
                nodes[i] = dataclasses.replace(node, op=whole, inputs=(root,))
            made[i] = root, whole
    return Graph(tuple(nodes), graph.tasks)

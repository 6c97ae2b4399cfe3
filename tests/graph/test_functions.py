"""Functions that exporters take apart: which are put together again, which are left alone."""

import numpy as np
import pytest
from ops.operator_cases import CASES, build, ints, node, values

from dfim_fast.backends.passes import Passes
from dfim_fast.graph.functions import name
from dfim_fast.graph.graph import Graph
from dfim_fast.graph.heads import Head
from dfim_fast.graph.reader import read_graph
from dfim_fast.ops.add import Add
from dfim_fast.ops.affine import Affine
from dfim_fast.ops.base import Rule
from dfim_fast.ops.composite import Composite
from dfim_fast.ops.exp import Exp
from dfim_fast.ops.gelu import Gelu, TanhGelu
from dfim_fast.ops.mish import Mish
from dfim_fast.ops.multiply import Multiply
from dfim_fast.ops.silu import Silu
from dfim_fast.ops.softplus import Softplus
from dfim_fast.ops.step import Step
from dfim_fast.ops.where import Where


def layers(graph: Graph) -> list[str]:
    """The operators in order, the input left out."""
    return [n.op.describe() for n in graph.nodes[1:]]


def read(*nodes, outputs=("y",), **constants) -> Graph:
    """A graph on 9 positions, scored as it is."""
    return read_graph(
        build(list(nodes), constants, ["N", 4, 9], outputs=outputs), "m", Head("output")
    )


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        ("Mul-silu", "Silu"),
        ("Mul-quick_gelu", "Silu"),
        ("Mul-gelu_half_first", "Gelu"),
        ("Mul-gelu_half_last", "Gelu"),
        ("Mul-gelu_tanh", "TanhGelu"),
        ("Mul-gelu_tanh_products", "TanhGelu"),
        ("Mul-mish", "Mish"),
        ("Where-softplus", "Softplus"),
        ("Where-softplus_beta", "Softplus"),
        ("Div-hard_swish", "HardSwish"),
        ("Where-leaky_relu", "LeakyRelu"),
        ("Max-relu", "Relu"),
        ("Max-absolute", "LeakyRelu"),
        ("Clip-relu", "Relu"),
        ("Mul-unknown", "Multiply of Add, Sigmoid"),
        ("Where-own_threshold", "Where of Step, Power"),
        ("Where-constant_branch", "Where of Step, Affine"),
    ],
)
def test_one_function(case, wanted):
    graph = read_graph(CASES[case].model(7), case, Head("output"))
    (found,) = layers(graph)
    assert found.startswith(wanted)


@pytest.mark.parametrize("beta", [1.702, -0.7, 0.01])
def test_parameters_are_found_out(beta):
    scaled = (Affine(np.full((1, 1), beta), np.zeros((1, 1))),)
    found = name((Composite(Multiply(), ((), (*scaled, Silu().astype(np.float64)))),))
    assert found is None
    sigmoid = read(
        node("Mul", "x b", "u"),
        node("Sigmoid", "u", "s"),
        node("Mul", "x s", "y"),
        b=np.float32(beta),
    )
    (op,) = (n.op for n in sigmoid.nodes[1:])
    assert isinstance(op, Silu)
    np.testing.assert_allclose(op.alpha, np.float32(beta), rtol=1e-12)


def test_functions_of_functions_stay_apart():
    graph = read(
        node("Sigmoid", "x", "s"),
        node("Mul", "x s", "a"),
        node("Sigmoid", "a", "t"),
        node("Mul", "t a", "y"),
    )
    assert layers(graph) == ["Silu", "Silu"]


def test_what_something_else_reads_or_scores_is_kept_beside():
    graph = read(
        node("Sigmoid", "x", "s"),
        node("Mul", "x s", "m"),
        node("Add", "m s", "y"),
        outputs=("y", "s"),
    )
    assert layers(graph) == ["Sigmoid", "Silu", "Add"]


def test_sums_of_branches_keep_the_rules_of_their_summands():
    """Also what event walks can do with a ReLU."""
    graph = read(node("Relu", "x", "r"), node("Add", "x r", "y"))
    assert layers(graph) == ["Relu", "Add"]


def test_branches_with_weights_between_are_a_product():
    graph = read(
        node("Conv", "x k", "c"),
        node("Sigmoid", "c", "s"),
        node("Mul", "x s", "y"),
        k=values(4, 4, 1),
    )
    assert layers(graph) == ["Conv 4 x 1", "Sigmoid", "Multiply"]


def test_branches_with_numbers_for_each_position_are_a_product():
    graph = read(
        node("Mul", "x p", "u"), node("Sigmoid", "u", "s"), node("Mul", "x s", "y"), p=values(9)
    )
    assert layers(graph) == ["Affine", "Sigmoid", "Multiply"]


def test_numbers_for_each_channel_make_a_function_without_a_name():
    graph = read(
        node("Mul", "x p", "u"), node("Sigmoid", "u", "s"), node("Mul", "x s", "y"), p=values(4, 1)
    )
    assert layers(graph) == ["Multiply of Affine, Sigmoid"]


@pytest.mark.parametrize(
    "known", [Silu(), Silu(1.7), Gelu(), TanhGelu(), Mish(), Softplus(), Softplus(2.0)], ids=repr
)
def test_near_misses_have_no_name(known):
    """A function that is off by a part in ten thousand is another function."""
    assert name((known,)) is not None
    off = Affine(np.full((1, 1), 1.0001), np.zeros((1, 1)))
    assert name((known, off)) is None


def test_rescale_takes_the_quotient_of_the_whole():
    """(f(x) - f(r)) / (x - r), and not what the product's rule would share out."""
    nodes = [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")]
    whole = read(*nodes)
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(2, 1, 9, 4))
    passes = Passes(whole, (3,))
    acts, against = passes.forward(x), passes.forward(r)
    task = passes.tasks[0]
    found = passes.multipliers(task, acts, against, Rule())[0]
    place = (task.position, task.channel)
    a, b = x[0][place], r[0][place]
    silu = lambda v: v / (1 + np.exp(-v))  # noqa: E731
    np.testing.assert_allclose(found[place], (silu(a) - silu(b)) / (a - b), rtol=1e-12)
    assert np.count_nonzero(found) == 1


def test_a_branch_that_is_not_taken_may_overflow():
    op = Composite(
        Where(),
        ((Step("Greater", np.ones((1, 1))),), (), (Exp(),)),
    )
    x = np.array([[[1000.0], [0.5]]])
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_allclose(op.value(x)[0, :, 0], [1000, np.exp(0.5)])
        np.testing.assert_allclose(op.slope(x)[0, :, 0], [1, np.exp(0.5)])


def test_a_composite_within_a_composite():
    """x * (x + tanh(x)): the sum is no node of its own afterwards."""
    graph = read(node("Tanh", "x", "t"), node("Add", "x t", "a"), node("Mul", "a x", "y"))
    (op,) = (n.op for n in graph.nodes[1:])
    assert isinstance(op, Composite)
    assert isinstance(op.paths[0][0], Composite) and isinstance(op.paths[0][0].join, Add)
    x = np.linspace(-2, 2, 9).reshape(1, 9, 1)
    np.testing.assert_allclose(op.value(x), x * (x + np.tanh(x)))
    np.testing.assert_allclose(op.slope(x), 2 * x + np.tanh(x) + x * (1 - np.tanh(x) ** 2))
    low = op.astype(np.float32)
    assert low.value(x.astype(np.float32)).dtype == np.float32


def test_padding_becomes_part_of_the_layer_that_sums():
    graph = read(
        node("Pad", "x p", "a"),
        node("Conv", "a k", "b", pads=[1, 0]),
        node("Pad", "b p", "c"),
        node("MaxPool", "c", "y", kernel_shape=[2]),
        p=ints(0, 0, 2, 0, 0, 1),
        k=values(3, 4, 4),
    )
    # a maximum would take a padded zero for a value, so that padding stays
    assert layers(graph) == ["Conv 3 x 4", "Pad", "MaxPool 2 stride 1"]
    assert graph.nodes[1].op.window.pad == 3

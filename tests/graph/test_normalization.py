"""Normalisation and softmax: in parts or as a whole, one function with one set of rules."""

import numpy as np
import pytest
from ops.operator_cases import CASES, build, ints, node, values

from dfim_fast.backends.passes import Passes
from dfim_fast.graph import simplify
from dfim_fast.graph.graph import Graph
from dfim_fast.graph.heads import Head
from dfim_fast.graph.reader import read_graph
from dfim_fast.ops.base import Rule

CONSTANTS = {
    "first": ints(1),
    "last": ints(-1),
    "both": ints(1, 2),
    "two": np.float32(2),
    "eps": np.float32(1e-3),
    "minus": np.float32(-0.5),
    "g": values(4, low=0.5, high=2.0),
    "b": values(4, seed=1),
    "t": values(4, 1),
}


def read(*lines: str, layout=("N", 9, 4), **attributes) -> Graph:
    """A graph from lines "Op in1 in2 -> out"; attributes of the nodes by their output's name."""
    nodes = []
    for line in lines:
        left, output = line.split(" -> ")
        op_type, *inputs = left.split()
        nodes.append(node(op_type, " ".join(inputs), output, **attributes.get(output, {})))
    return read_graph(build(nodes, CONSTANTS, list(layout)), "m", Head("output"))


def layers(graph: Graph) -> list[str]:
    """The operators in order, the input left out."""
    return [n.op.describe() for n in graph.nodes[1:]]


def multipliers(graph: Graph, x: np.ndarray, r: np.ndarray) -> list[np.ndarray]:
    """Of every seventh task, x and r (B, L, 4)."""
    passes = Passes(graph, tuple(range(0, len(graph.tasks), 7)))
    acts, against = passes.forward(x), passes.forward(r)
    return [passes.multipliers(task, acts, against, Rule()) for task in passes.tasks]


CENTRED = ("ReduceMean x last -> m", "Sub x m -> d")
ROOT = ("ReduceMean q last -> v", "Add v eps -> s", "Sqrt s -> r", "Div d r -> n")
SPELLINGS = {
    "power": (*CENTRED, "Pow d two -> q", *ROOT),
    "product": (*CENTRED, "Mul d d -> q", *ROOT),
    "twice": (*CENTRED, "Sub x m -> e", "Pow e two -> q", *ROOT),
    "reciprocal": (*CENTRED, "Pow d two -> q", *ROOT[:3], "Reciprocal r -> i", "Mul i d -> n"),
    "inverse_power": (*CENTRED, "Pow d two -> q", *ROOT[:2], "Pow s minus -> i", "Mul d i -> n"),
}
SCALED = ("Mul n g -> k", "Add k b -> y")


@pytest.mark.parametrize("name", SPELLINGS)
def test_layer_norm_is_put_together(name):
    graph = read(*SPELLINGS[name], *SCALED)
    assert layers(graph) == ["Normalize channels", "Affine"]
    assert graph.nodes[1].op.epsilon == np.float32(1e-3)


@pytest.mark.parametrize(
    ("axes", "layout", "wanted"),
    [("last", ("N", 4, 9), "positions"), ("both", ("N", 9, 4), "positions and channels")],
)
def test_other_axes(axes, layout, wanted):
    lines = [line.replace("last", axes) for line in SPELLINGS["power"]]
    lines[-1] = lines[-1].replace("-> n", "-> y")
    assert layers(read(*lines, layout=layout)) == [f"Normalize {wanted}"]


def test_a_norm_of_what_is_a_mean_itself():
    """Over the channels of a mean over positions, as networks end."""
    lines = [
        "ReduceMean z first -> x2",
        *(line.replace(" x ", " x2 ") for line in SPELLINGS["power"]),
    ]
    lines = ["Relu x -> z", *lines, "Relu n -> y"]
    wanted = ["Relu", "AveragePool 9 stride 9", "Normalize channels", "Relu"]
    assert layers(read(*lines)) == wanted


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Div d r", "Div x r"),  # not centred
        ("Sub x m", "Add x m"),
        ("Pow d two", "Pow x two"),  # the mean of the squares is no variance
        ("ReduceMean q last", "ReduceMean q both"),
        ("ReduceMean q last", "ReduceSum q last"),
        ("Add v eps", "Mul v eps"),
    ],
)
def test_what_is_no_normalisation_stays_in_parts(old, new):
    lines = [line.replace(old, new) for line in SPELLINGS["power"]]
    lines[-1] = lines[-1].replace("-> n", "-> y")
    assert "Normalize" not in " ".join(layers(read(*lines)))


def test_rescale_of_the_whole_is_that_of_the_parts(monkeypatch):
    rng = np.random.default_rng(0)
    x, r = rng.normal(size=(2, 3, 9, 4))
    whole = read(*SPELLINGS["power"], *SCALED)
    monkeypatch.setattr(simplify, "normalize_again", lambda graph: graph)
    parts = read(*SPELLINGS["power"], *SCALED)
    assert len(parts.nodes) > len(whole.nodes) + 4
    for a, b in zip(multipliers(whole, x, r), multipliers(parts, x, r), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize("axis", ["last", "first"])
@pytest.mark.parametrize("log", [False, True])
def test_rescale_of_softmax_is_that_of_its_parts(axis, log):
    """x - log(sum(exp(x))), and exp of that."""
    rng = np.random.default_rng(1)
    x, r = rng.normal(size=(2, 3, 9, 4))
    op = "LogSoftmax" if log else "Softmax"
    whole = read(f"{op} x -> y", y={"axis": int(CONSTANTS[axis][0])})
    end = ("Sub x l -> y",) if log else ("Sub x l -> z", "Exp z -> y")
    parts = read("Exp x -> e", f"ReduceSum e {axis} -> s", "Log s -> l", *end)
    assert "Softmax" not in " ".join(layers(parts))
    for a, b in zip(multipliers(whole, x, r), multipliers(parts, x, r), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize("name", ["Softmax-channels", "Softmax-positions", "LogSoftmax-channels"])
def test_softmax_of_logits_that_all_rise_has_the_gradient(name):
    graph = read_graph(CASES[name].model(7), name, Head("output"))
    op = graph.nodes[1].op
    rng = np.random.default_rng(2)
    x, m = rng.normal(size=(2, 1, 7, 4))
    y = op.forward([x])
    (found,) = op.rescale(m, [x + 6], [x], y, y, Rule())
    np.testing.assert_allclose(found, op.gradient(m, [x], y)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["Softmax-channels", "Softmax-positions", "LogSoftmax-channels"])
@pytest.mark.parametrize("far", [True, False])
def test_softmax_multipliers_do_not_overflow_or_cancel(name, far):
    """Logits hundreds apart, and x almost r, in float32."""
    graph = read_graph(CASES[name].model(2), name, Head("output"))
    op = graph.nodes[1].op
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(1, 2, 4)) * (100 if far else 1)).astype(np.float32)
    r = x + (200 if far else 1e-5) * rng.normal(size=x.shape).astype(np.float32)
    m = rng.normal(size=x.shape).astype(np.float32)
    wide = [a.astype(np.float64) for a in (m, x, r)]
    y, yr = op.forward([wide[1]]), op.forward([wide[2]])
    (wanted,) = op.rescale(wide[0], [wide[1]], [wide[2]], y, yr, Rule())
    (found,) = op.rescale(m, [x], [r], y.astype(np.float32), yr.astype(np.float32), Rule())
    assert np.abs(wanted).max() < 10
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize("near", [1e-3, 1e-5, 1e-7])
def test_layer_norm_multipliers_keep_their_digits_in_float32(near):
    op = read(*SPELLINGS["power"], *SCALED).nodes[1].op
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 9, 4)).astype(np.float32)
    r = (x + near * rng.normal(size=x.shape)).astype(np.float32)
    m = rng.normal(size=x.shape).astype(np.float32)
    (found,) = op.rescale(m, [x], [r], x, r, Rule())
    wide = [a.astype(np.float64) for a in (m, x, r)]
    (wanted,) = op.rescale(wide[0], [wide[1]], [wide[2]], wide[1], wide[2], Rule())
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max())

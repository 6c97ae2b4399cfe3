"""Simplifying leaves fewer nodes and the same function."""

import numpy as np
import pytest
from graph.all_models import NAMES, PUT_TOGETHER, entry, model, one_hot
from ops.operator_cases import build, ints, node, values

from dfim_fast.backends.passes import Passes
from dfim_fast.graph import reader
from dfim_fast.graph.graph import Graph
from dfim_fast.graph.reader import read_graph


def raw_graph(name: str, monkeypatch) -> Graph:
    """The model's graph as it is read, nothing folded or dropped."""
    with monkeypatch.context() as patch:
        patch.setattr(reader, "simplify", lambda graph: graph)
        return entry(name).load().graph


def layers(graph: Graph) -> list[str]:
    """The operators in order, the input left out."""
    return [type(n.op).__name__ for n in graph.nodes[1:]]


def scores(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Float64 scores (T, N)."""
    passes = Passes(graph, tuple(range(len(graph.tasks))))
    return passes.scores(passes.forward(x.astype(np.float64).swapaxes(1, 2)))


@pytest.mark.parametrize("name", NAMES)
def test_values_are_kept(name, monkeypatch):
    raw, simple = raw_graph(name, monkeypatch), model(name).graph
    x = one_hot(3, simple.length)
    wanted = scores(raw, x)
    tolerance = 1e-7 if name in PUT_TOGETHER else 1e-12
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(scores(simple, x), wanted, rtol=0, atol=tolerance * scale)
    assert [t.name for t in simple.tasks] == [t.name for t in raw.tasks]
    assert len(simple.nodes) <= len(raw.nodes)
    used = {i for t in simple.tasks for i in simple.ancestors(t.node)}
    assert used == set(range(len(simple.nodes)))


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "batchnorm_kept_legacy.onnx",
            "Conv Affine Relu Conv Relu Affine MaxPool Dense",
            "Conv Relu Conv Relu Affine MaxPool Dense",
        ),
        (
            "plain_opset_17",
            "Conv Affine Relu MaxPool Conv Relu Affine Dense Relu Dense",
            "Conv Relu MaxPool Conv Relu Affine Dense Relu Dense",
        ),
        (
            "arithmetic_channel",
            "Conv Affine Affine Affine Affine Relu MaxPool Dense Relu Dense",
            "Conv Relu MaxPool Dense Relu Dense",
        ),
        # numbers that differ between positions are no part of a convolution, but of each other
        (
            "arithmetic_element",
            "Conv Affine Affine Affine Affine Relu MaxPool Dense Relu Dense",
            "Conv Affine Relu MaxPool Dense Relu Dense",
        ),
        (
            "centred_input",
            "Affine Affine Conv Relu MaxPool Dense Relu Dense",
            "Affine Conv Relu MaxPool Dense Relu Dense",
        ),
        (
            "keras_global_max_opset_11",
            "Conv Affine Relu MaxPool Dense Affine",
            "Conv Relu MaxPool Dense",
        ),
        (
            "sigmoid_output",
            "Conv Relu MaxPool Dense Relu Dense Sigmoid",
            "Conv Relu MaxPool Dense Relu Dense",
        ),
        (
            "unused_parts",
            "Conv Relu MaxPool Dense Relu Dense",
            "Conv Relu MaxPool Dense Relu Dense",
        ),
    ],
)
def test_node_counts(name, before, after, monkeypatch):
    assert layers(raw_graph(name, monkeypatch)) == before.split()
    assert layers(model(name).graph) == after.split()


def read(*nodes, outputs=("y",), **constants) -> Graph:
    """A graph on 9 positions."""
    return read_graph(build(list(nodes), constants, ["N", 4, 9], outputs=outputs), "model")


def test_a_layer_that_something_else_reads_is_left_alone():
    graph = read(
        node("Conv", "x w", "c"),
        node("Mul", "c two", "d"),
        node("Add", "c d", "y"),
        w=values(2, 4, 1),
        two=np.float32(2),
    )
    assert layers(graph) == ["Conv", "Affine", "Add"]


def test_a_layer_that_is_scored_is_left_alone():
    graph = read(
        node("Conv", "x w", "c"),
        node("Mul", "c two", "y"),
        outputs=("c", "y"),
        w=values(2, 4, 9),
        two=np.float32(2),
    )
    assert layers(graph) == ["Conv", "Affine"]
    x = one_hot(2, 9)
    first, second = scores(graph, x)[:2], scores(graph, x)[2:]
    np.testing.assert_allclose(second, 2 * first)


def test_a_constant_that_repeats_its_input_is_left_alone():
    """(N, 1, L) + (4, 1) has four channels: no bias of the one-channel convolution can say that."""
    graph = read(
        node("Conv", "x w", "c"),
        node("Add", "c b", "a"),
        node("Relu", "a", "y"),
        w=values(1, 4, 1),
        b=values(4, 1),
    )
    assert layers(graph) == ["Conv", "Affine", "Relu"]
    assert graph.nodes[2].shape == (9, 4)


def test_both_uses_of_a_shared_weight_are_folded_apart():
    graph = read(
        node("Conv", "x w", "1"),
        node("Mul", "1 two", "2"),
        node("Conv", "x w", "3"),
        node("Mul", "3 three", "4"),
        node("Concat", "2 4", "y", axis=1),
        w=values(2, 4, 1),
        two=np.float32(2),
        three=np.float32(3),
    )
    assert layers(graph) == ["Conv", "Conv", "Concat"]
    x = one_hot(1, 9)
    y = scores(graph, x).reshape(2, 2, 9)
    np.testing.assert_allclose(y[0] * 1.5, y[1])


def test_a_chain_after_a_dense_layer_is_folded():
    graph = read(
        node("Flatten", "x", "f"),
        node("MatMul", "f w", "1"),
        node("Add", "1 b", "2"),
        node("Div", "2 two", "3"),
        node("Neg", "3", "4"),
        node("Reshape", "4 s", "y"),
        w=values(36, 3),
        b=values(3),
        two=np.float32(2),
        s=ints(-1, 3),
    )
    assert layers(graph) == ["Dense"]
    x = one_hot(2, 9)
    wanted = -(x.reshape(2, -1) @ values(36, 3) + values(3)) / 2
    np.testing.assert_allclose(scores(graph, x).T, wanted, rtol=1e-6)

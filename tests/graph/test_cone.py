"""Which targets a source can reach, against maps that were computed without that knowledge."""

import dataclasses

import numpy as np
import pytest
from graph.all_models import model, one_hot, structures
from ops.operator_cases import build, ints, node, values

from dfim_fast.backends.reference import ReferenceBackend
from dfim_fast.graph.cone import reach, receptive_field
from dfim_fast.maps.model import Model, load_model
from dfim_fast.plan.planner import make_plan


def seen(loaded: Model, method: str, sources, n: int, task: int = 0) -> np.ndarray:
    """Cells (S, L) that are not zero in some of n random sequences, all thought reachable."""
    plan = make_plan(
        loaded.graph,
        method=method,
        task=task,
        sources=sources,
        threads=1,
        n_references=int(method == "deeplift"),
    )
    plan = dataclasses.replace(plan, reach=np.ones_like(plan.reach))
    x = one_hot(n, loaded.sequence_length)
    references = one_hot(n, loaded.sequence_length, seed=1)[:, None]
    found = np.zeros(plan.targets.shape, bool)
    for result in ReferenceBackend(plan).maps(x, references if plan.n_references else None):
        scale = np.abs(result.attributions).max()
        found |= (np.abs(result.fis[0]) > 1e-13 * scale).any(axis=1)
    return found


def reached(loaded: Model, sources, task: int = 0) -> np.ndarray:
    """Cells (S, L) that can be reached, the diagonal left out as in a map."""
    plan = make_plan(loaded.graph, method="gradient", task=task, sources=sources, threads=1)
    return plan.reach[0] & (plan.targets != plan.sources[:, None])


@pytest.mark.parametrize("name", structures())
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_no_model_interacts_where_it_cannot(name, method):
    loaded = model(name)
    length = loaded.sequence_length
    sources = [0, 1, length // 2, length - 1]
    assert not (seen(loaded, method, sources, 2) & ~reached(loaded, sources)).any()


def graph_of(length: int, *nodes, rows: int = 1, **constants) -> Model:
    """A model on x that ends in y."""
    return load_model(build(list(nodes), constants, ["N", 4, length]))


def strided() -> Model:
    """Strides 2 and 3 that divide nothing; a linear head."""
    return graph_of(
        23,
        node("Conv", "x a", "1", strides=[2], pads=[1, 1]),
        node("Softplus", "1", "2"),
        node("Conv", "2 b", "3", strides=[3]),
        node("Tanh", "3", "4"),
        node("Flatten", "4", "5"),
        node("MatMul", "5 w", "y"),
        a=values(3, 4, 3),
        b=values(2, 3, 2),
        w=values(8, 1),
    )


def gaps() -> Model:
    """A pool whose stride skips rows: what only they see cannot matter."""
    return graph_of(
        24,
        node("Conv", "x a", "1"),
        node("Softplus", "1", "2"),
        node("AveragePool", "2", "3", kernel_shape=[2], strides=[5]),
        node("Flatten", "3", "4"),
        node("MatMul", "4 w", "y"),
        a=values(3, 4, 3),
        w=values(15, 1),
    )


def max_gaps() -> Model:
    """The same with a max pool."""
    return graph_of(
        24,
        node("Conv", "x a", "1"),
        node("MaxPool", "1", "3", kernel_shape=[2], strides=[5]),
        node("Flatten", "3", "4"),
        node("MatMul", "4 w", "y"),
        a=values(3, 4, 3),
        w=values(15, 1),
    )


def dilated_crop() -> Model:
    """Dilated convolutions added to their input, then a crop: the rows cut off do not count."""
    return graph_of(
        26,
        node("Conv", "x a", "1", pads=[1, 1]),
        node("Tanh", "1", "2"),
        node("Conv", "2 b", "3", dilations=[4], pads=[4, 4]),
        node("Softplus", "3", "4"),
        node("Add", "2 4", "5"),
        node("Slice", "5 from to along", "6"),
        node("Flatten", "6", "7"),
        node("MatMul", "7 w", "y"),
        a=values(3, 4, 3),
        b=values(3, 3, 3),
        w=values(27, 1),
        **{"from": ints(8), "to": ints(17), "along": ints(2)},
    )


def both_strands() -> Model:
    """A scan of the reverse complement turned back and added: its cone is the mirror image."""
    axes, ends = {"back": ints(-1, -1), "stop": ints(-99, -99), "both": ints(1, 2)}, ints(-99)
    return graph_of(
        19,
        node("Conv", "x a", "1", pads=[2, 0]),
        node("Tanh", "1", "f"),
        node("Slice", "x back stop both back", "r"),
        node("Conv", "r a", "2", pads=[2, 0]),
        node("Tanh", "2", "3"),
        node("Slice", "3 last ends along last", "b"),
        node("Add", "f b", "4"),
        node("Softplus", "4", "5"),
        node("Flatten", "5", "6"),
        node("MatMul", "6 w", "y"),
        a=values(3, 4, 3),
        w=values(57, 1),
        last=ints(-1),
        ends=ends,
        along=ints(2),
        **axes,
    )


def mirrored() -> Model:
    """Forward and reversed rows are multiplied nowhere but added before a gate."""
    return graph_of(
        15,
        node("Conv", "x a", "1"),
        node("Slice", "1 last ends along last", "r"),
        node("Add", "1 r", "2"),
        node("Tanh", "2", "3"),
        node("ReduceSum", "3 along", "4"),
        node("Flatten", "4", "5"),
        node("MatMul", "5 w", "y"),
        a=values(3, 4, 2),
        w=values(3, 1),
        last=ints(-1),
        ends=ints(-99),
        along=ints(2),
    )


def joined() -> Model:
    """A stretch of one branch and the whole of another laid end to end."""
    return graph_of(
        17,
        node("Conv", "x a", "1"),
        node("Softplus", "1", "2"),
        node("Conv", "x b", "3"),
        node("Slice", "3 from to along", "4"),
        node("Tanh", "4", "5"),
        node("Concat", "2 5", "6", axis=2),
        node("Flatten", "6", "7"),
        node("MatMul", "7 w", "y"),
        a=values(3, 4, 2),
        b=values(3, 4, 5),
        w=values(57, 1),
        **{"from": ints(10), "to": ints(13), "along": ints(2)},
    )


def hidden() -> Model:
    """A hidden dense layer connects all to all."""
    return graph_of(
        11,
        node("Conv", "x a", "1"),
        node("Flatten", "1", "2"),
        node("MatMul", "2 w", "3"),
        node("Tanh", "3", "4"),
        node("MatMul", "4 v", "y"),
        a=values(3, 4, 3),
        w=values(27, 4),
        v=values(4, 1),
    )


def linear() -> Model:
    """No gate at all."""
    return graph_of(
        9,
        node("Conv", "x a", "1"),
        node("Flatten", "1", "2"),
        node("MatMul", "2 w", "y"),
        a=values(3, 4, 3),
        w=values(21, 1),
    )


@pytest.mark.parametrize(
    "make", [strided, gaps, max_gaps, dilated_crop, both_strands, mirrored, joined, hidden, linear]
)
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_reach_is_exactly_what_random_sequences_show(make, method):
    loaded = make()
    sources = np.arange(loaded.sequence_length)
    # a pool's winner has to move, and a base to differ from the reference's, for every cell
    n = 60 if make is max_gaps else 3 if method == "gradient" else 15
    np.testing.assert_array_equal(reached(loaded, sources), seen(loaded, method, sources, n))
    share = reached(loaded, sources).mean()
    assert share < 0.8 or make in (hidden, both_strands)


def tracks() -> Model:
    """A track over positions: every position is a task with a cone of its own."""
    return graph_of(
        20,
        node("Conv", "x a", "1"),
        node("Softplus", "1", "2"),
        node("Conv", "2 b", "y"),
        a=values(3, 4, 3),
        b=values(1, 3, 4),
    )


@pytest.mark.parametrize("task", [0, 7, 14])
def test_a_task_at_one_position_has_its_own_cone(task):
    loaded = tracks()
    sources = np.arange(20)
    wanted = seen(loaded, "gradient", sources, 3, task)
    np.testing.assert_array_equal(reached(loaded, sources, task), wanted)
    outside = (sources < task) | (sources >= task + 6)
    assert not wanted[outside].any()
    assert wanted[~outside].any(axis=1).all()


def test_wide_sources_reach_what_any_of_their_positions_reaches():
    loaded = gaps()
    graph = loaded.graph
    targets = np.broadcast_to(np.arange(24), (24, 24))
    single = reach(graph, graph.tasks[0], np.arange(24), targets)
    triple = reach(graph, graph.tasks[0], np.arange(22), targets[:22], width=3)
    np.testing.assert_array_equal(triple, single[:-2] | single[1:-1] | single[2:])


def test_targets_of_minus_one_are_never_reached():
    graph = hidden().graph
    targets = np.array([[-1, 3], [5, -1]])
    found = reach(graph, graph.tasks[0], np.array([0, 7]), targets)
    np.testing.assert_array_equal(found, targets >= 0)


def test_sources_beyond_one_chunk():
    """More sources than are worked on together."""
    loaded = graph_of(
        300,
        node("Conv", "x a", "1"),
        node("Softplus", "1", "2"),
        node("ReduceMean", "2 along", "3"),
        node("Flatten", "3", "4"),
        node("MatMul", "4 w", "y"),
        a=values(2, 4, 3),
        w=values(2, 1),
        along=ints(2),
    )
    found = reached(loaded, np.arange(300))
    distance = np.abs(np.arange(300)[:, None] - np.arange(300))
    np.testing.assert_array_equal(found, (distance <= 2) & (distance > 0))


@pytest.mark.parametrize(
    ("loaded", "field"),
    [
        (strided, 5),
        (gaps, 4),
        (max_gaps, 4),
        (dilated_crop, 11),
        (tracks, 6),
        (linear, 3),
        (hidden, 3),
    ],
)
def test_receptive_field(loaded, field):
    graph = loaded().graph
    assert receptive_field(graph, graph.tasks[0].node) == field


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("basset_dynamo.onnx", 9 + 2 + 3 * (4 + 1) + 6 * (2 + 1)),
        ("dense_only_dynamo.onnx", 1),
        ("dilated_residual_dynamo.onnx", 9 + 2 * (2 + 4 + 8)),
        ("siamese_features_dynamo.onnx", 7 + 4),
    ],
)
def test_receptive_fields_of_exported_models(name, field):
    graph = model(name).graph
    assert receptive_field(graph, graph.tasks[0].node) == field


def test_a_sequence_of_one_position_has_a_receptive_field():
    loaded = graph_of(
        1,
        node("Conv", "x a", "1"),
        node("Relu", "1", "2"),
        node("Flatten", "2", "y"),
        a=values(3, 4, 1),
    )
    assert receptive_field(loaded.graph, loaded.graph.tasks[0].node) == 1
    assert "receptive field 1 bp" in str(loaded)

"""The fused walk against float64, on the emulator: stages of convolutions, gates and pools."""

from dataclasses import replace

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from backends.running import SETTING_NAMES, SETTINGS, assert_same, few, inputs, run
from backends.undecided import compare_all

from dfim_fast.backends.cuda import fused
from dfim_fast.backends.cuda.fused import SHARE, FusedWalk
from dfim_fast.backends.cuda.head import Head
from dfim_fast.backends.select import make_backend
from dfim_fast.graph.graph import Graph, GraphNode, Task
from dfim_fast.ops.average_pool import AveragePool
from dfim_fast.ops.base import Operator
from dfim_fast.ops.conv import Conv
from dfim_fast.ops.dense import Dense
from dfim_fast.ops.leaky_relu import LeakyRelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.sigmoid import Sigmoid
from dfim_fast.ops.source import Input
from dfim_fast.ops.window import Window
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.planner import make_plan
from dfim_fast.plan.walk import Chain, walkable
from dfim_fast.sequence.one_hot import one_hot


class Maker:
    """A chain with random weights."""

    def __init__(self, length: int, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = [GraphNode("x", Input(length), (), (length, 4))]

    def add(self, op: Operator, below: int = 1) -> None:
        at = len(self.nodes) - below
        shape = op.output_shape(self.nodes[at].shape)
        self.nodes.append(GraphNode(f"n{len(self.nodes)}", op, (at,), shape))

    def window(self, kernel: int, stride: int, dilation: int, pads: tuple[int, int]) -> Window:
        return Window.read(self.nodes[-1].shape[0], kernel, stride, dilation, pads)

    def conv(self, out, kernel, dilation=1, pads=(0, 0), stride=1, groups=1) -> None:
        channels = self.nodes[-1].shape[1]
        scale = (2 / (kernel * channels)) ** 0.5
        weight = self.rng.normal(0, scale, (kernel, channels // groups, out))
        window = self.window(kernel, stride, dilation, pads)
        self.add(Conv(weight, self.rng.normal(0, 0.1, out), window, groups))

    def pool(self, kernel, stride, pads=(0, 0), dilation=1, mean=False) -> None:
        window = self.window(kernel, stride, dilation, pads)
        _, inside = window.indices(self.nodes[-1].shape[0])
        self.add(AveragePool(window, 1 / inside.sum(1, keepdims=True)) if mean else MaxPool(window))

    def dense(self, out: int) -> None:
        size = int(np.prod(self.nodes[-1].shape))
        self.add(Dense(self.rng.normal(0, size**-0.5, (size, out)), self.rng.normal(0, 0.1, out)))

    def graph(self) -> Graph:
        top = len(self.nodes) - 1
        tasks = [Task(f"t{k}", top, 0, k) for k in range(self.nodes[-1].shape[1])]
        return Graph(tuple(self.nodes), tuple(tasks))


def chain(length, *stages, hidden=(), slope=0.0, tasks=1, seed=0) -> Graph:
    """Convolutions (channels, kernel, ...) with gates, ("max" or "mean", ...), dense layers."""
    made = Maker(length, seed)
    for sizes in stages:
        if isinstance(sizes[0], str):
            made.pool(*sizes[1:], mean=sizes[0] == "mean")
            continue
        made.conv(*sizes)
        made.add(LeakyRelu(np.full((1, 1), slope)) if slope else Relu())
    for units in hidden:
        made.dense(units)
        made.add(Relu())
    made.dense(tasks)
    return made.graph()


LINEAR = {
    "one row": lambda: chain(5, (3, 5)),
    "one position": lambda: chain(1, (2, 1)),
    "one layer": lambda: chain(21, (7, 4)),
    "three layers": lambda: chain(40, (9, 5), (8, 4), (7, 3)),
    "padded to the ends": lambda: chain(
        17, (6, 5, 1, (2, 2)), (5, 4, 1, (1, 2)), (4, 3, 1, (2, 0))
    ),
    "dilated": lambda: chain(45, (6, 3, 2), (5, 3, 4, (4, 4)), (5, 2, 3)),
    "strides": lambda: chain(47, (6, 4, 1, (2, 1), 2), (5, 3, 2, (3, 1), 3), (4, 2)),
    "more channels than lanes": lambda: chain(24, (33, 4), (65, 3), (34, 2)),
    "two tasks": lambda: chain(30, (6, 4), (6, 3), tasks=2),
    "leaky": lambda: chain(30, (6, 4), (6, 3), slope=0.2),
    "pool": lambda: chain(41, (8, 5), (6, 4), ("max", 4, 4)),
    "pool that overlaps": lambda: chain(37, (8, 5), (6, 3), ("max", 5, 2, (2, 2))),
    "pool at every row": lambda: chain(30, (8, 5), ("max", 3, 1)),
    "pool with gaps": lambda: chain(33, (8, 5), (6, 3), ("max", 2, 3)),
    "pool of all rows": lambda: chain(29, (8, 5), (34, 3), ("max", 23, 23)),
    "leaky pool": lambda: chain(33, (8, 5), (6, 3), ("max", 3, 2), slope=0.1, tasks=2),
    "mean": lambda: chain(33, (8, 5), (6, 3), ("mean", 4, 3, (1, 2)), tasks=2),
    "mean of all rows": lambda: chain(24, (8, 5), ("mean", 20, 20)),
    "pools between": lambda: chain(
        61, (34, 5), ("max", 2, 2), (8, 4, 1, (1, 1)), ("max", 3, 2, (1, 0)), (6, 3)
    ),
    "overlapping pools, gaps, means": lambda: chain(
        67, (8, 4), ("max", 4, 2, (1, 1)), (8, 3), ("mean", 3, 2), (7, 3), ("max", 2, 3), slope=0.1
    ),
}  # fmt: skip

HIDDEN = {
    "one hidden layer": lambda: chain(33, (8, 5), ("max", 5, 5), hidden=(9,)),
    "no pool": lambda: chain(25, (6, 4), (5, 3), hidden=(12,), slope=0.1),
    "two hidden layers, two tasks": lambda: chain(
        40, (8, 5, 1, (2, 2)), (35, 4), ("max", 6, 4, (2, 2)), hidden=(11, 7), tasks=2
    ),
    "mean below": lambda: chain(40, (9, 5), ("mean", 5, 5), hidden=(10,)),
    "pools between": lambda: chain(
        61, (8, 5), ("max", 2, 2), (34, 4), ("max", 3, 3), (7, 3, 1, (1, 1)), ("max", 2, 2),
        hidden=(33, 8), tasks=2,
    ),
    "all rows": lambda: chain(29, (8, 5), (9, 3), ("max", 23, 23), hidden=(6,)),
}  # fmt: skip
GRAPHS = {**LINEAR, **{f"hidden: {name}": graph for name, graph in HIDDEN.items()}}


def some(graph: Graph, hidden: bool) -> list[int]:
    """A few sources, or as many as a hidden head needs."""
    if not hidden:
        return few(graph.length)
    return sorted({*few(graph.length), *range(1, graph.length, 3)})


def plan_of(name: str, **settings) -> Plan:
    graph = GRAPHS[name]()
    deeplift = settings.get("method", "deeplift") == "deeplift"
    tasks = list(range(len(graph.tasks)))
    options = {"n_references": 3 if deeplift else 0, "threads": 1, "task": tasks}
    return make_plan(graph, **{**options, **settings})


@needs_emulator
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_agreement_with_float64(name, settings):
    plan = plan_of(name, sources=some(GRAPHS[name](), name.startswith("hidden")), **settings)
    assert isinstance(walkable(plan.graph, plan.tasks, plan.cost.mutants), Chain)
    found = compare_all({"": plan}, *inputs(plan, 1), backend="emulator")[""]
    assert found.good, found


@needs_emulator
@pytest.mark.parametrize(
    "name",
    ["padded to the ends", "pool that overlaps", "leaky pool", "overlapping pools, gaps, means",
     "hidden: pools between", "hidden: no pool"],
)  # fmt: skip
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_ambiguous_bases_and_ties(name, settings):
    plan = plan_of(name, **settings)
    length = plan.graph.length
    x = one_hot(["A" * length, ("CG" * length)[:length], ("ACN" * length)[:length]])
    references = inputs(plan, len(x))[1]
    if references is not None:
        references = references * x.max(axis=1)[:, None, None]
    found = compare_all({"": plan}, x, references, backend="emulator")[""]
    assert found.good, found


@needs_emulator
def test_more_references_than_groups():
    plan = plan_of("pool that overlaps", n_references=7, sources=[0, 18, 36])
    assert plan.groups < 7
    found = compare_all({"": plan}, *inputs(plan, 1), backend="emulator")[""]
    assert found.good, found


@needs_emulator
@pytest.mark.parametrize("extra", [{"window": 3}, {"targets": [0, 20, 36]}], ids=str)
@pytest.mark.parametrize("name", ["pool that overlaps", "hidden: pools between"])
def test_restricted_targets(name, extra):
    plan = plan_of(name, **extra)
    found = compare_all({"": plan}, *inputs(plan, 1), backend="emulator")[""]
    assert found.good, found


@needs_emulator
@pytest.mark.parametrize(
    "name", ["three layers", "pool that overlaps", "hidden: two hidden layers, two tasks"]
)
@pytest.mark.parametrize("settings", SETTINGS, ids=SETTING_NAMES)
def test_the_walk_finds_what_layers_find(name, settings, monkeypatch):
    plan = plan_of(name, **settings)
    x, references = inputs(plan, 1)
    walked = run("emulator", plan, x, references)
    monkeypatch.setattr(FusedWalk, "of", lambda *_: None)
    assert make_backend("emulator", plan).walk is None
    by_layers = run("emulator", plan, x, references)
    assert np.abs(walked[0].fis).max() > 0
    assert_same(walked[0], by_layers[0], tolerance=1e-5)
    # The original is one and the same; what the walk does not touch is left as it is.
    np.testing.assert_array_equal(walked[0].attributions, by_layers[0].attributions)


@needs_emulator
@pytest.mark.parametrize("name", ["pool that overlaps", "hidden: pools between"])
@pytest.mark.parametrize("settings", SETTINGS[::2], ids=SETTING_NAMES[::2])
def test_same_bits_in_any_company_and_memory(name, settings, monkeypatch):
    plan = plan_of(name, **settings)
    x, references = inputs(plan, 3)
    x[1, :, 20:31] = 0
    if references is not None:
        references = references * x.max(axis=1)[:, None, None]
    together = run("emulator", plan, x, references)
    whole = make_backend("emulator", plan)
    assert whole.batch >= len(x) and whole.walk.tile >= 3 * plan.graph.length
    for full, tile in ((1, whole.walk.tile), (1 << 12, 7)):  # with 7, some are of two sequences
        monkeypatch.setattr(fused, "FULL", full)
        whole.walk.tile = tile
        for found, wanted in zip(whole.maps(x, references), together, strict=True):
            assert_same(found, wanted)
    small = replace(plan, memory_limit=1)
    assert make_backend("emulator", small).walk.tile == 1
    for i, wanted in enumerate(together):
        part = None if references is None else references[i : i + 1]
        for other in (plan, small):
            (found,) = run("emulator", other, x[i : i + 1], part)
            assert_same(found, wanted)


@needs_emulator
@pytest.mark.parametrize("settings", SETTINGS[::2], ids=SETTING_NAMES[::2])
def test_bits_whatever_the_batches_of_references_and_halves_of_a_tile(settings, monkeypatch):
    plan = plan_of("hidden: two hidden layers, two tasks", n_references=3, **settings)
    x, references = inputs(plan, 2)
    batches = []
    basis = Head.basis

    def counted(self, units, columns, sequences, batch, *rest):
        batches.append((len(columns), len(sequences), len(batch)))
        return basis(self, units, columns, sequences, batch, *rest)

    monkeypatch.setattr(Head, "basis", counted)
    wanted = run("emulator", plan, x, references)
    ((units, *all_of),) = batches
    assert units > 1 and all_of == [2, max(plan.n_references, 1)]
    backend = make_backend("emulator", plan)
    each = 4 * SHARE * plan.graph.values(backend.walk.chain.division.trunk)  # of one unit
    for fitting in (4 * units, units, 1):  # two references; one sequence; a few mutants
        batches.clear()
        backend.walk.budget = each * fitting
        for found, own in zip(backend.maps(x, references), wanted, strict=True):
            assert_same(found, own)
        if fitting == 4 * units:
            assert [b[1:] for b in batches] == ([(2, 2), (2, 1)] if plan.n_references else [(2, 1)])
        else:
            assert len(batches) > 1 and {b[1] for b in batches} == {1}


def refused(*steps) -> str:
    made = Maker(60)
    for step in steps:
        step(made)
    graph = made.graph()
    why = walkable(graph, tuple(range(len(graph.tasks))), 60)
    assert isinstance(why, str)
    return why


def relu(made: Maker) -> None:
    made.add(Relu())


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ((lambda m: m.conv(4, 3), relu, lambda m: m.dense(61), relu, lambda m: m.dense(1)),
         "its head has 61 hidden units for 60 mutants"),
        ((lambda m: m.conv(4, 3, groups=2), relu, lambda m: m.dense(1)),
         "node 'n1' (Conv) has groups"),
        ((lambda m: m.conv(4, 3), lambda m: m.add(Sigmoid()), lambda m: m.dense(1)),
         "node 'n2' (Sigmoid) does not follow in a chain of convolutions, ReLUs and pools"),
        ((lambda m: m.conv(4, 3), lambda m: m.add(LeakyRelu(np.full((1, 4), 0.1))),
          lambda m: m.dense(1)), "node 'n2' (LeakyRelu) has slopes of its own for each channel"),
        ((lambda m: m.conv(4, 3), relu, lambda m: m.pool(2, 2, dilation=2), lambda m: m.dense(1)),
         "node 'n3' (MaxPool) is dilated"),
        ((lambda m: m.conv(4, 3), relu, lambda m: m.pool(2, 2), lambda m: m.pool(2, 2),
          lambda m: m.dense(1)),
         "node 'n4' (MaxPool) does not follow in a chain of convolutions, ReLUs and pools"),
        ((lambda m: m.dense(1),), "its trunk is no chain of convolutions, ReLUs and pools"),
        ((lambda m: m.conv(4, 3), lambda m: m.dense(1)),
         "its trunk is no chain of convolutions, ReLUs and pools"),
    ],
)  # fmt: skip
def test_what_cannot_be_walked_says_why(steps, why):
    assert refused(*steps) == why


def test_the_plan_says_which():
    text = "on a GPU: one fused walk for each position and its three mutants"
    assert f"{text}\n" in plan_of("pool").explain()
    hidden = plan_of("hidden: one hidden layer").explain()
    assert f"{text}, the rest from at most 9 hidden units\n" in hidden
    made = Maker(30)
    made.conv(4, 3)
    made.add(Sigmoid())
    made.dense(1)
    text = make_plan(made.graph(), method="gradient", n_references=0, threads=1).explain()
    assert "on a GPU: layer by layer, since node 'n2' (Sigmoid) does not follow" in text

"""The fused walk against float64, on the emulator: chains of convolutions under a linear head."""

from dataclasses import replace

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from backends.running import SETTING_NAMES, SETTINGS, assert_same, few, inputs, run
from backends.undecided import compare_all

from dfim_fast.backends.cuda.fused import FusedWalk
from dfim_fast.backends.select import make_backend
from dfim_fast.graph.graph import Graph, GraphNode, Task
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

    def pool(self, kernel, stride, pads=(0, 0), dilation=1) -> None:
        self.add(MaxPool(self.window(kernel, stride, dilation, pads)))

    def dense(self, out: int) -> None:
        size = int(np.prod(self.nodes[-1].shape))
        self.add(Dense(self.rng.normal(0, size**-0.5, (size, out)), self.rng.normal(0, 0.1, out)))

    def graph(self) -> Graph:
        top = len(self.nodes) - 1
        tasks = [Task(f"t{k}", top, 0, k) for k in range(self.nodes[-1].shape[1])]
        return Graph(tuple(self.nodes), tuple(tasks))


def chain(length, *convolutions, pool=None, slope=0.0, tasks=1, seed=0) -> Graph:
    """Convolutions (channels, kernel, dilation, pads) with gates, a pool, a dense layer."""
    made = Maker(length, seed)
    for sizes in convolutions:
        made.conv(*sizes)
        made.add(LeakyRelu(np.full((1, 1), slope)) if slope else Relu())
    if pool:
        made.pool(*pool)
    made.dense(tasks)
    return made.graph()


GRAPHS = {
    "one row": lambda: chain(5, (3, 5)),
    "one position": lambda: chain(1, (2, 1)),
    "one layer": lambda: chain(21, (7, 4)),
    "three layers": lambda: chain(40, (9, 5), (8, 4), (7, 3)),
    "padded to the ends": lambda: chain(
        17, (6, 5, 1, (2, 2)), (5, 4, 1, (1, 2)), (4, 3, 1, (2, 0))
    ),
    "dilated": lambda: chain(45, (6, 3, 2), (5, 3, 4, (4, 4)), (5, 2, 3)),
    "more channels than lanes": lambda: chain(24, (33, 4), (65, 3), (34, 2)),
    "two tasks": lambda: chain(30, (6, 4), (6, 3), tasks=2),
    "leaky": lambda: chain(30, (6, 4), (6, 3), slope=0.2),
    "pool": lambda: chain(41, (8, 5), (6, 4), pool=(4, 4)),
    "pool that overlaps": lambda: chain(37, (8, 5), (6, 3), pool=(5, 2, (2, 2))),
    "pool at every row": lambda: chain(30, (8, 5), pool=(3, 1)),
    "pool with gaps": lambda: chain(33, (8, 5), (6, 3), pool=(2, 3)),
    "pool of all rows": lambda: chain(29, (8, 5), (34, 3), pool=(23, 23)),
    "leaky pool": lambda: chain(33, (8, 5), (6, 3), pool=(3, 2), slope=0.1, tasks=2),
}  # fmt: skip


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
    plan = plan_of(name, sources=few(GRAPHS[name]().length), **settings)
    assert isinstance(walkable(plan.graph, plan.tasks), Chain)
    found = compare_all({"": plan}, *inputs(plan, 2), backend="emulator")[""]
    assert found.good, found


@needs_emulator
@pytest.mark.parametrize("name", ["padded to the ends", "pool that overlaps", "leaky pool"])
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
def test_restricted_targets(extra):
    plan = plan_of("pool that overlaps", **extra)
    found = compare_all({"": plan}, *inputs(plan, 1), backend="emulator")[""]
    assert found.good, found


@needs_emulator
@pytest.mark.parametrize("name", ["three layers", "pool that overlaps"])
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
@pytest.mark.parametrize("settings", SETTINGS[::2], ids=SETTING_NAMES[::2])
def test_same_bits_in_any_company_and_memory(settings):
    plan = plan_of("pool that overlaps", **settings)
    x, references = inputs(plan, 2)
    together = run("emulator", plan, x, references)
    small = replace(plan, memory_limit=1)
    assert make_backend("emulator", small).walk.tile == 1
    for i, wanted in enumerate(together):
        part = None if references is None else references[i : i + 1]
        for other in (plan, small):
            (found,) = run("emulator", other, x[i : i + 1], part)
            assert_same(found, wanted)


def refused(*steps) -> str:
    made = Maker(60)
    for step in steps:
        step(made)
    graph = made.graph()
    why = walkable(graph, tuple(range(len(graph.tasks))))
    assert isinstance(why, str)
    return why


def relu(made: Maker) -> None:
    made.add(Relu())


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ((lambda m: m.conv(4, 3), relu, lambda m: m.dense(3), relu, lambda m: m.dense(1)),
         "the head is not linear at node 'n4'"),
        ((lambda m: m.conv(4, 3, stride=2), relu, lambda m: m.dense(1)),
         "node 'n1' (Conv) has groups or a stride"),
        ((lambda m: m.conv(4, 3, groups=2), relu, lambda m: m.dense(1)),
         "node 'n1' (Conv) has groups or a stride"),
        ((lambda m: m.conv(4, 3), lambda m: m.add(Sigmoid()), lambda m: m.dense(1)),
         "node 'n2' (Sigmoid) does not follow in a chain of convolutions and ReLUs"),
        ((lambda m: m.conv(4, 3), lambda m: m.add(LeakyRelu(np.full((1, 4), 0.1))),
          lambda m: m.dense(1)), "node 'n2' (LeakyRelu) has slopes of its own for each channel"),
        ((lambda m: m.conv(4, 3), relu, lambda m: m.pool(2, 2, dilation=2), lambda m: m.dense(1)),
         "node 'n3' (MaxPool) is dilated"),
        ((lambda m: m.conv(4, 3), relu, lambda m: m.pool(2, 2), lambda m: m.conv(4, 3), relu,
          lambda m: m.dense(1)), "node 'n4' (Conv) is not part of a plain chain"),
        ((lambda m: m.dense(1),), "its trunk is no chain of convolutions and ReLUs"),
        ((lambda m: m.conv(4, 3), lambda m: m.dense(1)),
         "its trunk is no chain of convolutions and ReLUs"),
        ((lambda m: m.conv(200, 19), relu, lambda m: m.dense(1)),
         "its rows take 51072 bytes for each warp, 24576 are at hand"),
    ],
)  # fmt: skip
def test_what_cannot_be_walked_says_why(steps, why):
    assert refused(*steps) == why


def test_the_plan_says_which():
    assert "on a GPU: one fused walk for each position" in plan_of("pool").explain()
    made = Maker(30)
    made.conv(4, 3)
    made.add(Sigmoid())
    made.dense(1)
    text = make_plan(made.graph(), method="gradient", n_references=0, threads=1).explain()
    assert "on a GPU: layer by layer, since node 'n2' (Sigmoid) does not follow" in text

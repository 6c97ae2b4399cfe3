"""The event engine on real models, at the places where it could go wrong."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from events_helpers import Maker, compare, one_hot, random_graph

from dfim_fast.backends.numba_cpu.events import case
from dfim_fast.backends.numba_cpu.events.case import Laid
from dfim_fast.backends.numba_cpu.events.layout import unsupported
from dfim_fast.backends.numba_cpu.events.program import compile_events
from dfim_fast.graph.graph import Graph
from dfim_fast.graph.reader import read_graph
from dfim_fast.graph.source import read_proto
from dfim_fast.ops.base import Rule
from dfim_fast.ops.gelu import Gelu
from dfim_fast.ops.max_pool import MaxPool
from dfim_fast.ops.relu import Relu
from dfim_fast.ops.window import Window
from dfim_fast.sequence.mutants import Mutants, single_nucleotide

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def model(name: str) -> Graph:
    proto, label, _ = read_proto(DATA / name / "model.onnx")
    return read_graph(proto, label)


def sequence(length: int, seed: int = 0) -> np.ndarray:
    """Real DNA, codes."""
    lines = (DATA / "spi1_bqtl" / "sequences.fa").read_text().split(">")[3 + seed].split("\n")[1:]
    return np.array(["ACGTN".index(c) for c in "".join(lines).upper()][:length], np.int8)


def shuffled(codes: np.ndarray, count: int) -> np.ndarray:
    rng = np.random.default_rng(7)
    return np.stack([one_hot(rng.permutation(codes)) for _ in range(count)])


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name, method, references",
    [
        ("tal_gata", "gradient", 0),
        ("tal_gata", "deeplift", 3),
        ("spi1_bqtl", "gradient", 0),
        ("spi1_bqtl", "deeplift", 2),
        ("embedded_motifs", "gradient_corrected", 0),
        ("embedded_motifs", "deeplift", 6),
        ("cbf1", "gradient", 0),
        ("cbf1", "deeplift", 3),
    ],
)
def test_real_models_match_full_recomputation(name: str, method: str, references: int) -> None:
    graph = model(name)
    codes = sequence(graph.length)
    codes[graph.length // 3] = 4
    mutants = single_nucleotide(codes, np.arange(graph.length))
    last = len(mutants.start) - 1
    picked = np.unique([0, 1, 3, last // 3, last // 3 + 4, last // 2, last - 4, last])
    r = None
    if references:
        r = shuffled(codes, references)
        r[:, codes == 4] = 0
    compared, _ = compare(
        graph,
        one_hot(codes),
        r,
        mutants,
        method,
        picked=picked,
        tasks=[0] if name != "tal_gata" else [0, 2],
    )
    assert compared >= 3


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name, method",
    [("tal_gata", "deeplift"), ("embedded_motifs", "deeplift"), ("embedded_motifs", "gradient")],
)
def test_same_bits_for_any_number_of_threads(name: str, method: str) -> None:
    graph = model(name)
    codes = sequence(graph.length)
    mutants = single_nucleotide(codes, np.arange(0, graph.length, 3))
    references = shuffled(codes, 6) if method == "deeplift" else None
    program = compile_events(graph.astype(np.float32), [0], method, Rule())
    runs = [
        program.run(
            one_hot(codes), references, mutants.start, mutants.width, mutants.columns, threads=t
        )
        for t in (1, 2, 3, 1)
    ]
    for other in runs[1:]:
        for field in ("fis", "standard_error", "self_effect", "mutant_predictions", "attributions"):
            a, b = getattr(runs[0], field), getattr(other, field)
            assert (a is None and b is None) or np.array_equal(a, b), field
    if method == "deeplift":
        assert runs[0].delta_error < 1e-4


@pytest.mark.shared_data
def test_bit_equal_kmers_stay_ties() -> None:
    graph = model("embedded_motifs")
    codes = sequence(graph.length)
    for start, period in ((20, 1), (60, 2), (120, 2)):  # mono- and dinucleotide repeats
        codes[start : start + 45] = np.resize(codes[start : start + period], 45)
    program = compile_events(graph.astype(np.float32), [0], "gradient", Rule())
    mutants = single_nucleotide(codes, np.arange(graph.length))
    rows = program.run(one_hot(codes), None, mutants.start, mutants.width, mutants.columns)
    every = mutants.apply(one_hot(codes))
    # a mutant's map read as that of a new original: the same decisions, taken from scratch
    for m in range(0, len(every), 7):
        alone = program.run(
            every[m], None, mutants.start[:1], mutants.width[:1], mutants.columns[:1]
        )
        difference = rows.attributions - alone.attributions
        difference[:, mutants.start[m]] = 0
        scale = np.abs(rows.attributions).max()
        assert np.abs(rows.fis[:, m] - difference).max() < 1e-5 * scale, m


def planted(head: int) -> tuple[Maker, int]:
    m = Maker(np.random.default_rng(3), 30)
    i = m.add(Relu(), m.conv(0, 9, 5))
    i = m.add(
        MaxPool(Window.read(26, 5, 5, 1, (0, 0))), m.add(Relu(), m.conv(i, 9, 3, 1, 1, (1, 1)))
    )
    for _ in range(head):
        i = m.add(Relu(), m.dense(i, 12))
    return m, m.dense(i, 1)


@pytest.mark.parametrize("head", [0, 1, 2])
def test_flipped_gates_moved_winners_and_far_units_are_met(head: int) -> None:
    m, top = planted(head)
    graph = m.graph(top)
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 4, 30).astype(np.int8)
    mutants = single_nucleotide(codes, np.arange(30))
    compared, _ = compare(graph, one_hot(codes), None, mutants)
    assert compared > 60
    rows = compile_events(graph.astype(np.float32), [0], "gradient", Rule()).run(
        one_hot(codes), None, mutants.start, mutants.width, mutants.columns
    )
    distance = np.abs(np.arange(30)[None] - mutants.start[:, None])
    assert (np.abs(rows.fis[0][(distance > 0) & (distance < 12)]) > 0).mean() > 0.2
    # beyond the cone there is something only where hidden units reach
    assert (np.abs(rows.fis[0][distance > 24]) > 0).any() == (head > 0)


def test_unchanged_mutant_changes_nothing() -> None:
    m, top = planted(1)
    codes = np.arange(30).astype(np.int8) % 4
    x = one_hot(codes)
    same = Mutants(
        np.array([4, 20], np.int32),
        np.array([3, 1], np.int32),
        np.stack([x[4:7], x[20:23]]),
        np.zeros((2, 2), np.int32),
    )
    rows = compile_events(m.graph(top).astype(np.float32), [0], "deeplift", Rule()).run(
        x, one_hot(codes[::-1])[None], same.start, same.width, same.columns
    )
    assert not rows.fis.any()
    assert np.allclose(rows.self_effect, 0, atol=1e-6)
    assert np.array_equal(rows.mutant_predictions, np.repeat(rows.predictions[:, None], 2, 1))


@pytest.mark.parametrize("head", [0, 1])
@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_rows_go_where_they_are_asked_to(head: int, method: str) -> None:
    m, top = planted(head)
    graph = m.graph(top).astype(np.float32)
    codes = np.random.default_rng(1).integers(0, 4, 30).astype(np.int8)
    x, references = one_hot(codes), one_hot(codes[::-1])[None].repeat(2, 0)
    mutants = single_nucleotide(codes, np.arange(30))
    program = compile_events(graph, [0], method, Rule())
    where = mutants.slot[:, 0] * 4 + mutants.slot[:, 1]
    args = x, references, mutants.start, mutants.width, mutants.columns
    plain, placed = program.run(*args), program.run(*args, place=where, places=120)
    empty = np.setdiff1d(np.arange(120), where)
    for field in ("fis", "self_effect", "mutant_predictions"):
        assert np.array_equal(getattr(placed, field)[:, where], getattr(plain, field)), field
    assert not placed.fis[:, empty].any()
    assert np.array_equal(placed.mutant_predictions[0, empty], placed.predictions.repeat(30))
    none = program.run(x, references, *(a[:0] for a in args[2:]))
    assert none.fis.shape == (1, 0, 30)
    assert np.allclose(none.attributions, plain.attributions, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["gradient", "deeplift"])
@pytest.mark.parametrize("seed", range(12))
def test_restricted_targets_are_columns_of_the_whole_map(seed: int, method: str) -> None:
    rng = np.random.default_rng(1000 + seed)
    graph = random_graph(rng).astype(np.float32)
    length = graph.length
    codes = rng.integers(0, 4, length).astype(np.int8)
    references = shuffled(codes, 2) if method == "deeplift" else None
    mutants = single_nucleotide(codes, np.arange(length))
    program = compile_events(graph, list(range(len(graph.tasks))), method, Rule())
    args = one_hot(codes), references, mutants.start, mutants.width, mutants.columns
    whole = program.run(*args)
    near = mutants.start[:, None] + np.arange(-3, 4)
    near = np.where((near < 0) | (near >= length), -1, near)
    for targets in (near, np.array([2, 3, length - 2])):
        some = program.run(*args, targets=targets)
        columns = np.broadcast_to(targets, (len(mutants.start), targets.shape[-1]))
        expected = np.take_along_axis(whole.fis, np.maximum(columns, 0)[None], 2)
        assert np.array_equal(some.fis, np.where(columns >= 0, expected, 0))
        assert np.array_equal(some.self_effect, whole.self_effect)
        assert np.array_equal(some.attributions, whole.attributions)


def test_smooth_trunk_is_refused_with_a_reason() -> None:
    m = Maker(np.random.default_rng(0), 20)
    graph = m.graph(m.dense(m.add(Gelu(), m.conv(0, 4, 3)), 1))
    assert unsupported(graph, [0]) == "node 'n2' (Gelu): no events: not piecewise linear"


def test_headers_are_read_where_their_fields_lie() -> None:
    for laid in Laid.__subclasses__():
        for place, field in enumerate(fields(laid)):
            assert getattr(case, field.name.upper()) == place, (laid.__name__, field.name)

"""What the way up has found, kept for the way down: the same bits as going up twice."""

from __future__ import annotations

import sys
from math import prod
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from events_helpers import one_hot, random_graph

from dfim_fast.backends.numba_cpu.events import program as module
from dfim_fast.backends.numba_cpu.events.memory import REST, Memories, Memory
from dfim_fast.backends.numba_cpu.events.program import EventProgram, compile_events
from dfim_fast.backends.numba_cpu.events.rows import Rows
from dfim_fast.ops.base import Rule
from dfim_fast.sequence.mutants import single_nucleotide


def hidden_program(seed: int, method: str, pool: str) -> EventProgram | None:
    """Of a random graph whose head has hidden layers; None of another."""
    graph = random_graph(np.random.default_rng(seed)).astype(np.float32)
    tasks = list(range(len(graph.tasks)))
    program = compile_events(graph, tasks, method, Rule(maxpool=pool))
    return None if program.head.linear else program


def map_of(program: EventProgram, seed: int) -> Rows:
    codes = np.random.default_rng(seed).integers(0, 4, program.graph.length).astype(np.int8)
    mutants = single_nucleotide(codes, np.arange(len(codes)))
    references = np.stack([one_hot(codes[::-1]), one_hot(np.roll(codes, 3))])
    return program.run(
        one_hot(codes), references, mutants.start, mutants.width, mutants.columns
    )


def same(a: Rows, b: Rows) -> bool:
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("fis", "self_effect", "mutant_predictions", "attributions")
    )


@pytest.mark.parametrize(
    ("method", "pool"), [("gradient", "shap"), ("deeplift", "shap"), ("deeplift", "deeplift")]
)
def test_kept_ways_up_give_the_same_bits(
    method: str, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0
    for seed in range(300, 330):
        program = hidden_program(seed, method, pool)
        if program is None:
            continue
        kept = map_of(program, seed)
        with monkeypatch.context() as patched:
            patched.setattr(module, "KEPT_BYTES", 0)
            assert same(map_of(program, seed), kept), seed
        compared += 1
    assert compared > 8


def test_slots_hold_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every slot is followed by numbers that have to stand."""
    checked = 0
    for seed in range(300, 340):
        program = hidden_program(seed, "deeplift", "shap")
        if program is None:
            continue
        slot, rooms = program.slot(1), []

        def room(self: Memory, shape: tuple[int, ...], longest: int = 0, *, rooms=rooms, slot=slot):  # type: ignore[no-untyped-def]
            flat = np.full(prod(shape), 7, np.float32)
            self.lent[id(flat)] = flat
            rooms.append(flat.reshape(shape))
            return rooms[-1]

        with monkeypatch.context() as patched:
            patched.setattr(Memory, "large", room)
            patched.setattr(EventProgram, "slot", lambda self, width, slot=slot: slot + 16)
            map_of(program, seed)
        (kept,) = [a for a in rooms if a.shape[-1] == slot + 16 and a.ndim == 2]
        assert (kept[:, slot:] == 7).all(), seed
        assert (kept[:, :slot] != 7).any(), seed
        checked += 1
    assert checked > 8


def test_memory_is_used_again_and_large_ones_are_let_go() -> None:
    program = next(p for p in (hidden_program(s, "gradient", "shap") for s in range(300, 330)) if p)
    first = map_of(program, 1)
    (idle,) = program.memories._idle.values()
    (memory,) = idle
    assert same(map_of(program, 1), first)
    assert program.memories._idle[0, 1] == [memory]
    assert not memory.lent
    program.memories.rest()
    assert program.memories._idle[0, 1] == [memory]
    memory.spare.append(np.zeros(REST // 4, np.float32))
    program.memories.rest()
    assert program.memories._idle[0, 1] == []


def test_memory_lends_the_smallest_that_fits() -> None:
    program = next(p for p in (hidden_program(s, "gradient", "shap") for s in range(300, 330)) if p)
    memory = Memories().take(program.builder, 0, 1)
    large, small = memory.large((10, 40), 100), memory.large((10, 10))
    assert large.base is not small.base
    addresses = large.ctypes.data, small.ctypes.data
    memory.give_back(large, small)
    assert memory.large((3, 7)).ctypes.data == addresses[1]
    assert memory.large((10, 100)).ctypes.data == addresses[0]  # set aside at the first call

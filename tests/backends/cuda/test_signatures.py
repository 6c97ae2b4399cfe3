"""The signature table, the numbers of steps and the order of arguments are those of the sources."""

import re
from itertools import pairwise

import numpy as np
import pytest

from dfim_fast.backends.cuda import layout, native, shuffles, sources
from dfim_fast.backends.cuda.layers import convolution, gates, joints, segments
from dfim_fast.backends.cuda.signatures import KERNELS, TENSOR, TILE, VIEW, Signature
from dfim_fast.errors import BackendError
from dfim_fast.plan import walk

ENTRY = re.compile(r"^DFIM_KERNEL\((\w+), (\d+),\s*\((.*?)\)\) \{", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"^constexpr int (\w+) = (\d+);", re.MULTILINE)


def declared() -> dict[str, tuple[tuple[tuple[str, str], ...], int]]:
    """Parameters and warps of every kernel, as the sources have them."""
    found = {}
    for name, warps, text in ENTRY.findall(sources.source()):
        parts = (part.strip().rsplit(maxsplit=1) for part in " ".join(text.split()).split(","))
        found[name] = (tuple((kind, parameter) for kind, parameter in parts), int(warps))
    return found


def test_the_table_is_what_the_sources_declare():
    assert declared() == {name: (s.parameters, s.warps) for name, s in KERNELS.items()}


def test_every_kernel_is_in_the_list_that_builds_read():
    (text,) = re.findall(
        r"#define DFIM_KERNELS\(X\)(.*?)\n\n", sources.source() + "\n\n", re.DOTALL
    )
    assert sorted(re.findall(r"X\((\w+)\)", text)) == sorted(KERNELS)


def test_numbers_of_steps_joints_and_segments():
    numbers = {name: int(value) for name, value in NUMBER.findall(sources.source())}
    for names in (gates.STEPS, joints.JOINTS, segments.SEGMENTS):
        assert [numbers[name] for name in names] == list(range(len(names)))
    assert numbers["STACK"] == gates.STACK
    assert numbers["LANES"] == segments.LANES == shuffles.LANES == native.LANES
    assert numbers["ALTERNATES"] == walk.ALTERNATES
    assert [numbers[name] for name in layout.POOLS] == list(range(len(layout.POOLS)))
    assert numbers["TILE_ROWS"] == convolution.TILE_ROWS
    assert numbers["LANES"] * 2 == convolution.TILE_COLUMNS


def test_scratch_is_declared_where_it_is_used():
    text = sources.source()
    starts = [match.start() for match in ENTRY.finditer(text)] + [len(text)]
    bodies = (text[a:b] for a, b in pairwise(starts))
    bodies = {ENTRY.findall(body)[0][0]: body for body in bodies}
    sizes = {"TILE_SCRATCH": TILE, "TENSOR_SCRATCH": TENSOR}
    for macro, size in sizes.items():
        used = {name for name, body in bodies.items() if f"scratch({macro})" in body}
        assert used == {name for name, signature in KERNELS.items() if signature.scratch == size}
    assert {s.scratch for s in KERNELS.values()} == {0, *sizes.values()}
    assert convolution.TILE_ROWS * 4 * (segments.LANES + 4) == TENSOR
    assert convolution.TILE_ROWS * 4 * segments.LANES == TILE


def test_a_stage_of_the_walk_is_laid_out_as_the_table():
    (body,) = re.findall(r"struct WalkStage \{(.*?)\};", sources.source(), re.DOTALL)
    fields = re.findall(r"^    int (\w+);", body, re.MULTILINE)
    assert fields == list(layout.COLUMNS)


def test_a_view_is_laid_out_as_the_compilers_lay_it_out():
    (body,) = re.findall(r"struct View \{(.*?)\};", sources.source(), re.DOTALL)
    fields = re.findall(r"(?:const )?\w+\*? (\w+);", re.sub(r"//.*", "", body))
    assert fields == list(VIEW.names)
    pointers = re.findall(r"\* (\w+);", body)
    for name in fields:  # naturally aligned: pointers first, so that nothing is padded
        assert VIEW.fields[name][0].itemsize == (8 if name in pointers else 4)
    assert VIEW.itemsize == 8 * len(pointers) + 4 * (len(fields) - len(pointers))


def test_the_native_modules_compiler_saw_the_same_types():
    native = pytest.importorskip("dfim_fast._native", reason="the native module was not built")
    table = {
        name: ",".join(kind for kind, _ in signature.parameters)
        for name, signature in KERNELS.items()
    }
    assert dict(native.signatures()) == table


def test_arguments_are_checked():
    signature = Signature((("View", "y"), ("float*", "out"), ("float", "epsilon"), ("int", "n")), 8)
    view = np.zeros((), VIEW)[()]
    packed = signature.pack("k", (view, 64, 1, -1))
    assert [p.dtype for p in packed] == [VIEW, np.uint64, np.float32, np.int32]
    for values, text in [
        ((view, 64, 1.0), "kernel k takes 4 arguments and was given 3"),
        ((view, 1.5, 1.0, 1), "kernel k: argument out is of type float, wanted float*"),
        ((view, -8, 1.0, 1), "kernel k: argument out is of type int, wanted float*"),
        ((64, 64, 1.0, 1), "kernel k: argument y is of type int, wanted View"),
        ((view, 64, "1", 1), "kernel k: argument epsilon is of type str, wanted float"),
    ]:
        with pytest.raises(BackendError) as caught:
            signature.pack("k", values)
        assert str(caught.value) == text


def test_includes_are_expanded_once():
    text = sources.source()
    assert re.findall(r'#include "(.*)"', text) == ["../emulator/lanes.hpp"]  # behind an #else
    assert text.count("struct View {") == 1
    assert "#pragma once" not in text

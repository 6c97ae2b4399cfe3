"""bench/gpu_compile.py counts occupancy as CUDA's calculator does."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def gpus(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("gpu_compile").ARCHITECTURES


@pytest.mark.parametrize(
    ("architecture", "registers", "warps", "shared", "wanted", "limiter"),
    [
        # by hand: 156 registers are 5120 of a warp, so 12 warps; 48 KiB + 1 KiB go 3 times into 164
        ("sm_80", 156, 2, 49_152, 6, "shared memory"),
        ("sm_90", 156, 2, 49_152, 8, "shared memory"),
        ("sm_90", 156, 2, 0, 12, "registers"),
        ("sm_80", 32, 8, 0, 64, "registers"),  # 64 by warps too; the first that says so
        ("sm_80", 16, 1, 0, 32, "blocks"),
        ("sm_90", 16, 3, 0, 63, "warps"),
    ],
)
def test_warps_of_a_multiprocessor(gpus, architecture, registers, warps, shared, wanted, limiter):
    rooms = gpus[architecture].rooms(registers, warps, shared)
    assert min(rooms.values()) == wanted == rooms[limiter]
    assert min(rooms, key=lambda resource: rooms[resource]) == limiter

"""Registers, spills, shared memory and occupancy of every kernel. Writes
bench/results/gpu_compile.json.

    python bench/gpu_compile.py

Needs no GPU. Sizes of networks are arguments of the kernels, so that these numbers are those of
every model. Occupancy is counted as CUDA's own calculator counts it: what registers, shared memory,
blocks and warps each leave room for, and which of them is the least.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine

from dfim_fast.backends.cuda import sources
from dfim_fast.backends.cuda.cupy_gpu import OPTIONS
from dfim_fast.backends.cuda.signatures import KERNELS

RESULTS = Path(__file__).resolve().parent / "results" / "gpu_compile.json"
LANES = 32


@dataclass(frozen=True)
class Multiprocessor:
    """What the blocks on one multiprocessor share, by the CUDA programming guide's tables."""

    shared: int  # bytes
    registers: int = 65_536
    warps: int = 64
    blocks: int = 32
    register_unit: int = 256  # a warp's registers are given in these
    shared_unit: int = 128  # bytes; a block's shared memory
    reserved: int = 1024  # bytes that the driver takes of each block's

    def rooms(self, registers: int, warps: int, shared: int) -> dict[str, int]:
        """Warps that each resource leaves room for, in blocks of ``warps``."""
        of_warp = -(-registers * LANES // self.register_unit) * self.register_unit
        of_block = -(-shared // self.shared_unit) * self.shared_unit + self.reserved
        blocks = {
            "registers": self.registers // of_warp // warps,
            "shared memory": self.shared // of_block,
            "blocks": self.blocks,
            "warps": self.warps // warps,
        }
        return {name: warps * count for name, count in blocks.items()}


ARCHITECTURES = {"sm_80": Multiprocessor(164 * 1024), "sm_90": Multiprocessor(228 * 1024)}
REPORT = re.compile(
    r"Compiling entry function '(\w+)' .*?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers",
    re.DOTALL,
)


def compiled(architecture: str) -> dict[str, dict[str, Any]]:
    """What ptxas reports of each kernel, and how many warps a multiprocessor holds of it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernels.cu"
        file.write_text(sources.source())
        command = ["nvcc", *OPTIONS, f"-arch={architecture}", "-Xptxas=-v", "-cubin", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    found = {}
    for name, stack, stores, loads, registers in REPORT.findall(done.stderr):
        signature = KERNELS[name]
        shared = signature.bytes_of_block
        rooms = ARCHITECTURES[architecture].rooms(int(registers), signature.warps, shared)
        limiter = min(rooms, key=lambda resource: rooms[resource])
        found[name] = {
            "registers": int(registers),
            "stack_bytes": int(stack),
            "spill_bytes": int(stores) + int(loads),
            "shared_bytes_of_block": shared,
            "warps_of_block": signature.warps,
            "warps_of_multiprocessor": rooms[limiter],
            "limited_by": limiter,
        }
    return found


def main() -> None:
    """Both architectures, into the file."""
    version = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=True)
    results: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": machine.revision(),
        "nvcc": version.stdout.strip().splitlines()[-1],
        "options": list(OPTIONS),
        "kernels": {a: compiled(a) for a in ARCHITECTURES},
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for architecture, kernels in results["kernels"].items():
        spills = [name for name, k in kernels.items() if k["spill_bytes"]]
        most = max(kernels.values(), key=lambda k: k["registers"])["registers"]
        least = min(kernels, key=lambda name: kernels[name]["warps_of_multiprocessor"])
        print(f"{architecture}: {len(kernels)} kernels, at most {most} registers, spills: "
              + (", ".join(spills) or "none")
              + f"; fewest warps: {least}, {kernels[least]['warps_of_multiprocessor']} by "
              + kernels[least]["limited_by"])  # fmt: skip


if __name__ == "__main__":
    main()

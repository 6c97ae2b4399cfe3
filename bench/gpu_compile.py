"""Registers, spills and shared memory of every kernel. Writes bench/results/gpu_compile.json.

    python bench/gpu_compile.py

Needs no GPU. Sizes of networks are arguments of the kernels, so that these numbers are those of
every model.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine

from dfim_fast.backends.cuda import sources
from dfim_fast.backends.cuda.cupy_gpu import OPTIONS
from dfim_fast.backends.cuda.signatures import KERNELS

RESULTS = Path(__file__).resolve().parent / "results" / "gpu_compile.json"
ARCHITECTURES = ("sm_80", "sm_90")
REGISTERS_OF_MULTIPROCESSOR = 65_536
LANES = 32
# of compute capability 8.0 and 9.0
WARPS_OF_MULTIPROCESSOR = 64
REPORT = re.compile(
    r"Compiling entry function '(\w+)' .*?"
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads.*?"
    r"Used (\d+) registers",
    re.DOTALL,
)


def compiled(architecture: str) -> dict[str, dict[str, int]]:
    """What ptxas reports of each kernel, and how many warps its registers leave room for."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernels.cu"
        file.write_text(sources.source())
        command = ["nvcc", *OPTIONS, f"-arch={architecture}", "-Xptxas=-v", "-cubin", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    found = {}
    for name, stack, stores, loads, registers in REPORT.findall(done.stderr):
        warps = KERNELS[name].warps
        blocks = REGISTERS_OF_MULTIPROCESSOR // (int(registers) * LANES * warps)
        found[name] = {
            "registers": int(registers),
            "stack_bytes": int(stack),
            "spill_bytes": int(stores) + int(loads),
            "shared_bytes_of_block": KERNELS[name].bytes_of_block,
            "warps_of_multiprocessor": min(WARPS_OF_MULTIPROCESSOR, blocks * warps),
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
        print(f"{architecture}: {len(kernels)} kernels, at most {most} registers, spills: "
              + (", ".join(spills) or "none"))  # fmt: skip


if __name__ == "__main__":
    main()

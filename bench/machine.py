"""What a benchmark ran on: hardware, versions, revision, and the machine's own peaks.

    python bench/machine.py

prints them. Peaks are the best of several runs: what the machine can do, not what it does on
average.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dfim_fast", "numpy", "numba", "llvmlite", "onnx", "scipy", "torch", "tangermeme",
            "captum", "shap", "onnxruntime")
SIZE = 2048  # of the square matrices whose product gives the peak
ROUNDS = 12
STREAM_BYTES = 256_000_000


def hardware() -> dict[str, Any]:
    """Processor, its vectors, cores and memory."""
    found: dict[str, Any] = {"processor": platform.processor() or platform.machine(),
                             "cores": usable_cores()}
    info = Path("/proc/cpuinfo")
    if info.is_file():
        fields: dict[str, str] = {}
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
        found["processor"] = fields.get("model name", found["processor"])
        flags = fields.get("flags", "").split()
        found["vectors"] = [f for f in ("avx2", "fma", "avx512f") if f in flags]
    found["memory_gb"] = round(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return found


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of Python and what the numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def revision() -> str:
    """Commit of the repository, with "+" where tracked files of the package differ from it."""
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True,
                              text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "dfim_fast", "bench/*.py")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + ("+" if changed else "")


def best(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Shortest of several runs, in seconds, after one to warm up."""
    call()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def peaks(threads: int, rounds: int = ROUNDS) -> dict[str, float]:
    """Highest float32 matrix-product rates (GFLOP/s) and memory rates (GB/s).

    Returns
    -------
    dict
        ``torch``, ``numpy``: their own products; ``own``: this package's row-invariant product;
        ``sgemm``: the highest of them, which shares are taken of; ``copy``: bytes read plus bytes
        written; ``fill_fresh``: writing into newly allocated memory, which every result is.
    """
    import torch
    from threadpoolctl import threadpool_limits

    from dfim_fast.backends.numba_cpu.gemm import multiply, pack

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(SIZE, SIZE)).astype(np.float32) for _ in range(2))
    c = np.empty((SIZE, SIZE), np.float32)
    work = 2 * SIZE**3 / 1e9
    ta, tb, tc = torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(c)
    found = {"torch": work / best(lambda: torch.mm(ta, tb, out=tc), rounds)}
    with threadpool_limits(threads):
        found["numpy"] = work / best(lambda: np.matmul(a, b, out=c), rounds)
    packed, rows = pack(b), SIZE // threads
    with ThreadPoolExecutor(threads) as pool:

        def own() -> None:
            list(pool.map(
                lambda i: multiply(a[i * rows : (i + 1) * rows], packed), range(threads)))

        found["own"] = work / best(own, rounds)
    found["sgemm"] = max(found.values())
    source = np.ones(STREAM_BYTES // 4, np.float32)
    target = np.empty_like(source)
    found["copy"] = 2 * STREAM_BYTES / 1e9 / best(lambda: np.copyto(target, source), rounds)
    found["fill_fresh"] = STREAM_BYTES / 1e9 / best(
        lambda: np.empty_like(source).fill(1), rounds)
    return {name: round(value, 1) for name, value in found.items()}


def memory_high_water(process: int | str = "self") -> int:
    """Highest resident bytes of this process, or of another one; 0 if that has ended.

    ``ru_maxrss`` of a child starts at what its parent held before the exec; the kernel's VmHWM
    does not.
    """
    status = Path(f"/proc/{process}/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if process != "self":
        return 0
    import resource

    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    print(json.dumps({"hardware": hardware(), "versions": versions(), "revision": revision(),
                      "peaks": peaks(usable_cores())}, indent=1))

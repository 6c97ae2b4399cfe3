"""Everything that needs a GPU, in one call of under ten minutes. Writes bench/results/gpu.json.

    python bench/gpu_check.py            # on a machine with a GPU
    python bench/gpu_check.py --backend emulator --seconds 60 --out /tmp/x.json    # a dry run

Builds the native module, holds every backend that finds a device against float64 on small models
of all kinds, compares cupy and native bit by bit and run with run, runs compute-sanitizer on a
small case where it is installed, and times the cases of bench/cases.py: results left on the device,
copied out, and one sequence from call to result; beside them batched PyTorch autograd on the same
GPU where PyTorch is installed. What the time did not suffice for is listed, not left out.

Imports neither numba nor statsmodels: a machine that is lent for minutes may have neither.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine
import numpy as np
from cases import CASES, REFERENCES, Case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "gpu.json"
MODELS = ROOT / "tests" / "models"
SECONDS = 560.0  # for everything
AGREES = 1e-5  # of the largest |C|
BATCH = 32  # sequences
REPEATS = 5
CCRES = 926_535  # human candidate cis-regulatory elements of 1 kb, for the projection
# one model of each kind: pools, overlaps, dilations and crops, branches, smooth, normalised, heads
CHECKED = (
    "basset_legacy.onnx", "deepstarr_legacy.onnx", "max_pool_overlap_legacy.onnx",
    "dilated_residual_crop_legacy.onnx", "dilated_grouped_legacy.onnx", "siamese_legacy.onnx",
    "average_pool_count_pad_legacy.onnx", "gelu_erf_legacy.onnx", "convnext_legacy.onnx",
    "attention_pool_legacy.onnx", "global_average_legacy.onnx", "chrombpnet_legacy.onnx",
)  # fmt: skip
SETTINGS: tuple[dict[str, Any], ...] = (
    {"method": "gradient"},
    {"method": "deeplift", "maxpool": "shap"},
    {"method": "deeplift", "maxpool": "deeplift", "contribution": "observed"},
)
SANITIZERS = ("memcheck", "racecheck")


class Clock:
    """Seconds that are left."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Until everything has to be over."""
        return self.end - time.monotonic()


def build(clock: Clock) -> dict[str, Any]:
    """The package with its native module, in a folder of its own that imports then find first."""
    if shutil.which("nvcc") is None:
        return {"built": False, "why": "no nvcc on PATH"}
    folder = tempfile.mkdtemp(prefix="dfim_gpu_")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", folder, str(ROOT)]
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=clock.left / 2,
            env={**os.environ, "DFIM_FAST_REQUIRE_NATIVE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"built": False, "why": "it took too long"}
    if done.returncode:
        return {"built": False, "why": (done.stderr or done.stdout).strip().splitlines()[-1]}
    sys.path.insert(0, folder)
    return {"built": True, "seconds": round(time.monotonic() - start, 1)}


def device_facts() -> dict[str, Any]:
    """Name, driver and clocks as nvidia-smi tells them."""
    fields = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,memory.total,power.limit"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return {"nvidia_smi": str(error)}
    values = done.stdout.splitlines()[0].split(", ")
    return dict(zip(fields.split(","), values, strict=True))


def inputs(plan: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Random sequences (n, 4, L) and references (n, R, 4, L)."""
    rng = np.random.default_rng(seed)
    length, many = plan.graph.length, plan.n_references

    def draw(n: int) -> np.ndarray:
        return np.eye(4, dtype=np.float32)[rng.integers(0, 4, (n, length))].swapaxes(1, 2)

    return draw(count), draw(count * many).reshape(count, many, 4, length) if many else None


def agreement(name: str, clock: Clock) -> dict[str, Any]:
    """Largest difference from float64 on each small model, relative to the largest |C|.

    A gate that float64 finds within rounding of zero may fall either way: such rows lie beyond the
    bound, and their share is stated.
    """
    from dfim_fast import load_model
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan

    found: dict[str, Any] = {}
    for file in CHECKED:
        if clock.left < 0:
            found[file] = "not reached"
            continue
        graph = load_model(MODELS / file).graph
        sources = sorted({0, graph.length // 3, graph.length // 2, graph.length - 1})
        worst, rows, beyond = 0.0, 0, 0
        for settings in SETTINGS:
            many = 3 if settings["method"] == "deeplift" else 0
            plan = make_plan(graph, n_references=many, sources=sources, **settings)
            x, references = inputs(plan, 2, 0)
            maps, wanted = (
                list(make_backend(b, plan).maps(x, references)) for b in (name, "reference")
            )
            for one, other in zip(maps, wanted, strict=True):
                scale = max(np.abs(other.attributions).max(), np.abs(other.fis).max())
                off = np.abs(one.fis - other.fis).max(axis=(0, 3)) / scale
                rows, beyond = rows + off.size, beyond + int((off > AGREES).sum())
                inside = off[off <= AGREES]
                worst = max(worst, float(inside.max(initial=0)))
        found[file] = {"largest_within": worst, "rows": rows, "rows_beyond": beyond}
    return found


def bits(maps: list[Any]) -> bytes:
    """All that a list of maps holds."""
    parts = [m.fis.tobytes() + m.self_effect.tobytes() + m.attributions.tobytes() for m in maps]
    return b"".join(parts)


def same_bits(names: list[str]) -> dict[str, Any]:
    """Whether backends agree bit by bit, with each other and from run to run."""
    from dfim_fast import load_model
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan

    found: dict[str, Any] = {}
    for file in CHECKED[:4]:
        graph = load_model(MODELS / file).graph
        plan = make_plan(graph, n_references=3)
        x, references = inputs(plan, 2, 1)
        runs = [bits(list(make_backend(n, plan).maps(x, references))) for n in (*names, names[0])]
        found[file] = len(set(runs)) == 1
    return found


def sanitize(name: str, clock: Clock) -> dict[str, str]:
    """compute-sanitizer's closing line on one small case."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return {kind: "compute-sanitizer is not installed" for kind in SANITIZERS}
    found = {}
    for kind in SANITIZERS:
        command = [tool, f"--tool={kind}", sys.executable, str(HERE / "gpu_check.py")]
        command += ["--small", name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False,
                timeout=max(1.0, min(90.0, clock.left / 4)),
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            lines = (done.stdout + done.stderr).strip().splitlines()
            found[kind] = lines[-1] if lines else f"exit code {done.returncode}"
        except (OSError, subprocess.TimeoutExpired) as error:
            found[kind] = str(error)
    return found


def small(name: str) -> None:
    """The case that sanitizers watch."""
    from dfim_fast import load_model
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan

    graph = load_model(MODELS / CHECKED[2]).graph
    plan = make_plan(graph, n_references=2, sources=[0, graph.length - 1])
    print(len(list(make_backend(name, plan).maps(*inputs(plan, 1, 0)))), "map")


def median_of(call: Callable[[], Any], clock: Clock, share: float) -> dict[str, float]:
    """Median and spread of repeats within a share of the time left, after one to warm up."""
    call()
    times: list[float] = []
    until = time.monotonic() + max(0.0, clock.left) * share
    while len(times) < REPEATS and (not times or time.monotonic() < until):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return {"median": statistics.median(times), "low": min(times), "high": max(times),
            "repeats": len(times)}  # fmt: skip


def times(name: str, case: Case, method: str, clock: Clock) -> dict[str, Any]:
    """Seconds a sequence of one case: on the device, copied out, and a single call."""
    from dfim_fast import interaction_map, load_model
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan
    from dfim_fast.sequence.one_hot import one_hot
    from dfim_fast.sequence.references import make_references

    model = load_model(case.onnx())
    many = REFERENCES if method == "deeplift" else 0
    plan = make_plan(model.graph, method=method, n_references=many)
    backend: Any = make_backend(name, plan)
    text = case.sequences(BATCH)
    x = one_hot(text)
    references = make_references(x, "dinucleotide", many) if many else None

    def part(n: int) -> np.ndarray | None:
        return None if references is None else references[:n]

    start = time.perf_counter()
    list(backend.maps(x[:1], part(1)))
    first = time.perf_counter() - start
    if 3 * first > clock.left:
        return {"first_map_seconds": first, "why": "no time for more"}
    fitting = int(max(1, min(len(x), clock.left / 60 / max(first, 1e-3))))

    def on_device() -> None:
        for first in range(0, fitting, backend.batch):
            rows = slice(first, min(first + backend.batch, fitting))
            own = None if references is None else references[rows]
            deque(backend.on_device(x[rows], own), maxlen=0)
        backend.device.synchronize()

    measured = {
        "on_device": median_of(on_device, clock, 0.02),
        "copied_out": median_of(
            lambda: list(backend.maps(x[:fitting], part(fitting))), clock, 0.02
        ),
        "single_call": median_of(
            lambda: interaction_map(
                model, text[:1], method=method, references=part(1) if many else "zeros",
                backend=name, progress=False,
            ),
            clock, 0.02,
        ),
    }  # fmt: skip
    for key in ("on_device", "copied_out"):
        for which in ("median", "low", "high"):
            measured[key][which] /= fitting
    seconds = measured["on_device"]["median"]
    found: dict[str, Any] = {
        "sequences": fitting,
        "first_map_seconds": first,
        "seconds_a_sequence": measured,
        "counted_multiply_adds": plan.cost.planned,
        "naive_multiply_adds": plan.cost.naive,
        "counted_gflops": 2e-9 * plan.cost.planned / seconds,
    }
    if case.name == "tal_gata":
        found["all_ccres_minutes"] = CCRES * measured["copied_out"]["median"] / 60
    return found


def autograd(case: Case) -> dict[str, Any]:
    """Batched PyTorch autograd on the same GPU: seconds for all mutants of one sequence."""
    try:
        import torch
    except ImportError:
        return {"why": "PyTorch is not installed"}
    if not torch.cuda.is_available():
        return {"why": "PyTorch finds no GPU"}
    from peers import torch_module

    network = torch_module(case).cuda()
    batch = 512
    x = torch.rand(batch, 4, case.length, device="cuda", requires_grad=True)

    def once() -> float:
        torch.cuda.synchronize()
        start = time.perf_counter()
        torch.autograd.grad(network(x)[:, 0].sum(), x)
        torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    seconds = statistics.median(once() for _ in range(REPEATS))
    return {"seconds_a_sequence": seconds * 3 * case.length / batch, "batch": batch,
            "torch": torch.__version__}  # fmt: skip


def main() -> int:
    """Everything, in the order of what matters most."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backend", action="append", help="default: cupy and native")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for everything")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--small", metavar="BACKEND", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.small:
        small(options.small)
        return 0
    clock = Clock(options.seconds)
    wanted = options.backend or ["cupy", "native"]
    from dfim_fast.backends.select import has_driver

    if "emulator" not in wanted and not has_driver():
        print("gpu_check: no GPU here (libcuda.so.1 is not installed); nothing was measured")
        return 1
    built = build(clock) if "native" in wanted else {"built": False, "why": "not asked for"}
    for module in [m for m in sys.modules if m.split(".")[0] == "dfim_fast"]:
        del sys.modules[module]  # from here on the one that was built
    from dfim_fast.backends.select import why_not

    states = {name: why_not(name) for name in wanted}
    names = [name for name, why in states.items() if why is None]
    if not names:
        print("gpu_check: " + "; ".join(f"{why}" for why in states.values()))
        return 1
    results: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": machine.revision(),
        "machine": machine.hardware(),
        "versions": machine.versions(),
        "device": device_facts(),
        "native_build": built,
        "backends": {name: why or "available" for name, why in states.items()},
    }

    def keep() -> None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        partial = options.out.with_suffix(".partial")
        partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        partial.replace(options.out)

    results["agreement"] = {name: agreement(name, clock) for name in names}
    results["same_bits"] = same_bits(names)
    keep()
    results["times"] = {}
    for case in CASES.values():
        for method in ("gradient", "deeplift"):
            key = f"{case.name} {method}"
            results["times"][key] = {}
            for name in names:
                if case.missing or clock.left < 0.1 * options.seconds:
                    results["times"][key][name] = case.missing or "not reached"
                    continue
                try:
                    results["times"][key][name] = times(name, case, method, clock)
                except Exception as error:  # one case that fails must not lose the others
                    results["times"][key][name] = f"{type(error).__name__}: {error}"
                keep()
                print(key, name, results["times"][key][name], flush=True)
        if not case.missing and clock.left > 0.1 * options.seconds:
            results["times"][f"{case.name} autograd"] = autograd(case)
    results["sanitizers"] = {name: sanitize(name, clock) for name in names}
    keep()
    print(f"gpu_check: {', '.join(names)} measured; written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The parts of gpu_check.py, each run in a process of its own.

    python bench/gpu_parts.py PART --backend cupy --seconds 60 --out part.json [--case tal_gata]

What is found is written after each step, so that a part that is stopped keeps what it had. Imports
neither numba nor statsmodels.
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
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, REFERENCES, Case

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MODELS = ROOT / "tests" / "models"
AGREES = 1e-5  # of the largest |C|
BATCH = 256  # sequences
REPEATS = 5
CCRES = 926_535  # human candidate cis-regulatory elements of 1 kb, for the projection
# one model of each kind: pools, overlaps, dilations and crops, branches, smooth, normalised, heads
CHECKED = (
    "basset_legacy.onnx", "deepstarr_legacy.onnx", "max_pool_overlap_legacy.onnx",
    "dilated_residual_crop_legacy.onnx", "dilated_grouped_legacy.onnx", "siamese_legacy.onnx",
    "average_pool_count_pad_legacy.onnx", "gelu_erf_legacy.onnx", "convnext_legacy.onnx",
    "attention_pool_legacy.onnx", "global_average_legacy.onnx", "chrombpnet_legacy.onnx",
    "global_max_legacy.onnx",
)  # fmt: skip
SETTINGS: tuple[dict[str, Any], ...] = (
    {"method": "gradient"},
    {"method": "deeplift", "maxpool": "shap"},
    {"method": "deeplift", "maxpool": "deeplift", "contribution": "observed"},
)
SANITIZERS = ("memcheck", "racecheck")
PEER_BATCHES = {"gradient": (512, 4096), "deeplift": (640, 5120)}
# Of one sequence, for dry runs on the emulator.
TINY = {"sources": 2, "references": 1, "batch": 1}


class Part:
    """What a part has to go by, and what it found.

    Attributes
    ----------
    backends : list of str
    case : Case or None
    tiny : bool
        A dry run: two sources, one repeat.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.backends, self.tiny = options.backend, options.tiny
        self.case: Case | None = CASES[options.case] if options.case else None
        self.out, self.end = options.out, time.monotonic() + options.seconds
        self.found: dict[str, Any] = {}

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def keep(self, key: str, value: Any) -> None:
        """Note a finding down at once."""
        self.found[key] = value
        partial = self.out.with_suffix(".partial")
        partial.write_text(json.dumps(self.found), encoding="utf-8")
        partial.replace(self.out)


def make(name: str, graph: Any, **settings: Any) -> Any:
    """A backend for a new plan."""
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan

    return make_backend(name, make_plan(graph, **settings))


def load(file: str) -> Any:
    """The graph of a small model."""
    from dfim_fast import load_model

    return load_model(MODELS / file).graph


def inputs(plan: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Random sequences (n, 4, L) and references (n, R, 4, L)."""
    rng = np.random.default_rng(seed)
    length, many = plan.graph.length, plan.n_references

    def draw(n: int) -> np.ndarray:
        return np.eye(4, dtype=np.float32)[rng.integers(0, 4, (n, length))].swapaxes(1, 2)

    return draw(count), draw(count * many).reshape(count, many, 4, length) if many else None


def build(part: Part) -> None:
    """The native module, where it is not there: by pip into the folder that ``out`` names."""
    try:
        import dfim_fast._native as native

        part.keep("native", {"built": "before", **native.build_info()})
        return
    except ImportError:
        pass
    if shutil.which("nvcc") is None:
        part.keep("native", {"why": "no nvcc on PATH"})
        return
    folder = part.out.with_suffix("")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder)]
    said = ""
    for extra in ([], ["--no-build-isolation"]):  # without a network: what is installed
        start = time.monotonic()
        done = subprocess.run(
            [*command, *extra, str(ROOT)], capture_output=True, text=True, check=False,
            env={**os.environ, "DFIM_FAST_REQUIRE_NATIVE": "1"},
        )  # fmt: skip
        if not done.returncode:
            seconds = round(time.monotonic() - start, 1)
            part.keep("native", {"built": "now", "seconds": seconds, "folder": str(folder)})
            return
        said = (done.stderr or done.stdout).strip().splitlines()[-1]
    part.keep("native", {"why": said})


def device(part: Part) -> None:
    """Name, driver and clocks as nvidia-smi tells them, and the highest rates that were reached."""
    fields = (
        "name,driver_version,compute_cap,clocks.sm,clocks.max.sm,clocks.mem,memory.total,power.limit"
    )
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        values = done.stdout.splitlines()[0].split(", ")
        part.keep("as_found", dict(zip(fields.split(","), values, strict=True)))
    except (OSError, subprocess.SubprocessError) as error:
        part.keep("as_found", {"why": str(error)})
    part.keep("bounds", bounds())


def bounds() -> dict[str, Any]:
    """Measured peaks, by gpu_bounds.cu."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return {"why": "no nvcc on PATH"}
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "gpu_bounds"
        flags = ["-O3", "-std=c++17", "-arch=native", "-o", str(program)]
        for command in ([nvcc, *flags, str(HERE / "gpu_bounds.cu")], [str(program)]):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode:
                return {"why": (done.stderr or done.stdout).strip().splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def tests(part: Part) -> None:
    """The tests that a GPU makes run, by pytest's closing line."""
    command = [sys.executable, "-P", "-m", "pytest", str(ROOT / "tests/backends/cuda/test_gpu.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    lines = (done.stdout + done.stderr).strip().splitlines()
    part.keep("exit_code", done.returncode)
    part.keep("said", lines[-5:])


def agreement(part: Part) -> None:
    """Largest difference from float64 on each small model, relative to the largest |C|.

    A gate that float64 finds within rounding of zero may fall either way: such rows lie beyond the
    bound, and their share is stated.
    """
    for file in CHECKED[:2] if part.tiny else CHECKED:
        graph = load(file)
        sources = sorted({0, graph.length // 3, graph.length // 2, graph.length - 1})
        found: dict[str, Any] = {}
        for settings in SETTINGS:
            many = 3 if settings["method"] == "deeplift" else 0
            how = {"n_references": many, "sources": sources, **settings}
            reference = make("reference", graph, **how)
            x, references = inputs(reference.plan, 2, 0)
            wanted = list(reference.maps(x, references))
            for name in part.backends:
                own = found.setdefault(name, {"largest_within": 0.0, "rows": 0, "rows_beyond": 0})
                maps = make(name, graph, **how).maps(x, references)
                for one, other in zip(maps, wanted, strict=True):
                    scale = max(np.abs(other.attributions).max(), np.abs(other.fis).max())
                    off = np.abs(one.fis - other.fis).max(axis=(0, 3)) / scale
                    inside = off[off <= AGREES]
                    own["rows"] += off.size
                    own["rows_beyond"] += int((off > AGREES).sum())
                    own["largest_within"] = max(
                        own["largest_within"], float(inside.max(initial=0))
                    )
        part.keep(file, found)


def bits(maps: list[Any]) -> bytes:
    """All that a list of maps holds."""
    parts = [m.fis.tobytes() + m.self_effect.tobytes() + m.attributions.tobytes() for m in maps]
    return b"".join(parts)


def same_bits(part: Part) -> None:
    """Whether backends agree bit by bit, with each other and from run to run."""
    for file in CHECKED[:1] if part.tiny else (*CHECKED[:4], CHECKED[-1]):
        graph, runs = load(file), []
        for name in (*part.backends, part.backends[0]):
            backend = make(name, graph, n_references=3)
            runs.append(bits(list(backend.maps(*inputs(backend.plan, 2, 1)))))
        part.keep(file, len(set(runs)) == 1)


def precision(part: Part) -> None:
    """Errors of TF32 and 3xTF32."""
    from gpu_precision import errors

    name = part.backends[0]
    for case in (CASES["gelu"], *(c for c in CASES.values() if c.trained)):
        if case.missing is None and part.left > 0:
            few = (2, 1) if part.tiny else (12, 2)
            part.keep(case.name, errors(name, case, "gradient", *few))
        if part.tiny:
            return


def sanitize(part: Part) -> None:
    """compute-sanitizer's closing line on one small case."""
    tool = shutil.which("compute-sanitizer")
    for name in part.backends:
        for kind in SANITIZERS:
            if tool is None:
                part.keep(f"{name} {kind}", "compute-sanitizer is not installed")
                continue
            command = [tool, f"--tool={kind}", *itself("small", name, part)]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=part.left / 2
                )
                lines = (done.stdout + done.stderr).strip().splitlines()
                part.keep(f"{name} {kind}", lines[-1] if lines else f"exit {done.returncode}")
            except (OSError, subprocess.TimeoutExpired) as error:
                part.keep(f"{name} {kind}", str(error))


def counters(part: Part) -> None:
    """The profiler's view of one case, and what limits each kernel."""
    from gpu_counters import counters as read

    assert part.case is not None
    for method in part.case.methods:
        case = ["--case", part.case.name, "--method", method]
        command = [*itself("watched", part.backends[0], part), *case]
        part.keep(method, read(command, part.left / 2))


def itself(what: str, backend: str, part: Part) -> list[str]:
    """A command that runs a part of this script."""
    script = [sys.executable, str(Path(__file__).resolve()), what]
    out = part.out.with_name(f"{what}.json")
    return [*script, "--backend", backend, "--seconds", str(part.left), "--out", str(out)]


def small(part: Part) -> None:
    """The case that sanitizers watch."""
    for file in (CHECKED[2], CHECKED[-1]):  # layer by layer, and the fused walk
        graph = load(file)
        backend = make(part.backends[0], graph, n_references=2, sources=[0, graph.length - 1])
        part.keep(file, len(list(backend.maps(*inputs(backend.plan, 1, 0)))))


def watched(part: Part, method: str) -> None:
    """What the profiler watches: a batch of a case, left on the device."""
    assert part.case is not None
    run = Measured(part, part.backends[0], method)
    run.on_device(run.backend.batch)
    part.keep("sequences", run.backend.batch)


class Measured:
    """One case by one backend and method."""

    def __init__(self, part: Part, name: str, method: str) -> None:
        from dfim_fast import load_model
        from dfim_fast.sequence.one_hot import one_hot

        assert part.case is not None
        self.part, self.name, self.method = part, name, method
        self.model = load_model(part.case.onnx())
        many = TINY["references"] if part.tiny else REFERENCES
        self.many = many if method == "deeplift" else 0
        length = self.model.sequence_length
        self.sources = [0, length // 2] if part.tiny else None
        self.backend = make(
            name, self.model.graph, method=method, n_references=self.many, sources=self.sources
        )
        self.text = part.case.sequences(TINY["batch"] if part.tiny else BATCH)
        self.x = one_hot(self.text)

    def references(self, rows: slice) -> Any:
        """Drawn on the device."""
        if not self.many:
            return None
        return self.backend.references(self.x[rows], "dinucleotide", self.many, 0.5, 0)

    def on_device(self, count: int) -> float:
        """The device's seconds for so many sequences, results left there."""
        ended = self.backend.device.stopwatch()
        for first in range(0, count, self.backend.batch):
            rows = slice(first, min(first + self.backend.batch, count))
            deque(self.backend.on_device(self.x[rows], self.references(rows)), maxlen=0)
        return float(ended())

    def copied_out(self, count: int) -> float:
        """Seconds by the clock, results on the host."""
        start = time.perf_counter()
        rows = slice(0, count)
        deque(self.backend.maps(self.x[rows], self.references(rows)), maxlen=0)
        return time.perf_counter() - start

    def single_call(self) -> float:
        """Seconds from a call to its result."""
        from dfim_fast import interaction_map

        start = time.perf_counter()
        interaction_map(
            self.model, self.text[:1], method=self.method, n_references=max(self.many, 1),
            sources=self.sources, backend=self.name, progress=False,
        )  # fmt: skip
        return time.perf_counter() - start


def spread(call: Callable[[], float], repeats: int, seconds: float, each: int = 1) -> Any:
    """Median, lowest and highest of what a call measures, for one sequence of ``each``."""
    taken, until = [], time.monotonic() + seconds
    while len(taken) < repeats and (not taken or time.monotonic() < until):
        taken.append(call() / each)
    return {"median": statistics.median(taken), "low": min(taken), "high": max(taken),
            "repeats": len(taken)}  # fmt: skip


def times(part: Part) -> None:
    """Seconds a sequence of one case: on the device, copied out, and a single call."""
    assert part.case is not None
    repeats = 1 if part.tiny else REPEATS
    runs = [(method, name) for method in part.case.methods for name in part.backends]
    for number, (method, name) in enumerate(runs):
        share = part.left / (len(runs) - number)
        key, start = f"{method} {name}", time.monotonic()
        run = Measured(part, name, method)
        first = run.copied_out(1)  # compiles, and warms up
        second = run.copied_out(1)
        found: dict[str, Any] = {"first_map_seconds": first, "prepared_map_seconds": second}
        part.keep(key, found)
        each = (share - (time.monotonic() - start)) / 4
        if each < second and not part.tiny:
            part.keep(key, {**found, "why": "no time for more"})
            continue
        count = int(max(1, min(len(run.x), each / (repeats + 1) / max(second, 1e-5))))
        if count > run.backend.batch:
            count -= count % run.backend.batch
        found["sequences"], found["sequences_of_a_batch"] = count, run.backend.batch
        run.on_device(count)
        found["on_device"] = spread(lambda r=run, n=count: r.on_device(n), repeats, each, count)
        part.keep(key, found)
        found["copied_out"] = spread(lambda r=run, n=count: r.copied_out(n), repeats, each, count)
        found["single_call"] = spread(run.single_call, repeats, each)
        cost, seconds = run.backend.plan.cost, found["on_device"]["median"]
        found |= {
            "counted_multiply_adds": cost.planned,
            "naive_multiply_adds": cost.naive,
            "counted_flops": 2 * cost.planned / seconds,
        }
        if part.case.name == "tal_gata":
            found["all_ccres_minutes"] = {
                kind: CCRES * found[kind]["median"] / 60 for kind in ("on_device", "copied_out")
            }
        part.keep(key, found)


def peers(part: Part) -> None:
    """Batched PyTorch autograd, and DeepLIFT, on the same GPU: seconds for a sequence's mutants."""
    try:
        import torch
    except ImportError:
        part.keep("why", "PyTorch is not installed")
        return
    place = "cuda" if torch.cuda.is_available() else "cpu"
    if place == "cpu" and not part.tiny:
        part.keep("why", "PyTorch finds no GPU")
        return
    from peers import PEERS, all_mutants

    from dfim_fast.sequence.one_hot import one_hot
    from dfim_fast.sequence.references import make_references

    assert part.case is not None
    x = one_hot(part.case.sequences(1))
    mutants, *_ = all_mutants(x[0])
    mutants = mutants[:4].to(place) if part.tiny else mutants.to(place)
    many = TINY["references"] if part.tiny else REFERENCES
    for method in part.case.methods:
        try:
            own = make_references(x, "dinucleotide", many)[0] if method == "deeplift" else None
            peer = PEERS[method](part.case, own)
        except ImportError as error:
            part.keep(method, {"why": str(error)})
            continue
        peer.module.to(place)
        if peer.references is not None:
            peer.references = peer.references.to(place)
        best: dict[str, Any] = {}
        for batch in PEER_BATCHES[method]:
            seconds = timed(peer, mutants, batch, place)
            if not best or seconds < best["seconds_a_sequence"]:
                best = {"name": peer.name, "seconds_a_sequence": seconds, "batch": batch}
            part.keep(method, {**best, "mutants": len(mutants), "torch": torch.__version__})
            if part.left < 3 * seconds:
                break


def timed(peer: Any, mutants: Any, batch: int, place: str) -> float:
    """Seconds for all mutants, the median of three after one to warm up; CUDA events on a GPU."""
    import torch

    def once() -> float:
        if place == "cpu":
            start = time.perf_counter()
            peer(mutants, batch)
            return time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        peer(mutants, batch)
        end.record()
        torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) / 1e3

    peer(mutants[:8], batch)
    return statistics.median(once() for _ in range(3))


PARTS = {
    p.__name__: p
    for p in (build, device, tests, agreement, same_bits, precision, times, peers, counters,
              sanitize, small)
}  # fmt: skip


def main() -> None:
    """One part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", choices=[*PARTS, "watched"])
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--method", default="gradient")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    part = Part(options)
    if options.part == "watched":
        watched(part, options.method)
    else:
        PARTS[options.part](part)


if __name__ == "__main__":
    main()

"""How fast maps are on the CPU, beside what people run today. Writes bench/results/cpu.json.

    python bench/cpu.py                          # everything, about half an hour on two cores
    python bench/cpu.py --case tal_gata          # one case, merged into the file
    python bench/cpu.py --quick --case gelu      # a rough look; writes nothing without --out

Every measurement is validated first: this package's scores against the peer's own full passes on
some mutants, and summation-to-delta. Model load and first compilation are timed apart. Then, on
the same number of threads, in the same process: this package on single sequences, the peer on all
mutants of one sequence (or on a part, scaled, where that would take more than 40 s: the file says
so), this package on a batch. Times are wall seconds; nothing here passes or fails on time.

Needs PyTorch and tangermeme (``pip install '.[bench]'``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine
import numpy as np
import peers
import torch
from cases import BATCH, CASES, REFERENCES, Case, tal_shape
from needed import count

from dfim_fast import Model, interaction_map, load_model, one_hot
from dfim_fast.maps.interaction import InteractionMap
from dfim_fast.sequence.references import make_references

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "cpu.json"
SMALL_MEMORY = 200_000_000  # bytes: a budget below the default that has to be obeyed
CHECKED = 24  # mutants compared with the peer
AGREES = 1e-4  # of the largest |C|
MUST_AGREE = 0.9  # share of the mutants; a gate within rounding of zero may fall either way
BUSY = 0.5  # load average before the start that is worth a warning
LENGTHS = (200, 500, 1000, 2000, 4000)
REFERENCE_COUNTS = (1, 2, 5, 10, 20)


class Settings:
    """How long things may take.

    Attributes
    ----------
    threads : int
        Of this package, and of the peer.
    batch : int
        Sequences in a batch.
    single_s, batch_s : float
        Seconds for all single calls, and for all repeats of the batch.
    repeats : int
        Of the batch.
    full_s, part_s : float
        See ``peers.measure``.
    """

    def __init__(self, threads: int, quick: bool) -> None:
        self.threads, self.quick = threads, quick
        self.batch, self.repeats = (2, 1) if quick else (BATCH, 5)
        self.single_s, self.batch_s = (3.0, 3.0) if quick else (25.0, 60.0)
        self.full_s, self.part_s = (
            (3.0, 1.5) if quick else (peers.FULL_SECONDS, peers.PART_SECONDS))
        self.rounds = 3 if quick else machine.ROUNDS


def timed(call: Callable[[], Any]) -> float:
    """Wall seconds of a call. Its result is let go afterwards: two never stand side by side."""
    begin = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - begin
    del result
    return seconds


def summary(times: list[float]) -> dict[str, Any]:
    """Median and spread, in seconds."""
    low, high = np.percentile(times, [25, 75])
    return {"median_s": statistics.median(times), "quartile_1_s": float(low),
            "quartile_3_s": float(high), "lowest_s": min(times), "highest_s": max(times),
            "repeats": len(times)}


def maps_of(
    model: Model, x: np.ndarray, method: str, references: np.ndarray | None, settings: Settings,
    **more: Any,
) -> InteractionMap:
    """This package's maps, all sources and targets, task 0."""
    given: Any = "dinucleotide" if references is None else references
    return interaction_map(model, x, method=method, references=given, threads=settings.threads,
                           progress=False, **more)


def validate(
    case: Case, method: str, model: Model, x: np.ndarray, references: np.ndarray | None,
    maps: InteractionMap,
) -> dict[str, Any]:
    """Scores of the first sequence against the peer's full passes.

    Raises
    ------
    SystemExit
        If they are not the same numbers: times of other numbers would mean nothing.
    """
    peer = peers.PEERS[method](case, None if references is None else references[0])
    mutants, position, base = peers.all_mutants(x[0])
    chosen = np.unique(np.linspace(0, len(mutants) - 1, CHECKED).astype(int))
    original = peer(torch.from_numpy(x[:1]), 64).numpy()
    other = peer(mutants[torch.from_numpy(chosen)], 64).numpy()
    expected = original - other
    found = maps.fis[0][position[chosen], base[chosen]]
    rows = np.arange(len(chosen))
    own = maps.self_effect[0][position[chosen], base[chosen]]
    scale = float(max(np.abs(original).max(), np.abs(other).max()))
    # the mutated position itself is the self effect; cells out of reach are 0 by construction
    found = found.copy()
    found[rows, position[chosen]] = own
    each = np.abs(found - expected).max(1) / scale
    report = {
        "mutants_compared": len(chosen), "scale": scale,
        "largest_difference_of_scale": float(each.max()),
        "median_difference_of_scale": float(np.median(each)),
        "share_within_1e-4": float((each < AGREES).mean()),
        "attributions_difference_of_scale": float(
            np.abs(maps.attributions[0] - original[0]).max() / scale),
        "summation_to_delta": maps.summation_to_delta,
        "largest_fis_of_scale": float(np.abs(found).max() / scale),
    }
    with torch.no_grad():
        peer_scores = peer.module(mutants[torch.from_numpy(chosen)])[:, 0].numpy()
    ours = maps.mutant_predictions[0][position[chosen], base[chosen]]
    report["predictions_difference"] = float(np.abs(peer_scores - ours).max())
    if report["share_within_1e-4"] < MUST_AGREE:
        raise SystemExit(f"{case.name} {method}: scores differ from {peer.name}: {report}")
    return report


def measure_ours(
    model: Model, x: np.ndarray, method: str, references: np.ndarray | None, settings: Settings,
    batch: bool,
) -> dict[str, Any]:
    """Single calls on one sequence after the other, or a whole batch per call.

    Returns
    -------
    dict
        Seconds per sequence.
    """
    def call(first: int, last: int) -> float:
        own = None if references is None else references[first:last]
        return timed(lambda: maps_of(model, x[first:last], method, own, settings))

    if not batch:
        times = [call(0, 1)]
        for i in range(1, len(x)):
            if sum(times) > settings.single_s:
                break
            times.append(call(i, i + 1))
        while len(times) < 3 and sum(times) < settings.single_s:
            times.append(call(0, 1))
        return {**summary(times), "sequences": min(len(times), len(x))}
    count = len(x)
    times = [call(0, count) / count]
    while len(times) < settings.repeats and count * (sum(times) + times[0]) < settings.batch_s:
        times.append(call(0, count) / count)
    return {**summary(times), "n": count}


def fresh(case: Case, method: str, settings: Settings, folder: str,
          memory_limit: int | None = None) -> dict[str, Any]:
    """Run ``fresh.py`` with that folder as Numba's cache."""
    command = [sys.executable, str(HERE / "fresh.py"), "--case", case.name, "--method", method,
               "--threads", str(settings.threads)]
    if memory_limit is not None:
        command += ["--memory-limit", str(memory_limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, "NUMBA_CACHE_DIR": folder})
    if done.returncode:
        # not a failure of the benchmark: too small a budget is answered by an error
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def first_use(case: Case, method: str, settings: Settings, steady: float) -> dict[str, Any]:
    """Compile time from nothing and from the disk cache, and peak memory, each in a new process.

    The compile time is what the first call takes beyond a later one.
    """
    with tempfile.TemporaryDirectory() as folder:
        cold = fresh(case, method, settings, folder)
        cached = fresh(case, method, settings, folder)
        small = fresh(case, method, settings, folder, SMALL_MEMORY)

    def compile_s(found: dict[str, Any]) -> float | None:
        if "error" in found:
            return None
        return max(0.0, found["first_s"] - (found["second_s"] or steady))

    for label, found in (("cold", cold), ("cached", cached), ("small budget", small)):
        say(f"  {label}: " + (found["error"] if "error" in found else
            f"first call {found['first_s']:.2f} s, peak memory {found['peak_mb']:.0f} MB, of which "
            f"results {found['results_mb']:.0f}"))
    return {"compile_cold_s": compile_s(cold), "compile_cached_s": compile_s(cached),
            "cold": cold, "cached": cached, f"memory_limit_{SMALL_MEMORY // 10**6}_mb": small}


def measure(case: Case, method: str, settings: Settings, peak: float) -> dict[str, Any]:
    """Everything about one case and method."""
    busy = os.getloadavg()[0]
    content = case.onnx().SerializeToString()
    load_s = timed(lambda: load_model(content))
    model = load_model(content)
    x = one_hot(case.sequences(settings.batch))
    references = None
    if method == "deeplift":
        references = make_references(x, "dinucleotide", REFERENCES)
    begin = time.perf_counter()
    own = None if references is None else references[:1]
    maps = maps_of(model, x[:1], method, own, settings)
    first_s = time.perf_counter() - begin
    agreement = validate(case, method, model, x, references, maps)
    cost, explained, results = maps.plan.cost, maps.plan.explain(), maps.fis.nbytes
    del maps
    say(f"  agrees within {agreement['largest_difference_of_scale']:.1e} of scale "
        f"(first call {first_s:.1f} s)")

    single = measure_ours(model, x, method, references, settings, batch=False)
    say(f"  single call {single['median_s']:.4f} s")
    torch.set_num_threads(settings.threads)
    shared = None if references is None else references[0]
    runner, mutants = peers.PEERS[method](case, shared), peers.all_mutants(x[0])[0]
    peer = peers.measure(runner, mutants, settings.full_s, settings.part_s,
                         1 if settings.quick else 3, 2 if settings.quick else None)
    say(f"  {peer['name']} {peer['seconds']:.3f} s" + (
        f" (scaled from {peer['measured_mutants']} mutants)" if peer["scaled"] else ""))
    # as many sequences as the time allows, and as memory does: results of a batch stand together
    taken = int(min(len(x), max(1, settings.batch_s / single["median_s"]), max(1, 6e9 / results)))
    batch = measure_ours(model, x[:taken], method,
                         None if references is None else references[:taken], settings, batch=True)
    say(f"  batch of {taken}: {batch['median_s']:.4f} s a sequence; "
        f"{peer['seconds'] / batch['median_s']:.1f} times the peer")

    work = {"mutants": cost.mutants, "naive": cost.naive, "planned": cost.planned}
    if not settings.quick:
        needed = count(model.graph, method, x[0], mutants, shared, runner.module)
        work.update(needed=needed["total"], needed_parts=needed)
    # what the plan counts may be beaten, where exact zeros are passed over; what is needed may not
    rates = {
        name: {"gflops": rate, "share_of_sgemm": rate / peak,
               "naive_ratio": cost.naive / work[name]}
        for name in ("planned", "needed") if name in work
        for rate in [2 * work[name] / batch["median_s"] / 1e9]}

    return {
        "case": case.name, "title": case.title, "method": method, "trained": case.trained,
        "length": case.length, "weights": case.digest(),
        "references": REFERENCES if method == "deeplift" else 0,
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "revision": machine.revision(),
        "load_average_before": round(busy, 2), "quick": settings.quick, "validation": agreement,
        "load_s": load_s, "single": single, "batch": batch, "peer": peer,
        "ratio": {"batch": peer["seconds"] / batch["median_s"],
                  "single": peer["seconds"] / single["median_s"],
                  "wanted": dict(case.wanted)[method]},
        "multiply_adds": work, "rates": rates,
        "first_use": None if settings.quick else first_use(
            case, method, settings, single["median_s"]),
        "explain": explained,
    }


def growth(settings: Settings) -> dict[str, Any]:
    """Single-call seconds against length, references and window, on the TAL/GATA layers."""
    found: dict[str, Any] = {"length": [], "references": [], "window": []}
    repeats = 1 if settings.quick else 5

    def one(case: Case, method: str, count: int = 0, **more: Any) -> dict[str, Any]:
        model = load_model(case.onnx().SerializeToString())
        x = one_hot(case.sequences(1))
        own = make_references(x, "dinucleotide", count) if count else None
        call = lambda: maps_of(model, x, method, own, settings, **more)  # noqa: E731
        timed(call)
        times = [timed(call)]
        while len(times) < repeats and sum(times) < settings.single_s:
            times.append(timed(call))
        return {"case": case.name, "method": method, **summary(times)}

    for length in LENGTHS[:3] if settings.quick else LENGTHS:
        found["length"].append({"length": length, **one(tal_shape(length), "gradient")})
        say(f"  {length} bp: {found['length'][-1]['median_s']:.4f} s")
    case = tal_shape(1000) if CASES["tal_gata"].missing else CASES["tal_gata"]
    for number in REFERENCE_COUNTS[:2] if settings.quick else REFERENCE_COUNTS:
        found["references"].append({"references": number, **one(case, "deeplift", number)})
        say(f"  {number} references: {found['references'][-1]['median_s']:.4f} s")
    for window in (None, 15):
        found["window"].append({"window": window, **one(case, "gradient", window=window)})
        say(f"  window {window}: {found['window'][-1]['median_s']:.4f} s")
    return found


def say(line: str) -> None:
    print(line, flush=True)


def load_results(path: Path | None, hardware: dict[str, Any]) -> dict[str, Any]:
    """Results to add to: those in the file, where they come from this machine."""
    if path is None or not path.is_file():
        return {"cases": {}}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["hardware"] != hardware:
        raise SystemExit(f"{path.name}: holds results of another machine "
                         f"({found['hardware']['processor']}); choose another --out")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[*CASES, "growth"],
                        help="only this one (may be repeated)")
    parser.add_argument("--method", choices=("gradient", "deeplift"))
    parser.add_argument("--quick", action="store_true", help="few repeats, part of the peer's work")
    parser.add_argument("--threads", type=int, default=machine.usable_cores())
    parser.add_argument("--out", type=Path, help="JSON file (default: bench/results/cpu.json)")
    given = parser.parse_args()
    out = given.out or (None if given.quick else RESULTS)
    settings = Settings(given.threads, given.quick)
    torch.set_num_threads(given.threads)

    busy = os.getloadavg()[0]
    if busy > BUSY:
        say(f"load average {busy:.1f}: others use this machine, and the peers' threads wait for "
            "each other; times and ratios will mean little")
    hardware = machine.hardware()
    results = load_results(out, hardware)
    peaks = machine.peaks(given.threads, settings.rounds)
    say(f"{hardware['processor']}, {given.threads} threads; GFLOP/s and GB/s: {peaks}")
    results.update(
        hardware=hardware, versions=machine.versions(), threads=given.threads, peaks=peaks,
        date=datetime.now(UTC).isoformat(timespec="seconds"), revision=machine.revision())

    def save() -> None:
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    for name in given.case or [*CASES, "growth"]:
        if name == "growth":
            say("growth")
            results["growth"] = growth(settings)
            save()
            continue
        case = CASES[name]
        for method in case.methods:
            if given.method not in (None, method):
                continue
            say(f"{name} {method}")
            key = f"{name} {method}"
            if case.missing:
                say(f"  skipped: {case.missing}")
                results["cases"].setdefault(key, {"skipped": case.missing})
            else:
                results["cases"][key] = measure(case, method, settings, peaks["sgemm"])
            save()


if __name__ == "__main__":
    main()

"""A megabase streamed through `score`. Writes bench/results/genome.json, a part at a time.

    python bench/genome.py --case tal_gata_gradient --workers 1   # regions a second; then 2
    python bench/genome.py --case variants                 # dbSNP of the same megabase
    python bench/genome.py --case memory                   # peak memory by number of regions
    python bench/genome.py --case kills --minutes 3        # SIGKILL at random moments
    python bench/genome.py --case plan                     # 926,535 cCREs, from the measured rates

Data are those of ../shared/data/genome. One worker and each of two has one thread, so that two
workers against one is a fair efficiency. Compiled code is on disk before.

Every rate comes with a second run, of one region a worker: what that takes is the start-up, paid
once however many regions there are (processes, imports, model, compiled code, the end). The share
outside the engine is given of the whole run, from the start of Python to its end, and of what the
long run took more than the short one (*steady*): scanning, reading, writing, handing over, waiting.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import machine
import pysam

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "bench" / "results" / "genome.json"
MODELS = {"tal_gata": "tal_gata/model.onnx", "spi1": "spi1_bqtl/model.onnx"}
METHODS = {"gradient": {"method": "gradient"},
           "deeplift": {"method": "deeplift", "n_references": 10}}
REGIONS = 926_535  # ENCODE's registry of candidate cis-regulatory elements (GRCh38, V3)
NULLS = 1000  # regions whose shuffles are the null, as score has it by default
FEW = 150  # regions whose run is too short to tell a few per cent of it from a start-up
NODES, CORES = 32, 32  # of the cluster on paper
ALPHA, TOP = 0.98, 10  # calls almost all of these: a table and exports of thirty rows a region
CHILD = """
import atexit, gc, json, multiprocessing, sys, threading, time
sys.path.insert(0, {bench!r})
import machine

def watch(peaks):
    while True:
        for process in multiprocessing.active_children():
            peaks[0] = max(peaks[0], machine.memory_high_water(process.pid))
        time.sleep(0.1)

if __name__ == "__main__":
    import dfim_fast
    atexit.register(gc.freeze)  # as the command does
    given = json.loads(sys.argv[1])
    model = dfim_fast.load_model(given.pop("model"))
    peaks = [0]
    threading.Thread(target=watch, args=(peaks,), daemon=True).start()
    dfim_fast.score(model, progress=False, **given)
    print(json.dumps({{"peak_bytes": machine.memory_high_water(),
                      "peak_bytes_of_a_worker": peaks[0],
                      "parent_cpu_s": round(time.process_time(), 2)}}))
"""


def child(**given: Any) -> subprocess.Popen:
    """A run in a process of its own, which may start processes in turn."""
    script = CHILD.format(bench=str(ROOT / "bench"))
    return subprocess.Popen([sys.executable, "-c", script, json.dumps(given)], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def done(process: subprocess.Popen) -> dict[str, Any]:
    """What a run printed.

    Raises
    ------
    SystemExit
        If it failed.
    """
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(err)
    return json.loads(out.splitlines()[-1])


def timed(**given: Any) -> dict[str, Any]:
    """What a run printed, its seconds from the start of Python to its end, and the engine's."""
    begin = time.perf_counter()
    found = done(child(**given))
    seconds = time.perf_counter() - begin
    log = (Path(given["out"]) / "log" / "log.txt").read_text()
    return {"seconds": round(seconds, 2), **found,
            "engine_cpu_s": float(re.findall(r"engine took ([\d.]+) s", log)[-1]),
            "results_s": float(re.findall(r"results written in ([\d.]+) s", log)[-1])}


def genome(folder: Path) -> Path:
    """A copy of the genome, which may be indexed."""
    path = folder / "chr22.fa"
    shutil.copyfile(SHARED / "genome" / "chr22_slice.fa", path)
    pysam.faidx(str(path))
    return path


def regions(folder: Path, n: int) -> Path:
    """The first ``n`` windows, from the start again where there are not as many."""
    lines = (SHARED / "genome" / "regions_1kb.bed").read_text().splitlines(keepends=True)
    path = folder / f"{n}.bed"
    path.write_text("".join((lines * (n // len(lines) + 1))[:n]))
    return path


def size(folder: Path) -> int:
    """Bytes of all files."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def digest(store: Path) -> str:
    """Of every result file and its name."""
    found = hashlib.sha256()
    for path in sorted((store / "results").rglob("*")):
        if path.is_file():
            found.update(str(path.relative_to(store)).encode() + path.read_bytes())
    return found.hexdigest()


def rates(folder: Path, case: str, n: int, workers: int, earlier: dict[str, Any]) -> dict[str, Any]:
    """Regions a second, merged with what was measured with another number of workers."""
    model, method = case.rsplit("_", 1)
    given = {"model": str(SHARED / MODELS[model]), "genome": str(genome(folder)), "threads": 1,
             "workers": workers, **METHODS[method]}
    for _ in range(2):  # the first compiles where it has to
        shutil.rmtree(folder / "short", ignore_errors=True)
        short = timed(bed=str(regions(folder, workers)), out=str(folder / "short"),
                      null_regions=1, chunk=1, **given)
    nulls, store = max(1, n // 100), folder / "store"
    run = timed(bed=str(regions(folder, n)), out=str(store), null_regions=nulls, **given)
    more = run["seconds"] - short["seconds"]
    engine = run["engine_cpu_s"] - short["engine_cpu_s"]
    maps = n + nulls - workers - 1  # more of them than in the short run
    own = {
        **run, "startup_s": short["seconds"], "regions_per_s": round(n / run["seconds"], 3),
        "steady_maps_per_s": round(maps / more, 3),
        "share_outside_engine": round(1 - run["engine_cpu_s"] / (workers * run["seconds"]), 3),
        "share_outside_engine_steady":
            round(1 - engine / (workers * more), 3) if n >= FEW else None,
        "parent_cpu_s_per_region": (
            round((run["parent_cpu_s"] - short["parent_cpu_s"]) / (n - workers), 5)
            if workers > 1 else None
        ),
        "results": digest(store), "revision": machine.revision(),
    }
    head = {"regions": n, "bp": 1000, "null_regions": nulls,
            "store_bytes_per_region": round(size(store / "results") / n)}
    other = earlier.get(f"workers_{3 - workers}", {})
    if earlier.get("regions") != n or other.get("revision") != own["revision"]:
        return {**head, f"workers_{workers}": own}
    one, two = (own, other) if workers == 1 else (other, own)
    return {
        **head, "workers_1": one, "workers_2": two,
        "efficiency": round(two["regions_per_s"] / one["regions_per_s"] / 2, 3),
        "efficiency_steady": round(two["steady_maps_per_s"] / one["steady_maps_per_s"] / 2, 3),
        "same_bytes": one["results"] == two["results"],
    }


def memory(folder: Path) -> dict[str, Any]:
    """Peak memory of parent and worker at more and more regions, of the small model that ships."""
    fasta = genome(folder)
    found: dict[str, Any] = {"model": "demo network, 200 bp", "alpha": ALPHA, "top": TOP}
    for n in (100, 1000, 10_000, 30_000):
        bed, step = folder / f"m{n}.bed", 900_000 // n
        bed.write_text("".join(f"chr22_slice\t{i * step}\t{i * step + 200}\n" for i in range(n)))
        run = timed(model=str(ROOT / "dfim_fast/data/demo.onnx"), genome=str(fasta),
                    bed=str(bed), out=str(folder / f"m{n}"), workers=2, threads=1,
                    method="gradient", null_regions=100, alpha=ALPHA, top=TOP,
                    export=["bedpe", "bed", "bigwig"])
        found[str(n)] = {**run, "store_bytes_per_region": round(size(folder / f"m{n}") / n)}
    return found


def variants(folder: Path, n: int) -> dict[str, Any]:
    """The first ``n`` dbSNP variants by the TAL/GATA model."""
    lines = (SHARED / "genome" / "dbsnp.vcf").read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    rest = [line for line in lines if not line.startswith("#")]
    vcf = folder / "v.vcf"
    vcf.write_text("".join(head + rest[:n]))
    run = timed(model=str(SHARED / MODELS["tal_gata"]), genome=str(genome(folder)), vcf=str(vcf),
                out=str(folder / "v"), workers=2, threads=1, method="gradient", null_regions=100)
    return {"variants": min(n, len(rest)), "of": len(rest), **run,
            "variants_per_s": round(min(n, len(rest)) / run["seconds"], 2),
            "store_bytes_per_variant": round(size(folder / "v" / "results") / min(n, len(rest)))}


def small_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """A run of each kind on the small model that ships: whole maps, motif pairs, variants."""
    fasta = genome(folder)
    bed, vcf, motifs = folder / "k.bed", folder / "k.vcf", folder / "k.meme"
    bed.write_text("".join(f"chr22_slice\t{i * 90}\t{i * 90 + 200}\n" for i in range(60, 140)))
    lines = (SHARED / "genome" / "dbsnp.vcf").read_text().splitlines(keepends=True)
    records = [line for line in lines if not line.startswith("#")]
    vcf.write_text("".join([line for line in lines if line.startswith("#")] + records[200:300]))
    motifs.write_text("MEME version 4\n\nALPHABET= ACGT\n\n" + "".join(
        f"MOTIF {word}\nletter-probability matrix: alength= 4 w= {len(word)}\n" + "".join(
            " ".join("0.97" if base == letter else "0.01" for base in "ACGT") + "\n"
            for letter in word) + "\n"
        for word in ("GATAA", "CAGCTG", "GAGGAA")))
    given = {"model": str(ROOT / "dfim_fast/data/demo.onnx"), "genome": str(fasta),
             "method": "gradient", "null_regions": 60}
    return {
        "maps": {**given, "bed": str(bed), "ends": "skip", "keep": "maps", "window": 20,
                 "export": ["bedpe", "bed", "bigwig"], "alpha": ALPHA},
        "motifs": {**given, "bed": str(bed), "ends": "skip", "motifs": str(motifs),
                   "threshold": 1e-3},
        "variants": {**given, "vcf": str(vcf)},
    }


def kills(folder: Path, minutes: float, before: dict[str, Any]) -> dict[str, Any]:
    """SIGKILL at random moments, again and again; runs that end are held against whole ones."""
    runs = small_runs(folder)
    expected, work = {}, {}
    for kind, given in runs.items():
        whole = timed(out=str(folder / kind), threads=1, chunk=50, **given)
        expected[kind] = digest(folder / kind)
        work[kind] = whole["engine_cpu_s"] + whole["results_s"] + 1
    found = before.get("by_kind", {})
    end = time.monotonic() + 60 * minutes

    def lane(number: int) -> None:
        """One run after another, beside another lane: both processors are busy."""
        seed = sum(row["kills"] for row in found.values())  # other moments each time
        draw = random.Random(2 * seed + number)
        while time.monotonic() < end:
            kind, workers = draw.choice(sorted(runs)), draw.choice((1, 2))
            row = found.setdefault(f"{kind}, workers {workers}",
                                   {"kills": 0, "runs_finished": 0, "runs_that_differ": 0})
            store = folder / f"killed{number}"
            shutil.rmtree(store, ignore_errors=True)
            given = {"out": str(store), "resume": True, "workers": workers, "threads": 1,
                     **runs[kind]}
            for _ in range(draw.randrange(2, 9)):
                process = child(chunk=draw.choice((3, 7, 20)), **given)
                died = killed(process, store / "log" / "log.txt", draw, work[kind])
                row["kills"] += died  # read after the wait: the other lane counts here too
            last = child(chunk=20, **given)
            _, errors = last.communicate()
            row["runs_finished"] += 1
            if last.returncode or digest(store) != expected[kind]:
                row["runs_that_differ"] += 1
                print(kind, workers, errors.strip().splitlines()[-1:], flush=True)

    with ThreadPoolExecutor(2) as lanes:
        list(lanes.map(lane, range(2)))
    names = ("kills", "runs_finished", "runs_that_differ")
    return {**{name: sum(row[name] for row in found.values()) for name in names},
            "by_kind": found}


def killed(process: subprocess.Popen, log: Path, draw: random.Random, seconds: float) -> bool:
    """Kill a run at a random moment: most often of its work, else of its start."""
    lines = log.read_text().count("begun") if log.exists() else 0
    if draw.random() < 0.8:
        while process.poll() is None and not (log.exists() and
                                              log.read_text().count("begun") > lines):
            time.sleep(0.01)
    try:
        process.communicate(timeout=draw.uniform(0, seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return process.returncode == -signal.SIGKILL


def plan(found: dict[str, Any]) -> dict[str, Any]:
    """Hours and bytes for all cCREs, from what was measured here."""
    rows = {}
    cores = NODES * CORES
    measured = {name: case for name, case in found.items()
                if "workers_1" in case and "workers_2" in case and case["regions"] >= 100}
    # writing a region is much the same work for all, and short runs blur it
    apiece = max(case["workers_2"]["parent_cpu_s_per_region"] for case in measured.values())
    for name, case in measured.items():
        maps = REGIONS + NULLS
        core_hours = maps / case["workers_1"]["steady_maps_per_s"] / 3600
        here = maps / case["workers_2"]["steady_maps_per_s"] / 3600
        writer = REGIONS * apiece / 3600
        there = core_hours / cores
        rows[name] = {
            "core_hours": round(core_hours, 1), "hours_this_machine_2_cores": round(here, 1),
            "hours_of_the_writing_process": round(writer, 2),
            f"hours_of_{cores}_cores": round(there, 2),
            f"hours_{NODES}_nodes_of_{CORES}_cores": round(max(there, writer), 2),
            "store_gb": round(REGIONS * case["store_bytes_per_region"] / 1e9, 1),
            "cost_driver_here": "the engine's walk over mutants",
            "cost_driver_there": "the engine's walk over mutants" if there > writer
            else "the one process that takes and writes results",
        }
    return {"regions": REGIONS, "null_regions": NULLS, "one_gpu": "not measured", "cases": rows,
            "assumes": "one thread a worker; all cores as fast as one here while both are busy; "
                       "workers compute while the parent writes; bytes a region as in the run "
                       "measured, whose fixed part makes them an upper bound"}


def main() -> None:
    """Measure one case and merge it into the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = [f"{model}_{method}" for model in MODELS for method in METHODS]
    parser.add_argument("--case", required=True,
                        choices=[*cases, "memory", "variants", "kills", "plan"])
    parser.add_argument("--workers", type=int, choices=(1, 2), default=1, help="Of the rates.")
    parser.add_argument("--regions", type=int, default=1000, help="Windows, or variants.")
    parser.add_argument("--minutes", type=float, default=3.0)
    given = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {"cases": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.case == "memory":
            result = memory(folder)
        elif given.case == "variants":
            result = variants(folder, given.regions)
        elif given.case == "kills":
            before = found["cases"].get("kills", {})
            same = before.get("revision") == machine.revision()
            result = kills(folder, given.minutes, before if same else {})
        elif given.case == "plan":
            result = plan(found["cases"])
        else:
            result = rates(folder, given.case, given.regions, given.workers,
                           found["cases"].get(given.case, {}))
    found["cases"][given.case] = {**result, "revision": machine.revision()}
    found |= {"hardware": machine.hardware(), "versions": machine.versions()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

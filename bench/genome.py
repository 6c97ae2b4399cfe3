"""A megabase streamed through `score`. Writes bench/results/genome.json, a part at a time.

    python bench/genome.py --case tal_gata_gradient       # regions a second at 1 and 2 workers
    python bench/genome.py --case variants                 # dbSNP of the same megabase
    python bench/genome.py --case memory                   # peak memory by number of regions
    python bench/genome.py --case kills --minutes 3        # SIGKILL at random moments
    python bench/genome.py --case plan                     # 926,535 cCREs, from the measured rates

Data are those of ../shared/data/genome. One worker and each of two has one thread, so that two
workers against one is a fair efficiency. Rates are of the windows stated, compiled code on disk.
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
NODES, CORES = 32, 32  # of the cluster on paper
CHILD = """
import json, sys, time, warnings
sys.path.insert(0, {bench!r})
if __name__ == "__main__":
    import dfim_fast, machine
    given = json.loads(sys.argv[1])
    model = dfim_fast.load_model(given.pop("model"))
    begin = time.perf_counter()
    dfim_fast.score(model, progress=False, **given)
    print(json.dumps({{"seconds": time.perf_counter() - begin,
                      "peak_bytes": machine.memory_high_water()}}))
"""


def child(**given: Any) -> subprocess.Popen:
    """A run in a process of its own."""
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


def rates(folder: Path, model: str, method: str, n: int) -> dict[str, Any]:
    """Regions a second at one and two workers."""
    found: dict[str, Any] = {"regions": n, "bp": 1000}
    stores = []
    for workers in (1, 2):
        out = folder / f"store{workers}"
        run = done(child(model=str(SHARED / MODELS[model]), genome=str(genome(folder)),
                         bed=str(regions(folder, n)), out=str(out), workers=workers, threads=1,
                         null_regions=max(1, n // 100), chunk=max(1, n // 16),
                         **METHODS[method]))
        log = (out / "log" / "log.txt").read_text()
        stamps = re.findall(r"engine took ([\d.]+) s", log)
        engine = float(stamps[-1])
        outside = 1 - engine / (workers * run["seconds"])
        found[f"workers_{workers}"] = {
            "seconds": round(run["seconds"], 2), "regions_per_s": round(n / run["seconds"], 3),
            "engine_cpu_s": engine, "share_outside_engine": round(outside, 3),
            "peak_bytes_of_the_parent": run["peak_bytes"],
        }
        stores.append(out)
    one, two = found["workers_1"], found["workers_2"]
    found["efficiency"] = round(two["regions_per_s"] / one["regions_per_s"] / 2, 3)
    found["same_bytes"] = digest(stores[0]) == digest(stores[1])
    found["store_bytes_per_region"] = round(size(stores[0] / "results") / n)
    return found


def memory(folder: Path) -> dict[str, Any]:
    """Peak memory of one process at more and more regions, of the small model that ships."""
    fasta = folder / "chr22.fa"
    genome(folder)
    found = {}
    for n in (100, 1000, 10_000):
        bed = folder / f"m{n}.bed"
        bed.write_text("".join(f"chr22_slice\t{i * 90}\t{i * 90 + 200}\n" for i in range(n)))
        run = done(child(model=str(ROOT / "dfim_fast/data/demo.onnx"), genome=str(fasta),
                         bed=str(bed), out=str(folder / f"m{n}"), threads=2, method="gradient",
                         null_regions=100, chunk=50, ends="skip"))
        found[str(n)] = {**run, "store_bytes_per_region": round(size(folder / f"m{n}") / n)}
    return found


def variants(folder: Path, n: int) -> dict[str, Any]:
    """The first ``n`` dbSNP variants by the TAL/GATA model."""
    lines = (SHARED / "genome" / "dbsnp.vcf").read_text().splitlines(keepends=True)
    head = [line for line in lines if line.startswith("#")]
    rest = [line for line in lines if not line.startswith("#")]
    vcf = folder / "v.vcf"
    vcf.write_text("".join(head + rest[:n]))
    run = done(child(model=str(SHARED / MODELS["tal_gata"]), genome=str(genome(folder)),
                     vcf=str(vcf), out=str(folder / "v"), threads=2, method="gradient",
                     null_regions=20))
    return {"variants": min(n, len(rest)), "of": len(rest), **run,
            "variants_per_s": round(min(n, len(rest)) / run["seconds"], 2)}


def kills(folder: Path, minutes: float) -> dict[str, Any]:
    """SIGKILL at random moments until the time is over, then one run to the end."""
    bed = folder / "k.bed"
    fasta = str(genome(folder))
    bed.write_text("".join(f"chr22_slice\t{i * 90}\t{i * 90 + 200}\n" for i in range(60, 360)))
    given = {"model": str(ROOT / "dfim_fast/data/demo.onnx"), "genome": fasta, "bed": str(bed),
             "method": "gradient", "null_regions": 100, "threads": 2, "ends": "skip"}
    whole = done(child(out=str(folder / "whole"), chunk=50, **given))
    draw, count, finished, wrong = random.Random(7), 0, 0, 0
    expected = digest(folder / "whole")
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        store = folder / "killed"
        shutil.rmtree(store, ignore_errors=True)
        while True:
            process = child(out=str(store), chunk=draw.choice((3, 7, 20)), resume=True, **given)
            try:
                process.communicate(timeout=draw.uniform(0.8, 1.2 + whole["seconds"]))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                count += 1
        finished += 1
        wrong += digest(store) != expected or bool(process.returncode)
    return {"kills": count, "runs_finished": finished, "runs_that_differ": wrong,
            "regions": 300, "whole_run": whole}


def plan(found: dict[str, Any]) -> dict[str, Any]:
    """Hours and bytes for all cCREs, from what was measured here."""
    rows = {}
    for name, case in found.items():
        if "workers_1" not in case:
            continue
        one = case["workers_1"]["regions_per_s"]
        hours = REGIONS / one / 3600
        rows[name] = {
            "core_hours": round(hours, 1),
            "hours_this_machine_2_cores": round(
                REGIONS / case["workers_2"]["regions_per_s"] / 3600, 1),
            f"hours_{NODES}_nodes_of_{CORES}_cores": round(hours / (NODES * CORES), 2),
            "store_gb": round(REGIONS * case["store_bytes_per_region"] / 1e9, 1),
            "cost_driver": "the engine's walk over mutants: processor time",
        }
    return {"regions": REGIONS, "one_gpu": "not measured here", "cases": rows,
            "assumes": "one thread a worker, all cores as fast as one here while both are busy"}


def main() -> None:
    """Measure one case and merge it into the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cases = [f"{model}_{method}" for model in MODELS for method in METHODS]
    parser.add_argument("--case", required=True,
                        choices=[*cases, "memory", "variants", "kills", "plan"])
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
            result = kills(folder, given.minutes)
        elif given.case == "plan":
            result = plan(found["cases"])
        else:
            model, method = given.case.rsplit("_", 1)
            result = rates(folder, model, method, given.regions)
    found["cases"][given.case] = {**result, "revision": machine.revision()}
    found |= {"hardware": machine.hardware(), "versions": machine.versions()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""What holds the kernels back, from the counters of NVIDIA's profiler (ncu)."""

from __future__ import annotations

import csv
import shutil
import subprocess
from typing import Any

TIME = "gpu__time_duration.sum"
UNITS = {
    "fp32": "sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_elapsed",
    "issue": "sm__inst_issued.avg.pct_of_peak_sustained_elapsed",
    "shared memory": "l1tex__data_pipe_lsu_wavefronts_mem_shared.avg.pct_of_peak_sustained_elapsed",
    "L1": "l1tex__throughput.avg.pct_of_peak_sustained_elapsed",
    "L2": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
    "memory": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
}
WARPS = "sm__warps_active.avg.pct_of_peak_sustained_active"
BUSY = 60.0  # percent of its peak from which a unit counts as what limits; below it is latency
LAUNCHES = 60  # that are looked at: each is run several times
FACTORS = {"nsecond": 1e-9, "ns": 1e-9, "usecond": 1e-6, "us": 1e-6, "msecond": 1e-3, "ms": 1e-3}


def counters(command: list[str], seconds: float) -> dict[str, Any]:
    """Counters of every kernel that a command launches, or one line that says why not."""
    tool = shutil.which("ncu")
    if tool is None:
        return {"why": "ncu is not installed"}
    wanted = ",".join([TIME, WARPS, *UNITS.values()])
    asked = ["--csv", "--page", "raw", "--metrics", wanted, "--launch-count", str(LAUNCHES)]
    try:
        done = subprocess.run(
            [tool, *asked, *command], capture_output=True, text=True, check=False, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"why": str(error)}
    found = read(done.stdout)
    if not found:
        said = [line for line in (done.stdout + done.stderr).splitlines() if "ERR" in line]
        return {"why": said[0].strip() if said else f"ncu gave no rows (exit {done.returncode})"}
    return found


def read(text: str) -> dict[str, Any]:
    """By kernel: launches, seconds, percent of each unit's peak weighted by time, and the limiter.

    Parameters
    ----------
    text : str
        What ``ncu --csv --page raw`` prints: lines of its own, a header, a row of units, launches.
    """
    lines = text.splitlines()
    begin = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if begin is None:
        return {}
    units, *launches = list(csv.DictReader(lines[begin:]))
    found: dict[str, dict[str, Any]] = {}
    for row in launches:
        name = row["Kernel Name"].split("(")[0]
        seconds = _number(row[TIME]) * FACTORS.get(units[TIME], 1.0)
        own = found.setdefault(name, {"launches": 0, "seconds": 0.0, "percent": {}})
        own["launches"] += 1
        own["seconds"] += seconds
        for unit, metric in {**UNITS, "warps": WARPS}.items():
            share = own["percent"].get(unit, 0.0)
            own["percent"][unit] = share + seconds * _number(row.get(metric, "nan"))
    for own in found.values():
        whole = own["seconds"] or 1.0
        own["percent"] = {unit: round(p / whole, 1) for unit, p in own["percent"].items()}
        own["limiter"] = limiter(own["percent"])
    return dict(sorted(found.items(), key=lambda item: -item[1]["seconds"]))


def limiter(percent: dict[str, float]) -> str:
    """The busiest unit, or latency where none is near its peak."""
    known = {unit: share for unit, share in percent.items() if unit in UNITS and share == share}
    if not known:
        return "not known"
    unit = max(known, key=lambda name: known[name])
    if known[unit] < BUSY:
        return f"latency: {unit} {known[unit]:.0f}% at most, {percent['warps']:.0f}% of the warps"
    return f"{unit}, {known[unit]:.0f}% of its peak"


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return float("nan")

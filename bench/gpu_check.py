"""Everything that needs a GPU, in one call of under ten minutes. Writes bench/results/gpu.json.

    python bench/gpu_check.py               # on a machine with a GPU
    python bench/gpu_check.py --emulator    # every step in small, without one: to try this script

Builds the native module where it is missing, measures the device's own bounds, runs the GPU tests,
holds every backend that finds a device against float64 on small models of all kinds, compares cupy
and native bit by bit and run with run, and times the cases of bench/cases.py by CUDA events:
results left on the device, copied out, and one sequence from call to result. Beside them PyTorch's
autograd and DeepLIFT on the same GPU; the profiler's counters with what limits each kernel;
compute-sanitizer; the errors of TF32. What is missing on the machine is named.

Every part is a process of its own with a budget (gpu_parts.py): one that hangs or fails is stopped,
keeps what it had, and costs the others nothing. Imports neither numba nor statsmodels: a machine
that is lent for minutes may have neither.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine
from cases import CASES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "gpu.json"
SECONDS = 540.0  # for everything
GRACE = 5.0  # that a part may take beyond its budget


@dataclass(frozen=True)
class Step:
    """One part to run.

    Attributes
    ----------
    part : str
        Of gpu_parts.py.
    seconds : float
        Its budget, where there is time; shares of what is left keep the proportions of these.
    case : str or None
    """

    part: str
    seconds: float
    case: str | None = None

    @property
    def key(self) -> str:
        """Its name in the results."""
        return self.part if self.case is None else f"{self.part} {self.case}"


def steps(cases: list[str]) -> list[Step]:
    """All parts, in the order of what matters most."""
    timed = {"tal_gata": 60.0, "spi1": 40.0}
    first = [Step("agreement", 50.0), Step("same_bits", 20.0)]
    timing = [Step("times", timed.get(name, 22.0), name) for name in cases]
    others = [Step("peers", 0.4 * timed.get(name, 22.0), name) for name in cases]
    watched = [Step("counters", 35.0, name) for name in cases if name in ("tal_gata", "spi1")]
    watched = watched or [Step("counters", 35.0, name) for name in cases[:1]]
    last = [Step("tests", 40.0), Step("sanitize", 40.0), Step("precision", 30.0)]
    return [Step("device", 30.0), *first, *timing, *others, *watched, *last]


class Runner:
    """Runs parts, within the time that is left.

    Parameters
    ----------
    seconds : float
    tiny : bool
    """

    def __init__(self, seconds: float, tiny: bool) -> None:
        self.end, self.tiny = time.monotonic() + seconds, tiny
        # an installed package before the source folder, which has no native module
        self.path = [] if importlib.util.find_spec("dfim_fast") else [str(ROOT)]

    @property
    def left(self) -> float:
        """Seconds."""
        return self.end - time.monotonic()

    def run(self, step: Step, backends: list[str], seconds: float) -> dict[str, Any]:
        """What a part found, with why it ended where it did not end well."""
        if seconds < 1.0:
            return {"why": "not reached"}
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "found.json"
            if step.part == "build":  # its folder has to outlive this
                out = Path(tempfile.mkdtemp(prefix="dfim_gpu_")) / "found.json"
            command = [sys.executable, str(HERE / "gpu_parts.py"), step.part, "--out", str(out)]
            command += ["--seconds", f"{seconds:.1f}"] + ["--tiny"] * self.tiny
            command += [word for name in backends for word in ("--backend", name)]
            command += ["--case", step.case] if step.case else []
            why = self._carried_out(command, seconds + GRACE)
            found = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
        return {**found, "why": why} if why else found

    def _carried_out(self, command: list[str], seconds: float) -> str | None:
        """Run a command with all that it starts; why it did not end well, or None."""
        path = os.pathsep.join([*self.path, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            child = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
                env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip
            try:
                code = child.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, 9)  # the part's own session, and nothing else
                child.wait()
                return f"stopped after {seconds:.0f} s"
            said.seek(0)
            lines = said.read().strip().splitlines()
        return None if code == 0 else (lines[-1] if lines else f"exit code {code}")


def shares(found: dict[str, Any]) -> dict[str, Any]:
    """Share of the measured fp32 peak that each case reaches on the counted work."""
    peak = found.get("device", {}).get("bounds", {}).get("fp32_flops")
    if not peak:
        return {"why": "the device's own bounds were not measured"}
    return {
        f"{key.removeprefix('times ')} {run}": round(own["counted_flops"] / peak, 4)
        for key, part in found.items()
        if key.startswith("times ")
        for run, own in part.items()
        if isinstance(own, dict) and "counted_flops" in own
    }


def has_driver() -> bool:
    """Whether there is a GPU's driver."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def main() -> int:
    """Everything, into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backend", action="append", help="default: cupy and native")
    parser.add_argument("--emulator", action="store_true", help="a dry run without a GPU")
    parser.add_argument("--case", action="append", choices=CASES, help="default: all")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for everything")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    if not (options.emulator or has_driver()):
        print("gpu_check: no GPU here (libcuda.so.1 is not installed); nothing was measured")
        return 1
    out = options.out or (RESULTS if not options.emulator else Path("gpu_dry_run.json"))
    wanted = ["emulator"] if options.emulator else options.backend or ["cupy", "native"]
    runner = Runner(options.seconds, options.emulator)
    found: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": machine.revision(),
        "dry_run": options.emulator,
        "machine": machine.hardware(),
        "versions": machine.versions(),
    }

    def keep() -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_suffix(".partial")
        partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        partial.replace(out)

    if "native" in wanted:
        found["build"] = runner.run(Step("build", 150.0), [], min(150.0, runner.left / 3))
        folder = found["build"].get("native", {}).get("folder")
        runner.path = [*([folder] if folder else []), *runner.path]
    sys.path[:0] = runner.path
    from dfim_fast.backends.select import why_not

    states = {name: why_not(name) for name in wanted}
    found["backends"] = {name: why or "available" for name, why in states.items()}
    names = [name for name, why in states.items() if why is None]
    if not names:
        keep()
        print("gpu_check: " + "; ".join(str(why) for why in states.values()))
        return 1
    chosen = options.case or [name for name, case in CASES.items() if case.missing is None]
    found["not_here"] = {n: c.missing for n, c in CASES.items() if c.missing is not None}
    todo = steps(chosen)
    for number, step in enumerate(todo):
        rest = sum(other.seconds for other in todo[number:])
        budget = min(step.seconds, (runner.left - GRACE) * step.seconds / rest)
        found[step.key] = runner.run(step, names, budget)
        keep()
        print(step.key, json.dumps(found[step.key])[:400], flush=True)
    found["share_of_fp32_peak"] = shares(found)
    found["seconds"] = round(options.seconds - runner.left, 1)
    keep()
    print(f"gpu_check: {', '.join(names)} done in {found['seconds']} s; written to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Where the CPU engine's time goes, module by module. Writes bench/PROFILE.md.

    python bench/profile.py                        # the cases of CHOSEN, two minutes
    python bench/profile.py --case basset          # that one, printed

Samples one thread with Linux `perf` (it has to be installed and allowed) while a batch runs again
and again, after compilation, and puts samples to functions by the addresses that Numba's compiled
code has in this process.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import machine
from cases import CASES, REFERENCES

HERE = Path(__file__).resolve().parent
PAGE = HERE / "PROFILE.md"
CHOSEN = (
    ("tal_gata", "gradient"), ("tal_gata", "deeplift"), ("embedded_motifs", "gradient"),
    ("embedded_motifs", "deeplift"), ("spi1", "deeplift"), ("deepstarr", "gradient"),
)  # fmt: skip
SECONDS = 5.0
BATCH = 8
SHOWN = 0.015  # share of the time from which a module is named


def main() -> None:
    """Profile in a process of its own, so that no earlier compilation is in the way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--case", choices=list(CASES))
    parser.add_argument("--method", default="gradient", choices=("gradient", "deeplift"))
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(sampled(*arguments.worker)))
        return
    if shutil.which("perf") is None:
        sys.exit("profile: perf is not installed; it comes with Linux (Debian: linux-perf)")
    if arguments.case:
        print("\n".join(section(arguments.case, arguments.method)))
        return
    lines = [page_head()]
    for case, method in CHOSEN:
        if CASES[case].missing is None:
            lines += section(case, method)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def page_head() -> str:
    """What the page says before its tables."""
    processor = machine.hardware()["processor"]
    return f"""# Where the time goes

Milliseconds a sequence of one thread, by module of the engine (`python bench/profile.py`; samples
of `perf` over {SECONDS:g} s, batches of {BATCH}; {processor}). Those below {100 * SHOWN:g}% are put
together. *pull* is the arithmetic: the loops that add up the entries that reach a row; `lists` and
`finish` stand inside it. `forward`, `backward`, `pool_back` and `gating` decide what is an entry;
`basis`, `far`, `pour` and matrix products are the far part, `arriving` looks it up; *Python and
NumPy* is paid once a sequence, *fresh memory* for results that are written for the first time.
"""


def section(case: str, method: str) -> list[str]:
    """The table of one case, in Markdown."""
    with tempfile.TemporaryDirectory() as cache:
        ended = subprocess.run(
            [sys.executable, __file__, "--worker", case, method],
            env={**os.environ, "NUMBA_CACHE_DIR": cache}, capture_output=True, text=True,
        )  # fmt: skip
    if ended.returncode:
        sys.exit(f"profile: {case}, {method}: {ended.stderr.strip().splitlines()[-1]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    total = sum(found["samples"].values())
    each = found["ms"] / total
    rows = Counter(found["samples"])
    small = sum(count for count in rows.values() if count < SHOWN * total)
    lines = [f"## {CASES[case].title}, {method}: {found['ms']:.2f} ms", "",
             "| where | ms | share |", "|---|---:|---:|"]  # fmt: skip
    named = [(name, count) for name, count in rows.most_common() if count >= SHOWN * total]
    for name, count in [*named, (f"{len(rows) - len(named)} others", small)]:
        lines.append(f"| {name} | {count * each:.2f} | {100 * count / total:.0f}% |")
    return [*lines, ""]


def sampled(case: str, method: str) -> dict[str, object]:
    """Samples by function, and milliseconds a sequence."""
    from dfim_fast import interaction_map, load_model, one_hot

    model = load_model(CASES[case].onnx().SerializeToString())
    x = one_hot(CASES[case].sequences(BATCH))
    settings = {"method": method, "n_references": REFERENCES, "threads": 1, "progress": False}
    interaction_map(model, x, **settings)  # compiles
    symbols = Path(f"/tmp/perf-{os.getpid()}.map")  # where perf looks for them
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "perf.data"
        try:
            symbols.write_text("".join(f"{a:x} {n:x} {name}\n" for a, n, name in compiled()))
            recorder = subprocess.Popen(
                ["perf", "record", "-q", "-F", "2000", "-p", str(os.getpid()), "-o", str(data)],
                stderr=subprocess.DEVNULL,
            )
            time.sleep(0.5)  # until it samples
            times, until = [], time.perf_counter() + SECONDS
            while time.perf_counter() < until:
                began = time.perf_counter()
                interaction_map(model, x, **settings)
                times.append(time.perf_counter() - began)
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
            script = subprocess.run(
                ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
        finally:
            symbols.unlink(missing_ok=True)
    counts = Counter(told(line) for line in script.splitlines() if line.strip())
    return {"samples": counts, "ms": 1e3 * sorted(times)[len(times) // 2] / BATCH}


def compiled() -> list[tuple[int, int, str]]:
    """Address, length and name of every function that Numba compiled in this process."""
    from numba.core.codegen import JITCodeLibrary

    found = {}
    for library in gc.get_objects():
        # not isinstance: that asks dead weak references, and kernels have no code of their own
        if type(library) is JITCodeLibrary and library._finalized:
            engine = library.codegen._engine
            for function in library._final_module.functions:
                if not function.is_declaration:
                    address = engine._ee.get_function_address(function.name)
                    if address:
                        found[address] = plain(function.name)
    places = sorted(found.items())
    ends = [address for address, _ in places[1:]] + [places[-1][0] + 4096]
    return [(address, min(end - address, 1 << 18), name)
            for (address, name), end in zip(places, ends, strict=True)]  # fmt: skip


def plain(symbol: str) -> str:
    """Module and function of a symbol that Numba mangled: ``events.walk.walk``."""
    rest, parts = symbol.partition("_ZN")[2], []
    while match := re.match(r"(\d+)", rest):
        size = int(match[1])
        rest = rest[len(match[1]) :]
        parts.append(rest[:size])
        rest = rest[size:]
    return ".".join(parts[-3:]) if parts else symbol


def told(line: str) -> str:
    """What a sample is counted for: a compiled function, a library, or Python."""
    symbol, _, library = line.strip().partition(" ")[2].rpartition(" (")
    if "perf-" in library:
        if symbol.startswith("dfim_pull"):
            return "pull"
        *_, module, _ = ["compiled", *symbol.split(".")]
        return f"`{module}`"
    name = Path(library.rstrip(")")).name
    if "openblas" in name:
        return "matrix products (BLAS)"
    if name.startswith("[kernel") or "kernel" in name:
        return "kernel: fresh memory"
    return "Python and NumPy"


if __name__ == "__main__":
    main()

"""A stranger's path, timed: from a clone to the demo, and to the first map of an own model.

    python bench/first_map.py [--model model.onnx --sequences sequences.fa]

Clones the repository into an empty folder, makes a virtual environment, and runs what README says,
with nothing compiled before. Writes bench/results/first_map.json. Times include downloads.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cases import DATA
from machine import ROOT, hardware, revision

RESULTS = ROOT / "bench" / "results" / "first_map.json"
SEQUENCES = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DATA / "spi1_bqtl" / "model.onnx")
    parser.add_argument("--sequences", type=Path, default=DATA / "spi1_bqtl" / "sequences.fa")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "numba")}
        environment.pop("PYTHONPATH", None)
        records = given.sequences.read_text(encoding="utf-8").split(">")[1 : SEQUENCES + 1]
        (folder / "own.fa").write_text("".join(f">{record}" for record in records))
        (folder / "model.onnx").write_bytes(given.model.read_bytes())
        steps = [
            ("clone", f"git clone --quiet {ROOT} dfim_fast"),
            ("install", f"{sys.executable} -m venv .venv && .venv/bin/pip install -q ./dfim_fast"),
            ("demo", ".venv/bin/dfim-fast demo --quiet"),
            ("look at the own model", ".venv/bin/dfim-fast info model.onnx"),
            (f"map {SEQUENCES} own sequences",
             ".venv/bin/dfim-fast map model.onnx own.fa -o maps --quiet"),
        ]
        found = []
        for what, command in steps:
            begin = time.perf_counter()
            subprocess.run(["bash", "-c", command], cwd=folder, env=environment, check=True,
                           stdout=subprocess.DEVNULL)
            shown = command.replace(str(ROOT), "…").replace(shlex.quote(sys.executable), "python3")
            found.append({"step": what, "command": shown, "seconds": time.perf_counter() - begin})
            print(f"{found[-1]['seconds']:7.1f} s  {shown}", flush=True)
        assert (folder / "maps" / "report.html").is_file()
    RESULTS.write_text(json.dumps({
        "hardware": hardware(), "revision": revision(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"), "steps": found,
        "minutes": round(sum(step["seconds"] for step in found) / 60, 1),
    }, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

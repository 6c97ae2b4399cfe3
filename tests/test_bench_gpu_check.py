"""bench/gpu_check.py ends in one line without a GPU, and needs neither Numba nor statsmodels."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from backends.cuda.emulated import needs_emulator

from dfim_fast.backends.select import has_driver

SCRIPT = Path(__file__).parents[1] / "bench" / "gpu_check.py"
WITHOUT = """
import runpy, sys
for name in ("numba", "llvmlite", "statsmodels"):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def ran(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-P", "-c", WITHOUT, str(SCRIPT), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ, timeout=200
    )


@pytest.mark.skipif(has_driver(), reason="there is a GPU here")
def test_one_line_without_a_gpu():
    done = ran()
    assert done.returncode == 1, done.stderr
    assert done.stdout == (
        "gpu_check: no GPU here (libcuda.so.1 is not installed); nothing was measured\n"
    )


@needs_emulator
def test_every_step_but_the_times_on_the_emulator(tmp_path):
    out = tmp_path / "gpu.json"
    done = ran("--backend", "emulator", "--seconds", "4", "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["backends"] == {"emulator": "available"}
    assert all(found["same_bits"].values())
    reached = [a for a in found["agreement"]["emulator"].values() if a != "not reached"]
    assert reached and all(a["rows_beyond"] <= 0.02 * a["rows"] for a in reached)
    assert set(found["sanitizers"]["emulator"]) == {"memcheck", "racecheck"}

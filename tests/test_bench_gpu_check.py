"""bench/gpu_check.py: one line without a GPU, every step by the emulator, budgets that hold; and it
needs neither Numba nor statsmodels."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from backends.cuda.emulated import needs_emulator

from dfim_fast.backends.select import has_driver

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "bench" / "gpu_check.py"
BLOCKED = ("numba", "llvmlite", "statsmodels")


@pytest.fixture
def ran(tmp_path):
    """Runs the script where the blocked packages cannot be imported, by it or by its parts."""
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in BLOCKED:
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is blocked here')\n")

    def run(*arguments: str) -> subprocess.CompletedProcess:
        path = os.pathsep.join([str(blocked), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
        return subprocess.run(
            [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True,
            check=False, timeout=300, env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        )  # fmt: skip

    return run


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("gpu_check")


@pytest.mark.skipif(has_driver(), reason="there is a GPU here")
def test_one_line_without_a_gpu(ran):
    done = ran()
    assert done.returncode == 1, done.stderr
    assert done.stdout == (
        "gpu_check: no GPU here (libcuda.so.1 is not installed); nothing was measured\n"
    )


@needs_emulator
def test_every_step_on_the_emulator(ran, tmp_path):
    out = tmp_path / "gpu.json"
    done = ran("--emulator", "--case", "gelu", "--seconds", "200", "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["backends"] == {"emulator": "available"} and found["dry_run"]
    ended = {key: part.get("why") for key, part in found.items() if isinstance(part, dict)}
    assert ended.pop("share_of_fp32_peak") == "the device's own bounds were not measured"
    assert ended.pop("peers gelu") in (None, "PyTorch is not installed")
    assert set(ended.values()) == {None}, ended
    for part in found["agreement"].values():
        assert part["emulator"]["rows_beyond"] <= 0.02 * part["emulator"]["rows"]
    assert all(found["same_bits"].values())
    own = found["times gelu"]["gradient emulator"]
    for kind in ("on_device", "copied_out", "single_call"):
        assert 0 < own[kind]["low"] <= own[kind]["median"] <= own[kind]["high"]
    assert own["counted_flops"] == pytest.approx(
        2 * own["counted_multiply_adds"] / own["on_device"]["median"]
    )
    errors = found["precision"]["gelu"]
    assert errors["float32"]["largest"] < 1e-5 < errors["tf32"]["largest"]
    assert found["tests"]["exit_code"] in (0, 5)  # 5: nothing to run without a GPU
    assert set(found["sanitize"]) == {"emulator memcheck", "emulator racecheck"}
    assert set(found["counters gelu"]) == {"gradient"}


def test_the_budgets_fit_and_shrink_together(check):
    todo = check.steps(list(check.CASES))
    assert [step.part for step in todo][:3] == ["device", "agreement", "same_bits"]
    assert 150 + sum(step.seconds for step in todo) < 2 * check.SECONDS
    left = 0.5 * sum(step.seconds for step in todo)
    for number, step in enumerate(todo):
        rest = sum(other.seconds for other in todo[number:])
        budget = min(step.seconds, left * step.seconds / rest)
        assert budget == pytest.approx(0.5 * step.seconds)
        left -= budget


def test_a_part_that_hangs_is_stopped_and_keeps_what_it_had(check, monkeypatch, tmp_path):
    script = (
        "import sys, time, pathlib\n"
        "out = sys.argv[sys.argv.index('--out') + 1]\n"
        "pathlib.Path(out).write_text('{\"first\": 1}')\n"
        "if sys.argv[1] == 'hangs': time.sleep(60)\n"
        "if sys.argv[1] == 'fails': raise SystemExit('what failed')\n"
    )
    (tmp_path / "gpu_parts.py").write_text(script)
    monkeypatch.setattr(check, "HERE", tmp_path)
    monkeypatch.setattr(check, "GRACE", 0.0)
    runner, start = check.Runner(60.0, False), time.monotonic()
    found = runner.run(check.Step("hangs", 2.0), ["cupy"], 2.0)
    assert found == {"first": 1, "why": "stopped after 2 s"} and time.monotonic() - start < 30
    assert runner.run(check.Step("fails", 9.0), [], 9.0) == {"first": 1, "why": "what failed"}
    assert runner.run(check.Step("ends", 9.0), [], 9.0) == {"first": 1}
    assert runner.run(check.Step("ends", 9.0), [], 0.5) == {"why": "not reached"}


def test_shares_of_the_peak(check):
    times = {"gradient cupy": {"counted_flops": 3e13}, "deeplift cupy": {"why": "no time"}}
    found = {"times spi1": {**times, "why": "stopped"}, "device": {"bounds": {"fp32_flops": 6e13}}}
    assert check.shares(found) == {"spi1 gradient cupy": 0.5}


def test_the_profilers_counters_name_the_limiter(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    gpu = importlib.import_module("gpu_counters")
    names = ["ID", "Kernel Name", gpu.TIME, gpu.WARPS, *gpu.UNITS.values()]

    def row(*values):
        return ",".join(f'"{value}"' for value in values)

    text = "\n".join([
        "==PROF== Connected to process 7",
        row(*names),
        row("", "", "usecond", *["%"] * 7),
        row(0, "walk(View, float *)", "1,000", 20, 30, 35, 90, 50, 10, 5),
        row(1, "walk(View, float *)", "3,000", 20, 50, 35, 70, 50, 10, 5),
        row(2, "pick(float *)", "2", 11, 1, 2, 3, 4, 5, "n/a"),
    ])  # fmt: skip
    found = gpu.read(text)
    assert list(found) == ["walk", "pick"]
    assert found["walk"]["launches"] == 2
    assert found["walk"]["seconds"] == pytest.approx(4e-3)
    assert found["walk"]["percent"]["shared memory"] == 75.0
    assert found["walk"]["percent"]["fp32"] == 45.0
    assert found["walk"]["limiter"] == "shared memory, 75% of its peak"
    assert found["pick"]["limiter"] == "latency: L2 5% at most, 11% of the warps"
    assert gpu.read("==ERROR== ERR_NVGPUCTRPERM") == {}


def test_the_bounds_compile(tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on PATH")
    command = [nvcc, "-std=c++17", "-arch=sm_90", "-Werror=all-warnings", "-cubin",
               str(ROOT / "bench" / "gpu_bounds.cu")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

"""Every kernel compiles for the GPUs that are promised, by nvcc and by NVRTC, without a GPU."""

import os
import re
import shutil
import subprocess

import pytest

from dfim_fast.backends.cuda import sources
from dfim_fast.backends.cuda.cupy_gpu import OPTIONS
from dfim_fast.backends.cuda.signatures import KERNELS

ARCHITECTURES = ("sm_80", "sm_90")
REQUIRED = os.environ.get("DFIM_FAST_REQUIRE_NVRTC", "").lower() in ("1", "on", "true", "yes")


@pytest.fixture
def nvrtc():
    """CuPy's bindings; they need no driver."""
    if REQUIRED:
        from cupy_backends.cuda.libs import nvrtc as bindings

        return bindings
    return pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvcc_without_spills(architecture, tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc on PATH")
    file = tmp_path / "kernels.cu"
    file.write_text(sources.source())
    command = [nvcc, *OPTIONS, f"-arch={architecture}", "-Xptxas=-v", "-cubin", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr, done.stderr
    spills = {
        name: int(stores) + int(loads)
        for name, stores, loads in re.findall(
            r"Function properties for (\w+)\s+\d+ bytes stack frame, (\d+) bytes spill stores, "
            r"(\d+) bytes spill loads",
            done.stderr,
        )
    }
    assert set(KERNELS) <= set(spills)
    assert {name: spills[name] for name in KERNELS if spills[name]} == {}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_as_cupy_calls_it(architecture, nvrtc):
    program = nvrtc.createProgram(sources.source(), "kernels.cu", [], [])
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch={architecture}"))
    except nvrtc.NVRTCError as error:
        pytest.fail(f"{error}\n{nvrtc.getProgramLog(program)}")
    assert all(name.encode() in nvrtc.getCUBIN(program) for name in KERNELS)

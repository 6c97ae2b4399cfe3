"""The module that nvcc builds: what it says of itself and of the machine's devices."""

import os
import re

import pytest

REQUIRED = os.environ.get("DFIM_FAST_REQUIRE_NATIVE", "").lower() in ("1", "on", "true", "yes")
# The three states of a machine that has no usable device, each with its own advice.
NO_DEVICES = (
    r"no CUDA driver: libcuda is not installed or does not load; install the NVIDIA driver for "
    r"CUDA \d+\.\d+ or newer, or use the numba backend",
    r"the CUDA driver is too old: it supports CUDA \d+\.\d+ and this build needs \d+\.\d+; "
    r"update the driver, or use the numba backend",
    r"no CUDA device: the driver \(CUDA \d+\.\d+\) lists none; check nvidia-smi and "
    r"CUDA_VISIBLE_DEVICES, or use the numba backend",
)


@pytest.fixture
def native():
    if REQUIRED:
        import dfim_fast._native as module

        return module
    return pytest.importorskip(
        "dfim_fast._native", reason="dfim_fast was installed without nvcc: no native module"
    )


def test_build_info_names_the_compiler_the_architectures_and_the_rounding(native):
    info = native.build_info()
    assert set(info) == {"version", "nvcc", "architectures", "device_flags", "runtime_version"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", info["nvcc"])
    assert info["architectures"], "a build without architectures runs nowhere"
    assert all(re.fullmatch(r"\d+a?(-real|-virtual)?", name) for name in info["architectures"])
    assert info["device_flags"].split() == ["-fmad=false", "-ftz=true"]
    # nvcc and the runtime linked into the module come from one toolkit.
    assert info["nvcc"].split(".")[0] == info["runtime_version"].split(".")[0]


def test_devices_are_described_or_one_line_says_why_there_are_none(native):
    try:
        devices = native.devices()
    except RuntimeError as error:
        assert any(re.fullmatch(line, str(error)) for line in NO_DEVICES), str(error)
        return
    assert [device["index"] for device in devices] == list(range(len(devices)))
    for device in devices:
        major, minor = device["compute_capability"]
        assert device["name"] and major >= 5 and minor >= 0
        assert 0 < device["free_memory"] <= device["total_memory"]
        driver, runtime = (
            tuple(int(part) for part in device[key].split("."))
            for key in ("driver_version", "runtime_version")
        )
        assert driver[0] >= runtime[0]


def test_hiding_every_device_gives_a_line_and_no_traceback(native, run_python):
    script = """
import dfim_fast._native as native
try:
    print(native.devices())
except RuntimeError as error:
    print(error)
"""
    printed = run_python(script, CUDA_VISIBLE_DEVICES="")
    assert any(re.fullmatch(line, printed.strip()) for line in NO_DEVICES), printed

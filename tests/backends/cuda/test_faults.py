"""What the emulator has to find: races, missing barriers, stores outside; and that sanitizers see
nothing in the kernels."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dfim_fast.backends.cuda import sources

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FLAGS = ["-std=c++17", "-ffp-contract=off", "-fPIC", "-shared", "-pthread"]
COUNT = 128  # four warps' lanes
SHARED = 4 * COUNT  # bytes

needs_sources = pytest.mark.skipif(
    shutil.which("g++") is None or not (ROOT / "csrc").is_dir(), reason="no g++, or no csrc/"
)


def compiled(folder: Path, source: Path, *flags: str) -> Path:
    library = folder / f"{source.stem}.so"
    command = ["g++", *FLAGS, *flags, "-o", str(library), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    path = compiled(tmp_path_factory.mktemp("planted"), HERE / "planted.cpp", "-O1")
    library = ctypes.CDLL(str(path))
    library.dfim_allocate.restype = ctypes.c_size_t
    return library


def run(library, kernel: str, shared: int = SHARED) -> tuple[str, np.ndarray]:
    """What was found, and the result, for x = 0, 1, 2, ..."""
    x = np.arange(COUNT, dtype=np.float32)
    x_at, y_at = (library.dfim_allocate(ctypes.c_size_t(x.nbytes)) for _ in range(2))
    ctypes.memmove(x_at, x.ctypes.data, x.nbytes)
    values = [ctypes.c_size_t(y_at), ctypes.c_size_t(x_at), ctypes.c_int(COUNT)]
    pointers = (ctypes.c_void_p * 3)(*(ctypes.addressof(value) for value in values))
    error = ctypes.create_string_buffer(512)
    library.dfim_launch(kernel.encode(), 1, 4, shared, pointers, error, 512)
    y = np.empty_like(x)
    ctypes.memmove(y.ctypes.data, y_at, y.nbytes)
    for address in (x_at, y_at):
        library.dfim_release(ctypes.c_size_t(address))
    return error.value.decode(), y


@needs_sources
def test_a_kernel_without_faults(planted):
    error, y = run(planted, "sound")
    assert error == ""
    np.testing.assert_array_equal(y, np.tile(np.arange(COUNT).reshape(4, 32).sum(0), 4))


@needs_sources
@pytest.mark.parametrize(
    ("kernel", "found"),
    [
        ("race", r"a race: warp \d wrote entry \d+ of shared memory, and warp \d used it, with no "
         r"barrier between"),
        ("stale", r"a race: warp 0 wrote entry 0 of shared memory, and warp \d used it, .*"),
        ("missing_barrier", r"3 of 4 warps wait at a barrier that the others never reach"),
        ("beyond_shared", r"entry 128 of shared memory, which has 128"),
        ("beyond_buffer", r"a store 0 bytes beyond a buffer of 512"),
        ("nobody", r"there is no such kernel"),
    ],
)  # fmt: skip
def test_planted_faults_are_found_every_time(planted, kernel, found):
    for _ in range(5):
        error, _ = run(planted, kernel)
        assert re.fullmatch(found, error), error


@needs_sources
def test_stores_are_seen_by_other_warps_after_a_barrier_only(planted):
    _, y = run(planted, "stale")
    assert (y[:32] == 1).all() and np.isnan(y[32:]).all()


@needs_sources
def test_a_barrier_needs_declared_shared_memory(planted):
    error, _ = run(planted, "undeclared", shared=0)
    assert error.startswith("a barrier or shared memory in a kernel that declares no shared bytes")


@needs_sources
@pytest.mark.parametrize(
    ("line", "compiles"),
    [
        ("int n = block_number(); if (n > 3) { n = 0; }", True),
        ("WInt n = lane_id(); if (n > 3) { n = WInt(0); }", False),
        ("WBool b = lane_id() > 3; bool one = b; (void)one;", False),
        ("WBool b = lane_id() > 3; bool one = any_lane(b); (void)one;", True),
    ],
)
def test_divergence_is_a_compile_error(tmp_path, line, compiles):
    source = tmp_path / "branch.cpp"
    port = ROOT / "csrc" / "kernels" / "port.cuh"
    source.write_text(f'#include "{port}"\nvoid kernel() {{ {line} }}\n')
    command = ["g++", "-std=c++17", "-fsyntax-only", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is compiles, done.stderr


# Every kernel of four networks, one of them by the fused walk, with one host thread for each warp.
WATCHED = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np
from pathlib import Path
from backends.running import inputs, plan_for
from dfim_fast.backends.cuda import emulator
from dfim_fast.backends.select import make_backend
emulator.LIBRARY = Path({library!r})
for name in ("max_pool_overlap_legacy.onnx", "convnext_legacy.onnx", "siamese_legacy.onnx",
             "global_max_legacy.onnx"):
    plan = plan_for(name, n_references=2, sources=[0, 5, 9])
    x, references = inputs(plan, 1)
    (found,) = make_backend("emulator", plan).maps(x, references)
    assert np.isfinite(found.fis).all()
print("watched")
"""
# A planted kernel on buffers of the right size.
PLANTED = """
import ctypes, sys
library = ctypes.CDLL({library!r})
library.dfim_allocate.restype = ctypes.c_size_t
values = [ctypes.c_size_t(library.dfim_allocate(ctypes.c_size_t(512))) for _ in range(2)]
values.append(ctypes.c_int(128))
pointers = (ctypes.c_void_p * 3)(*(ctypes.addressof(value) for value in values))
library.dfim_launch({kernel!r}, 1, 4, 512, pointers, ctypes.create_string_buffer(512), 512)
print("watched")
"""
SANITIZERS = {
    "address": ("-fsanitize=address,undefined", "libasan.so", "ASAN_OPTIONS", "detect_leaks=0"),
    "thread": ("-fsanitize=thread", "libtsan.so", "TSAN_OPTIONS", "halt_on_error=1"),
}


def watched(kind: str, source: Path, folder: Path, script: str, **names) -> tuple[str, str]:
    """What a script printed, and what a sanitizer said of the library that it loads."""
    flag, runtime, variable, options = SANITIZERS[kind]
    where = subprocess.run(
        ["g++", f"-print-file-name={runtime}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.path.isabs(where):
        pytest.skip(f"no {runtime} beside g++")
    library = compiled(folder, source, "-O1", "-g", flag, "-fno-sanitize-recover=all")
    if kind == "thread":  # the dynamic linker's own memory of threads that end, now and then
        known = folder / "known"
        known.write_text("race:rtld-malloc.h\n")
        options += f":suppressions={known}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script.format(library=str(library), **names)],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "LD_PRELOAD": where, variable: options, "DFIM_EMULATOR_THREADS": "1"},
    )  # fmt: skip
    return done.stdout.strip(), done.stderr


@needs_sources
@pytest.mark.parametrize("kind", SANITIZERS)
def test_sanitizers_find_nothing(kind, tmp_path):
    source = ROOT / "csrc" / "emulator" / "emulator.cpp"
    printed, said = watched(kind, source, tmp_path, WATCHED, tests=str(HERE.parents[1]))
    assert printed.endswith("watched"), said[-4000:]


@needs_sources
@pytest.mark.parametrize(
    ("kind", "kernel", "found"),
    [
        ("address", b"beyond_buffer", "AddressSanitizer: heap-buffer-overflow"),
        ("thread", b"shared_entries", "ThreadSanitizer: data race"),
        ("thread", b"sound", ""),
    ],
)
def test_sanitizers_find_what_is_planted(kind, kernel, found, tmp_path):
    printed, said = watched(kind, HERE / "planted.cpp", tmp_path, PLANTED, kernel=kernel)
    assert found in said and (printed == "watched") is not bool(found), said


def test_sources_are_found():
    assert (sources.folder() / "port.cuh").is_file()

"""What is said where a GPU's backend cannot run: one line each, with what to do."""

import sys
from types import SimpleNamespace

import pytest
from backends.running import inputs, plan_for

from dfim_fast.backends import select
from dfim_fast.backends.cuda import cupy_gpu, emulator, native, sources
from dfim_fast.backends.cuda.device import out_of_memory
from dfim_fast.errors import BackendError


def line(call, *arguments) -> str:
    with pytest.raises(BackendError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


class Failing(Exception):
    """Stands for CuPy's own."""


def fake_cupy(count, capability="90"):
    """CuPy with some devices; an exception instead of a number is raised."""

    def devices():
        if isinstance(count, Exception):
            raise count
        return count

    runtime = SimpleNamespace(CUDARuntimeError=Failing, getDeviceCount=devices)
    driver = SimpleNamespace(CUDADriverError=Failing)
    device = SimpleNamespace(compute_capability=capability, id=0)
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, driver=driver, Device=lambda: device)
    )


def test_without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    text = line(cupy_gpu.load)
    assert text.startswith("backend='cupy': CuPy cannot be imported (")
    assert "pip install 'dfim_fast[cuda12]' or 'dfim_fast[cuda13]'" in text


def test_without_a_driver(monkeypatch):
    error = Failing("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(error))
    assert line(cupy_gpu.load) == (
        "backend='cupy': no CUDA device can be used (cudaErrorInsufficientDriver: CUDA driver "
        "version is insufficient); check nvidia-smi and CUDA_VISIBLE_DEVICES, or use "
        "backend='numba'"
    )


def test_without_a_device_or_with_one_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(0))
    assert "no CUDA device; check CUDA_VISIBLE_DEVICES" in line(cupy_gpu.load)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(1, "70"))
    assert line(cupy_gpu.load) == (
        "backend='cupy': the GPU has compute capability 7.0; 8.0 or newer is needed: use "
        "backend='numba'"
    )


def test_kernels_that_do_not_compile(monkeypatch):
    class RawModule:
        def __init__(self, **options):
            assert options["options"] == cupy_gpu.OPTIONS

        def compile(self):
            raise Failing("nvrtc: error: invalid value for --gpu-architecture\nmore")

    cupy = fake_cupy(1)
    cupy.RawModule = RawModule
    cupy.cuda.compiler = SimpleNamespace(CompileException=Failing)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert line(cupy_gpu.compiled, -1) == (
        "backend='cupy': the kernels cannot be compiled (nvrtc: error: invalid value for "
        "--gpu-architecture); check that CuPy fits the driver's CUDA version, or use "
        "backend='numba'"
    )


def test_without_the_native_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "dfim_fast._native", None)
    assert line(native.load).startswith(
        "backend='native': the native module was not built (no nvcc when dfim_fast was installed)"
    )


def test_a_native_module_that_finds_no_device(monkeypatch):
    def fail():
        raise RuntimeError("no CUDA driver: libcuda is not installed")

    module = SimpleNamespace(open_device=fail)
    monkeypatch.setitem(sys.modules, "dfim_fast._native", module)
    assert line(native.load) == "backend='native': no CUDA driver: libcuda is not installed"


def test_without_the_emulator(monkeypatch, tmp_path):
    monkeypatch.setattr(emulator, "LIBRARY", tmp_path / "_emulator.so")
    emulator.load.cache_clear()
    try:
        assert line(emulator.load).startswith("backend='emulator': it was not built; install ")
    finally:
        emulator.load.cache_clear()


def test_without_the_sources(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "FOLDERS", (tmp_path / "kernels",))
    sources.folder.cache_clear()
    try:
        assert "the kernels' sources are not part of this installation" in line(sources.folder)
    finally:
        sources.folder.cache_clear()


def test_out_of_memory():
    assert str(out_of_memory("backend='cupy'", 3_000_000_000, 12_000_000)) == (
        "backend='cupy': no memory for 3000 MB more, 12 MB are free; pass a smaller memory_limit, "
        "or use backend='numba'"
    )


def test_auto_says_once_why_it_leaves_a_gpu_alone(monkeypatch):
    plan = plan_for("basset_legacy.onnx", sources=[0], n_references=1)
    monkeypatch.setattr(select.gpu, "pays", lambda plan, sequences: True)
    monkeypatch.setattr(select, "has_driver", lambda: True)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "dfim_fast._native", None)
    select._say_once.cache_clear()
    with pytest.warns(UserWarning, match="backend='auto' does not use the GPU by (cupy|native)"):
        backend = select.make_backend("auto", plan)
    assert backend.name == "numba"
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert select.make_backend("auto", plan).name == "numba"


def test_auto_takes_the_gpu_where_it_pays(monkeypatch):
    plan = plan_for("basset_legacy.onnx", sources=[0], n_references=1)
    monkeypatch.setattr(select, "has_driver", lambda: True)
    chosen = SimpleNamespace(CupyBackend=lambda plan: SimpleNamespace(name="cupy"))
    monkeypatch.setitem(sys.modules, "dfim_fast.backends.cuda.cupy_gpu", chosen)
    asked = []
    monkeypatch.setattr(select.gpu, "pays", lambda *of: asked.append(of) or len(asked) == 1)
    assert select.make_backend("auto", plan, 7).name == "cupy"
    assert select.make_backend("auto", plan, 8).name == "numba"
    assert asked == [(plan, 7), (plan, 8)]


def test_every_backend_is_available_or_says_why_not():
    for name in select.BACKENDS:
        why = select.why_not(name)
        assert why is None or "\n" not in why
    assert select.why_not("numba") is None and select.why_not("reference") is None
    plan = plan_for("basset_legacy.onnx", sources=[0], n_references=1)
    for name in select.BACKENDS:
        if select.why_not(name) is None:
            (found,) = select.make_backend(name, plan).maps(*inputs(plan, 1))
            assert found.fis.shape[1] == 1

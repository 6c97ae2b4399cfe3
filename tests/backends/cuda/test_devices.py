"""The devices of CuPy and of the native module, with the emulator in the place of the GPU.

What CuPy and the module are asked for is carried out by the emulator's library, so that transfers,
launches and their arguments are seen to arrive as a GPU would get them.
"""

import ctypes
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from backends.cuda.emulated import needs_emulator
from backends.running import assert_same, inputs, plan_for, run

from dfim_fast.backends.cuda import cupy_gpu, emulator, native
from dfim_fast.backends.cuda.signatures import KERNELS
from dfim_fast.errors import BackendError

pytestmark = needs_emulator
LANES = 32
FREE = 123_000_000


class Machine:
    """Memory and launches by the emulator, counted."""

    def __init__(self) -> None:
        self.device = emulator.EmulatorDevice()
        self.library, self.launches, self.live = self.device.library, 0, set()

    def allocate(self, nbytes: int) -> int:
        address = self.library.dfim_allocate(ctypes.c_size_t(nbytes))
        self.live.add(address)
        return address

    def release(self, address: int) -> None:
        self.live.remove(address)
        self.library.dfim_release(ctypes.c_size_t(address))

    def launch(self, kernel, blocks, threads, shared_bytes, values) -> None:
        """``values``: one array of one entry for each argument."""
        signature = KERNELS[kernel]
        assert threads == LANES * signature.warps
        assert shared_bytes == signature.shared + signature.warps * signature.scratch
        for value, (kind, _) in zip(values, signature.parameters, strict=True):
            assert value.size == 1
            assert value.nbytes == {"int": 4, "float": 4, "View": 72}.get(kind, 8)
        pointers = (ctypes.c_void_p * len(values))(
            *(value.__array_interface__["data"][0] for value in values)
        )
        error = ctypes.create_string_buffer(512)
        failed = self.library.dfim_launch(
            kernel.encode(), blocks, signature.warps, signature.shared, pointers, error, 512
        )
        assert not failed, error.value
        self.launches += 1


def fake_cupy(machine: Machine) -> SimpleNamespace:
    """As much of CuPy as the device uses."""

    class Stream:
        ptr = 7

        def __init__(self, non_blocking):
            assert non_blocking

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def record(self):
            return self

        def wait_event(self, event):
            assert event is not None

        def synchronize(self):
            pass

    class Memory:
        def __init__(self, nbytes):
            if nbytes > FREE:
                raise MemoryError
            self.ptr = machine.allocate(nbytes)

        def __del__(self):
            if hasattr(self, "ptr"):
                machine.release(self.ptr)

    class RawModule:
        def __init__(self, **_):
            pass

        def compile(self):
            pass

        def get_function(self, name):
            return lambda grid, block, args, shared_mem: machine.launch(
                name, grid[0], block[0], shared_mem, args
            )

    def copy(target, source, nbytes, kind, stream):
        assert kind in (1, 2) and stream == 7
        ctypes.memmove(target, source, nbytes)

    class Pinned(np.ndarray):
        @property
        def ptr(self):
            return self.ctypes.data

    runtime = SimpleNamespace(
        CUDARuntimeError=OSError,
        getDeviceCount=lambda: 1,
        memcpyAsync=copy,
        memsetAsync=lambda address, value, nbytes, stream: ctypes.memset(address, value, nbytes),
        memGetInfo=lambda: (FREE, 2 * FREE),
    )
    return SimpleNamespace(
        RawModule=RawModule,
        get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 0),
        cuda=SimpleNamespace(
            runtime=runtime,
            driver=SimpleNamespace(CUDADriverError=OSError),
            compiler=SimpleNamespace(CompileException=OSError),
            memory=SimpleNamespace(OutOfMemoryError=MemoryError),
            Device=lambda: SimpleNamespace(compute_capability="90", id=-2),
            Stream=Stream,
            get_elapsed_time=lambda begin, end: 2500.0,
            alloc=Memory,
            alloc_pinned_memory=lambda nbytes: np.empty(nbytes, np.uint8).view(Pinned),
        ),
    )


def fake_native(machine: Machine) -> SimpleNamespace:
    """The native module's functions."""

    def allocate(nbytes):
        return 0 if nbytes > FREE else machine.allocate(nbytes)

    def write(address, array):
        assert array.flags.c_contiguous
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def end_fetch(begun, target):
        assert target.flags.c_contiguous
        ctypes.memmove(target.ctypes.data, begun[0], target.nbytes)

    def launch(kernel, blocks, threads, shared_bytes, values):
        arrays = [np.frombuffer(value, np.dtype(("V", len(value)))) for value in values]
        machine.launch(kernel, blocks, threads, shared_bytes, arrays)

    return SimpleNamespace(
        open_device=lambda: None,
        allocate=allocate,
        release=machine.release,
        write=write,
        clear=lambda address, nbytes: ctypes.memset(address, 0, nbytes),
        begin_fetch=lambda address, nbytes: (address, nbytes, 0),
        end_fetch=end_fetch,
        synchronize=lambda: None,
        free_memory=lambda: FREE,
        mark=lambda: 7,
        seconds_since={7: 2.5}.__getitem__,
        launch=launch,
    )


@pytest.fixture(params=["cupy", "native"])
def machine(request, monkeypatch) -> tuple[str, Machine]:
    found = Machine()
    if request.param == "cupy":
        monkeypatch.setitem(sys.modules, "cupy", fake_cupy(found))
        cupy_gpu.compiled.cache_clear()
    else:
        monkeypatch.setitem(sys.modules, "dfim_fast._native", fake_native(found))
    yield request.param, found
    cupy_gpu.compiled.cache_clear()


@pytest.mark.parametrize("method", ["gradient", "deeplift"])
def test_maps_through_each_device(machine, method):
    name, behind = machine
    plan = plan_for("basset_legacy.onnx", method=method, n_references=2)
    x, references = inputs(plan, 3)
    for found, wanted in zip(
        run(name, plan, x, references), run("emulator", plan, x, references), strict=True
    ):
        assert_same(found, wanted)
    assert behind.launches > 50


def test_maps_into_arrays_that_are_not_contiguous(machine):
    name, _ = machine
    plan = plan_for("basset_legacy.onnx", sources=[3, 9])
    x, references = inputs(plan, 1)
    (wanted,) = run(name, plan, x, references)
    room = np.zeros((*wanted.fis.shape, 2), np.float32)
    spread = np.zeros_like(wanted.fis)
    device = cupy_gpu.CupyBackend if name == "cupy" else native.NativeBackend
    (found,) = device(plan).maps(x, references, [(room[..., 0], spread)])
    assert np.may_share_memory(found.fis, room) and found.standard_error is spread
    assert_same(found, wanted)
    assert not room[..., 1].any()


def test_memory_that_does_not_suffice(machine):
    name, _ = machine
    device = cupy_gpu.CupyDevice() if name == "cupy" else native.NativeDevice()
    with pytest.raises(BackendError) as caught:
        device.allocate(2 * FREE)
    assert str(caught.value) == (
        f"backend='{name}': no memory for 246 MB more, 123 MB are free; pass a smaller "
        "memory_limit, or use backend='numba'"
    )


def test_time_by_the_devices_own_clock(machine):
    name, _ = machine
    device = cupy_gpu.CupyDevice() if name == "cupy" else native.NativeDevice()
    assert device.stopwatch()() == 2.5


def test_cupys_memory_is_given_back(machine):
    name, behind = machine
    if name == "native":
        pytest.skip("the native module keeps memory for the next of that size")
    plan = plan_for("basset_legacy.onnx", sources=[3])
    run(name, plan, *inputs(plan, 1))
    assert not behind.live


def test_native_memory_of_other_sizes_is_given_back_where_it_runs_out(monkeypatch):
    behind = Machine()
    module = fake_native(behind)
    monkeypatch.setitem(sys.modules, "dfim_fast._native", module)
    device = native.NativeDevice()
    first = device.allocate(1000)
    del first
    assert len(behind.live) == 1
    assert native.NativeDevice().allocate(1000).address in behind.live  # a later call's device
    assert len(behind.live) == 1 and device.free_memory() == FREE + 1024
    refusals = [0]

    def allocate(nbytes):
        return refusals.pop() if refusals else behind.allocate(nbytes)

    monkeypatch.setattr(module, "allocate", allocate)
    assert device.allocate(5000).address in behind.live
    assert len(behind.live) == 1

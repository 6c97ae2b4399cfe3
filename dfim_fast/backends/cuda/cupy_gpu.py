"""Kernels that CuPy compiles on first use for the GPU it finds, and keeps on disk."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.backend import CudaBackend
from dfim_fast.backends.cuda.device import Buffer, Device, out_of_memory
from dfim_fast.backends.cuda.signatures import Signature
from dfim_fast.backends.cuda.sources import source
from dfim_fast.errors import BackendError
from dfim_fast.plan.plan import Plan

# As CMakeLists.txt compiles the native module: fused only where the source says so, subnormals are
# zero.
OPTIONS = ("-std=c++17", "-fmad=false", "-ftz=true")
OLDEST = 80  # compute capability
LANES = 32


def load() -> Any:
    """The cupy module, with a device that can be used.

    Raises
    ------
    BackendError
        If CuPy is not installed, there is no driver or no device, or it is too old.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendError(
            f"backend='cupy': CuPy cannot be imported ({str(error).splitlines()[0]}); "
            "pip install 'dfim_fast[cuda12]' or 'dfim_fast[cuda13]', as nvidia-smi's CUDA version "
            "says"
        ) from None
    errors = (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError)
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except errors as error:
        raise BackendError(
            f"backend='cupy': no CUDA device can be used ({str(error).splitlines()[0]}); check "
            "nvidia-smi and CUDA_VISIBLE_DEVICES, or use backend='numba'"
        ) from None
    if not count:
        raise BackendError("backend='cupy': no CUDA device; check CUDA_VISIBLE_DEVICES")
    capability = int(cupy.cuda.Device().compute_capability)
    if capability < OLDEST:
        raise BackendError(
            f"backend='cupy': the GPU has compute capability {capability / 10:.1f}; 8.0 or newer "
            "is needed: use backend='numba'"
        )
    return cupy


@cache
def compiled(device: int) -> Any:
    """All kernels, compiled for one device.

    Raises
    ------
    BackendError
        If NVRTC is missing or refuses.
    """
    cupy = importlib.import_module("cupy")
    module = cupy.RawModule(code=source(), backend="nvrtc", options=OPTIONS)
    try:
        module.compile()
    except (cupy.cuda.compiler.CompileException, ImportError, OSError, RuntimeError) as error:
        raise BackendError(
            f"backend='cupy': the kernels cannot be compiled ({str(error).splitlines()[0]}); "
            "check that CuPy fits the driver's CUDA version, or use backend='numba'"
        ) from None
    return module


class CupyDevice(Device):
    """The current CUDA device of CuPy, with its memory pool."""

    name = "cupy"

    def __init__(self) -> None:
        self.cupy = load()
        self.module = compiled(self.cupy.cuda.Device().id)
        self.compute = self.cupy.cuda.Stream(non_blocking=True)
        self.copies = self.cupy.cuda.Stream(non_blocking=True)
        self.functions: dict[str, Any] = {}

    def _allocate(self, nbytes: int) -> Buffer:
        try:
            with self.compute:  # memory is given back in the order of this stream
                memory = self.cupy.cuda.alloc(nbytes)
        except self.cupy.cuda.memory.OutOfMemoryError:
            raise out_of_memory(f"backend={self.name!r}", nbytes, self.free_memory()) from None
        return Buffer(memory.ptr, nbytes, None, memory)

    def _launch(
        self, kernel: str, blocks: int, signature: Signature, packed: list[np.generic]
    ) -> None:
        function = self.functions.get(kernel)
        if function is None:
            function = self.functions[kernel] = self.module.get_function(kernel)
        with self.compute:
            shape = ((blocks,), (LANES * signature.warps,))
            # arrays of one entry go by value, structures too
            values = tuple(np.asarray(value) for value in packed)
            function(*shape, values, shared_mem=signature.bytes_of_block)

    def write(self, buffer: Buffer, array: np.ndarray) -> None:
        # copied at once: the array may change as soon as this returns
        array = np.ascontiguousarray(array)
        self.cupy.cuda.runtime.memcpyAsync(
            buffer.address, array.ctypes.data, array.nbytes, 1, self.compute.ptr
        )

    def clear(self, buffer: Buffer) -> None:
        self.cupy.cuda.runtime.memsetAsync(buffer.address, 0, buffer.nbytes, self.compute.ptr)

    def fetch(self, buffer: Buffer, out: np.ndarray) -> Callable[[], np.ndarray]:
        cuda = self.cupy.cuda
        pinned = cuda.alloc_pinned_memory(max(1, out.nbytes))
        self.copies.wait_event(self.compute.record())
        cuda.runtime.memcpyAsync(pinned.ptr, buffer.address, out.nbytes, 2, self.copies.ptr)
        done = self.copies.record()

        def end(held: Buffer = buffer) -> np.ndarray:  # not given back before it was copied
            done.synchronize()
            out[...] = np.frombuffer(pinned, out.dtype, out.size).reshape(out.shape)
            return out

        return end

    def synchronize(self) -> None:
        self.compute.synchronize()

    def stopwatch(self) -> Callable[[], float]:
        begin = self.compute.record()

        def end() -> float:
            last = self.compute.record()
            last.synchronize()
            return float(self.cupy.cuda.get_elapsed_time(begin, last)) / 1e3

        return end

    def free_memory(self) -> int:
        free, _ = self.cupy.cuda.runtime.memGetInfo()
        return int(free + self.cupy.get_default_memory_pool().free_bytes())


class CupyBackend(CudaBackend):
    """CuPy's kernels."""

    def __init__(self, plan: Plan, precision: str = "") -> None:
        super().__init__(plan, CupyDevice(), precision)

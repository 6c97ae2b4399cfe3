"""The kernels on the CPU, for tests: what a GPU would run, without one."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from dfim_fast.backends.cuda.backend import CudaBackend
from dfim_fast.backends.cuda.device import Buffer, Device, out_of_memory
from dfim_fast.backends.cuda.signatures import Signature
from dfim_fast.errors import BackendError
from dfim_fast.plan.plan import Plan

LIBRARY = Path(__file__).parents[2] / "_emulator.so"
MEMORY = 2_000_000_000  # bytes that it says are free
ERROR_BYTES = 512


@cache
def load() -> ctypes.CDLL:
    """The library of the kernels.

    Raises
    ------
    BackendError
        If it was not built.
    """
    if not LIBRARY.is_file():
        raise BackendError(
            "backend='emulator': it was not built; install dfim_fast with "
            "--config-settings=cmake.define.DFIM_FAST_EMULATOR=ON, or use backend='numba'"
        )
    return ctypes.CDLL(str(LIBRARY))


class EmulatorDevice(Device):
    """Host memory between guards, and launches that have run when they return."""

    name = "emulator"

    def __init__(self, library: ctypes.CDLL | None = None) -> None:
        self.library = load() if library is None else library
        self.library.dfim_allocate.restype = ctypes.c_size_t

    def _allocate(self, nbytes: int) -> Buffer:
        address = self.library.dfim_allocate(ctypes.c_size_t(nbytes))
        if not address:
            raise out_of_memory(f"backend={self.name!r}", nbytes, 0)
        release = self.library.dfim_release
        return Buffer(address, nbytes, lambda: release(ctypes.c_size_t(address)))

    def _launch(
        self, kernel: str, blocks: int, signature: Signature, packed: list[np.generic]
    ) -> None:
        held = [np.asarray(value) for value in packed]
        arguments = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        error = ctypes.create_string_buffer(ERROR_BYTES)
        if self.library.dfim_launch(
            kernel.encode(),
            blocks,
            signature.warps,
            signature.shared,
            arguments,
            error,
            ERROR_BYTES,
        ):
            raise BackendError(f"backend='emulator': {kernel}: {error.value.decode()}")

    def write(self, buffer: Buffer, array: np.ndarray) -> None:
        held = np.ascontiguousarray(array)
        ctypes.memmove(buffer.address, held.ctypes.data, held.nbytes)

    def clear(self, buffer: Buffer) -> None:
        ctypes.memset(buffer.address, 0, buffer.nbytes)

    def fetch(self, buffer: Buffer, out: np.ndarray) -> Callable[[], np.ndarray]:
        held = np.empty(out.shape, out.dtype)
        ctypes.memmove(held.ctypes.data, buffer.address, held.nbytes)
        out[...] = held
        return lambda: out

    def synchronize(self) -> None:
        pass

    def stopwatch(self) -> Callable[[], float]:
        begin = time.perf_counter()
        return lambda: time.perf_counter() - begin

    def free_memory(self) -> int:
        return MEMORY


class EmulatorBackend(CudaBackend):
    """The emulator's kernels."""

    def __init__(self, plan: Plan, precision: str = "") -> None:
        super().__init__(plan, EmulatorDevice(), precision)

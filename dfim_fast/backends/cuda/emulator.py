"""The kernels on the CPU, for tests: what a GPU would run, without one."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from dfim_fast.backends.cuda.backend import CudaBackend
from dfim_fast.backends.cuda.device import ALIGNMENT, Buffer, Device
from dfim_fast.errors import BackendError
from dfim_fast.plan.plan import Plan

LIBRARY = Path(__file__).parents[2] / "_emulator.so"
MEMORY = 2_000_000_000  # bytes that it says are free
GUARD = 0xA5  # stands around every buffer
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
    """Host memory between guards, and launches that run at once."""

    name = "emulator"

    def __init__(self) -> None:
        self.library = load()
        self.memory: dict[int, np.ndarray] = {}

    def _allocate(self, nbytes: int) -> Buffer:
        whole = np.full(nbytes + 3 * ALIGNMENT, GUARD, np.uint8)
        address = whole.ctypes.data + ALIGNMENT
        address += -address % ALIGNMENT
        first = address - whole.ctypes.data
        memory = self.memory
        memory[address] = whole

        def release() -> None:
            kept = memory.pop(address)
            beyond = np.concatenate([kept[:first], kept[first + nbytes :]])
            if (beyond != GUARD).any():
                raise AssertionError(f"a kernel wrote outside a buffer of {nbytes} bytes")

        return Buffer(address, nbytes, release)

    def _host(self, buffer: Buffer, nbytes: int) -> np.ndarray:
        whole = self.memory[buffer.address]
        first = buffer.address - whole.ctypes.data
        assert nbytes <= buffer.nbytes
        return whole[first : first + nbytes]

    def _launch(
        self, kernel: str, blocks: int, warps: int, shared: int, packed: list[np.generic]
    ) -> None:
        held = [np.asarray(value) for value in packed]
        arguments = (ctypes.c_void_p * len(held))(*(value.ctypes.data for value in held))
        error = ctypes.create_string_buffer(ERROR_BYTES)
        if self.library.dfim_launch(
            kernel.encode(), blocks, warps, shared, arguments, error, ERROR_BYTES
        ):
            raise BackendError(f"backend='emulator': {kernel}: {error.value.decode()}")

    def write(self, buffer: Buffer, array: np.ndarray) -> None:
        self._host(buffer, array.nbytes)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def clear(self, buffer: Buffer) -> None:
        self._host(buffer, buffer.nbytes)[:] = 0

    def fetch(self, buffer: Buffer, out: np.ndarray) -> Callable[[], np.ndarray]:
        out[...] = self._host(buffer, out.nbytes).view(out.dtype).reshape(out.shape)
        return lambda: out

    def synchronize(self) -> None:
        pass  # launches have run when they return

    def free_memory(self) -> int:
        return MEMORY


class EmulatorBackend(CudaBackend):
    """The emulator's kernels."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, EmulatorDevice())

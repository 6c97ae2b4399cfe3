"""Kernels that nvcc compiled ahead of time, in the native module; needs neither CuPy nor NVRTC."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.backend import CudaBackend
from dfim_fast.backends.cuda.device import Buffer, Device, out_of_memory
from dfim_fast.backends.cuda.signatures import Signature
from dfim_fast.errors import BackendError
from dfim_fast.plan.plan import Plan

LANES = 32
KEPT = "_kept"  # the module's attribute: addresses of free memory by size


def load() -> Any:
    """The module, with its device ready.

    Raises
    ------
    BackendError
        If it was not built, or there is no device that it can use.
    """
    try:
        module = importlib.import_module("dfim_fast._native")
    except ImportError:
        raise BackendError(
            "backend='native': the native module was not built (no nvcc when dfim_fast was "
            "installed); install it again beside a CUDA toolkit, or use backend='numba'"
        ) from None
    try:
        module.open_device()
    except RuntimeError as error:
        raise BackendError(f"backend='native': {error}") from None
    return module


class NativeDevice(Device):
    """The current CUDA device. Memory that is given back is kept for the next of that size, by the
    module, so that it serves the backends of later calls too."""

    name = "native"

    def __init__(self) -> None:
        self.module = load()
        self.kept: dict[int, list[int]] = vars(self.module).setdefault(KEPT, defaultdict(list))

    def _allocate(self, nbytes: int) -> Buffer:
        kept = self.kept[nbytes]
        address = kept.pop() if kept else self.module.allocate(nbytes)
        if not address:  # what is kept in other sizes may do
            for free in self.kept.values():
                while free:
                    self.module.release(free.pop())
            address = self.module.allocate(nbytes)
        if not address:
            raise out_of_memory(f"backend={self.name!r}", nbytes, self.module.free_memory())
        return Buffer(address, nbytes, lambda: kept.append(address))

    def _launch(
        self, kernel: str, blocks: int, signature: Signature, packed: list[np.generic]
    ) -> None:
        values = [value.tobytes() for value in packed]
        threads = LANES * signature.warps
        self.module.launch(kernel, blocks, threads, signature.bytes_of_block, values)

    def write(self, buffer: Buffer, array: np.ndarray) -> None:
        self.module.write(buffer.address, np.ascontiguousarray(array))

    def clear(self, buffer: Buffer) -> None:
        self.module.clear(buffer.address, buffer.nbytes)

    def fetch(self, buffer: Buffer, out: np.ndarray) -> Callable[[], np.ndarray]:
        begun = self.module.begin_fetch(buffer.address, out.nbytes)

        def end(held: Buffer = buffer) -> np.ndarray:  # not given back before it was copied
            if out.flags.c_contiguous:
                self.module.end_fetch(begun, out)
            else:
                whole = np.empty(out.shape, out.dtype)
                self.module.end_fetch(begun, whole)
                out[...] = whole
            return out

        return end

    def synchronize(self) -> None:
        self.module.synchronize()

    def stopwatch(self) -> Callable[[], float]:
        begin = self.module.mark()
        return lambda: float(self.module.seconds_since(begin))

    def free_memory(self) -> int:
        kept = sum(nbytes * len(free) for nbytes, free in self.kept.items())
        return int(self.module.free_memory()) + kept


class NativeBackend(CudaBackend):
    """The native module's kernels."""

    def __init__(self, plan: Plan, precision: str = "") -> None:
        super().__init__(plan, NativeDevice(), precision)

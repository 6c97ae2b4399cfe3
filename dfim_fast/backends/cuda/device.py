"""What the walk asks of a machine: memory, transfers and launches, and nothing else.

The same walk drives CuPy, the native module and the emulator through this interface, so that what
the emulator tests is what a GPU runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from dfim_fast.backends.cuda.signatures import KERNELS, Signature
from dfim_fast.errors import BackendError

ALIGNMENT = 256  # bytes; a buffer's length is a multiple of it


class Buffer:
    """Device memory that lives as long as this object.

    Attributes
    ----------
    address : int
    nbytes : int
    """

    def __init__(
        self, address: int, nbytes: int, release: Callable[[], None] | None, held: Any = None
    ) -> None:
        self.address, self.nbytes, self._release = address, nbytes, release
        self.held = held  # what owns the memory, where that is not this object

    def __del__(self) -> None:
        if self._release is not None:
            self._release()

    def part(self, first: int, nbytes: int) -> Buffer:
        """Some of its bytes; the whole lives as long as they do."""
        return Buffer(self.address + first, nbytes, None, self)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """As bytes, for libraries that share device memory."""
        return {
            "shape": (self.nbytes,),
            "typestr": "|u1",
            "data": (self.address, False),
            "version": 3,
            "strides": None,
        }


class Device(ABC):
    """A GPU, or what stands in for one. Work is carried out in the order it is asked for."""

    name: str

    def allocate(self, nbytes: int) -> Buffer:
        """Fresh memory, at least one alignment's worth; its content is arbitrary.

        Raises
        ------
        BackendError
            If there is not so much.
        """
        return self._allocate(max(ALIGNMENT, -(-nbytes // ALIGNMENT) * ALIGNMENT))

    def upload(self, array: np.ndarray) -> Buffer:
        """A copy of a host array, in new memory."""
        buffer = self.allocate(array.nbytes)
        self.write(buffer, array)
        return buffer

    def launch(self, kernel: str, items: int, *arguments: Any) -> None:
        """Run a kernel with one warp for each of ``items``.

        Raises
        ------
        BackendError
            If the arguments are not those that the kernel declares.
        """
        signature = KERNELS[kernel]
        packed = signature.pack(kernel, arguments)
        if items > 0:
            blocks = -(-items // signature.warps)
            self._launch(kernel, blocks, signature, packed)

    @abstractmethod
    def _allocate(self, nbytes: int) -> Buffer: ...

    @abstractmethod
    def _launch(
        self, kernel: str, blocks: int, signature: Signature, packed: list[np.generic]
    ) -> None: ...

    @abstractmethod
    def write(self, buffer: Buffer, array: np.ndarray) -> None:
        """Copy a host array to the start of a buffer."""

    @abstractmethod
    def clear(self, buffer: Buffer) -> None:
        """Fill a buffer with zeros."""

    @abstractmethod
    def fetch(self, buffer: Buffer, out: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to copy the start of a buffer into ``out``; the call that is returned ends it."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait for all work asked for."""

    @abstractmethod
    def free_memory(self) -> int:
        """Bytes that can still be allocated."""

    @abstractmethod
    def stopwatch(self) -> Callable[[], float]:
        """Begin to measure; the call that is returned gives the device's seconds until then, once
        all work asked for is done."""

    def read(self, buffer: Buffer, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        """A host copy of the start of a buffer, once all work asked for is done."""
        return self.fetch(buffer, np.empty(shape, dtype))()


def out_of_memory(where: str, wanted: int, free: int) -> BackendError:
    """The error for an allocation that failed."""
    return BackendError(
        f"{where}: no memory for {wanted / 1e6:.0f} MB more, {free / 1e6:.0f} MB are free; pass a "
        "smaller memory_limit, or use backend='numba'"
    )

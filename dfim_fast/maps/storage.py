"""Room for results: in memory, or in a Zarr group on disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.errors import OutputError, SettingsError

MEMORY_SHARE = 0.7  # of the machine's memory that results may fill


def physical_memory() -> int:
    """Bytes of memory in this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Room:
    """Allocates the arrays of one run, and takes them away again if the run fails.

    Parameters
    ----------
    out : str or Path or None
        A folder for a Zarr group; None keeps arrays in memory.

    Raises
    ------
    OutputError
        If the folder exists or cannot be made.
    """

    def __init__(self, out: str | Path | None) -> None:
        self.group: Any = None
        self.out = out
        if out is not None:
            import zarr

            if Path(out).exists():
                raise OutputError(f"{out}: exists already; remove it or choose another out=")
            try:
                self.group = zarr.open_group(str(out), mode="w-")
            except OSError as error:
                raise OutputError(
                    f"{out}: cannot be written ({error.strerror}); choose another out="
                ) from None

    def __enter__(self) -> Room:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is not None and self.out is not None:
            shutil.rmtree(self.out, ignore_errors=True)
        if isinstance(error, OSError) and self.out is not None:
            raise OutputError(
                f"{self.out}: cannot be written ({error.strerror}); nothing was kept"
            ) from error

    def check(self, bytes_needed: int) -> None:
        """Refuse results that memory cannot hold.

        Raises
        ------
        SettingsError
        """
        limit = MEMORY_SHARE * physical_memory()
        if self.group is None and bytes_needed > limit:
            raise SettingsError(
                f"the maps would take {bytes_needed / 1e9:.1f} GB but memory allows "
                f"{limit / 1e9:.1f} GB; use window=, fewer sources or targets, or out="
            )

    def array(self, name: str, shape: tuple[int, ...], axis: int, dtype: Any) -> Any:
        """An array of zeros; on disk each entry along ``axis``, a sequence, is one chunk."""
        if self.group is None:
            return np.zeros(shape, dtype)
        chunks = tuple(1 if i == axis else n for i, n in enumerate(shape))
        return self.group.create_array(name, shape=shape, chunks=chunks, dtype=dtype)

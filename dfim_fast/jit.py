"""How compiled functions are made.

``kernel``: called by other compiled functions only. ``entry``: called from Python, and kept on
disk with all that it calls. Numba renews a cached function when its own file changes; an entry
holds code of its neighbours too, so here it is renewed when any file of its folder changes.
Numba compiles a function once more for every argument that is a literal: the larger functions are
therefore given ``np.int64(0)``, not ``0``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit

ROOT = Path(__file__).parent
DEPTH = 2  # dfim_fast/backends/numba_cpu is one folder with all below it


@cache
def stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every file in a folder."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        status = path.stat()
        found.append((str(path.relative_to(folder)), status.st_mtime_ns, status.st_size))
    return tuple(found)


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls, and keep it on disk."""
    try:
        compiled = njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # nowhere to keep it: a read-only installation without a home folder
        return njit(nogil=True, error_model="numpy")(function)
    inside = Path(function.__code__.co_filename).relative_to(ROOT).parent.parts[:DEPTH]
    compiled._cache._cache_file._source_stamp = stamp(ROOT.joinpath(*inside))
    return compiled


def is_ready(compiled: Any) -> bool:
    """Whether an entry need not be compiled: it is in memory, or on disk for this processor."""
    kept = getattr(compiled._cache, "_cache_file", None)
    return bool(compiled.overloads) or (kept is not None and bool(kept._load_index()))


kernel: Any = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)

"""How compiled functions are made.

``kernel``: called by other compiled functions only. ``entry``: called from Python, and kept on
disk with all that it calls. Numba renews a cached function when its own file changes; an entry
holds code of its neighbours too, so here it is renewed when any file of its folder changes.
Numba compiles a function once more for every argument that is a literal: the larger functions are
therefore given ``np.int64(0)``, not ``0``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import Any

import numpy as np

try:
    from numba import njit
except ImportError:  # a GPU needs no Numba: bench/gpu_check.py runs on machines without it
    njit = None
else:  # these are Numba's own affair: where one is missing, say so and do not run uncompiled
    from numba.core.codegen import JITCodeLibrary
    from numba.core.compiler import Compiler
    from numba.core.sigutils import normalize_signature
    from numba.core.typing import signature as typed

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
    """Compile a function that Python calls, and keep it on disk; without Numba, leave it plain."""
    if njit is None:
        return uncompiled(function)
    return kept_on_disk(function, no_cfunc_wrapper=True)


def kept_on_disk(function: Callable[..., Any], **options: Any) -> Any:
    """Compile a function, and keep it on disk where there is a place for it."""
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: a read-only installation without a home folder
        return njit(**options)(function)
    renew_with_folder(compiled, function)
    return compiled


def uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose integers wrap around silently as they do once compiled."""

    @wraps(function)
    def wrapping(*arguments: Any) -> Any:
        with np.errstate(over="ignore"):
            return function(*arguments)

    return wrapping


def renew_with_folder(compiled: Any, function: Callable[..., Any]) -> None:
    """Let what is kept on disk count only while no file of the function's folder has changed."""
    inside = Path(function.__code__.co_filename).relative_to(ROOT).parent.parts[:DEPTH]
    compiled._cache._cache_file._source_stamp = stamp(ROOT.joinpath(*inside))


class ByAddress:
    """A function that compiled code calls by its address; compiled when that is first asked for.

    It is compiled once and kept on disk, and not again with every function that uses it.

    Parameters
    ----------
    signature : str
        As Numba writes it.
    """

    def __init__(self, signature: str, function: Callable[..., Any]) -> None:
        self.signature, self.function = signature, function

    @cached_property
    def address(self) -> int:
        """Of the compiled function, which takes and returns plain numbers."""
        compiled = kept_on_disk(self.function, no_cpython_wrapper=True, no_rewrites=True)
        types, returned = normalize_signature(self.signature)
        made = compiled.get_compile_result(typed(returned, *types))
        self.compiled = made  # its code lives as long as this
        return int(made.library.get_pointer_to_function(made.fndesc.llvm_cfunc_wrapper_name))


def by_address(signature: str) -> Callable[[Callable[..., Any]], ByAddress]:
    """Decorator of functions that compiled code calls by address."""
    return lambda function: ByAddress(signature, function)


def is_ready(compiled: Any) -> bool:
    """Whether an entry need not be compiled: it is in memory, or on disk for this processor."""
    kept = getattr(compiled._cache, "_cache_file", None)
    return bool(compiled.overloads) or (kept is not None and bool(kept._load_index()))


kernel: Any = uncompiled
if njit is not None:

    class Linked(JITCodeLibrary):
        """Code of a kernel, which is optimised and becomes machine code only with its callers'.

        Numba else does both for every kernel by itself, and for all that it calls once more.
        """

        def _optimize_final_module(self) -> None:
            pass

        def _finalize_final_module(self) -> None:
            self._finalized = True

        def get_pointer_to_function(self, name: str) -> int:
            self._ensure_finalized()
            return 0

        @property
        def codegen(self) -> Any:
            return self

        def set_env(self, name: str, environment: Any) -> None:
            """Kernels touch no Python objects."""

    class Linking(Compiler):
        """Numba's own steps, for a kernel."""

        def __init__(self, typing: Any, target: Any, library: Any, *others: Any) -> None:
            super().__init__(typing, target, library or Linked(target.codegen(), "kernel"), *others)

    kernel = njit(  # rewrites are for arrays, and cost time
        pipeline_class=Linking,
        nogil=True,
        error_model="numpy",
        no_rewrites=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )

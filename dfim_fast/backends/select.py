"""Which backend serves a plan."""

from __future__ import annotations

import importlib

from dfim_fast.backends.base import Backend
from dfim_fast.errors import BackendError, SettingsError
from dfim_fast.plan.plan import Plan

# name -> (module, class); the modules are imported when asked for
BACKENDS = {
    "reference": ("dfim_fast.backends.reference", "ReferenceBackend"),
    "numba": ("dfim_fast.backends.numba_cpu.backend", "NumbaBackend"),
}
PLANNED = {"cupy": "CUDA through CuPy", "native": "compiled CUDA", "emulator": "CUDA on the CPU"}


def make_backend(name: str, plan: Plan) -> Backend:
    """The backend of that name; "auto" takes the fastest one there is.

    Raises
    ------
    BackendError
        If it does not exist in this build. There is never a silent replacement.
    SettingsError
        For an unknown name.
    """
    name = "numba" if name == "auto" else name
    if name in PLANNED:
        raise BackendError(
            f"backend={name!r} ({PLANNED[name]}) is not part of this version; use one of auto, "
            + ", ".join(BACKENDS)
        )
    if name not in BACKENDS:
        raise SettingsError(
            f"backend={name!r} is unknown; choose from auto, " + ", ".join([*BACKENDS, *PLANNED])
        )
    module, kind = BACKENDS[name]
    return getattr(importlib.import_module(module), kind)(plan)

"""Which backend serves a plan."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import warnings
from dataclasses import dataclass
from functools import cache

from dfim_fast.backends.base import Backend
from dfim_fast.errors import BackendError, SettingsError
from dfim_fast.plan import gpu
from dfim_fast.plan.plan import Plan


@dataclass(frozen=True)
class Entry:
    """One backend.

    Attributes
    ----------
    module, kind : str
        Where its class is; imported when asked for.
    about : str
    gpu : bool
    every_rule : bool
        Whether it knows RevealCancel, guided backpropagation and deconvolution.
    options : tuple of str
        What may stand behind its name and a colon.
    """

    module: str
    kind: str
    about: str
    gpu: bool = False
    every_rule: bool = False
    options: tuple[str, ...] = ()


CUDA = "dfim_fast.backends.cuda"
# Of products on tensor cores, for those who ask for less than float32; a test compares them with
# the backend's.
PRECISIONS = ("tf32", "3xtf32")
BACKENDS = {
    "reference": Entry(
        "dfim_fast.backends.reference",
        "ReferenceBackend",
        "float64, one mutant at a time",
        every_rule=True,
    ),
    "numba": Entry(
        "dfim_fast.backends.numba_cpu.backend",
        "NumbaBackend",
        "float32, on all processors",
        every_rule=True,
    ),
    "cupy": Entry(
        f"{CUDA}.cupy_gpu",
        "CupyBackend",
        "CUDA, compiled by CuPy on first use",
        gpu=True,
        options=PRECISIONS,
    ),
    "native": Entry(
        f"{CUDA}.native",
        "NativeBackend",
        "CUDA, compiled when installed",
        gpu=True,
        options=PRECISIONS,
    ),
    "emulator": Entry(
        f"{CUDA}.emulator",
        "EmulatorBackend",
        "CUDA's kernels on the CPU, for tests",
        options=PRECISIONS,
    ),
}


def make_backend(name: str, plan: Plan, sequences: int | None = None) -> Backend:
    """The backend of that name; "auto" takes the fastest one there is.

    An option may follow the name: "cupy:tf32".

    Parameters
    ----------
    name : str
    plan : Plan
    sequences : int, optional
        How many there will be, for "auto"; None for very many.

    Raises
    ------
    BackendError
        If it cannot run here, or cannot run this plan. There is never a silent replacement.
    SettingsError
        For an unknown name or option.
    """
    if name == "auto":
        return _fastest(plan, sequences)
    whole, (name, *option) = name, name.split(":", 1)
    if name not in BACKENDS:
        raise SettingsError(
            f"backend={whole!r} is unknown; choose from auto, " + ", ".join(BACKENDS)
        )
    entry = BACKENDS[name]
    if option and option[0] not in entry.options:
        known = " or ".join(repr(f"{name}:{one}") for one in entry.options)
        raise SettingsError(
            f"backend={whole!r}: {name} has no option {option[0]!r}; use {name!r}"
            + (f", {known}" if known else "")
        )
    if not (plan.rule.plain or entry.every_rule):
        raise BackendError(
            f"backend={name!r} does not compute method={plan.method!r}; use "
            + " or ".join(repr(n) for n, known in BACKENDS.items() if known.every_rule)
        )
    try:
        module = importlib.import_module(entry.module)
    except ImportError as error:
        raise BackendError(
            f"backend={name!r} cannot run here: {error}; use one of auto, "
            + ", ".join(other for other in BACKENDS if other != name)
        ) from None
    backend: Backend = getattr(module, entry.kind)(plan, *option)
    return backend


def why_not(name: str) -> str | None:
    """Why a backend cannot run on this machine, or None."""
    try:
        module = importlib.import_module(BACKENDS[name].module)
        if hasattr(module, "load"):
            module.load()
    except (ImportError, BackendError) as error:
        return str(error)
    return None


def _fastest(plan: Plan, sequences: int | None) -> Backend:
    """A GPU's backend where there is a GPU and the work is large enough, else the CPU's."""
    if plan.rule.plain and has_driver() and gpu.pays(plan, sequences):
        for name, entry in BACKENDS.items():
            if entry.gpu:
                try:
                    return make_backend(name, plan)
                except BackendError as error:
                    _say_once(f"backend='auto' does not use the GPU by {name}: {error}")
    return make_backend(cpu_backend(), plan)


def cpu_backend() -> str:
    """The fastest backend without a GPU; machines that bring only CuPy may lack Numba."""
    return "reference" if importlib.util.find_spec("numba") is None else "numba"


@cache
def has_driver() -> bool:
    """Whether an NVIDIA driver is installed; much sooner known than a device is opened."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


@cache
def _say_once(text: str) -> None:
    warnings.warn(text, stacklevel=2)

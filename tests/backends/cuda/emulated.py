"""Whether the emulator is there, for tests that need it."""

import os

import pytest

from dfim_fast.backends.cuda import emulator
from dfim_fast.errors import BackendError

REQUIRED = os.environ.get("DFIM_FAST_REQUIRE_EMULATOR", "").lower() in ("1", "on", "true", "yes")


def reason() -> str:
    """Why it is not, in a word for pytest; empty where it is, or has to be."""
    if REQUIRED:
        return ""
    try:
        emulator.load()
    except BackendError:
        return "dfim_fast was installed without the emulator (CMAKE_ARGS=-DDFIM_FAST_EMULATOR=ON)"
    return ""


needs_emulator = pytest.mark.skipif(bool(reason()), reason=reason())

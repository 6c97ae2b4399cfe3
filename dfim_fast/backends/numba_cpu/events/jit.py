"""How the engine's functions are compiled.

``kernel``: called by other compiled functions only. ``entry``: called from Python, and kept on
disk with all that it calls. An entry's cache is renewed when its own file changes: after an edit
elsewhere in this folder delete ``__pycache__``.
"""

from __future__ import annotations

from typing import Any

from numba import njit

kernel: Any = njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
entry: Any = njit(nogil=True, error_model="numpy", cache=True)

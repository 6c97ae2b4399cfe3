"""Compiled functions are made as everywhere in the package (see dfim_fast/jit.py).

Numba compiles a function once more for every argument that is a literal: the larger functions are
therefore given ``np.int64(0)``, not ``0``.
"""

from dfim_fast.jit import entry, kernel

__all__ = ["entry", "kernel"]

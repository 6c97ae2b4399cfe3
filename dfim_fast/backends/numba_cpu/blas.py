"""Single-precision matrix products on parts of arrays without copies, through SciPy's own BLAS."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np


@cache
def _sgemm() -> Any:
    """SciPy's sgemm as a C function; it releases the GIL."""
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__["sgemm"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(address)


def product(
    a: int, lda: int, b: np.ndarray, c: int, ldc: int, rows: int, add: bool
) -> None:
    """C = A @ b, or C += A @ b.

    Parameters
    ----------
    a, c : int
        Addresses of float32 matrices (rows, K) and (rows, H), row-major.
    lda, ldc : int
        Floats from one row to the next, at least K and H.
    b : ndarray (K, H) float32, C-contiguous
    rows : int
    add : bool
    """
    inner, columns = b.shape
    n, m, k = ctypes.c_int(rows), ctypes.c_int(columns), ctypes.c_int(inner)
    one, beta = ctypes.c_float(1.0), ctypes.c_float(1.0 if add else 0.0)
    left, right, out = ctypes.c_int(lda), ctypes.c_int(columns), ctypes.c_int(ldc)
    flag = ctypes.c_char(b"N")
    ref = ctypes.byref
    # BLAS is column-major: C^T = b^T @ A^T
    _sgemm()(
        ref(flag), ref(flag), ref(m), ref(n), ref(k), ref(one), b.ctypes.data, ref(right),
        a, ref(left), ref(beta), c, ref(out),
    )

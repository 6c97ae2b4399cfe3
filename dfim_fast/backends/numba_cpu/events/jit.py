"""Compiled functions are made as everywhere in the package (see dfim_fast/jit.py)."""

from dfim_fast.jit import entry, kernel

__all__ = ["entry", "kernel"]

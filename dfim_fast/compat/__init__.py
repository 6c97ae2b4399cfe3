"""kundajelab/dfim's interface on this engine: `core`, `util`, `null_model` and `plot`.

Code for the original runs with its imports changed and its model given as a dfim_fast Model, an
ONNX file, or a Keras or PyTorch model. ``strict=True`` reproduces what the original computed where
this package corrects it; guides/compat.md lists both.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["core", "null_model", "plot", "util"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'dfim_fast.compat' has no attribute {name!r}")
    return importlib.import_module(f"dfim_fast.compat.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

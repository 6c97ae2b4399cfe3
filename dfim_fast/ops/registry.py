"""Which function reads which ONNX operator."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any


class Unsupported(Exception):
    """Raised by a reader: this node cannot be imported, for the reason given.

    The importer catches it, goes on, and lists all such nodes in one ModelError.
    """


Reader = Callable[..., Any]
_READERS: dict[str, Reader] = {}


def reads(*op_types: str) -> Callable[[Reader], Reader]:
    """Register a function ``reader(node) -> value`` for ONNX operators; duplicates are refused."""

    def register(reader: Reader) -> Reader:
        for op_type in op_types:
            if op_type in _READERS:
                raise ValueError(f"two readers for the ONNX operator {op_type}")
            _READERS[op_type] = reader
        return reader

    return register


def readers() -> dict[str, Reader]:
    """All readers by ONNX operator name; imports every operator file on first use."""
    package = importlib.import_module("dfim_fast.ops")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"dfim_fast.ops.{module.name}")
    return _READERS

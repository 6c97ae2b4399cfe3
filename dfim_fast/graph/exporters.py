"""Models of other frameworks as ONNX, by the frameworks' own exporters and in memory."""

from __future__ import annotations

import inspect
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfim_fast.errors import ModelError


def export_torch(module: Any, arguments: tuple[Any, ...]) -> bytes:
    """ONNX of a PyTorch module called with example arguments, the first of which is the sequence.

    Inputs bear the names of ``forward``'s arguments. The older exporter goes first: it takes a
    tenth of the time. Where it cannot follow the module, the newer one tries.

    Raises
    ------
    ModelError
        If neither can.
    """
    import torch

    given = list(inspect.signature(module.forward).parameters)[: len(arguments)]
    names = given if len(given) == len(arguments) else None
    place = next((p.device for p in module.parameters()), torch.device("cpu"))
    arguments = tuple(torch.as_tensor(a).to(place) for a in arguments)

    def traced() -> bytes:
        file = io.BytesIO()
        torch.onnx.export(module, arguments, file, dynamo=False, input_names=names)
        return file.getvalue()

    def exported() -> bytes:
        program = torch.onnx.export(
            module, arguments, dynamo=True, input_names=names, verbose=False
        )
        proto = program.model_proto
        for node in proto.graph.node:
            del node.metadata_props[:]  # stack traces: the model's hash would depend on paths
        return bytes(proto.SerializeToString(deterministic=True))

    with in_evaluation(module), torch.no_grad():
        return first_that_works(
            f"this {type(module).__name__}", "torch.onnx.export", [traced, exported]
        )


def export_keras(model: Any) -> bytes:
    """ONNX of a built Keras model: its own export, or tf2onnx for Keras before 3.8.

    Raises
    ------
    ModelError
        If it cannot be exported.
    """
    import numpy as np

    shape = model.input_shape
    if isinstance(shape, list) or shape is None:
        raise ModelError(
            f"this {type(model).__name__} has {len(shape) if shape else 'no known'} inputs; "
            "wanted one, the sequence: export it to ONNX and hold the others by load_model("
            "constants=)"
        )
    if None in shape[1:]:
        raise ModelError(
            f"this {type(model).__name__} takes sequences of any length, shape {tuple(shape)}; "
            "build it with a fixed length"
        )

    def own() -> bytes:
        model(np.zeros((1, *shape[1:]), np.float32))  # Keras exports what has been called
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            model.export(str(path), format="onnx", verbose=False)
            return path.read_bytes()

    def by_tf2onnx() -> bytes:
        import tf2onnx

        proto, _ = tf2onnx.convert.from_keras(model)
        return bytes(proto.SerializeToString(deterministic=True))

    return first_that_works(
        f"this {type(model).__name__}", "Keras' export and tf2onnx", [own, by_tf2onnx]
    )


def first_that_works(what: str, how: str, ways: list[Callable[[], bytes]]) -> bytes:
    """The result of the first way that raises nothing.

    Raises
    ------
    ModelError
        With the reasons of all.
    """
    reasons = []
    for way in ways:
        with warnings.catch_warnings():
            # exporters warn of their own future and of every shape that they take for constant
            warnings.simplefilter("ignore")
            try:
                return way()
            except Exception as error:  # exporters raise whatever they like
                text = str(error).strip().splitlines()
                reasons.append(text[0] if text else type(error).__name__)
    raise ModelError(
        f"{what} cannot be exported to ONNX by {how} ({'; '.join(dict.fromkeys(reasons))}); "
        "export it yourself and pass the file to load_model"
    )


@contextmanager
def in_evaluation(module: Any) -> Iterator[None]:
    """The module with dropout off and normalization frozen, and then again as it was."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode

"""Models of PyTorch and Keras, as this package holds them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.backends.passes import Passes
from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.graph.exporters import export_keras, export_torch, in_evaluation
from dfim_fast.maps.model import Model, load_model

AGREEMENT = 1e-3  # of the largest output; float32 through two libraries stays far below


def from_torch(module: Any, example: Any, **options: Any) -> Model:
    """Import a PyTorch module: exported in memory, and checked against the module itself.

    Parameters
    ----------
    module : torch.nn.Module
        Left as it is: on its device, in training or evaluation mode. Exported in evaluation mode.
    example : array or tensor, (N, 4, L) or whatever shape the module takes, or a tuple of them
        Sequences that the module can be called with; a tuple for a module of several arguments, of
        which the first is the sequence and the others are held at ``constants=``, by their names.
    **options
        As for `load_model`: ``target``, ``strands``, ``constants`` and so on.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If it cannot be exported or imported, or if what was exported computes something else, as it
        does where the module's path depends on its input's values.
    SettingsError
        If an option is unknown or does not go with the model.

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> module = torch.nn.Sequential(  # doctest: +SKIP
    ...     torch.nn.Conv1d(4, 8, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(768, 1)
    ... )
    >>> model = dfim_fast.from_torch(module, torch.zeros(1, 4, 100))  # doctest: +SKIP
    """
    if not is_torch(module):
        raise SettingsError(
            f"from_torch takes a torch.nn.Module, not {type(module).__name__}; for a Keras model "
            "use from_keras, for an ONNX file load_model"
        )
    arguments = tuple(
        to_torch(a) for a in (example if isinstance(example, tuple) else (example,))
    )
    content = export_torch(module, arguments)
    loaded = load_model(content, **options)
    if len(arguments) == 1:
        check_outputs(module, arguments[0], content, options)
    return loaded


def from_keras(model: Any, **options: Any) -> Model:
    """Import a Keras model by its own ONNX export, or by tf2onnx for Keras before 3.8.

    Parameters
    ----------
    model : keras.Model
        Built, of a fixed sequence length and with one input.
    **options
        As for `load_model`.

    Returns
    -------
    Model

    Raises
    ------
    ModelError
        If it cannot be exported or imported.
    SettingsError
        If an option is unknown or does not go with the model.

    Examples
    --------
    >>> network = keras.models.load_model("trained.keras")  # doctest: +SKIP
    >>> model = dfim_fast.from_keras(network)  # doctest: +SKIP
    """
    if not is_keras(model):
        raise SettingsError(
            f"from_keras takes a Keras model, not {type(model).__name__}; for a PyTorch module use "
            "from_torch, for an ONNX file load_model"
        )
    return load_model(export_keras(model), **options)


def as_model(source: Any, example: Any = None, **options: Any) -> Model:
    """Whatever a user has for a model as a Model.

    Parameters
    ----------
    source : Model, path, bytes, onnx.ModelProto, list of these, torch.nn.Module or keras.Model
    example : array, optional
        Sequences in the shape that a PyTorch module takes.
    **options
        As for `load_model`; not for a Model, which has been loaded.

    Raises
    ------
    ModelError, SettingsError
    """
    if isinstance(source, Model):
        return source
    if is_torch(source):
        if example is None:
            raise SettingsError(
                f"of a {type(source).__name__} the sequence length is not known; pass what "
                "dfim_fast.from_torch(module, example) returns"
            )
        return from_torch(source, example, **options)
    if is_keras(source):
        return from_keras(source, **options)
    if isinstance(source, str | Path | bytes | list | tuple) or hasattr(source, "graph"):
        return load_model(source, **options)
    raise SettingsError(
        f"model is of type {type(source).__name__}; wanted a loaded model, an ONNX file, a PyTorch "
        "module or a Keras model"
    )


def is_torch(thing: Any) -> bool:
    """Whether it is a PyTorch module; asks without importing PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def is_keras(thing: Any) -> bool:
    """Whether it is a Keras model, of Keras 3 or before; asks without importing Keras."""
    kinds = [
        getattr(sys.modules[name], "Model", ())
        for name in ("keras", "tf_keras", "tensorflow.keras", "keras.engine.training")
        if name in sys.modules
    ]
    return isinstance(thing, tuple(k for k in kinds if isinstance(k, type)))


def to_torch(array: Any) -> Any:
    """A float32 tensor of an array or tensor."""
    import torch

    if not isinstance(array, torch.Tensor):
        array = torch.from_numpy(np.array(array))
    return array.detach().to(torch.float32)


def check_outputs(module: Any, example: Any, content: bytes, options: dict[str, Any]) -> None:
    """Refuse an export that does not compute what the module computes on random sequences.

    Raises
    ------
    ModelError
    """
    import torch

    shape = {k: v for k, v in options.items() if k in ("sequence_length", "flat_order")}
    loaded = load_model(content, target="output", **shape)
    codes = np.random.default_rng(0).integers(0, 4, (len(example), loaded.sequence_length))
    x = np.eye(4, dtype=np.float32)[codes]
    passes = Passes(loaded.graph.astype(np.float32), tuple(range(len(loaded.task_names))))
    ours = passes.scores(passes.forward(x)).T
    if bases_first(example.shape, loaded.sequence_length, options.get("flat_order")):
        x = x.swapaxes(1, 2)
    given = torch.from_numpy(np.ascontiguousarray(x).reshape(example.shape))
    with in_evaluation(module), torch.no_grad():
        found = module(given.to(next((p.device for p in module.parameters()), given.device)))
    outputs = found if isinstance(found, tuple | list) else (found,)
    theirs = np.concatenate([o.cpu().numpy().reshape(len(x), -1) for o in outputs], axis=1)
    scale = max(np.abs(theirs).max(), 1e-6)
    off = np.abs(ours - theirs).max() if ours.shape == theirs.shape else np.inf
    if not off <= AGREEMENT * scale:
        raise ModelError(
            f"this {type(module).__name__} was exported to ONNX as something else: outputs differ "
            f"by {off / scale:.2g} of the largest; a path that depends on the values of the input "
            "cannot be exported"
        )


def bases_first(shape: Sequence[int], length: int, flat_order: str | None) -> bool:
    """Whether the bases come before the positions in an input (N, ...)."""
    if len(shape) == 2:
        return flat_order != "LC"
    return length == 4 or list(shape).index(4, 1) < list(shape).index(length, 1)

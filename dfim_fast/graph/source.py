"""An ONNX file, bytes or message as a ModelProto, and what its input looks like."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner

from dfim_fast.errors import ModelError, SettingsError
from dfim_fast.ops.layout import Axes


def read_proto(source: str | Path | bytes | Any) -> tuple[Any, str, str]:
    """The model, a name for messages and a hash of its content.

    Raises
    ------
    ModelError
        If there is no such file or it is not an ONNX model.
    """
    if isinstance(source, onnx.ModelProto):
        proto, label = source, "model"
    else:
        label = "model" if isinstance(source, bytes) else str(source)
        try:
            if isinstance(source, bytes):
                proto = onnx.load_model_from_string(source)
            elif Path(source).is_dir():
                raise ModelError(f"{label}: is a folder; give the path of an ONNX file")
            elif not Path(source).exists():
                raise ModelError(f"{label}: no such file; give the path of an ONNX model")
            else:
                proto = onnx.load(str(source))
        except ModelError:
            raise
        except Exception as error:  # protobuf's own classes differ between its implementations
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ModelError(
                f"{label}: cannot be read as an ONNX model ({why}); "
                "export it with torch.onnx.export or tf2onnx"
            ) from None
    if not proto.graph.output:
        raise ModelError(f"{label}: is empty or not an ONNX model; it has no outputs")
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    digest = hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest()
    return proto, label, digest[:16]


@dataclass(frozen=True)
class InputSpec:
    """What the ONNX input holds: axes as in ops/layout.py, length, batch size or None."""

    name: str
    axes: Axes
    length: int
    batch: int | None


def inputs_of(proto: Any) -> list[Any]:
    """The ONNX inputs that are no weights."""
    weights = {t.name for t in proto.graph.initializer}
    return [i for i in proto.graph.input if i.name not in weights]


def input_specs(
    proto: Any,
    label: str,
    sequence_length: int | None,
    constants: Collection[str] = (),
) -> list[InputSpec]:
    """How the sequence may be laid out: one entry, or two for a flat input.

    Raises
    ------
    ModelError
        For several inputs that are not ``constants``, a wrong rank, a channel axis that is not 4
        or an unknown length.
    SettingsError
        For a constant that is no input.
    """
    every = inputs_of(proto)
    for name in constants:
        if name not in [i.name for i in every]:
            known = ", ".join(repr(i.name) for i in every) or "none"
            raise SettingsError(f"constants: {label} has no input {name!r}; its inputs are {known}")
    inputs = [i for i in every if i.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(repr(i.name) for i in inputs) or "none"
        raise ModelError(
            f"{label}: the model needs exactly one input, the sequence, but has {len(inputs)} "
            f"({names}); " + (_how_to_hold(inputs) if inputs else "give no constant for it")
        )
    value = inputs[0]
    if not value.type.tensor_type.HasField("shape"):
        raise ModelError(
            f"{label}: input {value.name!r} has no shape; export it with one, such as (N, 4, L)"
        )
    dims = [d.dim_value or None for d in value.type.tensor_type.shape.dim]
    shown = "(" + ", ".join(str(d or "?") for d in dims) + ")"
    where = f"{label}: input {value.name!r} of shape {shown}"
    if len(dims) not in (2, 3, 4):
        raise ModelError(
            f"{where} has rank {len(dims)}; wanted (N, 4, L), (N, L, 4), (N, 1, 4, L), "
            "(N, 4, 1, L) or (N, 4L)"
        )
    kind = value.type.tensor_type.elem_type
    if len(dims) == 2 and kind in (onnx.TensorProto.INT32, onnx.TensorProto.INT64):
        raise ModelError(
            f"{where} holds whole numbers: tokens of an embedding are not supported; re-export the "
            "model with one-hot DNA as its input"
        )
    layouts = _layouts(dims)
    if not layouts:
        raise ModelError(
            f"{where} has no channel axis of 4; wanted (N, 4, L), (N, L, 4), (N, 1, 4, L), "
            "(N, 4, 1, L) or (N, 4L)"
        )
    axes = layouts[0]
    along = next(i for i, a in enumerate(axes) if "L" in a)
    fixed = dims[along]
    if fixed is not None and len(axes[along]) == 2:
        fixed //= 4
    if fixed is None and sequence_length is None:
        raise ModelError(
            f"{where} leaves the sequence length open; pass sequence_length= (--sequence-length)"
        )
    if fixed is not None and sequence_length is not None and fixed != sequence_length:
        raise ModelError(
            f"{where} is fixed at length {fixed}, not {sequence_length}; drop sequence_length="
        )
    length = fixed or sequence_length
    if length is None or length < 1:
        raise ModelError(f"{where}: sequence_length={length} is not a positive number")
    return [InputSpec(value.name, a, length, dims[0]) for a in layouts]


def _how_to_hold(inputs: list[Any]) -> str:
    """What to write so that all inputs but the likeliest sequence are constants."""

    def rank(value: Any) -> tuple[bool, int]:
        dims = [d.dim_value or None for d in value.type.tensor_type.shape.dim]
        return not (len(dims) in (3, 4) and _layouts(dims)), len(dims)

    others = sorted(inputs, key=rank)[1:]
    held = ", ".join(f"{i.name!r}: 0.0" for i in inputs if i in others)
    flags = " ".join(f"--constant {i.name}=0" for i in inputs if i in others)
    return f"hold the others constant, such as constants={{{held}}} ({flags})"


def constant_inputs(
    proto: Any, label: str, spec: InputSpec, constants: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The arrays of inputs that are held constant, for one sequence.

    Parameters
    ----------
    proto : onnx.ModelProto
    label : str
    spec : InputSpec
        Of the sequence: its length stands for every axis of another input that is as long by name.
    constants : mapping of str to number or array
        A number fills the input; an array has the input's shape, with or without its batch axis.

    Raises
    ------
    SettingsError
        If a constant is no number, not finite or of another shape, or an axis has no known size.
    """
    shapes = {i.name: i.type.tensor_type for i in inputs_of(proto)}
    named = shapes[spec.name].shape.dim
    along = next(i for i, a in enumerate(spec.axes) if "L" in a)
    free = {named[along].dim_param: spec.length} if named[along].dim_param else {}
    found = {}
    for name, given in constants.items():
        sizes = [d.dim_value or free.get(d.dim_param) for d in shapes[name].shape.dim]
        shown = "(" + ", ".join(["N", *(str(s or "?") for s in sizes[1:])]) + ")"
        where = f"constants: input {name!r} of {label}, of shape {shown}"
        try:
            value = np.asarray(given, np.float64)
        except (TypeError, ValueError):
            raise SettingsError(f"{where}, is given no numbers; pass one or an array") from None
        if not np.isfinite(value).all():
            raise SettingsError(f"{where}, is given NaN or infinity; pass finite numbers")
        if value.ndim == len(sizes) and value.shape[0] == 1:
            value = value[0]
        if value.ndim == 0 and None in sizes[1:]:
            raise SettingsError(f"{where}, leaves sizes open; pass an array with all of them")
        fits = value.ndim == len(sizes) - 1 and all(
            s in (None, n) for s, n in zip(sizes[1:], value.shape, strict=True)
        )
        if value.ndim and not fits:
            raise SettingsError(
                f"{where}, is given an array of shape {np.shape(given)}; leave out N or make it 1, "
                "the same for every sequence"
            )
        shape = (spec.batch or 1, *(value.shape if value.ndim else (s or 1 for s in sizes[1:])))
        kind = onnx.helper.tensor_dtype_to_np_dtype(shapes[name].elem_type)
        found[name] = np.broadcast_to(value, shape).astype(kind)
    return found


def _layouts(dims: list[int | None]) -> list[Axes]:
    """The axes an input of these sizes can have, likeliest first."""
    if len(dims) == 2:
        return [] if dims[1] is not None and dims[1] % 4 else [("N", "CL"), ("N", "LC")]
    if len(dims) == 3:
        three: list[Axes] = [("N", "C", "L"), ("N", "L", "C")]
        return [a for a in three if dims[a.index("C")] == 4][:1]
    found: list[Axes] = []
    for c in (1, 2, 3):
        rest = [i for i in (1, 2, 3) if i != c]
        unit = next((i for i in rest if dims[i] == 1), None)
        if dims[c] == 4 and unit is not None:
            along = rest[1 - rest.index(unit)]
            found.append(
                tuple(
                    "N" if i == 0 else "C" if i == c else "L" if i == along else ""
                    for i in range(4)
                )
            )
    return found[:1]

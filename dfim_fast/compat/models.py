"""What a user passes where the original took a Keras model."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit

from dfim_fast.backends.select import cpu_backend, make_backend
from dfim_fast.errors import InputError
from dfim_fast.maps.convert import as_model, is_torch
from dfim_fast.maps.model import Model
from dfim_fast.plan.planner import make_plan


def as_loaded(model: Any, target: str, rows: np.ndarray) -> Model:
    """A Model as it is, what else there may be converted.

    Parameters
    ----------
    model : Model, path, bytes, ONNX or Keras model, or PyTorch module that takes (N, 4, L)
    target : {"logit", "output"}
    rows : ndarray (N, L, 4)
        What it is to see, for an export from PyTorch.
    """
    example = np.ascontiguousarray(rows[:1].swapaxes(1, 2)) if is_torch(model) else None
    return as_model(model, example, **({} if isinstance(model, Model) else {"target": target}))


def scores(model: Model, rows: np.ndarray) -> np.ndarray:
    """What the model's tasks score of rows (N, L, 4), backgrounds too: (N, T) float32.

    Raises
    ------
    InputError
        If the rows have another length than the model takes.
    """
    check_length(model, rows)
    x = rows.swapaxes(1, 2)
    tasks: list[int | str] = list(range(len(model.task_names)))
    found = []
    for graph in model.graphs:
        plan = make_plan(graph, method="gradient", task=tasks, sources=[0], window=0)
        found.append(make_backend(cpu_backend(), plan).predictions(x))
    return np.asarray(np.mean(found, axis=0, dtype=np.float64), np.float32)


def check_length(model: Model, rows: np.ndarray) -> None:
    if rows.shape[1] != model.sequence_length:
        raise InputError(
            f"sequences have length {rows.shape[1]}, {model.name} takes {model.sequence_length}; "
            "trim them or pad them with zeros"
        )


def predictions(model: Any, rows: np.ndarray) -> np.ndarray:
    """The model's own outputs (N, T), such as probabilities, of rows (N, L, 4).

    A file is read with ``target="output"``. Of a Model loaded with its logits the logistic function
    is taken where a squashing output was left out, which is exact for a Sigmoid; where it is a
    Softmax, load with ``target="output"``.
    """
    loaded = as_loaded(model, "output", rows)
    found = scores(loaded, rows)
    squashed = [task.squashed for task in loaded.graph.tasks]
    found[:, squashed] = expit(found[:, squashed])
    return found

"""Small networks twice: as a model, and as the lists of layers that unit_rules.py walks."""

from __future__ import annotations

from typing import Any

import numpy as np
from ops.operator_cases import build, node, values

from dfim_fast.maps.model import Model, load_model

LENGTH = 14


def conv_matrix(weight: np.ndarray, length: int) -> np.ndarray:
    """A convolution without padding as weights from (channel, position) to (channel, position)."""
    outputs, inputs, kernel = weight.shape
    rows = length - kernel + 1
    matrix = np.zeros((inputs, length, outputs, rows))
    for i in range(rows):
        matrix[:, i : i + kernel, :, i] = weight.transpose(1, 2, 0)
    return matrix.reshape(inputs * length, outputs * rows)


def pools(channels: int, length: int, width: int) -> list[list[int]]:
    """Which entries each pool without overlap reads; what is left over at the end is not read."""
    return [
        [c * length + i * width + j for j in range(width)]
        for c in range(channels)
        for i in range(length // width)
    ]


def network(first: str = "Relu", second: str = "Relu") -> tuple[Model, list[Any], dict[str, Any]]:
    """Conv, first, max pool, dense, second, dense, second, dense: model, layers and constants."""
    constants = {
        "a": values(5, 4, 3),
        "ab": values(5, seed=1, low=-0.2, high=0.2),
        "b": values(20, 6),
        "bb": values(6, seed=1, low=-0.2, high=0.2),
        "c": values(6, 5),
        "cb": values(5, seed=2, low=-0.2, high=0.2),
        "d": values(5, 1),
        "db": values(1),
    }
    attributes = {"alpha": 0.25} if second == "LeakyRelu" else {}
    model = load_model(
        build(
            [
                node("Conv", "x a ab", "1"),
                node(first, "1", "2"),
                node("MaxPool", "2", "3", kernel_shape=[3], strides=[3]),
                node("Flatten", "3", "4"),
                node("Gemm", "4 b bb", "5"),
                node(second, "5", "6", **attributes),
                node("Gemm", "6 c cb", "7"),
                node(second, "7", "8", **attributes),
                node("Gemm", "8 d db", "y"),
            ],
            constants,
            ["N", 4, LENGTH],
        )
    )
    wide = {name: value.astype(np.float64) for name, value in constants.items()}
    functions = {"Relu": ("relu",), "Tanh": ("tanh",), "LeakyRelu": ("leaky", 0.25)}
    layers = [
        ("weights", conv_matrix(wide["a"], LENGTH), np.repeat(wide["ab"], 12)),
        functions[first],
        ("max", pools(5, 12, 3)),
        ("weights", wide["b"], wide["bb"]),
        functions[second],
        ("weights", wide["c"], wide["cb"]),
        functions[second],
        ("weights", wide["d"], wide["db"]),
    ]
    return model, layers, constants

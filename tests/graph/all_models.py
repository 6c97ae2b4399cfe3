"""Every model of tests/models under one name, loaded once: the exported files and the handmade."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from models.handmade import ALL, LAYOUTS, LENGTHS
from oracles.onnx_truth import before_squash, with_outputs

from dfim_fast.maps.model import Model, load_model

FOLDER = Path(__file__).resolve().parents[1] / "models"
FILES = json.loads((FOLDER / "models.json").read_text())


@dataclass(frozen=True)
class Entry:
    """One model.

    Attributes
    ----------
    proto : onnx.ModelProto
    layout : str
        Axes of its input, as in oracles/onnx_truth.py.
    length : int
    options : dict
        What `load_model` has to be told.
    """

    proto: onnx.ModelProto
    layout: str
    length: int
    options: dict[str, Any]

    def load(self, **options: Any) -> Model:
        """The model in this package."""
        return load_model(self.proto, **self.options, **options)

    @property
    def scored(self) -> onnx.ModelProto:
        """The ONNX model of the scores: what stands before a final Sigmoid or Softmax.

        Sigmoids that a final Concat joins become outputs of their own, in its order.
        """
        producers = {name: node for node in self.proto.graph.node for name in node.output}
        names: list[str] = []
        for value in self.proto.graph.output:
            last = producers[value.name]
            parts = [producers.get(name) for name in last.input]
            joins = last.op_type == "Concat" and all(p and p.op_type == "Sigmoid" for p in parts)
            names += last.input if joins else [value.name]
        return before_squash(with_outputs(self.proto, names))


@cache
def entry(name: str) -> Entry:
    """The model of that name."""
    if name in FILES:
        about = FILES[name]
        options = {"sequence_length": about["length"]} if about["free_length"] else {}
        return Entry(onnx.load(FOLDER / name), about["layout"], about["length"], options)
    return Entry(ALL[name](), LAYOUTS[name], LENGTHS[name], {})


@cache
def model(name: str) -> Model:
    """The model of that name, loaded with the options it needs."""
    return entry(name).load()


NAMES = [*FILES, *ALL]
# Functions that the file spells out with constants in float32, and that are exact here.
PUT_TOGETHER = (
    *(f"convnext_{kind}.onnx" for kind in ("dynamo", "legacy", "opset_16_legacy")),
    "gelu_decomposed_legacy.onnx",
    "gelu_tanh_decomposed_legacy.onnx",
    "softplus_beta_dynamo.onnx",
    "softplus_dynamo.onnx",
)


def structures() -> list[str]:
    """Models without those whose layers another one has, whatever their weights.

    Exporters and opsets write one network in several ways; that each is read rightly is tested with
    the importer, so that slow tests need only one of them.
    """
    found: dict[tuple, str] = {}
    for name in NAMES:
        graph = model(name).graph
        key = tuple((node.op.describe(), node.inputs, node.shape) for node in graph.nodes)
        found.setdefault((key, len(graph.tasks)), name)
    return list(found.values())


def one_hot(n: int, length: int, seed: int = 0) -> np.ndarray:
    """Random DNA (n, 4, length) float32."""
    codes = np.random.default_rng([seed, length]).integers(0, 4, (n, length))
    return np.eye(4, dtype=np.float32)[codes].transpose(0, 2, 1)

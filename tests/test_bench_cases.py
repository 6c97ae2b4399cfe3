"""The benchmarks' cases: every model that is built is the network that its layers say."""

import importlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from dfim_fast import load_model, one_hot
from dfim_fast.ops.relu import Relu

BENCH = Path(__file__).resolve().parents[1] / "bench"
NAMES = ("tal_gata", "embedded_motifs", "spi1", "deepstarr", "basset", "bpnet", "gelu", "exp")


@pytest.fixture
def cases(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("cases")


def test_the_cases_are_those_of_the_table(cases):
    assert tuple(cases.CASES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_case_is_what_its_layers_say(cases, name):
    case = cases.CASES[name]
    if case.missing:
        pytest.skip(case.missing)
    to_onnx = importlib.import_module("layers").to_onnx
    x = one_hot(case.sequences(2))
    assert x.shape == (2, 4, case.length)
    written = to_onnx(case.layers, case.weights(), case.length)
    session = onnxruntime.InferenceSession(
        written.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"sequence": x})
    # a trained case loads its published file, a shape the model written from its layers
    found = load_model(case.onnx()).predict(x)
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert np.abs(found - expected).max() < 2e-5 * max(scale, 1)
    assert np.ptp(expected, axis=0).max() > 1e-3 * scale  # the two sequences are told apart


@pytest.mark.parametrize("name", ("deepstarr", "basset", "bpnet"))
def test_drawn_weights_leave_gates_mixed(cases, name):
    case = cases.CASES[name]
    graph = load_model(case.onnx()).graph
    acts = {0: one_hot(case.sequences(1)).swapaxes(1, 2).astype(np.float64)}
    gates = []
    for i, node in enumerate(graph.nodes):
        if i:
            acts[i] = node.op.forward([acts[j] for j in node.inputs])
            if isinstance(node.op, Relu):
                gates.append((acts[i] > 0).mean())
    flat = importlib.import_module("layers").flat
    assert len(gates) == sum(str(layer) == "Relu()" for layer in flat(case.layers))
    assert all(0.3 < share < 0.7 for share in gates), gates


def test_weights_are_drawn_alike_each_time(cases):
    gelu = cases.CASES["gelu"]
    draw = importlib.import_module("layers").draw
    first, second, other = (draw(gelu.layers, gelu.length, seed) for seed in (4, 4, 5))
    assert len(first) == sum(type(layer).__name__ in ("Conv", "Dense") for layer in gelu.layers)
    for one, two, three in zip(first, second, other, strict=True):
        assert (one["W"] == two["W"]).all() and (one["W"] != three["W"]).any()
    assert gelu.sequences(3) == gelu.sequences(3) != cases.CASES["exp"].sequences(3)


def test_growth_case_fits_every_length(cases):
    layers = importlib.import_module("layers")
    for length in (200, 4000):
        case = cases.tal_shape(length)
        *_, (features, positions) = layers.sizes(case.layers, 4, length)
        assert (features, positions) == (25 * ((length - 45) // 25), 1)

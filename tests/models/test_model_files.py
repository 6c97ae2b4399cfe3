"""Every committed model runs, is small, and is described truthfully by models.json."""

import json
from pathlib import Path

import onnx
import pytest
from models import checks
from oracles import onnx_truth

HERE = Path(__file__).resolve().parent
INDEX = json.loads((HERE / "models.json").read_text())


def test_index_lists_every_file():
    assert sorted(INDEX) == sorted(path.name for path in HERE.glob("*.onnx"))


@pytest.mark.parametrize("name", INDEX)
def test_file_is_what_the_index_says(name):
    data = (HERE / name).read_bytes()
    model = onnx.load_from_string(data)
    entry = INDEX[name]
    onnx.checker.check_model(model, full_check=True)
    assert len(data) < 150_000
    assert b"site-packages" not in data  # the exporters leave stack traces with local paths
    assert model.opset_import[0].version == entry["opset"]
    assert sorted({node.op_type for node in model.graph.node}) == entry["operators"]
    assert onnx_truth.fixed_batch(model) == entry["batch"]


@pytest.mark.parametrize("name", INDEX)
def test_file_runs_and_the_evaluators_agree(name):
    entry = INDEX[name]
    checks.assert_runs(onnx.load(HERE / name), entry["layout"], entry["length"])

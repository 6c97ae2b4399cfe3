"""`dfim-fast info`: what a model is, or everything that stands in its way."""

from pathlib import Path

import pytest
from models.handmade import BAD

from dfim_fast.scale import model_info


def test_it_says_what_the_model_is(cli, model):
    ran = cli("info", model)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    for title in ("Reach", "Backends", "Work", "Tasks, scored at the logit"):
        assert title in lines
    assert any("Conv" in line and " from 0" in line for line in lines)
    assert lines[lines.index("Tasks, scored at the logit") + 4] == "     3  output_1"
    assert any("receptive field" in line for line in lines)
    assert any(line.startswith("  interaction range: up to ") for line in lines)
    assert "  numba (float32, on all processors): available" in lines
    for name in ("cupy", "native", "emulator"):
        (state,) = (line for line in lines if line.startswith(f"  {name} ("))
        assert "): available" in state or "): not available: backend=" in state
    assert sum(line.startswith("  CUDA devices: ") for line in lines) == 1
    assert any(line.startswith("  multiply-adds a sequence: naive ") for line in lines)
    assert any("20 references" in line for line in lines)


def test_backends_without_a_model(cli, model):
    ran = cli("info")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "Backends" and lines[-1].startswith("  CUDA devices: ")
    assert set(lines) <= set(cli("info", model).out.splitlines())
    assert len(lines) == 2 + 5


def test_a_mutation_widens_from_layer_to_layer(cli, model):
    lines = cli("info", model.with_name("dilated_residual_dynamo.onnx")).out.splitlines()
    layers = [line.split("x ")[-1].split() for line in lines if " from " in line]
    changed = [int(words[1]) for words in layers if len(words) > 1 and words[1].isdigit()]
    assert changed[0] > 1 and max(changed) > changed[0]


def test_settings_shape_the_work(cli, model):
    ran = cli(
        "info",
        model,
        "--window",
        3,
        "--sources",
        "5-9",
        "--method",
        "gradient",
        "--task",
        "output_1",
    )
    assert "  4 sources x up to 7 targets, 12 mutants a sequence" in ran.out
    assert "  gradient, tasks output_1" in ran.out.splitlines()
    assert "interaction range: up to 3 bp" in ran.out


def test_tasks_that_reach_differently_are_told_apart(cli, model):
    ran = cli("info", model.with_name("dilated_residual_crop_dynamo.onnx"))
    assert ran.code == 0 and "source-target pairs can interact" in ran.out


def test_every_unsupported_node_is_listed(cli):
    Path("m.onnx").write_bytes(BAD["unsupported_mix"]().SerializeToString())
    ran = cli("info", "m.onnx")
    assert ran.code == 2 and ran.out == ""
    first, *rest = ran.err.splitlines()
    assert first == "dfim-fast: error: m.onnx: 3 problems:"
    assert len(rest) == 3 and all(line.startswith("  node '") for line in rest)


def test_an_open_length_is_asked_for(cli, model):
    free = model.with_name("free_length_dynamo.onnx")
    ran = cli("info", free)
    assert ran.code == 2 and len(ran.err.splitlines()) == 1
    assert "leaves the sequence length open; pass sequence_length= (--sequence-length)" in ran.err
    assert "sequence length 60" in cli("info", free, "--sequence-length", 60).out


def test_a_missing_native_module_is_one_line(monkeypatch):
    monkeypatch.setattr(model_info.importlib.util, "find_spec", lambda _: None)
    assert model_info.backends()[-1] == (
        "  CUDA devices: not known, the native module was not built (no nvcc when dfim_fast was "
        "installed)"
    )


@pytest.mark.parametrize(
    "devices",
    [
        [{"index": 0, "name": "H100", "total_memory": 80 * 2**30, "compute_capability": (9, 0)}],
        None,
    ],
)
def test_devices_come_from_the_native_module(monkeypatch, devices):
    class Native:
        @staticmethod
        def open_device():
            raise RuntimeError("no CUDA driver: libcuda is not installed")

        @staticmethod
        def devices():
            if devices is None:
                raise RuntimeError("no CUDA driver: libcuda is not installed")
            return devices

    real = model_info.importlib.import_module
    monkeypatch.setattr(model_info.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(
        model_info.importlib,
        "import_module",
        lambda name: Native if name.endswith("_native") else real(name),
    )
    assert model_info.backends()[-1] == "  CUDA devices: " + (
        "no CUDA driver: libcuda is not installed"
        if devices is None
        else "0 H100, 80 GiB, compute capability 9.0"
    )

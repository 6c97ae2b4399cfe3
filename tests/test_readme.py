"""The README's example is run as it stands."""

import re
from pathlib import Path

from models.profiles import bpnet

import dfim_fast

README = Path(__file__).resolve().parents[1] / "README.md"
DATA = Path(dfim_fast.__file__).parent / "data"


def blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_python_example_runs_and_finds_interactions(tmp_path, monkeypatch, capsys):
    example, _ = blocks("python")
    (tmp_path / "model.onnx").write_bytes((DATA / "demo.onnx").read_bytes())
    two_records = (DATA / "demo.fa").read_text(encoding="utf-8").splitlines()[:4]
    (tmp_path / "sequences.fa").write_text("\n".join(two_records) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(example, "README.md", "exec"), names)
    assert names["maps"].fis.shape == (2, 200, 4, 200)
    assert names["result"].significant.any()
    assert capsys.readouterr().out.strip()


def test_the_example_of_folds_loads_them(tmp_path, monkeypatch):
    _, example = blocks("python")
    for seed in range(2):
        content = bpnet(control=2, seed=seed).SerializeToString()
        (tmp_path / f"fold{seed}.onnx").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    names: dict = {"dfim_fast": dfim_fast}
    exec(compile(example, "README.md", "exec"), names)
    assert repr(names["model"]).startswith("Model('2 folds: fold0.onnx, fold1.onnx', sequence_len")
    assert str(names["model"].head) == "profile, mean of both strands"


def test_command_blocks_are_the_demo_and_the_tests():
    demo, tests = blocks("bash")[:2]
    assert demo.strip().endswith("dfim-fast demo")
    assert "pip install '.[test]'" in tests and "/pytest" in tests

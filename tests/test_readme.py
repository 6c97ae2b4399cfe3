"""The README's example is run as it stands."""

import ast
import inspect
import re
from pathlib import Path

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


def test_python_options_are_there():
    _, options = blocks("python")
    (call,) = (node for node in ast.walk(ast.parse(options)) if isinstance(node, ast.Call))
    assert ast.unparse(call.func) == "dfim_fast.load_model"
    named = [k.arg for k in call.keywords]
    assert named and set(named) <= set(inspect.signature(dfim_fast.load_model).parameters)


def test_command_blocks_are_the_demo_and_the_tests():
    demo, tests = blocks("bash")[:2]
    assert demo.strip().endswith("dfim-fast demo")
    assert "pip install '.[test]'" in tests and "/pytest" in tests

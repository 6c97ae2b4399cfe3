"""The notebook of the original package, on a few of its sequences."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.fixture
def notebook(monkeypatch, tmp_path):
    """bench/notebook.py as a module that writes into an empty folder."""
    monkeypatch.syspath_prepend(str(BENCH))
    module = importlib.import_module("notebook")
    for name, value in (("RESULTS", tmp_path), ("ROWS", 100), ("ROUNDS", 1), ("WARM", 10)):
        monkeypatch.setattr(module, name, value)
    return module


@pytest.mark.shared_data
def test_it_ends_in_its_box_plots(notebook, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["notebook.py", "--sequences", "60"])
    notebook.main()
    found = json.loads((tmp_path / "notebook.json").read_text())
    assert list(found["pairs"])[:2] == ["SIX5 > ELF1", "ELF1 > SIX5"]
    assert found["pairs"]["SIX5 > ELF1"]["significant"] > 0.8
    assert found["largest difference from full passes, share of largest importance"] < 1e-5
    assert (tmp_path / "notebook.png").read_bytes().startswith(b"\x89PNG")

"""The guide's table of operators is what the registry says."""

import importlib
from pathlib import Path

import pytest

from dfim_fast.ops.registry import readers

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def operators(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("operators")


def row(table: str, name: str) -> list[str]:
    """Rule and ways of one operator."""
    (found,) = (
        line.strip("|").split("|")
        for line in table.splitlines()[2:]
        if name in line.strip("|").split("|")[0].strip().split(", ")
    )
    return [cell.strip() for cell in found[1:]]


def test_every_operator_stands_in_one_row(operators):
    table = operators.table()
    for name in readers():
        row(table, name)


@pytest.mark.parametrize(
    ("name", "rule", "ways"),
    [
        ("Conv", "linear: the gradient", "events"),
        ("Transpose", "only moves data: nothing to compute", "events"),
        ("Gelu", "(f(x) - f(r)) / (x - r)", "windows"),
        ("MaxPool", "the pooled difference, to the winners of x and r", "events"),
        ("Softmax", "as exp, sum and log, each by its rule", "windows, whole"),
    ],
)
def test_what_a_row_says(operators, name, rule, ways):
    assert row(operators.table(), name) == [rule, ways]


def test_the_page_holds_the_table_of_operators(operators):
    page = operators.PAGE.read_text(encoding="utf-8")
    wanted = operators.placed(page, operators.table(), operators.BEGIN, operators.END)
    assert page == wanted, "run python bench/operators.py"

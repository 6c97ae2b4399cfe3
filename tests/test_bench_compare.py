"""README's comparison says what was measured, and says where a tool is wrong."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("compare_page")


def made_up(**changes):
    tools = [
        {"name": "dfim_fast, numba", "seconds": 0.05, "scaled": False, "error": 3e-7, "gap": 1e-6,
         "apart": 0, "checked": 24},
        {"name": "other DeepLift", "seconds": 99.0, "scaled": True, "error": 0.55, "gap": 9.6},
        {"name": "?", "skipped": "is not installed"},
    ]  # fmt: skip
    tools[0].update(changes)
    case = {"case": "a", "title": "A net: conv", "method": "deeplift", "trained": True,
            "expected": 19.4, "tools": tools}  # fmt: skip
    return {"hardware": {"processor": "P", "cores": 2}, "versions": {"other": "0.9"},
            "references": 10, "threads": 2, "date": "2026-01-02T03", "cases": {"a": case}}


def test_a_cell_gives_time_and_error_and_a_wrong_sum_is_told(page):
    lines = page.table(made_up()).splitlines()
    assert lines[0] == "| network | method | dfim_fast, numba | other DeepLift |"
    assert lines[2] == "| A net | DeepLIFT, 10 references | 50 ms (3e-7) | ~99 s (6e-1) |"
    assert "of other DeepLift (0.9) by 9.6 of 19.4 on A net" in lines[4]
    assert "either way" not in "".join(lines)


def test_flipped_gates_are_told(page):
    assert "here: 1 of 24 mutants on A net." in page.table(made_up(apart=1, error=1e-3))


def test_the_pages_hold_the_measured_tables(page):
    if not page.RESULTS.is_file():
        pytest.skip("an installed copy has no bench/results/compare.json")
    results = json.loads(page.RESULTS.read_text(encoding="utf-8"))
    for path, text, marks in (
        (page.README, page.table(results), page.MARKS),
        (page.PAGE, page.growth_table(results["growth"]), page.GROWTH),
    ):
        written = path.read_text(encoding="utf-8")
        assert written == page.placed(written, text, *marks), "run bench/compare.py --page"

"""The table of times says what the benchmark wrote."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def table(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    return importlib.import_module("table")


def made_up(**changes):
    result = {
        "case": "a", "title": "A net; 1 kb", "method": "deeplift", "references": 10,
        "trained": False, "quick": False,
        "peer": {"name": "peer", "seconds": 290.4, "scaled": True},
        "batch": {"median_s": 0.4321, "n": 32}, "single": {"median_s": 0.5},
        "ratio": {"batch": 672.1, "single": 580.8}, "first_use": None,
    }
    return {
        "hardware": {"processor": "P", "cores": 2, "vectors": ["avx2"]}, "threads": 2,
        "versions": {"torch": "2", "tangermeme": "1"}, "date": "2026-01-02T03", "revision": "abc",
        "cases": {"a deeplift": {**result, **changes}, "b gradient": {"skipped": "no data"}},
    }


def test_a_row_gives_both_times_and_ratios(table):
    lines = table.table(made_up()).splitlines()
    assert lines[2] == ("| A net; 1 kb † | DeepLIFT, 10 references | peer: about 290 s | 432 ms "
                        "| 500 ms | 670 | 580 |")
    assert "32 sequences" in lines[4] and "2 threads" in lines[4]
    assert any(line.startswith("† ") for line in lines)


def test_trained_networks_carry_no_dagger(table):
    assert "†" not in table.table(made_up(trained=True))


def test_first_use_is_told_where_it_was_measured(table):
    first = {"compile_cold_s": 17.6, "compile_cached_s": 0.52, "cached": {"peak_mb": 412.3}}
    last = table.table(made_up(first_use=first)).splitlines()[-1]
    assert "up to 18 s" in last and "in 0.5 s at most" in last and "412 MB" in last


def test_quick_results_are_refused(table):
    with pytest.raises(SystemExit, match=r"too rough for a table: a deeplift"):
        table.table(made_up(quick=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00234, "2.3 ms"), (0.0493, "49.3 ms"), (0.9999, "1 s"), (8.414, "8.41 s"),
     (290.4, "290 s")],
)
def test_seconds(table, value, text):
    assert table.seconds(value) == text


def test_the_table_replaces_what_stood_between_the_markers(table):
    page = f"above\n{table.BEGIN}\nold\n{table.END}\nbelow\n"
    assert table.placed(page, "new") == f"above\n{table.BEGIN}\nnew\n{table.END}\nbelow\n"
    with pytest.raises(SystemExit, match=r"the page: wanted one <!-- bench:cpu -->"):
        table.placed("no markers", "new")


def test_the_page_holds_the_measured_table(table):
    if not table.RESULTS.is_file():
        pytest.skip("no bench/results/cpu.json: results are no part of a source distribution")
    text = table.table(json.loads(table.RESULTS.read_text(encoding="utf-8")))
    page = table.PAGE.read_text(encoding="utf-8")
    assert page == table.placed(page, text), "run python bench/table.py"

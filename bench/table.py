"""The table of times in bench/README.md, made from bench/results/cpu.json.

    python bench/table.py            # writes it between the markers
    python bench/table.py --check    # changes nothing; fails if the page says something else
    python bench/table.py --print    # prints it
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "bench" / "README.md"
RESULTS = ROOT / "bench" / "results" / "cpu.json"
BEGIN, END = "<!-- bench:cpu -->", "<!-- /bench:cpu -->"
METHODS = {"gradient": "gradient", "deeplift": "DeepLIFT, {references} references"}


def seconds(value: float) -> str:
    """Two or three digits, with a unit."""
    if value < 0.9995:
        return f"{1000 * value:.3g} ms" if value >= 0.01 else f"{1000 * value:.2g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:.0f} s"


def times(value: float) -> str:
    """A ratio, two digits."""
    return f"{value:.2g}" if value < 99.5 else f"{float(f'{value:.2g}'):.0f}"


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    method = METHODS[result["method"]].format(references=result["references"])
    peer = result["peer"]
    about = "about " if peer["scaled"] else ""
    title = result["title"] + ("" if result["trained"] else " †")
    ratio, single = result["ratio"]["batch"], result["ratio"]["single"]
    return (f"| {title} | {method} | {peer['name']}: {about}{seconds(peer['seconds'])} "
            f"| {seconds(result['batch']['median_s'])} | {seconds(result['single']['median_s'])} "
            f"| {times(ratio)} | {times(single)} |")


def notes(results: dict[str, Any], shown: list[dict[str, Any]]) -> list[str]:
    """What has to be said below the table."""
    hardware, versions = results["hardware"], results["versions"]
    lines = [
        f"All single-nucleotide mutants of one sequence, one task, {results['threads']} threads "
        f"for both sides; medians. Batch: seconds a sequence over "
        f"{_span([r['batch']['n'] for r in shown])} sequences; single: one call for one sequence; "
        "model load and first compilation apart. \"About\": measured on part of the mutants and "
        f"scaled. {hardware['processor']} ({', '.join(hardware.get('vectors', []))}), "
        f"{hardware['cores']} cores; torch {versions['torch']}, tangermeme "
        f"{versions['tangermeme']}; {results['date'][:10]}, revision {results['revision']}."]
    if not all(r["trained"] for r in shown):
        lines.append("† The shape of a published network with drawn weights; trained networks are "
                     "sparser, and faster here.")
    first = [r["first_use"] for r in shown if r.get("first_use")]
    cold = [f["compile_cold_s"] for f in first if f["compile_cold_s"] is not None]
    cached = [f["compile_cached_s"] for f in first if f["compile_cached_s"] is not None]
    peak = [round(f["cached"]["peak_mb"]) for f in first if "peak_mb" in f["cached"]]
    if cold and cached and peak:
        lines.append(f"First use compiles for up to {max(cold):.0f} s; later processes load that "
                     f"from disk in {max(max(cached), 0.01):.1g} s at most. Peak memory of one "
                     f"map, everything included: {_span(peak)} MB.")
    return lines


def _span(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def table(results: dict[str, Any]) -> str:
    """Markdown between the markers.

    Raises
    ------
    SystemExit
        For results of a quick run: too rough to print.
    """
    shown = [r for r in results["cases"].values() if "skipped" not in r]
    quick = [f"{r['case']} {r['method']}" for r in shown if r["quick"]]
    if quick:
        raise SystemExit(
            "results of --quick runs are too rough for a table: " + ", ".join(quick)
            + "; measure them again without --quick")
    lines = ["| network | method | today | batch | single | times faster | single |",
             "|---|---|---|---|---|---|---|", *map(row, shown)]
    for note in notes(results, shown):
        lines += ["", note]
    return "\n".join(lines)


def placed(page: str, text: str, start: str = BEGIN, stop: str = END) -> str:
    """The page with the table between its markers.

    Raises
    ------
    SystemExit
        If the markers are not there, once each and in order.
    """
    before, begin, rest = page.partition(start)
    _, end, after = rest.partition(stop)
    if not (begin and end) or start in rest or stop in before + after:
        raise SystemExit(f"the page: wanted one {start} and one {stop} after it; add them where "
                         "the table shall stand")
    return f"{before}{start}\n{text}\n{stop}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true")
    what.add_argument("--print", action="store_true")
    given = parser.parse_args()
    if not RESULTS.is_file():
        raise SystemExit("bench/results/cpu.json: not found; python bench/cpu.py writes it")
    text = table(json.loads(RESULTS.read_text(encoding="utf-8")))
    if given.print:
        print(text)
        return
    before = PAGE.read_text(encoding="utf-8")
    wanted = placed(before, text)
    if given.check and wanted != before:
        raise SystemExit("bench/README.md differs from cpu.json; run python bench/table.py")
    PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()

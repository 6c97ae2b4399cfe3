"""What `compare` measured, for README and bench/README.md: tables, and a figure.

`python bench/compare.py --page` writes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from table import PAGE, ROOT, placed, seconds

RESULTS = Path(__file__).parent / "results" / "compare.json"
FIGURE = RESULTS.with_suffix(".png")
COST = RESULTS.parent / "paper" / "cost.json"
README = ROOT / "README.md"
MARKS = "<!-- bench:compare -->", "<!-- /bench:compare -->"
GROWTH = "<!-- bench:growth -->", "<!-- /bench:growth -->"
OURS = "dfim_fast"
ADDS_UP = 1e-2  # a gap beyond this share is told in words


def table(results: dict[str, Any]) -> str:
    """Markdown: a row for each network and method, a column for each tool."""
    shown = list(results["cases"].values())
    hardware, versions = results["hardware"], results["versions"]
    names = list(dict.fromkeys(
        tool["name"] for case in shown for tool in case["tools"] if "skipped" not in tool))
    lines = ["| network | method | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for case in shown:
        own = {tool["name"]: tool for tool in case["tools"]}
        title = case["title"].split(":")[0] + ("" if case["trained"] else " †")
        method = "gradient" if case["method"] == "gradient" else (
            f"DeepLIFT, {results['references']} references")
        lines.append(f"| {title} | {method} | "
                     + " | ".join(cell(own.get(name)) for name in names) + " |")
    packages = ", ".join(f"{name} {versions[name]}" for name in
                         ("torch", "tangermeme", "captum", "shap", "onnxruntime")
                         if versions.get(name))
    wrong = [
        f"of {tool['name']} ({versions.get(tool['name'].split()[0], '')}) by "
        f"{tool['gap']:.1f} of {case['expected']:.1f} on {case['title'].split(':')[0]}"
        for case in shown for tool in case["tools"]
        if tool.get("gap") is not None and tool["gap"] > ADDS_UP * case["expected"]]
    said = ["Errors matter as much as times. What DeepLIFT's importance has to sum to is missed: "
            + "; ".join(wrong) + ".", ""] if wrong else []
    flips = sorted({
        f"{tool['apart']} of {tool['checked']} mutants on {case['title'].split(':')[0]}"
        for case in shown for tool in case["tools"]
        if tool["name"] == f"{OURS}, numba" and tool.get("apart")})
    if flips:
        said += ["A gate within float32's rounding of zero can fall either way, in PyTorch as "
                 f"here: {'; '.join(flips)}.", ""]
    return "\n".join([*lines, "", *said, (
        "Time of one whole map (all single-nucleotide mutants of one sequence) and, in brackets, "
        "the largest error against float64, relative to the largest importance; ~ measured on "
        "part of the mutants and scaled. † drawn weights in the shape of a published network. The "
        "forward part alone gives mutants' scores and no map; its error is that of a score. "
        f"{results['threads']} threads for all, {hardware['processor']}, {hardware['cores']} "
        f"cores; {packages}; {results['date'][:10]}.")])


def cell(tool: dict[str, Any] | None) -> str:
    """Time and error."""
    if tool is None or "skipped" in tool:
        return "–"
    about = "~" if tool["scaled"] else ""
    error = "float64 itself" if tool["name"] == f"{OURS}, reference" else digit(tool["error"])
    return f"{about}{seconds(tool['seconds'])} ({error})"


def growth_table(found: dict[str, Any]) -> str:
    """Markdown: seconds against length, references, and the number of features."""
    lines = ["| what grows | " + OURS + " | other | |", "|---|---|---|---|"]
    for what in ("length", "references"):
        for row in found[what]:
            other = next(name for name in row if name not in (what, OURS, "scaled"))
            about = "~" if row["scaled"] else ""
            unit = " bp" if what == "length" else ""
            lines.append(f"| {what}: {row[what]}{unit} | {seconds(row[OURS])} "
                         f"| {about}{seconds(row[other])} | {other} |")
    cost = json.loads(COST.read_text(encoding="utf-8"))["seconds"]
    mine, pairs = (next(own for name, own in cost.items() if name.startswith(start))
                   for start in ("DFIM", "pairwise"))
    lines += [f"| features: {count} | {seconds(mine[count])} | {seconds(pairs[count])} "
              "| pairwise ISM, by the same engine |" for count in mine if count in pairs]
    return "\n".join([*lines, "", (
        "Length: gradient, the TAL/GATA layers with drawn weights. References: DeepLIFT, TAL/GATA. "
        "Features: all pairs of so many spans of 10 bp of one SPI1 sequence, from "
        "`bench/paper/cost.py`.")])


def digit(value: float) -> str:
    """An error, one digit."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+00", "") if value < 1 else f"{value:.1f}"


def draw(results: dict[str, Any]) -> None:
    """Times on the left, errors on the right, a point for each tool."""
    from matplotlib.figure import Figure

    from dfim_fast.plot.style import GREY, INK, LABEL_SIZE, ORANGE, PURPLE, TICK_SIZE, open_frame

    colors = {f"{OURS}, numba": ORANGE, f"{OURS}, cupy": "#E08A1E", f"{OURS}, native": "#F1A340",
              f"{OURS}, reference": "#C9CDD2", "cones only (as fastISM)": "#7A9E7E",
              "batched PyTorch autograd": PURPLE, "tangermeme deep_lift_shap": PURPLE,
              "captum DeepLift": "#1F5FBF", "shap DeepExplainer": "#12A06F",
              "onnxruntime, forward part only": GREY}
    shapes = {"captum DeepLift": "s", "shap DeepExplainer": "^", "cones only (as fastISM)": "v",
              "onnxruntime, forward part only": "x", f"{OURS}, reference": "D"}
    shown = list(results["cases"].values())
    figure = Figure(figsize=(13.33, 1.9 + 0.52 * len(shown)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    seen = set()
    for y, case in enumerate(shown):
        for tool in case["tools"]:
            if "skipped" in tool:
                continue
            name = tool["name"]
            style = {"marker": shapes.get(name, "o"), "color": colors.get(name, INK),
                     "markersize": 11 if name == f"{OURS}, numba" else 8, "linestyle": "none"}
            left.plot(tool["seconds"], y, label=None if name in seen else name, **style)
            if tool["error"]:
                right.plot(tool["error"], y, **style)
            seen.add(name)
    for ax, label in ((left, "seconds for one whole map"),
                      (right, "largest error against float64, of the largest importance")):
        ax.set_xscale("log")
        ax.set_xlabel(label, fontsize=LABEL_SIZE)
        ax.grid(axis="y", color="#E6E6E6")
        open_frame(ax)
    left.set_yticks(range(len(shown)), [
        case["title"].split(":")[0] + ("" if case["trained"] else " †")
        + ("" if case["method"] == "gradient" else ", DeepLIFT") for case in shown])
    left.tick_params(axis="y", length=0, labelsize=TICK_SIZE)
    left.set_ylim(len(shown) - 0.5, -0.5)
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=TICK_SIZE)
    figure.savefig(FIGURE, dpi=110, metadata={"Software": None})


def write_page(results: dict[str, Any]) -> None:
    """Figure, README's table, and that of growth in bench/README.md."""
    draw(results)
    text = README.read_text(encoding="utf-8")
    README.write_text(placed(text, table(results), *MARKS), encoding="utf-8")
    if "growth" in results:
        text = placed(PAGE.read_text(encoding="utf-8"), growth_table(results["growth"]), *GROWTH)
        PAGE.write_text(text, encoding="utf-8")

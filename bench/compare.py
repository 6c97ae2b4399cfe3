"""This engine beside all else that answers the question: how long a map takes, how wrong it is.

    python bench/compare.py                  # all cases, one after the other
    python bench/compare.py --case spi1      # one, added to the results that are there
    python bench/compare.py --page           # only table, figure and README anew

For each network one sequence, one task, all single-nucleotide mutants, the same references for all
tools. An error is the largest difference of a score from float64 (this package's `reference`
backend, one mutant at a time), over CHECKED mutants and all targets, relative to the largest
importance. "Adds up" is the largest gap between the sum of importance and the difference in score
that DeepLIFT's importance has to sum to. A tool that would take longer than FULL seconds is
measured on part of the mutants and scaled, and marked so.

Writes bench/results/compare.json, compare.png and the table between README's markers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine
import numpy as np
import peers
import rivals
import torch
from cases import CASES, REFERENCES, Case
from compare_page import OURS, RESULTS, write_page
from ideas import own_gradients, plans, run

from dfim_fast import interaction_map, load_model, one_hot
from dfim_fast.backends.select import BACKENDS, why_not
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.references import make_references

FULL, PART = 8.0, 3.0  # seconds: of a whole measurement, and of one that is scaled
POSITIONS = 8  # whose mutants are held against float64
CHECKED = 3 * POSITIONS
ROUNDS = 5
TOOLS = {
    "gradient": [peers.Autograd, rivals.Forward],
    "deeplift": [peers.Tangermeme, rivals.Captum, rivals.Shap, rivals.Forward],
}
APART = 1e-5  # of the largest importance: beyond rounding
LENGTHS = (500, 1000, 2000)
COUNTS = (1, 5, 10, 20)


class Truth:
    """Float64 scores of some mutants of one sequence.

    Parameters
    ----------
    case : Case
    method : {"gradient", "deeplift"}
    """

    def __init__(self, case: Case, method: str) -> None:
        self.case, self.method = case, method
        self.model = load_model(case.onnx().SerializeToString())
        self.x = one_hot(case.sequences(1))
        self.references = None
        if method == "deeplift":
            self.references = make_references(self.x, "dinucleotide", REFERENCES)[0]
        self.mutants, position, base = peers.all_mutants(self.x[0])
        middle = np.linspace(0.3, 0.7, POSITIONS) * case.length
        self.positions = np.unique(middle.astype(int))
        self.chosen = np.flatnonzero(np.isin(position, self.positions))
        self.position, self.base = position[self.chosen], base[self.chosen]
        self.row = np.searchsorted(self.positions, self.position)
        found = self.maps("reference", sources=self.positions)
        self.scores = self.with_self(found)
        self.predictions = found.mutant_predictions[0][self.row, self.base]
        self.scale = float(np.abs(found.attributions).max())
        references = np.zeros(1) if self.references is None else self.references
        self.expected = None
        if self.references is not None:
            self.expected = self.predictions - self.model.predict(references)[:, 0].mean()

    def maps(self, backend: str, **more: Any) -> Any:
        """This package's map of the sequence."""
        given = "dinucleotide" if self.references is None else self.references
        return interaction_map(self.model, self.x, method=self.method, references=given,
                               backend=backend, progress=False, **more)

    def with_self(self, found: Any) -> np.ndarray:
        """Scores (CHECKED, L) of the chosen mutants; at the mutated base what it lost itself."""
        rows = np.searchsorted(found.sources, self.position)
        scores = np.array(found.fis[0][rows, self.base], np.float64)
        own = found.self_effect[0][rows, self.base]
        scores[np.arange(len(rows)), self.position] = own
        return scores

    def error(self, scores: np.ndarray) -> dict[str, Any]:
        """Largest difference from float64, of the largest importance; mutants far off; gap."""
        each = np.abs(scores - self.scores).max(axis=1) / self.scale
        return {"error": float(each.max()), "apart": int((each > APART).sum()),
                "checked": len(each)}

    def gap(self, importance: np.ndarray) -> float | None:
        """Largest gap between summed importance of the mutants and what it has to sum to."""
        if self.expected is None:
            return None
        return float(np.abs(importance.sum(axis=1, dtype=np.float64) - self.expected).max())


def ours(truth: Truth, backend: str) -> dict[str, Any]:
    """One backend of this package: whole maps, or the chosen mutants of a slow one, scaled."""
    scaled = backend in ("reference", "emulator")
    given = {"sources": truth.positions} if scaled else {}
    maps = truth.maps(backend, **given)  # compiles
    times = []
    for _ in range(1 if scaled else ROUNDS):
        begin = time.perf_counter()
        truth.maps(backend, **given)
        times.append(time.perf_counter() - begin)
    scores = truth.with_self(maps)
    return {"name": f"{OURS}, {backend}",
            "seconds": statistics.median(times) * (truth.case.length / POSITIONS if scaled else 1),
            "scaled": scaled, **truth.error(scores),
            "gap": truth.gap(maps.attributions[0] - scores)}


def cone_only(truth: Truth) -> dict[str, Any]:
    """What fastISM does, extended to importance: only the windows that a mutant changes."""
    count = 0 if truth.references is None else len(truth.references)
    own = None if truth.references is None else truth.references[None]

    def planned(**sources: Any) -> Any:
        plan = make_plan(truth.model.graph, method=truth.method, n_references=count,
                         threads=torch.get_num_threads(), **sources)
        return None if plan.cones is None else run(plans(plan)["cone only"], truth.x, own)

    name = "cones only (as fastISM)"
    part = planned(sources=truth.positions)
    if part is None:
        return {"name": name, "skipped": "the cones hold nearly the whole network"}
    with own_gradients():
        found = part()  # compiles
        expected = timed(part) * truth.case.length / POSITIONS
        scaled = expected > FULL
        whole = planned()
        taken = expected if scaled or whole is None else min(timed(whole) for _ in range(2))
    rows = np.array(found.fis[0][truth.row, truth.base], np.float64)
    rows[np.arange(len(rows)), truth.position] = found.self_effect[0][truth.row, truth.base]
    return {"name": name, "seconds": taken, "scaled": scaled, **truth.error(rows),
            "gap": truth.gap(found.attributions[0] - rows)}


def timed(call: Callable[[], Any]) -> float:
    """Wall seconds of a call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def rival(truth: Truth, kind: Any) -> dict[str, Any]:
    """Another tool, at the best of its batch sizes."""
    tool = kind(truth.case, truth.references)
    found = peers.measure(tool, truth.mutants, FULL, PART, repeats=2, sizes_tried=2)
    own = truth.mutants[torch.from_numpy(truth.chosen)]
    result = {key: found[key] for key in ("name", "seconds", "scaled", "measured_mutants", "batch")}
    importance = tool(own, found["batch"]).numpy().astype(np.float64)
    if kind is rivals.Forward:
        spread = np.abs(truth.predictions).max()
        error = float(np.abs(importance[:, 0] - truth.predictions).max() / spread)
        return {**result, "error": error, "gap": None, "forward": True}
    original = tool(torch.from_numpy(truth.x), found["batch"]).numpy().astype(np.float64)
    return {**result, **truth.error(original - importance), "gap": truth.gap(importance)}


def measure(case: Case, method: str) -> dict[str, Any]:
    """All tools on one network."""
    truth = Truth(case, method)
    found = []
    for backend in BACKENDS:
        why = why_not(backend)
        if why is None and backend != "emulator":
            found.append(ours(truth, backend))
        else:
            print(f"  {backend}: {why or 'a test tool'}", flush=True)
    for call in (lambda: cone_only(truth), *(lambda k=k: rival(truth, k) for k in TOOLS[method])):
        try:
            found.append(call())
        except (ImportError, NotImplementedError) as error:
            found.append({"name": "?", "skipped": str(error)})
        print(f"  {found[-1]}", flush=True)
    return {"case": case.name, "title": case.title, "trained": case.trained, "method": method,
            "mutants": len(truth.mutants), "scale": truth.scale, "tools": found,
            "expected": None if truth.expected is None else float(np.abs(truth.expected).max()),
            "revision": machine.revision(),
            "date": datetime.now(UTC).isoformat(timespec="seconds")}


def growth() -> dict[str, Any]:
    """Seconds against length and against references, for this engine and the usual tool."""
    from cases import tal_shape

    found: dict[str, Any] = {"length": [], "references": []}
    for length in LENGTHS:
        truth = Truth(tal_shape(length), "gradient")
        truth.maps("auto")
        peer = peers.measure(peers.Autograd(truth.case), truth.mutants, FULL, PART, 1, 2)
        found["length"].append({"length": length, OURS: min(timed(lambda t=truth: t.maps("auto"))
                                                             for _ in range(3)),
                                peer["name"]: peer["seconds"], "scaled": peer["scaled"]})
        print(f"  {found['length'][-1]}", flush=True)
    case = tal_shape(1000) if CASES["tal_gata"].missing else CASES["tal_gata"]
    truth = Truth(case, "deeplift")
    every = make_references(truth.x, "dinucleotide", max(COUNTS))[0]
    for count in COUNTS:
        truth.references = every[:count]
        truth.maps("auto")
        tool = peers.Tangermeme(case, truth.references)
        peer = peers.measure(tool, truth.mutants, FULL, PART, 1, 2)
        found["references"].append({
            "references": count, OURS: min(timed(lambda: truth.maps("auto")) for _ in range(3)),
            peer["name"]: peer["seconds"], "scaled": peer["scaled"]})
        print(f"  {found['references'][-1]}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", choices=[*CASES, "growth"])
    parser.add_argument("--method", choices=tuple(TOOLS))
    parser.add_argument("--threads", type=int, default=machine.usable_cores())
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    results = json.loads(given.out.read_text()) if given.out.is_file() else {"cases": {}}
    if given.page:
        write_page(results)
        return
    torch.set_num_threads(given.threads)
    hardware = machine.hardware()
    if results["cases"] and results["hardware"] != hardware:
        raise SystemExit(f"{given.out.name}: is of another machine; choose another --out")
    results.update(hardware=hardware, versions=machine.versions(), threads=given.threads,
                   references=REFERENCES, date=datetime.now(UTC).isoformat(timespec="seconds"))
    for name in given.case or [*CASES, "growth"]:
        if name == "growth":
            results["growth"] = growth()
        elif CASES[name].missing:
            print(f"{name}: skipped, {CASES[name].missing}")
            continue
        else:
            for method in CASES[name].methods:
                if given.method in (None, method):
                    print(f"{name} {method}", flush=True)
                    results["cases"][f"{name} {method}"] = measure(CASES[name], method)
        order = [f"{c} {m}" for c in CASES for m in CASES[c].methods]
        results["cases"] = {key: results["cases"][key] for key in order if key in results["cases"]}
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if given.out == RESULTS:
        write_page(results)


if __name__ == "__main__":
    main()

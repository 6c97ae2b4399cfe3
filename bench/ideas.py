"""What each idea of the engine contributes, measured by switching each off.

Run as ``python bench/ideas.py``; it writes bench/results/ideas.json and the page bench/IDEAS.md
made from it (``--page`` makes the page alone).

whole passes
    Every mutant through the whole network, batched, on the same matrix products: all ideas off.
cone only
    Forward and near part on the windows that a mutant changes, the far part from each mutant's own
    gradient: the low-rank head and the zeros off. The same as the next line where the head is
    linear.
cone and low-rank head
    The far part from one small basis a sequence: the zeros off.
events
    All ideas on: only non-zero changes travel, in one fused walk for each mutant.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cases import CASES, REFERENCES, Case
from machine import hardware, revision, versions

from dfim_fast.backends.base import SequenceMap
from dfim_fast.backends.numba_cpu.cones import engine
from dfim_fast.backends.select import make_backend
from dfim_fast.maps.model import load_model
from dfim_fast.plan.plan import Plan
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.one_hot import one_hot
from dfim_fast.sequence.references import make_references

HERE = Path(__file__).parent
WANTED = (
    ("tal_gata", "gradient"),
    ("tal_gata", "deeplift"),
    ("embedded_motifs", "gradient"),
    ("embedded_motifs", "deeplift"),
    ("deepstarr", "gradient"),
)
NAMES = ("whole passes", "cone only", "cone and low-rank head", "events")
ROUNDS = 3


@contextmanager
def own_gradients() -> Iterator[None]:
    """Switch the low-rank head off."""
    kept = engine.head_basis
    engine.head_basis = lambda *_: None  # type: ignore[assignment]
    try:
        yield
    finally:
        engine.head_basis = kept


def plans(plan: Plan) -> dict[str, Plan]:
    """The plan with ideas switched off one after the other."""
    return {
        "whole passes": dataclasses.replace(plan, strategy="whole", cones=None),
        "cone only": dataclasses.replace(plan, strategy="cones"),
        "cone and low-rank head": dataclasses.replace(plan, strategy="cones"),
        "events": plan,
    }


def run(plan: Plan, x: np.ndarray, references: np.ndarray | None) -> Callable[[], SequenceMap]:
    """A call that computes one map."""
    backend = make_backend("numba", plan)
    return lambda: next(backend.maps(x, references))


def measure(case: Case, method: str) -> dict[str, Any]:
    """Seconds for one sequence under each plan, and how far their maps are apart."""
    model = load_model(case.onnx())
    x = one_hot(case.sequences(1))
    count = REFERENCES if method == "deeplift" else 0
    references = make_references(x, n_references=count) if count else None
    plan = make_plan(model.graph, method=method, n_references=count, threads=2)
    found: dict[str, Any] = {}
    truth = None
    for name, own in plans(plan).items():
        linear = all(model.graph.nodes[i].op.linear for i in plan.cones.split.head)
        if name == "cone only" and linear:
            continue
        with own_gradients() if name == "cone only" else nullcontext():
            call = run(own, x, references)
            result = call()  # compiles
            seconds = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                call()
                seconds.append(time.perf_counter() - start)
        truth = result if truth is None else truth
        scale = float(np.abs(truth.attributions).max())
        off = np.abs(result.fis - truth.fis).max(axis=(0, 3)) / scale
        found[name] = {
            "seconds": median(seconds),
            "slowest": max(seconds),
            "median_difference": float(np.median(off[off > 0])) if (off > 0).any() else 0.0,
            "mutants_apart": int((off > 1e-5).sum()),
        }
        print(f"{case.name} {method} {name}: {median(seconds):.4g} s", flush=True)
    return {
        "case": case.name, "title": case.title, "trained": case.trained, "method": method,
        "mutants": plan.cost.mutants, "naive": plan.cost.naive, "planned": plan.cost.planned,
        "explain": plan.explain(), "measured": found,
    }


def page(results: dict[str, Any]) -> str:
    """The page."""
    lines = [
        "# What each idea contributes",
        "",
        "Seconds for one sequence and all its mutants, two threads, each line with one more idea "
        "switched on (`python bench/ideas.py`; median of "
        f"{ROUNDS}; {results['hardware']['processor']}). All lines run on the same matrix "
        "products, so that *whole passes* is already well above what a framework does; README "
        "compares with those.",
        "",
        "| case | " + " | ".join(NAMES) + " | all against none |",
        "|---|" + "---:|" * (len(NAMES) + 1),
    ]
    for one in results["cases"]:
        cells = []
        for name in NAMES:
            seen = one["measured"].get(name)
            cells.append("as next" if seen is None else f"{seen['seconds']:.3g}")
        gain = one["measured"][NAMES[0]]["seconds"] / one["measured"][NAMES[-1]]["seconds"]
        lines.append(f"| {one['title']}, {one['method']} | " + " | ".join(cells)
                     + f" | {gain:.3g} times |")
    apart = max(m["mutants_apart"] for one in results["cases"] for m in one["measured"].values())
    lines += [
        "",
        "The maps of all lines agree to float32 rounding; where a gate or a pool's winner lies "
        "within rounding of its threshold two ways of summing can decide it differently: at most "
        f"{apart} mutants of a case differ by more than 1e-5 of the largest importance.",
        "",
        "## Three plans",
    ]
    for one in [c for c in results["cases"] if c["method"] == "gradient"][:3]:
        lines += ["", f"### {one['title']}", "", "```", one["explain"], "```"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write the JSON and the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", action="store_true", help="make the page from the JSON alone")
    target = HERE / "results" / "ideas.json"
    if not parser.parse_args().page:
        cases = []
        for name, method in WANTED:
            if CASES[name].missing:
                print(f"{name}: skipped, {CASES[name].missing}")
                continue
            cases.append(measure(CASES[name], method))
        results = {"hardware": hardware(), "versions": versions(), "revision": revision(),
                   "cases": cases}
        target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (HERE / "IDEAS.md").write_text(page(json.loads(target.read_text(encoding="utf-8"))),
                                   encoding="utf-8")


if __name__ == "__main__":
    main()

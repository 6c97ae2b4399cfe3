"""What TF32 costs: errors of maps by each precision against float64. Writes
bench/results/gpu_precision.json.

    python bench/gpu_precision.py                      # by the emulator, which needs no GPU
    python bench/gpu_precision.py --backend cupy       # on a GPU

Errors are shares of the largest |C| of a sequence. A row is a mutant with all its targets: one in
which a gate or a pool's winner falls the other way is off by more than rounding, so the median and
the 99th percentile of the rows' largest errors stand beside the largest.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machine
import numpy as np
from cases import CASES, Case

RESULTS = Path(__file__).resolve().parent / "results" / "gpu_precision.json"
PRECISIONS = ("", ":3xtf32", ":tf32")
METHODS = {"gradient": 0, "deeplift": 2}  # references
SOURCES = 12
SEQUENCES = 2
# small enough for an emulator
DEFAULT = ("tal_gata", "embedded_motifs", "spi1", "deepstarr", "gelu", "exp")


def errors(
    backend: str, case: Case, method: str, sources: int = SOURCES, count: int = SEQUENCES
) -> dict[str, Any]:
    """Of each precision, on some sequences of a case."""
    from dfim_fast import load_model
    from dfim_fast.backends.select import make_backend
    from dfim_fast.plan.planner import make_plan
    from dfim_fast.sequence.one_hot import one_hot
    from dfim_fast.sequence.references import make_references

    graph, many = load_model(case.onnx()).graph, METHODS[method]
    places = np.linspace(0, graph.length - 1, sources).astype(int).tolist()
    plan = make_plan(graph, method=method, n_references=many, sources=places)
    x = one_hot(case.sequences(count))
    references = make_references(x, "dinucleotide", many) if many else None
    wanted = list(make_backend("reference", plan).maps(x, references))
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        maps = make_backend(backend + precision, plan).maps(x, references)
        rows = np.concatenate([off(one, other) for one, other in zip(maps, wanted, strict=True)])
        found[precision.lstrip(":") or "float32"] = {
            "median": float(np.median(rows)),
            "99th_percentile": float(np.quantile(rows, 0.99)),
            "largest": float(rows.max()),
            "rows": len(rows),
        }
    return found


def off(one: Any, other: Any) -> np.ndarray:
    """Largest error of each mutant's row (mutants,)."""
    scale = max(np.abs(other.attributions).max(), np.abs(other.fis).max())
    rows = np.abs(one.fis - other.fis).max(axis=(0, 3)).ravel() / scale
    return rows[np.abs(other.mutant_predictions - other.predictions[:, None, None]).any(0).ravel()]


def main() -> None:
    """Case after case, into the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--backend", default="emulator")
    parser.add_argument(
        "--case", action="append", choices=CASES, help="default: " + ", ".join(DEFAULT)
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    results = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": machine.revision(),
        "backend": options.backend,
        "sources": SOURCES,
        "sequences": SEQUENCES,
        "references": METHODS["deeplift"],
        "errors": found,
    }
    for case in (CASES[name] for name in options.case or DEFAULT):
        if case.missing:
            found[case.name] = case.missing
            continue
        for method in case.methods:
            own = found[f"{case.name} {method}"] = errors(options.backend, case, method)
            options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(case.name, method, json.dumps(own), flush=True)


if __name__ == "__main__":
    main()

"""One case in a process of its own: first-use compile time, and peak memory.

``cpu.py`` starts it with a NUMBA_CACHE_DIR that is empty, or filled by an earlier run; it prints
one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

SECOND_CALL_UNDER = 60.0  # seconds that the first call may take for a second one to follow


def run(name: str, method: str, memory_limit: int | None, threads: int) -> dict[str, Any]:
    """Load the model and make the map of one sequence, twice."""
    begin = time.perf_counter()
    import machine
    from cases import CASES, REFERENCES

    from dfim_fast import interaction_map, load_model, one_hot
    from dfim_fast.sequence.references import make_references

    case = CASES[name]
    imported = time.perf_counter() - begin
    content = case.onnx().SerializeToString()
    begin = time.perf_counter()
    model = load_model(content)
    loaded = time.perf_counter() - begin
    x = one_hot(case.sequences(1))
    references: Any = "dinucleotide"
    begin = time.perf_counter()
    if method == "deeplift":
        references = make_references(x, "dinucleotide", REFERENCES)
    drawn = time.perf_counter() - begin
    before = machine.memory_high_water()
    times: list[float] = []
    results = 0
    for _ in range(2):
        begin = time.perf_counter()
        maps = interaction_map(model, x, method=method, references=references, threads=threads,
                               memory_limit=memory_limit, progress=False)
        times.append(time.perf_counter() - begin)
        if len(times) == 1:
            peak = machine.memory_high_water()  # of one map: the second would stand beside it
        results = sum(
            a.nbytes for a in (maps.fis, maps.standard_error, maps.self_effect,
                               maps.mutant_predictions, maps.attributions) if a is not None)
        del maps
        if times[0] > SECOND_CALL_UNDER:
            break
    return {
        "import_s": imported, "load_s": loaded, "references_s": drawn, "first_s": times[0],
        "second_s": times[1] if len(times) > 1 else None,
        "before_mb": before / 1e6, "peak_mb": peak / 1e6, "results_mb": results / 1e6,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-limit", type=int)
    given = parser.parse_args()
    print(json.dumps(run(given.case, given.method, given.memory_limit, given.threads)))

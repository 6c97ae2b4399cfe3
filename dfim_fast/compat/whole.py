"""Rows that are no mutants: a whole pass for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from dfim_fast.backends.passes import Acts
from dfim_fast.backends.select import cpu_backend, make_backend
from dfim_fast.maps.model import Model
from dfim_fast.plan.plan import compares
from dfim_fast.plan.planner import make_plan


def whole_rows(
    model: Model,
    rows: np.ndarray,
    tasks: list[int | str],
    method: str,
    references: np.ndarray,
    backend: str,
) -> np.ndarray:
    """Importance (K, n, L, 4) of rows (n, L, 4), which may hold backgrounds.

    References are (n, R, L, 4).
    DeepLIFT and the gradient count ``x * m * (x - reference)``, the mean over references; what is
    neither, ``x * m``.
    """
    compared = compares(method)
    folds = []
    for graph in model.graphs:
        plan = make_plan(
            graph,
            method=method,
            task=list(tasks),
            contribution="observed",
            maxpool="deeplift",
            n_references=references.shape[1] if compared else 0,
            sources=[0],
            window=0,
        )
        engine: Any = make_backend("reference" if backend == "reference" else cpu_backend(), plan)
        passes, dtype = engine.passes, engine.dtype
        with threadpool_limits(1):  # the same bits on any number of threads
            found = np.zeros((len(tasks), *rows.shape), dtype)
            tile = 1 if compared else plan.tile
            for first in range(0, len(rows), tile):
                x = rows[first : first + tile].astype(dtype)
                acts = passes.forward(x)
                each: list[Acts | None] = [None]
                if compared:
                    each = [passes.forward(r[None].astype(dtype)) for r in references[first]]
                for against in each:
                    for k, task in enumerate(passes.tasks):
                        m = passes.signal(task, acts, against, plan.rule)
                        if against is not None:
                            m = m * (x - against[0])
                        found[k, first : first + tile] += x * m / len(each)
        folds.append(found)
    mean = np.mean(folds, axis=0, dtype=np.float64)
    if method == "gradient":
        mean *= rows - references.mean(axis=1)
    return np.asarray(mean, np.float32)

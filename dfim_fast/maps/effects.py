"""Chosen mutants of many sequences at chosen targets: the one way that motifs and variants go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from dfim_fast.backends.base import Effects
from dfim_fast.graph.cone import reach
from dfim_fast.maps.request import Request, warn_delta
from dfim_fast.plan.plan import Plan
from dfim_fast.sequence.mutants import Mutants

TOGETHER = 64  # sequences handed to the backend at once, for its threads
REFERENCE_BYTES = 64_000_000  # of references made ahead


@dataclass(frozen=True)
class Ask:
    """What is wanted of one sequence.

    Attributes
    ----------
    row : int
        Which of the request's sequences.
    mutants : Mutants
    targets : ndarray (W,) or (M, W) of int
        Positions to read; -1 for none.
    references_of : int, optional
        The sequence whose references are used; its own if not given.
    """

    row: int
    mutants: Mutants
    targets: np.ndarray
    references_of: int | None = None


def run_effects(
    request: Request, asks: Sequence[Ask], progress: bool, title: str
) -> Iterator[tuple[Ask, Effects]]:
    """Carry out asks, whose rows ascend, in their order."""
    request.announce(progress)
    each = 16 * max(request.plan.n_references, 1) * request.plan.graph.length
    size = max(1, min(TOGETHER, REFERENCE_BYTES // each))
    worst = None
    with tqdm(total=len(asks), unit="seq", desc=title, disable=not progress) as bar:
        for first in range(0, len(asks), size):
            part = asks[first : first + size]
            rows = [ask.row for ask in part]
            found = request.backend.effects(
                request.x[rows],
                request.references_of(
                    [a.row if a.references_of is None else a.references_of for a in part]
                ),
                [ask.mutants for ask in part],
                [ask.targets for ask in part],
            )
            for ask, effects in zip(part, found, strict=True):
                if effects.delta_error is not None:
                    worst = max(worst or 0.0, effects.delta_error)
                yield ask, effects
                bar.update()
    warn_delta(worst)


class SpanReach:
    """Whether the architecture can carry a change from one span to another's importance.

    Parameters
    ----------
    plans : list of Plan
        Of each fold: one of them is enough.
    starts, ends : ndarray (n,)
        Every source span that will be asked for.
    """

    def __init__(self, plans: list[Plan], starts: np.ndarray, ends: np.ndarray) -> None:
        length = plans[0].graph.length
        spans = np.unique(np.stack([starts, ends], axis=1), axis=0)
        self._row = {(int(start), int(end)): i for i, (start, end) in enumerate(spans)}
        widths = spans[:, 1] - spans[:, 0]
        everywhere = np.broadcast_to(np.arange(length), (len(spans), length))
        # the columns of one output share their cones
        kept: dict[tuple[tuple[int, int], ...], np.ndarray] = {}
        self._sums = []
        for folds in zip(*([p.graph.tasks[t] for t in p.tasks] for p in plans), strict=True):
            end = tuple((task.node, task.position) for task in folds)
            if end not in kept:
                sums = np.zeros((len(spans), length + 1), np.int32)
                for width in np.unique(widths):
                    own = np.flatnonzero(widths == width)
                    reached = np.logical_or.reduce([
                        reach(plan.graph, task, spans[own, 0], everywhere[own], int(width))
                        for plan, task in zip(plans, folds, strict=True)
                    ])  # fmt: skip
                    sums[own, 1:] = np.cumsum(reached, axis=1, dtype=np.int32)
                kept[end] = sums
            self._sums.append(kept[end])

    def __call__(
        self, starts: np.ndarray, ends: np.ndarray, first: np.ndarray, last: np.ndarray
    ) -> np.ndarray:
        """Whether each source (S,) reaches each target first..last (F,): (K, S, F) of bool."""
        rows = [self._row[int(a), int(b)] for a, b in zip(starts, ends, strict=True)]
        return np.stack([s[rows][:, last] > s[rows][:, first] for s in self._sums])

"""What a reader of a map should know before believing it; printed with every run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfim_fast.maps.double_mutants import Agreement, compare, double_mutant_ism
from dfim_fast.maps.interaction import InteractionMap
from dfim_fast.maps.model import Model
from dfim_fast.plan.plan import compares

PAIRS = 100  # strongest cells, and random ones, that double mutants confirm
TINY = 1e-6  # of the largest |FIS|
CONFIDENT = 2.2  # |logit|: a probability outside 0.1 to 0.9


@dataclass
class Tally:
    """Running sums over the cells of many sequences, of one task."""

    cells: int = 0
    unreachable: int = 0
    possible: int = 0
    zeros: int = 0
    largest: float = 0.0
    reach: int = 0
    square: float = 0.0
    explained: float = 0.0
    tiny: int = 0
    errors: list[np.ndarray] = field(default_factory=list)
    spreads: list[np.ndarray] = field(default_factory=list)
    agreements: list[np.ndarray] = field(default_factory=list)
    strongest: list[tuple[float, tuple[int, int, int, int]]] = field(default_factory=list)
    random: list[tuple[float, tuple[int, int, int, int]]] = field(default_factory=list)

    def add(self, maps: InteractionMap, n: int, k: int, rng: np.random.Generator) -> None:
        """Take in sequence n, task k."""
        values = np.asarray(maps.fis[k, n] if maps.several else maps.fis[n], np.float64)
        mask = maps.sequence_mask(n)
        mask = mask[k] if maps.several else mask
        table = maps.target_table
        importance = np.asarray(maps.attributions[k, n] if maps.several else maps.attributions[n])
        inside = (table >= 0) & (table != maps.sources[:, None])
        self.possible += 3 * int(inside.sum())
        self.unreachable += 3 * int((inside & ~maps.reach[k]).sum())
        distance = np.abs(table - maps.sources[:, None])[inside & maps.reach[k]]
        self.reach = max(self.reach, int(distance.max(initial=0)))
        self.cells += int(mask.sum())
        found = np.where(mask, values, 0)
        strength = np.abs(found)
        self.zeros += int((mask & (values == 0)).sum())
        self.largest = max(self.largest, float(strength.max(initial=0)))
        self.tiny += int((mask & (strength < TINY * self.largest)).sum())
        # one slope per mutant: FIS = slope * C, what a global Y = g(sum) alone would give
        c = np.where(mask, importance[np.maximum(table, 0)][:, None], 0)
        own = (found * c).sum(-1)
        power = (c * c).sum(-1)
        self.square += float((found**2).sum())
        self.explained += float(
            np.divide(own**2, power, out=np.zeros_like(own), where=power > 0).sum()
        )
        order = np.argpartition(strength, -min(PAIRS, strength.size), axis=None)[-PAIRS:]
        cells = np.flatnonzero(mask)
        drawn = cells[rng.integers(0, len(cells), PAIRS)] if len(cells) else cells
        for flat, kept in ((order, self.strongest), (drawn, self.random)):
            for i in flat:
                s, base, w = np.unravel_index(i, mask.shape)
                if mask[s, base, w]:
                    kept.append(
                        (float(values[s, base, w]), (n, int(s), int(base), int(table[s, w])))
                    )
        top = order[strength.ravel()[order] > 0]
        size = strength.ravel()[top]

        def there(array: Any) -> np.ndarray:
            return np.asarray(array[k, n] if maps.several else array[n]).ravel()[top]

        if maps.standard_error is not None:
            self.errors.append(there(maps.standard_error) / size)
        if maps.folds > 1:
            self.spreads.append(there(maps.fold_spread) / size)
            self.agreements.append(there(maps.sign_agreement))
        self.strongest = sorted(self.strongest, key=lambda cell: -abs(cell[0]))[:PAIRS]
        if len(self.random) > 50 * PAIRS:
            self.random = [self.random[i] for i in rng.permutation(len(self.random))[: 10 * PAIRS]]


def diagnose(
    model: Model, maps: InteractionMap, null: InteractionMap | Any = None, random_state: int = 0
) -> list[str]:
    """Lines for people.

    Parameters
    ----------
    model : Model
    maps : InteractionMap
    null : InteractionMap or NullMap, optional
        Its predictions are set beside the originals'.
    random_state : int
        Of the random cells that double mutants check.

    Returns
    -------
    list of str
    """
    lines: list[str] = []
    for k, name in enumerate(maps.task_names):
        rng = np.random.default_rng([random_state, k])
        tally = Tally()
        for n in range(len(maps.sequences)):
            tally.add(maps, n, k, rng)
        prefix = f"[{name}] " if len(maps.task_names) > 1 else ""
        lines += [prefix + line for line in _describe(model, maps, null, k, tally, rng)]
    if maps.summation_to_delta is not None:
        lines.append(
            f"summation-to-delta: largest error {maps.summation_to_delta:.1e} of the sum of |C|"
        )
    if not compares(maps.settings["method"]):
        lines.append(
            "gradient scores change only where a gate flips or a pool's winner moves: an "
            "exact zero is no proof that two bases do not interact (deeplift sees more)"
        )
    return lines


def _describe(
    model: Model, maps: InteractionMap, null: Any, k: int, tally: Tally, rng: np.random.Generator
) -> list[str]:
    """One task's lines."""
    lines = [
        f"interaction range: up to {tally.reach} bp; "
        f"{_percent(tally.unreachable, tally.possible)} of the cells cannot interact by "
        "architecture and are left out",
        f"zeros: {_percent(tally.zeros, tally.cells)} of {tally.cells} tested cells are exactly 0, "
        f"{_percent(tally.tiny, tally.cells)} are below {TINY:g} of the largest",
        _predictions(
            "predictions", np.asarray(maps.predictions).reshape(len(maps.plan.tasks), -1)[k]
        ),
    ]
    if null is not None:
        lines.append(
            _predictions(
                "null predictions",
                np.asarray(null.predictions).reshape(len(maps.plan.tasks), -1)[k],
            )
        )
    scores = np.asarray(maps.predictions).reshape(len(maps.plan.tasks), -1)[k]
    if model.graph.tasks[maps.plan.tasks[k]].squashed:
        unsure = int((np.abs(scores) < CONFIDENT).sum())
        lines.append(
            f"{unsure} of {len(scores)} sequences are not confidently predicted "
            "(probability between 0.1 and 0.9)"
        )
    if tally.errors:
        middle = float(np.median(np.concatenate(tally.errors)))
        lines.append(
            f"standard error over references: median {100 * middle:.0f}% of |FIS| among "
            "the strongest cells"
        )
    if tally.spreads:
        middle = float(np.median(np.concatenate(tally.spreads)))
        unanimous = np.concatenate(tally.agreements) == 1
        lines.append(
            f"spread over {maps.folds} folds: median {100 * middle:.0f}% of |FIS| among the "
            f"strongest cells; {_percent(int(unanimous.sum()), len(unanimous))} of these have the "
            "same sign in all folds"
        )
    if tally.square > 0:
        lines.append(
            f"one slope per mutant explains {100 * tally.explained / tally.square:.0f}% of "
            "the map (a global non-linearity alone would give 100%)"
        )
    for title, cells in (("strongest", tally.strongest), ("random", tally.random)):
        if cells:
            agreement = _confirm(model, maps, cells, k, rng)
            lines.append(f"double-mutant ISM on the {title} cells: {agreement}")
    return lines


def _confirm(
    model: Model,
    maps: InteractionMap,
    cells: list[tuple[float, tuple[int, int, int, int]]],
    k: int,
    rng: np.random.Generator,
) -> Agreement:
    """FIS against double mutants on at most PAIRS cells."""
    if len(cells) > PAIRS:
        cells = [cells[i] for i in rng.permutation(len(cells))[:PAIRS]]
    values = np.array([value for value, _ in cells])
    where = np.array([cell for _, cell in cells])
    return compare(values, double_mutant_ism(model, maps, where, k))


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "none"


def _predictions(title: str, values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"{title}: median {middle:.3g}, 5% to 95% {low:.3g} to {high:.3g} ({len(values)})"

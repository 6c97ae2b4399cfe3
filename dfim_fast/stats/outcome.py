"""What a significance test returns, and how it is told."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.maps.labelled import lines_html
from dfim_fast.stats.tails import NOMINAL, GaussianNull

_CORRECTION_NAMES = {
    "bh": "Benjamini-Hochberg",
    "by": "Benjamini-Yekutieli",
    "decoy": "decoy false-discovery rate",
}


@dataclass(frozen=True, eq=False)
class Significance:
    """Significance of every score; arrays shaped like the scores, Series on a table's index.

    Attributes
    ----------
    p, q : float64
        p-value and corrected p-value (or decoy false-discovery rate); NaN where masked.
    neg_log10_p : float64
        -log10 p; exact where a Gaussian p underflows to 0.
    significant : bool
        ``q <= alpha``; False where masked.
    effect
        The scores themselves, as they were passed.
    null_size : int
        Null values in the smallest pool.
    smallest_p : float
        1 / (null_size + 1): the smallest p that counting in that pool can give.
    fit : dict of pool to GaussianNull, or None
        Mean, sd and held-out check of each pool; None for the empirical null. The key is "all", a
        task, or (task, sequence).
    tests, masked, families, pools : int
        How many.
    checked : bool
        Whether both sides said how they were made, and it was compared.
    null_kind : str
        "dinucleotide", "matched", or "unknown".
    absolute : bool
        One-sided test of absolute scores.
    null_model, pool, family, correction, alpha
        As passed.
    """

    p: Any
    q: Any
    neg_log10_p: Any
    significant: Any
    effect: Any
    null_size: int
    smallest_p: float
    fit: dict[Hashable, GaussianNull] | None
    tests: int
    masked: int
    families: int
    pools: int
    checked: bool
    null_kind: str
    absolute: bool
    null_model: str
    pool: str
    family: str
    correction: str
    alpha: float

    def report(self) -> str:
        """Describe null, test, fit and outcome, a line each."""
        beyond = int(np.count_nonzero(np.asarray(self.q) == 0))
        return "\n".join(report_lines(self, int(np.count_nonzero(self.significant)), beyond))

    def _repr_html_(self) -> str:
        return lines_html(self.report())

    def __repr__(self) -> str:
        called = int(np.count_nonzero(self.significant))
        return (
            f"Significance({called} of {self.tests} significant at {self.correction} "
            f"{self.alpha:g}; null_model={self.null_model!r}, pool={self.pool!r}, "
            f"family={self.family!r}, smallest_p={self.smallest_p:.3g})"
        )


def report_lines(outcome: Any, called: int, beyond: int) -> list[str]:
    """Null, test, fit and outcome in words.

    Parameters
    ----------
    outcome : Significance, or StreamedSignificance
        Of which only settings, sizes and fits are read.
    called, beyond : int
        Significant tests, and tests whose decoy rate is 0.
    """
    side = "one-sided, absolute scores" if outcome.absolute else "two-sided"
    lines = [
        f"null: {outcome.null_kind}, pool={outcome.pool} ({_count(outcome.pools, 'pool')}), "
        f"{_count(outcome.null_size, 'value')} in the smallest"
        + ("" if outcome.checked else "; how scores and null were made is not known, not checked"),
        f"test: {outcome.null_model}, {side}; {_count(outcome.tests, 'test')}, "
        f"{_count(outcome.masked, 'masked cell')} left out",
    ]
    if outcome.fit is None:
        lines.append(f"smallest p this null can give: {outcome.smallest_p:.3g}")
    else:
        lines.extend(_fit_lines(outcome.fit))
    lines.append(
        f"correction: {_CORRECTION_NAMES[outcome.correction]}, family={outcome.family} "
        f"({_count(outcome.families, 'family', 'families')}), alpha={outcome.alpha:g}"
    )
    lines.append(f"significant: {called} of {outcome.tests} ({called / outcome.tests:.2%})")
    if outcome.correction == "decoy":
        lines.append(
            f"of these {beyond} lie beyond every null value: their q of 0 means below what "
            "this null resolves"
        )
    return lines


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


def _fit_lines(fits: dict[Hashable, GaussianNull]) -> list[str]:
    """Mean and sd, and the held-out check summed over pools."""
    means = [fit.mean for fit in fits.values()]
    sds = [fit.sd for fit in fits.values()]
    lines = [f"gaussian: mean {_span(means)}, sd {_span(sds)}"]
    held_out = sum(fit.held_out for fit in fits.values())
    if not held_out:
        return [*lines, "held-out check: none, half of the null is empty or constant"]
    checks = []
    for nominal in NOMINAL:
        beyond = sum(fit.beyond.get(nominal, 0) for fit in fits.values())
        checks.append(f"nominal {nominal:g}: real {beyond / held_out:.3g} ({beyond})")
    lines.append(
        f"held-out check, fit on one half, {_count(held_out, 'value')} of the other: "
        + ", ".join(checks)
    )
    return lines


def _span(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.4g}" if math.isclose(low, high) else f"{low:.4g} to {high:.4g}"

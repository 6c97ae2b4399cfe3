"""Positions to compare variants with: other bases of the same sequence, of the same effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import InputError
from dfim_fast.maps.effects import Ask, run_effects
from dfim_fast.maps.model import Model
from dfim_fast.maps.variant import VariantCall
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.mutants import single_nucleotide
from dfim_fast.sequence.one_hot import ALPHABET


def control_table(
    model: Model, X: Any, variants: pd.DataFrame, n: int, settings: dict[str, Any]
) -> pd.DataFrame:
    """The matched null of `variant_interactions`: the scores of n controls for each variant.

    Parameters
    ----------
    model, X, variants, n
        As in `matched_controls`.
    settings : dict
        All of `variant_interactions`, with ``flank`` and ``progress``.
    """
    settings = dict(settings)
    flank, progress = settings.pop("flank"), settings.pop("progress")
    shared = ("task", "backend", "memory_limit", "threads", "names")
    controls = matched_controls(
        model, X, variants, n, progress=progress, **{name: settings[name] for name in shared}
    )
    return VariantCall(model, X, controls, settings).table(flank, progress, "matched")


def matched_controls(
    model: Model,
    X: Any,
    variants: pd.DataFrame,
    n: int = 5,
    *,
    apart: int = 15,
    task: int | str = 0,
    backend: str = "auto",
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """For each variant the single-nucleotide changes of its sequence with the most similar effect.

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array (N, 4, L)
    variants : DataFrame
        As in `variant_interactions` of sequences, single bases with one ``alt`` each.
    n : int
        Controls of each variant, at positions of their own.
    apart : int
        Bases on each side of every variant where no control is taken.
    task, backend, memory_limit, threads, names, progress
        As in `interaction_map`.

    Returns
    -------
    DataFrame
        ``variant`` (row of the table), ``sequence``, ``offset``, ``ref``, ``alt``,
        ``variant_effect``, ``effect`` (mutant minus original score), n rows a variant, the most
        similar first: ready for `variant_interactions`.

    Raises
    ------
    InputError
        If a variant is no single base with one alternate, or its sequence has too few positions.
    SettingsError, BackendError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> import pandas as pd
    >>> variants = pd.DataFrame({"sequence": [0], "offset": [100], "ref": ["A"], "alt": ["G"]})
    >>> controls = dfim_fast.matched_controls(
    ...     model, ["ACGTT" * 40], variants, n=3, progress=False
    ... )
    >>> len(controls)
    3
    """
    whole_number("n", n, 1)
    whole_number("apart", apart, 0)
    call = VariantCall(model, X, variants, {
        "method": "gradient", "references": "zeros", "n_references": 1, "gc": 0.5,
        "random_state": 0, "task": task, "contribution": "projected", "maxpool": "shap",
        "epsilon": 1e-6, "backend": backend, "memory_limit": memory_limit, "threads": threads,
        "names": names,
    })  # fmt: skip
    by_row: dict[int, list[Any]] = {}
    for i, site in enumerate(call.sites):
        if len(site) != 1 or len(site[0].ref) != 1 or len(site[0].alt) != 1:
            raise InputError(
                f"variants, row {i}: {site[0].label} is not one base with one alternate; "
                "give each allele a row, and leave insertions and deletions out"
            )
        by_row.setdefault(site[0].row, []).append(site[0])
    length = model.sequence_length
    asks = [
        Ask(row, single_nucleotide(call.codes[row], np.arange(length)), np.zeros(1, np.int64))
        for row in sorted(by_row)
    ]
    found = []
    for ask, effects in run_effects(call.request, asks, progress, "controls"):
        position, base = ask.mutants.slot.T
        change = (effects.mutant_predictions[0] - effects.predictions[0]).astype(np.float64)
        free = np.ones(length, bool)
        for allele in by_row[ask.row]:
            free[max(allele.start - apart, 0) : allele.start + apart + 1] = False
        for allele in by_row[ask.row]:
            own = (position == allele.start) & (base == ALPHABET.index(allele.alt))
            effect = float(change[own][0])
            order = np.argsort(np.where(free[position], np.abs(change - effect), np.inf),
                               kind="stable")  # fmt: skip
            _, first = np.unique(position[order], return_index=True)
            chosen = order[np.sort(first)][:n]
            if len(chosen) < n or not free[position[chosen]].all():
                raise InputError(
                    f"variants, row {allele.variant}: its sequence has fewer than {n} positions "
                    f"more than {apart} bases from every variant; lower n or apart"
                )
            found += [
                {
                    "variant": allele.variant, "sequence": ask.row, "offset": int(position[c]),
                    "ref": ALPHABET[call.codes[ask.row, position[c]]], "alt": ALPHABET[base[c]],
                    "variant_effect": effect, "effect": float(change[c]),
                }
                for c in chosen
            ]  # fmt: skip
    return pd.DataFrame(found).sort_values("variant", kind="stable", ignore_index=True)

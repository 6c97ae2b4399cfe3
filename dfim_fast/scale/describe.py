"""What a run was, for its store's attributes and for people."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from dfim_fast import __version__
from dfim_fast.backends.select import make_backend
from dfim_fast.maps.interaction import InteractionMap
from dfim_fast.maps.model import Model
from dfim_fast.plan.plan import compares
from dfim_fast.stats.streamed import StreamedSignificance

if TYPE_CHECKING:
    from dfim_fast.scale.passes import Judging

LIBRARIES = ("numpy", "numba", "scipy", "statsmodels", "onnx", "zarr", "pandas", "pyarrow")
SHOWN = 10  # interactions in the summary


def provenance(
    model: Model,
    maps: InteractionMap,
    judging: Judging,
    judge: StreamedSignificance,
    report: Sequence[str],
    diagnostics: Sequence[str],
) -> dict[str, Any]:
    """Attributes of a store: all that its numbers depend on, and how they were judged.

    Returns
    -------
    dict
        ``model``, ``task_names``, ``settings``, ``null``, ``significance``, ``diagnostics``,
        ``provenance``, ``versions``.
    """
    plan = maps.plan
    fits = judge.fit or {}
    return {
        "model": {"name": model.name, "hash": model.hash, "target": str(model.head),
                  "sequence_length": model.sequence_length},
        "task_names": maps.task_names,
        "settings": {
            **maps.settings, "backend_used": make_backend(maps.settings["backend"], plan).name,
            "threads": plan.threads, "memory_limit": plan.memory_limit,
        },
        "null": {"kind": judge.null_kind, **asdict(judging),
                 "smallest_p": judge.smallest_p, "smallest_pool": judge.null_size,
                 # one for each sequence would be most of the file
                 "fits": {str(key): {"mean": fit.mean, "sd": fit.sd} for key, fit in fits.items()
                          if judging.pool != "sequence"}},
        "significance": {"tests": judge.tests, "masked": judge.masked,
                         "significant": judge.called, "report": list(report)},
        "summation_to_delta": maps.summation_to_delta,
        "diagnostics": list(diagnostics),
        "provenance": maps.provenance,
        "versions": {"dfim_fast": __version__, "python": platform.python_version(),
                     **{name: _version(name) for name in LIBRARIES}},
    }  # fmt: skip


def summary(
    out: Path,
    about: Mapping[str, Any],
    names: Sequence[str],
    table: pd.DataFrame,
    figures: Sequence[str],
    top: int,
) -> list[str]:
    """Lines for people: what was done, what was found, how far to believe it, where it is."""
    model, settings = about["model"], about["settings"]
    lines = [
        *heading(
            f"interaction maps of {counted(len(names), 'sequence')} of "
            f"{model['sequence_length']} bp",
            model,
            about["task_names"],
            settings,
        ),
        "",
        "Significance",
        *(f"  {line}" for line in about["significance"]["report"]),
        "",
        "Diagnostics",
        *(f"  {line}" for line in about["diagnostics"]),
        "",
        "Strongest interactions, in importance that a base loses or gains "
        f"(of {len(table):,} in the table"
        + (f", cut by --top {top})" if len(table) == top else ")"),
        *(f"  {line}" for line in strongest_lines(table, len(about["task_names"]) > 1, top)),
        "",
        "Files",
        f"  {out / 'maps.zarr'}: every map, mask, p and q, and the settings that made them",
        f"  {out / 'interactions.tsv.gz'} (and .parquet): the strongest interactions, a row each",
        *(f"  {out / 'figures' / name}" for name in figures),
    ]
    return lines


def heading(
    what: str, model: Mapping[str, Any], tasks: Sequence[str], settings: Mapping[str, Any]
) -> list[str]:
    """The first lines of a summary: what was computed, of which model, how.

    Parameters
    ----------
    what : str
    model : mapping
        ``name``, ``hash``, ``target``.
    tasks : sequence of str
    settings : mapping
        ``method``, ``references``, ``n_references``, ``random_state``, perhaps ``window`` and
        ``backend_used``.
    """
    how = f"method: {settings['method']}"
    if compares(settings["method"]):
        kind = settings["references"]
        how += f", {kind} references"
        how += f" ({settings['n_references']})" if kind == "dinucleotide" else ""
    if settings.get("window") is not None:
        how += f", targets within {settings['window']} bp"
    how += f", random_state {settings['random_state']}"
    if "backend_used" in settings:
        how += f", backend {settings['backend_used']}"
    return [
        f"dfim_fast {__version__}: {what}",
        f"model: {model['name']} ({model['hash']}), scored at the {model['target']}, "
        f"task{'s' * (len(tasks) != 1)} {', '.join(tasks)}",
        how,
    ]


def settings_used(settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a table, for `heading`: those that were given, and what became of them."""
    kind, count = provenance["references"] or (None, 0)
    return {
        "random_state": settings.get("random_state", 0),
        "method": provenance["method"],
        "references": kind,
        "n_references": count,
    }


def counted(n: int, one: str) -> str:
    """A number of things: 1 sequence, 2 sequences."""
    return f"{n:,} {one}{'s' * (n != 1)}"


def strongest_lines(table: pd.DataFrame, tasks: bool, top: int) -> list[str]:
    """The first rows of a table in words."""
    rows = []
    for row in table.head(SHOWN).to_dict("records"):
        verb = "loses" if row["fis"] > 0 else "gains"
        rows.append(
            f"{row['sequence']}: with {row['source_base']}{row['source']}{row['mutant']}, "
            f"{row['target_base']}{row['target']} ({row['distance']} bp away) {verb} "
            f"{abs(row['fis']):.3g}, q {row['q']:.2g}"
            + ("" if row["significant"] else " (not significant)")
            + (f" [{row['task']}]" if tasks else "")
        )
    if not top:
        return ["none: no rows were asked for"]
    return rows or ["none: every tested cell is exactly 0"]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

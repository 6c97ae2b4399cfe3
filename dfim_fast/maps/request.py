"""What attribute, interaction_map and null_map share: arguments checked, plan and inputs made."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.backends.base import Backend
from dfim_fast.backends.folds import Folds
from dfim_fast.backends.select import make_backend
from dfim_fast.errors import InputError, SettingsError
from dfim_fast.maps.model import Model
from dfim_fast.plan.plan import Plan, compares
from dfim_fast.plan.planner import make_plan
from dfim_fast.sequence.one_hot import as_one_hot, from_codes, on_host
from dfim_fast.sequence.references import make_references
from dfim_fast.sequence.shuffle import Shuffled

DELTA_BOUND = 1e-3  # relative summation-to-delta error that is worth a warning


@dataclass
class Request:
    """A checked call: sequences, plan and backend.

    Attributes
    ----------
    model : Model
    x : ndarray (N, 4, L) float32
    names : list of str
    plan : Plan
    backend : Backend
    several : bool
        Whether ``task`` was a list: results then carry a leading task axis.
    settings : dict
        Every setting of the call that shapes its numbers.
    """

    model: Model
    x: np.ndarray
    names: list[str]
    plan: Plan
    backend: Backend
    several: bool
    settings: dict[str, Any]
    references: Any

    def own_references(self, first: int, last: int) -> Any:
        """References of sequences first to last, as ``references_of`` gives them."""
        return self.references_of(slice(first, last))

    def references_of(self, rows: slice | list[int]) -> Any:
        """References of some sequences, as the backend takes them; None for gradients."""
        if not self.plan.n_references:
            return None
        given, s = self.references, self.settings
        if isinstance(given, np.ndarray) and given.ndim == 4:
            given = given[rows]
        return self.backend.references(
            self.x[rows], given, s["n_references"], s["gc"], s["random_state"]
        )

    def announce(self, progress: bool) -> None:
        """Say on standard error why the first map will take long, if it will."""
        text = self.backend.preparation() if progress else None
        if text:
            print(text, file=sys.stderr, flush=True)

    def chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """Pieces of the sequences, ``size`` at a time."""
        for first in range(0, len(self.x), size):
            yield first, min(first + size, len(self.x))


def make_request(
    model: Model,
    X: Any,
    *,
    method: str,
    references: Any,
    n_references: int,
    gc: float,
    random_state: int,
    task: int | str | Sequence[int | str],
    contribution: str,
    maxpool: str,
    epsilon: float,
    backend: str,
    sources: Any = None,
    targets: Any = None,
    window: int | None = None,
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
) -> Request:
    """Check everything before anything is computed.

    Raises
    ------
    InputError, SettingsError, BackendError
    """
    if not isinstance(model, Model):
        raise SettingsError(
            f"model is of type {type(model).__name__}, wanted a loaded model; pass what "
            "dfim_fast.load_model(path) returns"
        )
    if model.target == "output":
        warnings.warn(
            "target='output' scores the squashed output, which makes interactions of its own; "
            "target='logit' avoids them",
            stacklevel=3,
        )
    labels = None if names is None else [str(n) for n in names]
    shuffles = X if isinstance(X, Shuffled) else None
    if shuffles is None:
        x = as_one_hot(X, model.sequence_length, labels)
    else:  # stands for what the backend draws once it is there
        x = np.repeat(from_codes(shuffles.originals), shuffles.n, axis=0)
        as_one_hot(x[:1], model.sequence_length)
    if labels is None:
        labels = [str(i) for i in range(len(x))]
    elif len(labels) != len(x):
        raise InputError(f"{len(labels)} names for {len(x)} sequences; give one name each")
    if not isinstance(references, str):
        try:
            references = np.asarray(on_host(references))
        except ValueError:  # of unequal shape; the maker says it in one line
            make_references(x, references)
    count = 0
    if compares(method):
        count = count_references(x, references, n_references, gc, random_state)
    several = isinstance(task, (list, tuple))
    members = [
        make_backend(
            backend,
            make_plan(
                graph,
                method=method,
                task=model.graph.task_indices(list(task) if several else task),  # type: ignore[arg-type]
                contribution=contribution,
                maxpool=maxpool,
                epsilon=epsilon,
                n_references=count,
                sources=sources,
                targets=targets,
                window=window,
                memory_limit=memory_limit,
                threads=threads,
            ),
            len(x),
        )
        for graph in model.graphs
    ]
    machine = members[0] if len(members) == 1 else Folds(members)
    plan = machine.plan
    if shuffles is not None:
        x = from_codes(machine.shuffled(shuffles))
    settings = {
        "method": method,
        "references": references if isinstance(references, str) else array_name(references),
        "n_references": n_references,
        "gc": gc,
        "random_state": random_state,
        "tasks": [model.task_names[t] for t in plan.tasks],
        "contribution": contribution,
        "maxpool": maxpool,
        "epsilon": epsilon,
        "window": window,
        "backend": backend,
        "target": str(model.head),
    }
    return Request(model, x, labels, plan, machine, several, settings, references)


def made_with(model_hash: str, settings: Mapping[str, Any], n_references: int) -> dict[str, Any]:
    """Provenance that every score has: what a null's numbers have to share with it."""
    deeplift = compares(settings["method"])
    kind = settings["references"]
    return {
        "method": settings["method"],
        "references": (kind, n_references) if deeplift else None,
        "gc": settings["gc"] if deeplift and kind == "gc" else None,
        "contribution": settings["contribution"] if deeplift else None,
        "maxpool": settings["maxpool"] if deeplift else None,
        "epsilon": settings["epsilon"] if deeplift else None,
        "task": list(settings["tasks"]),
        "model_hash": model_hash,
        "target": settings["target"],
    }


def count_references(
    x: np.ndarray, references: Any, n_references: int, gc: float, random_state: int
) -> int:
    """Check the references and count those of a sequence, without making all.

    Raises
    ------
    InputError, SettingsError
    """
    settings = (n_references, gc, random_state)
    one = references
    if isinstance(references, str) and references == "dinucleotide":
        many = isinstance(n_references, int | np.integer) and n_references > 1
        make_references(x[:1], references, 1 if many else n_references, gc, random_state)
        return int(n_references)
    if isinstance(references, np.ndarray) and references.ndim == 4:
        one = references[:1]
        finite = references.dtype.kind not in "biuf" or np.isfinite(references).all()
        if len(references) != len(x) or not finite:
            make_references(x, references, *settings)  # raises
    try:
        return make_references(x[:1], one, *settings).shape[1]
    except InputError:
        make_references(x, references, *settings)  # the same, of all sequences
        raise


def array_name(references: np.ndarray) -> str:
    """A name for the caller's own references, told by what they hold.

    With references for each sequence the content differs from a null's by nature: only the number
    is named.
    """
    if references.ndim == 4:
        return "array, own for each sequence"
    content = np.ascontiguousarray(references, np.float32).tobytes()
    return "array " + hashlib.sha256(content).hexdigest()[:16]


def warn_delta(error: float | None) -> None:
    """Warn where contributions do not sum to the difference from the reference."""
    if error is not None and error > DELTA_BOUND:
        warnings.warn(
            f"summation-to-delta is off by {error:.2g} of the sum of |C| (bound {DELTA_BOUND:g}): "
            "inputs of a pool that differ by less than epsilon from the reference can lose their "
            "share; a smaller epsilon= may help",
            stacklevel=3,
        )

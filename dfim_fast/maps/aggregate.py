"""Interactions by base and position, over many sequences (the paper's section 2.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.maps.effects import Ask, run_effects
from dfim_fast.maps.features import Features, check_features
from dfim_fast.maps.model import Model
from dfim_fast.maps.position_sums import Aggregate, empty
from dfim_fast.maps.request import Request, make_request, warn_delta
from dfim_fast.plan.planner import whole_number
from dfim_fast.sequence.mutants import single_nucleotide
from dfim_fast.sequence.one_hot import UNKNOWN, as_one_hot, encode

BLOCK = 256  # sequences held at a time


def aggregate(
    model: Model,
    X: Any,
    *,
    absolute: bool = True,
    anchors: pd.DataFrame | None = None,
    sources: Any = None,
    targets: Any = None,
    window: int | None = None,
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
    task: int | str | Sequence[int | str] = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    backend: str = "auto",
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> Aggregate:
    """Mean interaction of every base with every other by position, in one pass over the sequences.

    ``mean[alpha, s, gamma, beta, t]`` is over the sequences with alpha at s and beta at t. Memory
    does not grow with their number.

    Parameters
    ----------
    model : Model
    X : list of str, one-hot array (N, 4, L), or an iterator of str
        An iterator, such as one over a large file, is read as it is needed.
    absolute : bool
        Average |FIS| (the paper), or FIS, where opposite effects cancel.
    anchors : DataFrame, optional
        Features, as in `motif_interactions`: positions are then offsets, up to ``window``, from
        each feature's centre on its strand; on the minus strand the reverse complement is read.
    sources, targets, window, method, references, n_references, gc, random_state, task,
    contribution, maxpool, epsilon, backend, memory_limit, threads, names, progress
        As in `interaction_map`.

    Returns
    -------
    Aggregate

    Raises
    ------
    InputError, SettingsError, BackendError
        Also SettingsError if the sums would not fit into memory; ``window=`` makes them smaller.

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> sums = dfim_fast.aggregate(
    ...     model, ["ACGTT" * 40, "TTGCA" * 40], method="gradient", window=2, progress=False
    ... )
    >>> sums.mean.shape
    (4, 200, 4, 4, 5)
    """
    if anchors is not None and (window is None or sources is not None or targets is not None):
        raise SettingsError(
            "anchors: say with window= how far from the features to look, and leave sources and "
            "targets out"
        )
    if window is not None:
        whole_number("window", window, 0)
    given = {
        "method": method, "references": references, "n_references": n_references, "gc": gc,
        "random_state": random_state, "task": task, "contribution": contribution,
        "maxpool": maxpool, "epsilon": epsilon, "backend": backend, "memory_limit": memory_limit,
        "threads": threads,
    }  # fmt: skip
    if anchors is not None:
        assert window is not None
        request = make_request(
            model, X, names=names, sources=[model.sequence_length // 2], window=0, **given
        )
        return _anchored(request, anchors, window, absolute, progress)
    blocks = _blocks(X)
    first = next(blocks, None)
    if first is None:
        raise InputError("no sequences: the list is empty; pass at least one")
    own = isinstance(references, np.ndarray) and references.ndim == 4
    shared = {**given, "sources": sources, "targets": targets, "window": window}
    request = make_request(
        model, first, **{**shared, "references": references[: len(first)] if own else references}
    )
    plan = request.plan
    table = plan.targets
    offsets = np.arange(-window, window + 1) if window is not None else table[0]
    found = empty(request, plan.sources, offsets, plan.reach, absolute, window is not None)
    apart = table != plan.sources[:, None]
    request.announce(progress)
    with tqdm(
        total=len(X) if hasattr(X, "__len__") else None,
        unit="seq",
        desc="aggregate",
        disable=not progress,
    ) as bar:
        for block in chain([first], blocks):
            request = _next(request, model, block, references if own else None, found.n)
            codes = encode(request.x)
            # many small maps are walked side by side; windows of smooth trunks are made once
            walked = plan.strategy == "events"
            maps = _walked(request, codes) if walked else _mapped(request)
            for fis, bases in zip(maps, codes, strict=True):
                beta = np.where(table >= 0, bases[np.maximum(table, 0)], UNKNOWN)
                found.add(fis, bases[plan.sources], beta, apart)
                found.n += 1
                bar.update()
    return found


def _walked(request: Request, codes: np.ndarray) -> Iterator[np.ndarray]:
    """FIS (K, S, 4, T) of each sequence, as effects."""
    plan = request.plan
    asks = []
    for n, bases in enumerate(codes):
        mutants = single_nucleotide(bases, plan.sources)
        shared = plan.targets.strides[0] == 0
        wanted = plan.targets[0] if shared else plan.targets[mutants.slot[:, 0]]
        asks.append(Ask(n, mutants, wanted))
    shape = (len(plan.tasks), len(plan.sources), 4, plan.targets.shape[1])
    for ask, effects in run_effects(request, asks, False, ""):
        fis = np.zeros(shape)
        source, base = ask.mutants.slot.T
        fis[:, source, base] = effects.mean(effects.lost)
        yield fis


def _mapped(request: Request) -> Iterator[np.ndarray]:
    """The same, as maps."""
    worst = None
    for start, stop in request.chunks(request.backend.chunk):
        own = request.own_references(start, stop)
        for result in request.backend.maps(request.x[start:stop], own):
            if result.delta_error is not None:
                worst = max(worst or 0.0, result.delta_error)
            yield result.fis
    warn_delta(worst)


def _blocks(X: Any) -> Iterator[Any]:
    """Pieces of the sequences."""
    if isinstance(X, str):
        X = [X]
    if isinstance(X, np.ndarray) and X.ndim == 2:
        X = X[None]
    if hasattr(X, "__getitem__") and hasattr(X, "__len__"):
        for first in range(0, len(X), BLOCK):
            yield X[first : first + BLOCK]
    elif isinstance(X, Iterable):
        rest = iter(X)
        while block := list(islice(rest, BLOCK)):
            yield block
    else:
        raise InputError(f"X is of type {type(X).__name__}; pass strings or an array (N, 4, L)")


def _next(
    request: Request, model: Model, block: Any, references: np.ndarray | None, first: int
) -> Request:
    """The same request of other sequences; numbered on, for messages."""
    names = [str(first + i) for i in range(len(block))]
    x = as_one_hot(block, model.sequence_length, names)
    own = request.references if references is None else references[first : first + len(block)]
    return replace(request, x=x, names=names, references=own)


def _anchored(
    request: Request, anchors: pd.DataFrame, window: int, absolute: bool, progress: bool
) -> Aggregate:
    """Sums by offset from each feature's centre, on its strand."""
    features = check_features(anchors, request.names, request.plan.graph.length)
    offsets = np.arange(-window, window + 1)
    reach = np.ones((len(request.plan.tasks), len(offsets), len(offsets)), bool)
    found = empty(request, offsets, offsets, reach, absolute, False)
    codes = encode(request.x)
    places = [_place(features, i, offsets) for i in range(len(features))]
    asks = []
    for i, positions in enumerate(places):
        own = codes[features.row[i]]
        inside = np.flatnonzero((positions >= 0) & (positions < len(own)))
        mutants = single_nucleotide(own, positions[inside])
        mutants.slot[:, 0] = inside[mutants.slot[:, 0]]
        asks.append(Ask(int(features.row[i]), mutants, _known(positions, len(own))))
    for i, (ask, effects) in enumerate(run_effects(request, asks, progress, "aggregate")):
        minus = features.strand is not None and features.strand[i] == "-"
        source, base = ask.mutants.slot.T
        fis = np.zeros((len(effects.predictions), len(offsets), 4, len(offsets)))
        fis[:, source, 3 - base if minus else base] = effects.mean(effects.lost)
        bases = np.where(ask.targets >= 0, codes[ask.row][ask.targets], UNKNOWN)
        if minus:  # the other strand's base
            bases = np.where(bases < UNKNOWN, 3 - bases, UNKNOWN)
        apart = ~np.eye(len(offsets), dtype=bool)
        found.add(fis, bases, np.broadcast_to(bases, apart.shape), apart)
        found.n += 1
    return found


def _place(features: Features, i: int, offsets: np.ndarray) -> np.ndarray:
    """Positions of the offsets from a feature's centre; leftwards on the minus strand."""
    half = (features.end[i] - features.start[i] - 1) // 2
    if features.strand is not None and features.strand[i] == "-":
        return features.end[i] - 1 - half - offsets
    return features.start[i] + half + offsets


def _known(positions: np.ndarray, length: int) -> np.ndarray:
    """Positions, -1 for those outside the sequence."""
    return np.where((positions >= 0) & (positions < length), positions, -1)

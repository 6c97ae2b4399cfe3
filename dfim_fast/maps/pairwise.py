"""Pairwise in-silico mutagenesis: the O(F^2) score that DFIM approximates (section 2.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.maps.double_mutants import compare
from dfim_fast.maps.features import Features, by_row, check_features
from dfim_fast.maps.model import Model
from dfim_fast.maps.request import Request, make_request
from dfim_fast.maps.sources import Rule
from dfim_fast.sequence.mutants import spans
from dfim_fast.sequence.one_hot import encode

BATCH = 64  # mutants scored together


def pairwise_ism(
    model: Model,
    X: Any,
    pairs: pd.DataFrame | None = None,
    features: pd.DataFrame | None = None,
    *,
    source: Any = "background",
    gc: float = 0.46,
    n_shuffles: int = 10,
    random_state: int = 0,
    task: int | str | Sequence[int | str] = 0,
    backend: str = "auto",
    memory_limit: int | None = None,
    threads: int | None = None,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Change two features together and one by one: forward passes only.

    ``pairwise_ism = [Y(X) - Y(X_ab)] - [Y(X) - Y(X_a)] - [Y(X) - Y(X_b)]``. FIS of b given a
    approximates ``lost``, how much less b matters once a is gone:
    ``[Y(X) - Y(X_b)] - [Y(X_a) - Y(X_ab)] = -pairwise_ism``.

    Parameters
    ----------
    model : Model
    X : list of str, or one-hot array (N, 4, L)
    pairs : DataFrame, optional
        sequence, source_start, source_end, target_start, target_end, such as the rows of
        `motif_interactions`; further columns are kept.
    features : DataFrame, optional
        Instead: all pairs of the features of each sequence, as in `motif_interactions`.
    source : str or array
        What a feature becomes, as in `motif_interactions`; not "nucleotide" or "replacement".
    gc, n_shuffles, random_state, task, backend, memory_limit, threads, names, progress
        As there.

    Returns
    -------
    DataFrame
        The pairs, a row for each task, with ``source_effect``, ``target_effect`` and
        ``joint_effect`` (original minus mutant scores), ``pairwise_ism`` and ``lost``.
        ``attrs["passes"]`` counts the forward passes; where the pairs hold ``fis``,
        ``attrs["agreement"]`` has its correlation with ``lost`` ("rank", "linear") and the share of
        equal signs ("sign").

    Raises
    ------
    InputError, SettingsError, BackendError

    Examples
    --------
    >>> import dfim_fast
    >>> from importlib.resources import files
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> import pandas as pd
    >>> motifs = pd.DataFrame({
    ...     "sequence": [0, 0], "start": [20, 60], "end": [32, 77], "name": ["ELF1", "SIX5"]
    ... })
    >>> found = dfim_fast.pairwise_ism(model, ["ACGTT" * 40], features=motifs, progress=False)
    >>> len(found)
    1
    """
    if (pairs is None) == (features is None):
        raise SettingsError(
            "pairwise_ism: pass either pairs= or features=, to say what is changed together"
        )
    rule = Rule(source, gc, n_shuffles, random_state)
    if rule.kind in ("nucleotide", "replacement"):
        raise SettingsError(f"pairwise_ism: source={rule.kind!r} changes no whole feature alike")
    request = make_request(
        model, X, method="gradient", references="zeros", n_references=1, gc=0.5,
        random_state=random_state, task=task, contribution="projected", maxpool="shap",
        epsilon=1e-6, backend=backend, sources=[model.sequence_length // 2], window=0,
        memory_limit=memory_limit, threads=threads, names=names,
    )  # fmt: skip
    length = model.sequence_length
    if pairs is None:
        pairs = _all_pairs(check_features(features, request.names, length), request)
    table = pairs.reset_index(drop=True)
    first, second = (_spans_of(table, side, request, length) for side in ("source", "target"))
    rows = np.asarray(first.row_of_table)
    tasks = len(request.plan.tasks)
    effects = np.zeros((len(table), 3, tasks))
    passes = 0
    codes = encode(request.x)
    order = np.argsort(rows, kind="stable")
    with tqdm(total=len(table), unit="pair", desc="pairwise ISM", disable=not progress) as bar:
        for n, own in by_row(rows[order]):
            which = order[own]
            effects[which], count = _of_sequence(request, rule, codes[n], n, first, second, own)
            passes += count
            bar.update(len(which))
    single = effects[:, :2].sum(1)
    found = pd.concat(
        [
            table.assign(
                task=name,
                source_effect=effects[:, 0, k],
                target_effect=effects[:, 1, k],
                joint_effect=effects[:, 2, k],
                pairwise_ism=effects[:, 2, k] - single[:, k],
                lost=single[:, k] - effects[:, 2, k],
            )
            for k, name in enumerate(request.settings["tasks"])
        ],
        ignore_index=True,
    )
    found.attrs = {"passes": passes}
    if "fis" in found.columns:
        found.attrs["agreement"] = _agreement(found["fis"].to_numpy(), found["lost"].to_numpy())
    return found


def _of_sequence(
    request: Request,
    rule: Rule,
    codes: np.ndarray,
    n: int,
    first: Features,
    second: Features,
    own: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Original minus mutant scores (P, 3, K) of a sequence's pairs, and the passes it took.

    Scores that pairs share are computed once.
    """
    columns: dict[tuple[int, int], np.ndarray] = {}
    wanted: dict[tuple[tuple[int, int], ...], int] = {(): 0}
    keys = []
    for i in own:
        a, b = ((int(f.start[i]), int(f.end[i])) for f in (first, second))
        for span, features in ((a, first), (b, second)):
            if span not in columns:
                columns[span] = rule.columns(codes[slice(*span)], features, int(i))
        for changed in ([a], [b], [a, b]):
            keys.append(wanted.setdefault(tuple(sorted(changed)), len(wanted)))
    versions = max(len(c) for c in columns.values())
    rows = request.x[n].T
    mutants, place = [], []
    for key, number in wanted.items():
        for k in range(versions if key else 1):
            mutant = rows[None]
            for span in key:
                edit = columns[span]
                mutant = spans([span[0]], [edit[k % len(edit)]]).apply(mutant[0])
            mutants.append(mutant[0].T)
            place.append(number)
    scores = np.concatenate(
        [
            request.backend.predictions(np.stack(mutants[i : i + BATCH]))
            for i in range(0, len(mutants), BATCH)
        ]
    ).astype(np.float64)
    total = np.zeros((len(wanted), scores.shape[1]))
    np.add.at(total, place, scores)
    mean = total / np.bincount(place)[:, None]
    return (mean[0] - mean[keys]).reshape(len(own), 3, -1), len(mutants)


def _agreement(fis: np.ndarray, lost: np.ndarray) -> dict[str, float]:
    """How the fast score goes with the slow one."""
    both = compare(fis, lost)
    varied = len(fis) > 1 and np.ptp(fis) > 0 and np.ptp(lost) > 0
    linear = float(np.corrcoef(fis, lost)[0, 1]) if varied else float("nan")
    return {"rank": both.rank, "linear": linear, "sign": both.sign}


def _all_pairs(features: Features, request: Request) -> pd.DataFrame:
    """Every unordered pair of the features of each sequence."""
    found = [
        (i, j) for _, own in features.by_sequence() for a, i in enumerate(own) for j in own[a + 1 :]
    ]
    if not found:
        raise InputError("features: no sequence holds two of them; wanted at least one pair")
    first, second = np.array(found).T
    columns: dict[str, Any] = {
        "sequence": np.asarray(request.names, dtype=object)[features.row[first]]
    }
    for side, own in (("source", first), ("target", second)):
        columns[side] = features.name[own]
        columns[f"{side}_start"] = features.start[own]
        columns[f"{side}_end"] = features.end[own]
    return pd.DataFrame(columns)


def _spans_of(table: pd.DataFrame, side: str, request: Request, length: int) -> Features:
    """One side of a table of pairs, checked."""
    names = {f"{side}_start": "start", f"{side}_end": "end", side: "name"}
    missing = [name for name in ("sequence", *list(names)[:2]) if name not in table.columns]
    if missing:
        raise InputError(
            f"pairs have no column {', '.join(map(repr, missing))}; wanted sequence, source_start, "
            "source_end, target_start, target_end, such as motif_interactions gives"
        )
    own = table[[name for name in ("sequence", *names) if name in table.columns]].rename(
        columns=names
    )
    return check_features(own if "name" in own else own.assign(name=side), request.names, length)

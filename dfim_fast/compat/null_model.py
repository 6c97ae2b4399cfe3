"""Shuffled sequences and p-values: the original package's `null_model`."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from dfim_fast.compat.arrays import as_rows
from dfim_fast.compat.references import shared_permutation, shuffle_columns
from dfim_fast.errors import NullError, SettingsError
from dfim_fast.sequence.one_hot import as_one_hot, decode
from dfim_fast.sequence.shuffle import dinucleotide_shuffle
from dfim_fast.stats.tails import EmpiricalNull, GaussianNull

LEVELS = ("per_map", "per_task", "global")
TYPES = ("fit", "empirical")
Keys = tuple[Hashable, ...]


def shuffle_seq_from_fasta(
    seq_fastas: Sequence[str], dinuc: bool = False, *, seed: int = 1, strict: bool = False
) -> list[str]:
    """Shuffle sequences given as strings.

    Parameters
    ----------
    seq_fastas : list of str
    dinuc : bool
        Keep the counts of dinucleotides, not only of bases.
    seed : int
        The same sequence and seed give the same shuffle.
    strict : bool
        One permutation for all sequences of a length, as in the original.

    Returns
    -------
    list of str
    """
    return [
        decode(one.T)[0]
        for text in seq_fastas
        for one in _shuffled(as_one_hot([text]).swapaxes(1, 2), dinuc, seed, strict)
    ]


def shuffle_seq_from_one_hot(
    sequences: Any, dinuc: bool = False, *, seed: int = 1, strict: bool = False
) -> np.ndarray:
    """Shuffle sequences (N, L, 4), each on its own; see `shuffle_seq_from_fasta`."""
    return _shuffled(as_rows(sequences), dinuc, seed, strict)


def _shuffled(rows: np.ndarray, dinuc: bool, seed: int, strict: bool) -> np.ndarray:
    x = rows.swapaxes(1, 2)
    if dinuc:
        found = dinucleotide_shuffle(x, 1, seed, purpose="null")[:, 0]
    elif strict:
        found = shared_permutation(x, seed)
    else:
        found = np.stack([shuffle_columns(one, 1, seed, "null")[0] for one in x])
    return np.ascontiguousarray(found.swapaxes(1, 2))


def flatten_nested_dict(score_dict: Mapping[Any, Any]) -> tuple[np.ndarray, list[Keys]]:
    """All scores of nested dictionaries, arrays and DataFrames in one row.

    Returns
    -------
    scores : ndarray (n,) float64
    keys : list of tuple
        For each score the keys that lead to it; inside an array, its index last.
    """
    scores: list[float] = []
    keys: list[Keys] = []
    for path, leaf in _leaves(score_dict):
        values = np.asarray(leaf, np.float64)
        scores += values.ravel().tolist()
        keys += [(*path, *i) for i in np.ndindex(values.shape)] if values.ndim else [path]
    return np.array(scores, np.float64), keys


def _leaves(nested: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Arrays, DataFrames and numbers of nested dictionaries, with their keys."""
    if isinstance(nested, Mapping):
        for key, value in nested.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, nested


def restore_nested_dict(score_dict: Mapping[Any, Any], scores_list: Any) -> Any:
    """Other values in the nesting of ``score_dict``, in the order of `flatten_nested_dict`.

    Raises
    ------
    SettingsError
        If there are not as many as scores.
    """
    values = np.asarray(scores_list, np.float64)
    wanted = sum(np.size(leaf) for _, leaf in _leaves(score_dict))
    if values.ndim != 1 or len(values) != wanted:
        raise SettingsError(
            f"scores_list has shape {values.shape}, score_dict holds {wanted} scores; give one for "
            "each, in the order of flatten_nested_dict"
        )
    at = 0

    def fill(nested: Any) -> Any:
        nonlocal at
        if isinstance(nested, Mapping):
            return {key: fill(value) for key, value in nested.items()}
        shape = np.shape(nested)
        part = values[at : at + int(np.prod(shape, dtype=int))].reshape(shape)
        at += part.size
        if isinstance(nested, pd.DataFrame):
            return pd.DataFrame(part.copy(), index=nested.index, columns=nested.columns)
        return part.copy() if shape else float(part)

    return fill(score_dict)


def get_from_dict(nested: Mapping[Any, Any], keys: Sequence[Any]) -> Any:
    """What the keys lead to."""
    found: Any = nested
    for key in keys:
        found = found[key]
    return found


def set_in_dict(nested: Any, keys: Sequence[Any], value: Any) -> None:
    """Put a value where the keys lead, in place."""
    get_from_dict(nested, keys[:-1])[keys[-1]] = value


def assign_empirical_pval(real_values: Any, null_values: Any) -> np.ndarray:
    """``(1 + #{null >= v}) / (n + 1)`` for each value v, n null values."""
    null = _null(null_values)
    real = np.asarray(real_values, np.float64)
    return EmpiricalNull(null, absolute=True).p(real.ravel()).reshape(real.shape)


def assign_fit_pval(real_values: Any, null_values: Any, *, strict: bool = False) -> np.ndarray:
    """p-values under a Gaussian fitted to null values.

    Absolute scores (none is negative) are tested on their upper side, others on both.

    Parameters
    ----------
    real_values, null_values : array
    strict : bool
        The smaller of both tails, ``min(cdf, 1 - cdf)``, as the original; it is 0 where 1 - cdf
        underflows, and half of a two-sided p.

    Returns
    -------
    ndarray like real_values

    Raises
    ------
    NullError
        If the null values are all equal.
    """
    null = _null(null_values)
    real = np.asarray(real_values, np.float64)
    if null.min() == null.max():
        raise NullError(
            f"null: all {len(null)} values are {null[0]:g}, to which no Gaussian can be fitted; "
            "use null_type='empirical' or more null sequences"
        )
    if strict:
        below = norm.cdf(real, null.mean(), null.std())
        return np.minimum(below, 1 - below)
    absolute = bool((null >= 0).all() and (real >= 0).all())
    return GaussianNull.fit(null, absolute).p(real)[0]


def _null(values: Any) -> np.ndarray:
    found = np.array(values, np.float64).ravel()
    found = found[~np.isnan(found)]
    if not found.size:
        raise NullError("null: no value; score null sequences with the same elements first")
    return found


def assign_pval(
    dfim_dict: Mapping[Any, Any],
    null_dict: Mapping[Any, Any],
    null_level: str = "per_map",
    null_type: str = "fit",
    diagonal_value: float = -1,
    qq_plot: bool | str | os.PathLike[str] = False,
    *,
    strict: bool = False,
) -> Any:
    """p-values of interaction maps against maps of null sequences.

    Parameters
    ----------
    dfim_dict, null_dict : dict
        ``[task][seq]`` -> map, from `compute_dfim`.
    null_level : {"per_map", "per_task", "global"}
        Which null values judge a score: those of its task and sequence, of its task, or all.
    null_type : {"fit", "empirical"}
        A Gaussian fitted to them, or their counts.
    diagonal_value : float
        Marks cells that were not scored: they enter no null and have p = 1.
    qq_plot : bool or path
        Draw the quantiles of -log10 p; into a file where a path is given.
    strict : bool
        As the original: unscored cells enter fits and have p-values, and a fit's p is the smaller
        of both tails.

    Returns
    -------
    dict
        p-values in the nesting of ``dfim_dict``.

    Raises
    ------
    SettingsError, NullError
    """
    for name, value, allowed in (
        ("null_level", null_level, LEVELS),
        ("null_type", null_type, TYPES),
    ):
        if value not in allowed:
            raise SettingsError(f"{name}={value!r} is unknown; choose from {', '.join(allowed)}")
    scores, keys = flatten_nested_dict(dfim_dict)
    null, null_keys = flatten_nested_dict(null_dict)
    used = {"per_map": 2, "per_task": 1, "global": 0}[null_level]
    tested = np.ones(len(scores), bool) if strict else _scored(scores, diagonal_value)
    kept = np.ones(len(null), bool) if strict else _scored(null, diagonal_value)
    pools, null_pools = _pools(keys, used), _pools(null_keys, used)
    p, null_p = np.ones(len(scores)), np.ones(len(null))

    def judge(values: np.ndarray, against: np.ndarray) -> np.ndarray:
        if null_type == "empirical":
            return assign_empirical_pval(values, against)
        return assign_fit_pval(values, against, strict=strict)

    for pool, rows in pools.items():
        own = rows[tested[rows]]
        if not len(own):
            continue
        against = null_pools.get(pool, np.zeros(0, int))
        against = against[kept[against]]
        if not len(against):
            where = " ".join(f"[{key!r}]" for key in pool) or "all"
            raise NullError(
                f"null_dict holds no scored cell of {where}, which null_level={null_level!r} "
                "needs; score null sequences of it, or use a wider level"
            )
        p[own] = judge(scores[own], null[against])
        if qq_plot:
            null_p[against] = judge(null[against], null[against])
    if qq_plot:
        path = None if isinstance(qq_plot, bool) else qq_plot
        draw_qq(p[tested], null_p[kept], path)
    return restore_nested_dict(dfim_dict, p)


def _scored(values: np.ndarray, diagonal_value: float) -> np.ndarray:
    return ~np.isnan(values) & (values != diagonal_value)


def _pools(keys: Sequence[Keys], used: int) -> dict[Keys, np.ndarray]:
    """Rows that are judged together."""
    rows: dict[Keys, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key[:used], []).append(row)
    return {key: np.array(found) for key, found in rows.items()}


def qq_plot(
    flat_real_pvals: Any, flat_null_pvals: Any, plot_file: str | os.PathLike[str] | None = None
) -> Any:
    """Quantiles of -log10 p of scores against those of the null.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from dfim_fast.plot.quantiles import plot_quantiles
    from dfim_fast.plot.style import save

    ax = plot_quantiles(flat_real_pvals, flat_null_pvals)
    if plot_file is not None:
        save(ax.figure, plot_file)  # type: ignore[arg-type]
    return ax


draw_qq = qq_plot  # assign_pval has an argument of that name

"""Which interactions are stronger than a null says they would be anyway (section 2.4).

p-values come from null scores by counting ("empirical") or from a Gaussian fitted to them
("gaussian", the paper's). What the null pools and which tests are corrected together are separate
choices. Masked cells never enter a fit, a count or a correction.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from dfim_fast.errors import NullError, SettingsError
from dfim_fast.stats.cells import LEVELS, POOLS, Cells, Rows, grouped, match_sequences, read
from dfim_fast.stats.correction import adjusted, decoy
from dfim_fast.stats.outcome import Significance
from dfim_fast.stats.tails import EmpiricalNull, GaussianNull

NULL_MODELS = ("empirical", "gaussian")
CORRECTIONS = ("bh", "by", "decoy")


def significance(
    scores: Any,
    null: Any,
    null_model: str = "empirical",
    pool: str | None = None,
    family: str = "task",
    correction: str = "bh",
    alpha: float = 0.05,
    absolute: bool | None = None,
) -> Significance:
    """Test interaction scores against a null.

    Empirical p, with m the median of the pool's n null values:
    ``(1 + #{|null - m| >= |v - m|}) / (n + 1)``. Gaussian p: ``2 sf(|v - mean| / sd)``. Absolute
    scores are tested on their upper side: ``(1 + #{null >= v}) / (n + 1)`` and ``sf(z)``.

    Parameters
    ----------
    scores, null : InteractionMap and NullMap, DataFrames, or arrays
        A table has a column ``fis``, ``sequence`` and ``task`` where it holds several, and its
        provenance in ``attrs["provenance"]``. Axis 0 of an array is the sequence; an array is one
        task. NaN is masked. Shapes need not agree; with ``pool="sequence"`` the sequences must.
    null_model : {"empirical", "gaussian"}
    pool : {"global", "task", "sequence", "target"}, optional
        Which null values judge a score: all, those of its task, those of its task and sequence, or,
        for tables of pairs, those of its task, target and bin of distance (under 20, 20-50, 50-100,
        100-200, 200 bp and more). By default "target" for a matched null and "task" for others.
        Scores whose target and distance the null never saw are left untested, with a warning.
    family : {"global", "task", "sequence"}
        Which tests are corrected together, likewise.
    correction : {"bh", "by", "decoy"}
        Benjamini-Hochberg; Benjamini-Yekutieli, for any dependence; or, for whole maps, the decoy
        false-discovery rate: null values beyond t over observed values beyond t, distances from the
        null median, the null counts scaled by tests over null values, made monotone.
    alpha : float
        Level of ``significant``, between 0 and 1.
    absolute : bool, optional
        Whether scores are absolute values; by default what their provenance says
        (reduction "max_abs"), False for arrays.

    Returns
    -------
    Significance

    Raises
    ------
    SettingsError
        For an unknown option, a level the scores do not have, or scores without a tested cell.
    NullError
        If the null was made otherwise than the scores, is empty in a pool, or is constant where a
        Gaussian is to be fitted.
    InputError
        If either side is no map, table or array of real numbers, or holds infinite values.

    Examples
    --------
    >>> import dfim_fast
    >>> import numpy as np
    >>> null = np.random.default_rng(0).normal(size=10_000)
    >>> found = dfim_fast.significance(np.array([0.1, 6.0, -7.0]), null)
    >>> found.significant.tolist(), f"{found.smallest_p:.1e}"
    ([False, True, True], '1.0e-04')
    """
    check_settings(null_model, pool or "task", family, correction, alpha)
    observed, nulls = read(scores, null)
    if pool is None:
        matched = (nulls.provenance or {}).get("kind") == "matched"
        pairs = observed.stratum is not None and nulls.stratum is not None
        pool = "target" if matched and pairs else "task"
    if not observed.tested.any():
        raise SettingsError(
            f"no tested cells: all {observed.values.size} scores are masked; "
            "look at sources, targets and window"
        )
    one_sided = _is_absolute(absolute, observed, nulls)
    if pool == "sequence":
        match_sequences(observed, nulls)

    pools = _pools(observed, nulls, pool)
    needs_counts = null_model == "empirical" or correction == "decoy"
    counted: list[EmpiricalNull] = []
    pool_of_row = np.full(len(observed.values), -1)
    fitted: dict[Hashable, GaussianNull] = {}
    p = np.full(observed.values.shape, np.nan)
    neg_log10_p = np.full(observed.values.shape, np.nan)
    sizes = []
    for number, (key, (rows, null_rows)) in enumerate(pools.items()):
        pool_of_row[rows] = number
        values = nulls.take(null_rows)
        sizes.append(len(values))
        if null_model == "gaussian":
            fitted[key] = _fit(values, nulls, null_rows, one_sided, pool, key)
        if needs_counts:
            counts = EmpiricalNull(values, one_sided)
            if correction == "decoy":
                counted.append(counts)
        for block in observed.blocks(rows):
            tested = observed.tested[block]
            cells = observed.values[block][tested]
            if null_model == "gaussian":
                block_p, block_log = fitted[key].p(cells)
            else:
                block_p = counts.p(cells)
                block_log = np.maximum(-np.log10(block_p), 0.0)  # p = 1 gives -0.0
            _put(p, block, tested, block_p)
            _put(neg_log10_p, block, tested, block_log)

    families = {
        key: rows
        for key, rows in observed.groups(family, "family").items()
        if observed.tested[rows].any()
    }
    q = np.full(observed.values.shape, np.nan)
    for rows in families.values():
        if correction == "decoy":
            _decoy_family(q, observed, rows, pool_of_row, counted)
        else:
            tested = observed.tested[rows]
            _put(q, rows, tested, adjusted(p[rows][tested], correction, alpha))

    shaped = _shaper(scores, observed)
    tests = int(np.count_nonzero(observed.tested))
    return Significance(
        p=shaped(p, "p"),
        q=shaped(q, "q"),
        neg_log10_p=shaped(neg_log10_p, "neg_log10_p"),
        significant=shaped(q <= alpha, "significant"),
        effect=scores if observed.form == "array" else scores.fis,
        null_size=min(sizes),
        smallest_p=1 / (min(sizes) + 1),
        fit=fitted if null_model == "gaussian" else None,
        tests=tests,
        masked=observed.values.size - tests,
        families=len(families),
        pools=len(pools),
        checked=observed.provenance is not None,
        null_kind=str((nulls.provenance or {}).get("kind", "unknown")),
        absolute=one_sided,
        null_model=null_model,
        pool=pool,
        family=family,
        correction=correction,
        alpha=float(alpha),
    )


def check_settings(null_model: str, pool: str, family: str, correction: str, alpha: float) -> None:
    """Refuse options of `significance` that it does not know.

    Raises
    ------
    SettingsError
    """
    _check_choice("null_model", null_model, NULL_MODELS)
    _check_choice("pool", pool, POOLS)
    _check_choice("family", family, LEVELS)
    _check_choice("correction", correction, CORRECTIONS)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha < 1:
        raise SettingsError(f"alpha={alpha!r}: pass a number between 0 and 1, such as 0.05")


def _check_choice(option: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        choices = ", ".join(map(repr, known))
        raise SettingsError(f"{option}={value!r} is not known; choose one of {choices}")


def _is_absolute(absolute: bool | None, observed: Cells, nulls: Cells) -> bool:
    """Whether the test is one-sided; refuses what would test absolute scores on two sides."""
    reduction = (observed.provenance or {}).get("reduction")
    if absolute is None:
        return reduction == "max_abs"
    if not absolute:
        if reduction == "max_abs":
            raise SettingsError(
                "absolute=False, but the scores are absolute (reduction 'max_abs'); leave it out"
            )
        return False
    for cells in (observed, nulls):
        if (cells.values[cells.tested] < 0).any():
            raise SettingsError(
                f"absolute=True, but the {cells.role} hold negative values; "
                "pass absolute scores or absolute=False"
            )
    return True


def _pools(observed: Cells, nulls: Cells, pool: str) -> dict[Hashable, tuple[Rows, Rows]]:
    """Rows of the scores and of the null for each pool that has a test."""
    if not nulls.tested.any():
        raise NullError(
            f"the null is empty: none of its {nulls.values.size} values is tested; "
            "make it with the sources, targets and window of the scores"
        )
    of_null = nulls.groups(pool, "pool")
    pools, empty = {}, []
    for key, rows in observed.groups(pool, "pool").items():
        if not observed.tested[rows].any():
            continue
        if key in of_null and nulls.tested[of_null[key]].any():
            pools[key] = rows, of_null[key]
        else:
            empty.append(key)
    if empty and pool == "target" and pools:
        lost = [observed.groups(pool, "pool")[key] for key in empty]
        untested = sum(int(observed.tested[own].sum()) for own in lost)
        for own in lost:
            observed.tested[own] = False
        warnings.warn(
            f"{untested} scores have a target and distance that the null never saw, such as "
            f"{empty[0]!r}: they are left untested; a larger null has more",
            stacklevel=3,
        )
    elif empty:
        raise NullError(
            f"pool={pool!r}: the null has no values for {len(empty)} of "
            f"{len(empty) + len(pools)} pools, the first {empty[0]!r}; make a null of the same "
            "sequences and tasks, or pool wider"
        )
    return pools


def _fit(
    values: np.ndarray, nulls: Cells, rows: Rows, absolute: bool, pool: str, key: Hashable
) -> GaussianNull:
    if values.min() == values.max():
        where = "" if pool == "global" else f" in pool {key!r}"
        raise NullError(
            f"null_model='gaussian': all {len(values)} null values{where} equal {values[0]:g}, "
            "so sd is 0; use null_model='empirical' or a null with spread"
        )
    return GaussianNull.fit(values, absolute, _halves(nulls, rows))


def _halves(nulls: Cells, rows: Rows) -> tuple[np.ndarray, np.ndarray] | None:
    """Split a pool's null values in two, as independent as they can be had; None for one value.

    Cells of a sequence depend on each other, so alternate sequences go to each half. Where that
    leaves a half empty alternate rows do (the shuffles of one sequence), or alternate values.
    """
    numbers = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
    if nulls.sequence is not None:
        parity = np.unique(nulls.sequence[numbers], return_inverse=True)[1] % 2
        halves = nulls.take(numbers[parity == 0]), nulls.take(numbers[parity == 1])
        if len(halves[0]) and len(halves[1]):
            return halves
    halves = nulls.take(numbers[::2]), nulls.take(numbers[1::2])
    if len(halves[0]) and len(halves[1]):
        return halves
    values = nulls.take(rows)
    return (values[::2], values[1::2]) if len(values) > 1 else None


def _decoy_family(
    q: np.ndarray,
    observed: Cells,
    rows: Rows,
    pool_of_row: np.ndarray,
    counted: list[EmpiricalNull],
) -> None:
    """Write q of one family; its rows may lie in one pool or be made up of several."""
    pieces = []
    for pool, numbers in grouped(pool_of_row[rows], within=rows).items():
        tested = observed.tested[numbers]
        if tested.any():  # rows without a tested cell have no pool
            distances = counted[pool].distance(observed.values[numbers][tested])
            pieces.append((numbers, tested, counted[pool], distances))
    found = decoy([(null, distances) for _, _, null, distances in pieces])
    for (numbers, tested, _, _), piece in zip(pieces, found, strict=True):
        _put(q, numbers, tested, piece)


def _put(target: np.ndarray, rows: Rows, tested: np.ndarray, values: np.ndarray) -> None:
    """Write values (one axis) to the tested cells of some rows."""
    block = target[rows]  # a view for a slice, a copy for row numbers
    block[tested] = values
    if not isinstance(rows, slice):
        target[rows] = block


def _shaper(scores: Any, observed: Cells) -> Any:
    if observed.form == "table":
        return lambda rows, name: pd.Series(rows[:, 0], index=scores.index, name=name)
    shape = np.shape(scores if observed.form == "array" else scores.fis)
    return lambda rows, _: rows.reshape(shape)

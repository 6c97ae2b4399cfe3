"""The page of one sequence, read from an interaction map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dfim_fast.errors import InputError
from dfim_fast.plot.sequence import plot_sequence
from dfim_fast.plot.style import BASES


def _of_task(array: Any, plain: int, task: int) -> Any:
    """One task of an array that has a leading task axis only where several tasks were asked for."""
    return array[task] if array.ndim > plain else array


def _significant(significance: Any, shape: tuple[int, ...], task: int, n: int) -> NDArray[np.bool_]:
    """Significant cells (S, 4, T) of one sequence, from either shape that `figure_for` takes."""
    given = getattr(significance, "significant", significance)
    given = given if hasattr(given, "shape") else np.asarray(given, dtype=bool)
    per_mutant = given.shape[-3:] == shape
    if not per_mutant and given.shape[-2:] != (shape[0], shape[2]):
        raise InputError(
            f"significance: found shape {given.shape}, wanted that of fis or of max_fis(); "
            "pass the significance of these maps"
        )
    cells = np.asarray(_of_task(given, 4 if per_mutant else 3, task)[n], dtype=bool)
    return cells if per_mutant else np.broadcast_to(cells[:, None], shape)


def _choose(
    fis: NDArray[np.float64],
    tested: NDArray[np.bool_],
    passed: NDArray[np.bool_] | None,
    sources: NDArray[np.int64],
    source: int | None,
    mutant: str | None,
) -> tuple[int, int, int]:
    """Row, mutant and column of the cell to point out, in (S, 4, T) arrays.

    That is the strongest of the heat map, which shows the largest mutant of each cell, so that the
    figure's letters and its map tell one story; among significant cells, if there are any.
    """
    allowed = tested.copy()
    if source is not None:
        allowed[sources != source] = False
        if not allowed.any():
            raise InputError(
                f"source: found {source}, wanted a tested source of these maps; see maps.sources"
            )
    if mutant is not None:
        allowed[:, [base != mutant for base in BASES[:4]]] = False
        if not allowed.any():
            raise InputError(
                f"mutant: found {mutant!r}, wanted a base of A, C, G, T that differs from the one "
                "at the source"
            )
    heat = np.where(allowed, fis, -np.inf).max(axis=1)
    if passed is not None and np.any(passed & allowed):
        allowed &= passed
    size = np.where(allowed.any(axis=1), np.abs(heat), -1.0)
    i, t = (int(index) for index in np.unravel_index(np.argmax(size), size.shape))
    return i, int(np.argmax(np.where(allowed[i, :, t], fis[i, :, t], -np.inf))), t


def figure_for(
    maps: Any,
    sequence_index: int | str,
    significance: Any = None,
    *,
    source: int | None = None,
    mutant: str | None = None,
    task: int | str = 0,
    view: Sequence[tuple[int, int]] | None = None,
    max_letters: int = 120,
) -> Figure:
    """Draw one sequence of an interaction map around its strongest interaction.

    Parameters
    ----------
    maps : InteractionMap
    sequence_index : int or str
        Index or name of the sequence.
    significance : object with ``significant``, or array_like of bool, optional
        What `significance` returned for these maps or for their `max_fis`: shaped like ``fis`` or
        without its axis of mutants. The strongest interaction is then looked for among
        significant cells, if there are any.
    source : int, optional
        Mutated position to show; by default that of the strongest cell of the heat map.
    mutant : str, optional
        Mutant base to show; by default the one that the heat map shows in that cell.
    task : int or str
        Where the maps hold several tasks.
    view, max_letters
        As in `plot_sequence`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        An unknown sequence, task, source or mutant, or a sequence without a tested cell.
    """
    names = [str(name) for name in maps.names]
    n = names.index(sequence_index) if sequence_index in names else sequence_index
    if isinstance(n, str) or not 0 <= n < len(names):
        raise InputError(
            f"sequence: found {sequence_index!r}, wanted a name or an index 0..{len(names) - 1}; "
            "see maps.names"
        )
    tasks = [str(name) for name in maps.task_names]
    k = tasks.index(task) if task in tasks else task
    if isinstance(k, str):
        raise InputError(f"task: found {task!r}, wanted one of {', '.join(tasks)} or an index")
    fis = np.asarray(_of_task(maps.fis, 4, k)[n], dtype=np.float64)
    tested = np.asarray(_of_task(maps.mask, 4, k)[n], dtype=bool)
    if not tested.any():
        raise InputError(
            f"sequence {names[n]}: found no tested cell, wanted at least one to draw; choose "
            "sources and targets without N and within reach of each other"
        )
    passed = None if significance is None else _significant(significance, fis.shape, k, n)
    heat = np.where(tested, fis, -np.inf).max(axis=1)
    known = tested.any(axis=1)
    sources = np.asarray(maps.sources, dtype=np.int64)
    i, g, t = _choose(fis, tested, passed, sources, source, mutant)
    s = int(sources[i])

    codes = np.asarray(maps.sequences[n], dtype=np.int8)
    targets = np.asarray(maps.targets, dtype=np.int64)
    at = targets if targets.ndim == 1 else targets[i]
    valid = at >= 0
    lost = np.full(codes.size, np.nan)
    lost[at[valid]] = fis[i, g, valid]
    original = np.asarray(_of_task(maps.attributions, 2, k)[n], dtype=np.float64)
    after = original - lost
    after[s] = original[s] - float(_of_task(maps.self_effect, 3, k)[n, i, g])
    untested = np.zeros(codes.size, dtype=bool)
    untested[at[valid]] = ~tested[i, g, valid]
    lost[untested] = np.nan
    chosen = None
    if passed is not None:
        chosen = np.zeros(codes.size, dtype=bool)
        chosen[at[valid]] = (passed[i, g] & tested[i, g])[valid]
    mutant_codes = codes.copy()
    mutant_codes[s] = g
    return plot_sequence(
        codes,
        original,
        after,
        mutant_codes,
        lost,
        s,
        np.where(known, heat, np.nan),
        sources,
        targets,
        mask=known,
        significant=chosen,
        target=int(at[t]) if fis[i, g, t] else None,
        name=names[n] if len(tasks) < 2 else f"{names[n]}, {tasks[k]}",
        prediction=float(_of_task(maps.predictions, 1, k)[n]),
        mutant_prediction=float(_of_task(maps.mutant_predictions, 3, k)[n, i, g]),
        view=view,
        max_letters=max_letters,
    )

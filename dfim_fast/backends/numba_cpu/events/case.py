"""What compiled walks are given, and where their results go."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

TIMES_INPUT, CENTRED, PROJECTED, OBSERVED = 0, 1, 2, 3  # how importance is read


class Case(NamedTuple):
    """One sequence, its references and how its importance is read.

    Attributes
    ----------
    references, reference_winners, quotients : ndarray (R,) int64
        Addresses of the references' blobs; one entry that is not read for gradients.
    bases : ndarray (R, L, 4)
        The references themselves.
    reading : ndarray (R, L, 4)
        What multipliers are dotted with to give the original's importance.
    how : int
        TIMES_INPUT, CENTRED, PROJECTED or OBSERVED.
    group : ndarray (R,) int64
        Group of each reference.
    share : ndarray (R,) float32
        One over the size of its group.
    weight : ndarray (G,) float32
        Share of each group in the mean.
    original : ndarray (K, G, L)
        Importance of the original.
    mean : ndarray (K, L in whole vectors)
        Its mean over the groups.
    balanced : bool
        Whether to add up what a mutant changes in sum C and sum |C|: all positions are targets.
    """

    references: np.ndarray
    reference_winners: np.ndarray
    quotients: np.ndarray
    bases: np.ndarray
    reading: np.ndarray
    how: int
    group: np.ndarray
    share: np.ndarray
    weight: np.ndarray
    original: np.ndarray
    mean: np.ndarray
    balanced: bool


class Mutated(NamedTuple):
    """Spans of the sequence, what stands there instead, and each mutant's row in the results."""

    start: np.ndarray
    width: np.ndarray
    columns: np.ndarray
    place: np.ndarray


class Upstream(NamedTuple):
    """What arrives in the original's trunk, for every task and reference; all (K, R) int64.

    Attributes
    ----------
    rows, values, known, scale, lanes : see ``arriving``; addresses, and a number.
    coefficients : address of (M, lanes) floats, read where ``kind`` is DOT.
    kind : int
    """

    rows: np.ndarray
    values: np.ndarray
    known: np.ndarray
    scale: np.ndarray
    lanes: np.ndarray
    coefficients: np.ndarray
    kind: int


class Part(NamedTuple):
    """Which mutants, tasks and references a call handles; each from .. to (not included).

    Attributes
    ----------
    close : bool
        Whether the references end here, so that rows can be written.
    tile : int
        First mutant of the tile whose own gradients lie in lanes.
    """

    mutant: int
    last_mutant: int
    task: int
    last_task: int
    reference: int
    last_reference: int
    close: bool
    tile: int


class Found(NamedTuple):
    """Results, see ``program.Rows``; and the changes of sum C and sum |C|, (K, M) float64.

    Attributes
    ----------
    fis, spread : ndarray (K,) int64
        Addresses of each task's rows, ``targets`` floats long.
    targets : int
    """

    fis: np.ndarray
    spread: np.ndarray
    targets: int
    self_effect: np.ndarray
    score: np.ndarray
    balance: np.ndarray
    size: np.ndarray

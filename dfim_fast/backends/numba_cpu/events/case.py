"""What compiled walks are given, and where their results go.

Compiled functions take each of these as the address of a header: its numbers, and the addresses of
its arrays, in the order of the fields. Below every class stand the places of its fields.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dfim_fast.backends.numba_cpu.events import fields as f
from dfim_fast.ops.base import Array

TIMES_INPUT, CENTRED, PROJECTED, OBSERVED = 0, 1, 2, 3  # how importance is read


class Laid:
    """Fields laid out as a header.

    Attributes
    ----------
    address : int
        Of the header, which lives as long as this.
    """

    def __post_init__(self) -> None:
        values = list(vars(self).values())
        assert all(v.flags.c_contiguous for v in values if isinstance(v, np.ndarray))
        self.header = np.array(
            [v.ctypes.data if isinstance(v, np.ndarray) else v for v in values], np.int64
        )
        self.address = int(self.header.ctypes.data)


@dataclass
class Case(Laid):
    """One sequence, its references and how its importance is read.

    Attributes
    ----------
    references, reference_winners, quotients : ndarray (R,) int64
        Addresses of the references' blobs; one entry that is not read for gradients.
    bases : ndarray (R, L, 4) float32
        The references themselves.
    reading : ndarray (R, L, 4) float32
        What multipliers are dotted with to give the original's importance.
    length, count, groups : int
        L, R and G.
    how : int
        TIMES_INPUT, CENTRED, PROJECTED or OBSERVED.
    group : ndarray (R,) int64
        Group of each reference.
    share : ndarray (R,) float32
        One over the size of its group.
    weight : ndarray (G,) float32
        Share of each group in the mean.
    original : ndarray (K, G, L) float32
        Importance of the original.
    mean : ndarray (K, L in whole vectors) float32
        Its mean over the groups.
    balanced : bool
        Whether to add up what a mutant changes in sum C and sum |C|: all positions are targets.
    targets : ndarray (M or 1, W) int32
        Positions that are wanted, -1 for none.
    target_rows, target_width : int
        Its shape; (0, 0) for all positions.
    """

    references: Array
    reference_winners: Array
    quotients: Array
    bases: Array
    reading: Array
    length: int
    count: int
    groups: int
    how: int
    group: Array
    share: Array
    weight: Array
    original: Array
    mean: Array
    balanced: bool
    targets: Array
    target_rows: int
    target_width: int

    def face(self, header: Array, r: int) -> None:
        """Point the header of a thread's memory at reference r."""
        header[f.REFERENCE] = self.references[r]
        header[f.REFERENCE_WINNERS] = self.reference_winners[r]
        header[f.QUOTIENTS] = self.quotients[r]


REFERENCES, REFERENCE_WINNERS, QUOTIENTS, BASES, READING, LENGTH, COUNT, GROUPS, HOW = range(9)
GROUP, SHARE, WEIGHT, ORIGINAL, MEAN, BALANCED, TARGETS, TARGET_ROWS, TARGET_WIDTH = range(9, 18)


@dataclass
class Mutated(Laid):
    """Spans of the sequence, what stands there instead, and each mutant's row in the results.

    Attributes
    ----------
    start, width, place : ndarray (M,) int64
    columns : ndarray (M, widest, 4) float32
    widest : int
    """

    start: Array
    width: Array
    columns: Array
    place: Array
    widest: int


START, WIDTH, COLUMNS, PLACE, WIDEST = range(5)


@dataclass
class Upstream(Laid):
    """What arrives in the original's trunk, for every task and reference; all (K, R) int64.

    Attributes
    ----------
    rows, values, known, scale, lanes : see ``arriving``; addresses, and a number.
    coefficients : address of (M, lanes) floats, read where ``kind`` is DOT.
    kind : int
    linear : bool
        Whether the head is.
    tops : ndarray (K,) int64
        Addresses of what arrives from a linear head.
    """

    rows: Array
    values: Array
    known: Array
    scale: Array
    lanes: Array
    coefficients: Array
    kind: int
    linear: bool
    tops: Array


ROWS, VALUES, KNOWN, SCALE, LANES, COEFFICIENTS, KIND, LINEAR, TOPS = range(9)


@dataclass
class Part(Laid):
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


MUTANT, LAST_MUTANT, TASK, LAST_TASK, REFERENCE, LAST_REFERENCE, CLOSE, TILE = range(8)


@dataclass
class Sums(Laid):
    """Importance that a walk adds to.

    Attributes
    ----------
    far : ndarray (K, G, M, L in whole vectors) float32, or (1, G, group, same)
        What the changed head moves far and wide, to which the walk adds; or, for linear heads,
        scratch that is zero before and after.
    own : ndarray (K, M, G, widest) float32, or (1, group, G, widest)
        The source's own importance; likewise.
    mutants, pitch : int
        The last two numbers of the shape of ``far``.
    """

    far: Array
    own: Array
    mutants: int
    pitch: int


FAR, OWN, MUTANTS, PITCH = range(4)


@dataclass
class Found(Laid):
    """Results, see ``rows.Rows``; and the changes of sum C and sum |C|, (K, places) float64.

    Attributes
    ----------
    fis, spread : ndarray (K,) int64
        Addresses of each task's rows, ``row`` floats long.
    row, places : int
    """

    fis: Array
    spread: Array
    row: int
    places: int
    self_effect: Array
    score: Array
    balance: Array
    size: Array


FIS, SPREAD, ROW, PLACES, SELF_EFFECT, SCORE, BALANCE, SIZE = range(8)

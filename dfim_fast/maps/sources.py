"""What a source span is changed to (SEMANTICS: motif-resolution FIS)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfim_fast.errors import InputError, SettingsError
from dfim_fast.maps.features import Features
from dfim_fast.plan.planner import choose, whole_number
from dfim_fast.sequence.one_hot import UNKNOWN, encode
from dfim_fast.sequence.random import STREAM_WORDS, bounded, content_keys, start_stream
from dfim_fast.sequence.references import check_gc

RULES = ("background", "zeros", "shuffle", "nucleotide", "replacement")
BASES = "ACGT"


@dataclass(frozen=True, eq=False)
class Sources:
    """S source spans, by sequence.

    Attributes
    ----------
    row, start, end : ndarray (S,) int
    parent : ndarray (S,) int
        The feature that a source is, or stands for.
    columns : list of ndarray (k, width, 4)
        What stands there instead; k versions, over which scores are averaged.
    mutant : list of str, or None
        The new base, where a source is a single position.
    """

    row: np.ndarray
    start: np.ndarray
    end: np.ndarray
    parent: np.ndarray
    columns: list[np.ndarray]
    mutant: list[str] | None = None


class Rule:
    """How a span is changed.

    Parameters
    ----------
    source : str or array
        One of RULES, a DNA string, or columns (4, width) or (4,) in A, C, G, T.
    gc : float
        Of "background".
    n_shuffles : int
        Of "shuffle".
    random_state : int
        Likewise.

    Attributes
    ----------
    name : str
        For the provenance: equal for equal rules.

    Raises
    ------
    SettingsError
        For an unknown rule or a count or GC content that is none.
    InputError
        For an array of another shape.
    """

    def __init__(self, source: Any, gc: float, n_shuffles: int, random_state: int) -> None:
        self.own: np.ndarray | None = None
        self.n_shuffles, self.random_state = n_shuffles, random_state
        if isinstance(source, str) and source in RULES:
            self.kind = self.name = source
        elif isinstance(source, str) and source and not set(source.upper()) - set(BASES):
            self.kind, self.own = "own", letters(source)
            self.name = source.upper()
        elif isinstance(source, str):
            choose("source", source, (*RULES, "a DNA string", "an array (4, width)"))
        else:
            self.kind, self.own = "own", _columns(source)
            self.name = " ".join(f"{v:.6g}" for v in self.own.ravel())
        if self.kind == "background":
            check_gc(gc)
            self.own = np.array([[1 - gc, gc, gc, 1 - gc]], np.float32) / 2
            self.name = f"background, gc {gc:g}"
        if self.kind == "zeros":
            self.own = np.zeros((1, 4), np.float32)
        if self.kind == "shuffle":
            whole_number("n_shuffles", n_shuffles, 1)
            self.name = f"shuffle, {n_shuffles}"

    def sources(self, features: Features, which: np.ndarray, codes: np.ndarray) -> Sources:
        """Make sources of some features of sequences (N, L)."""
        if self.kind == "nucleotide":
            return self._nucleotides(features, which, codes)
        if self.kind == "replacement":
            if features.replacement is None:
                raise InputError(
                    "source='replacement': the features have no column 'replacement'; add one with "
                    "a DNA string as long as the feature, empty where it is a target only"
                )
            which = which[features.replacement[which] != ""]
        return Sources(
            features.row[which],
            features.start[which],
            features.end[which],
            which,
            [
                self.columns(codes[features.row[i], features.start[i] : features.end[i]],
                             features, int(i))
                for i in which
            ],
        )  # fmt: skip

    def columns(self, codes: np.ndarray, features: Features, i: int) -> np.ndarray:
        """What stands in a span (w,) of feature i, or in its place: (k, w, 4), zero at N."""
        if self.kind == "shuffle":
            return self._shuffled(codes)
        new = self.own
        if self.kind == "replacement":
            assert features.replacement is not None
            text = str(features.replacement[i])
            if set(text.upper()) - set(BASES):
                raise InputError(
                    f"features: {features.name[i]!r} has the replacement {text!r}; wanted letters "
                    "A, C, G, T"
                )
            new = letters(text)
        assert new is not None
        if len(new) not in (1, len(codes)) or (self.kind == "replacement" and len(new) == 1):
            if len(new) != len(codes):
                raise InputError(
                    f"source: {features.name[i]!r} is {len(codes)} bases wide, its replacement "
                    f"{len(new)}; they have to be equally wide"
                )
        return np.where((codes == UNKNOWN)[:, None], np.float32(0), new)[None]

    def _nucleotides(self, features: Features, which: np.ndarray, codes: np.ndarray) -> Sources:
        """Every single-nucleotide change of every position of the features (Eq. 2)."""
        found = [
            (features.row[i], p, i, base)
            for i in which
            for p in range(features.start[i], features.end[i])
            for base in range(4)
            if codes[features.row[i], p] not in (base, UNKNOWN)
        ]
        row, start, parent, base = np.array(found, np.int64).reshape(-1, 4).T
        one = np.eye(4, dtype=np.float32)
        return Sources(
            row, start, start + 1, parent, [one[b][None, None] for b in base],
            [BASES[b] for b in base],
        )  # fmt: skip

    def _shuffled(self, codes: np.ndarray) -> np.ndarray:
        """The span's bases in other orders, drawn uniformly; N stays in place."""
        (known,) = np.nonzero(codes != UNKNOWN)
        one = np.eye(5, 4, dtype=np.float32)
        found = []
        for k in range(self.n_shuffles):
            shuffled = codes.copy()
            order = known.copy()
            draw = draws(self.random_state, "span", codes, k)
            for last in range(len(order) - 1, 0, -1):
                other = draw(last + 1)
                order[last], order[other] = order[other], order[last]
            shuffled[known] = codes[order]
            found.append(one[shuffled])
        return np.stack(found)


def draws(random_state: int, purpose: str, content: np.ndarray, k: int) -> Any:
    """A function that gives whole numbers below its argument; the same ones for equal arguments."""
    (key,) = content_keys(random_state, purpose, [np.ascontiguousarray(content).tobytes()])
    stream = np.empty(STREAM_WORDS, np.uint32)
    start_stream(stream, key, np.uint64(k))
    return lambda n: int(bounded(stream, n))


def letters(text: str) -> np.ndarray:
    """Columns (w, 4) of a DNA string."""
    return np.eye(5, 4, dtype=np.float32)[encode([text])[0]]


def _columns(source: Any) -> np.ndarray:
    """The caller's own columns, (w, 4)."""
    try:
        array = np.asarray(source, np.float32)
    except (ValueError, TypeError):
        array = np.empty(0, np.float32)
    if array.ndim == 1 and len(array) == 4:
        array = array[:, None]
    if array.ndim != 2 or len(array) != 4 or not array.shape[1] or not np.isfinite(array).all():
        raise InputError(
            f"source has shape {np.shape(source)}; wanted columns (4, width), or (4,) for any "
            f"width, of finite numbers in the order A, C, G, T, or one of {', '.join(RULES)}"
        )
    return np.ascontiguousarray(array.T)


def check_names(option: str, wanted: Any, features: Features) -> np.ndarray:
    """Indices of the features with certain names; of all for None.

    Raises
    ------
    SettingsError
        For a name that no feature has.
    """
    if wanted is None:
        return np.arange(len(features))
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    known = set(features.name)
    for name in names:
        if name not in known:
            raise SettingsError(
                f"{option}: no feature is named {name!r}; there are {', '.join(sorted(known)[:8])}"
            )
    return np.flatnonzero(np.isin(features.name.astype(str), names))

"""Interaction maps, and what they mean, in one self-describing Zarr (v3) group.

Arrays carry the names of their dimensions and a line on what they hold; the group's attributes say
which model, settings and versions made them. Any Zarr reader opens it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import zarr

from dfim_fast.errors import OutputError
from dfim_fast.maps.interaction import InteractionMap

FORMAT = "dfim_fast.maps"
FORMAT_VERSION = 1

CHUNK_BYTES = 1 << 20  # of the largest array: sequences are put together until a chunk is this big
MAX_CHUNK = 64  # sequences

_CELLS = ("sequence", "source", "mutant", "target")
# name -> (dimensions after the task axis, what it holds)
ARRAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "fis": (
        _CELLS,
        "interaction score: importance the target lost when the source became the "
        "mutant base (A, C, G, T), original minus mutant",
    ),
    "standard_error": (_CELLS, "of fis, over groups of references"),
    "fold_spread": (_CELLS, "standard deviation of fis over folds"),
    "sign_agreement": (_CELLS, "share of the folds whose score has the sign of fis, their mean"),
    "mask": (_CELLS, "true where a cell is tested: no empty slot, diagonal, N or unreachable cell"),
    "p": (_CELLS, "p-value of fis under the null; NaN where not tested"),
    "q": (_CELLS, "p-value corrected for many tests, or decoy false-discovery rate"),
    "significant": (_CELLS, "q <= alpha"),
    "self_effect": (_CELLS[:3], "importance the mutated position itself lost"),
    "mutant_predictions": (_CELLS[:3], "score of each mutant; of the original in its own slot"),
    "attributions": (("sequence", "position"), "importance of the original's observed bases"),
    "predictions": (("sequence",), "score of the original"),
    "reference_predictions": (("sequence",), "mean score of its references"),
}
COMMON: dict[str, tuple[tuple[str, ...], str]] = {
    "sequences": (("sequence", "position"), "bases: 0 to 3 for A, C, G, T, 4 for N"),
    "names": (("sequence",), "names of the sequences"),
    "sources": (("source",), "mutated positions, 0-based"),
    "targets": (("target",), "positions whose importance is read, 0-based"),
}
_OF_MAPS = (
    "fis",
    "standard_error",
    "fold_spread",
    "sign_agreement",
    "self_effect",
    "mutant_predictions",
    "attributions",
    "predictions",
    "reference_predictions",
)
_TYPES: dict[str, Any] = {"mask": bool, "significant": bool, "p": np.float64, "q": np.float64}


class MapStore:
    """A Zarr group of interaction maps, read and written a block of sequences at a time.

    Attributes
    ----------
    group : zarr.Group
    block : int
        Sequences in a chunk of every array that has them; blocks of this size are read and written
        at no extra cost.
    """

    def __init__(self, group: zarr.Group) -> None:
        self.group = group
        fis = self._array("fis")
        self.several = fis.ndim == len(_CELLS) + 1
        self.block: int = fis.chunks[self._axis("fis")]

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        first: InteractionMap,
        names: list[str],
        sequences: np.ndarray,
    ) -> MapStore:
        """Make the arrays for N sequences, empty.

        Parameters
        ----------
        path : path
            Must not exist.
        first : InteractionMap
            Of some of the sequences: shapes, types and positions of all.
        names : list of str, (N,)
        sequences : ndarray, (N, L) int8

        Raises
        ------
        OSError
            If it cannot be written.
        """
        group = zarr.open_group(os.fspath(path), mode="w-", zarr_format=3)
        n = len(names)
        block = block_size(np.asarray(first.fis).nbytes // len(first.names), n)
        for name, (dimensions, text) in ARRAYS.items():
            like = first.fis if name in _TYPES else getattr(first, name)
            if like is None:
                continue
            axis = 1 if first.several else 0
            shape = (*like.shape[:axis], n, *like.shape[axis + 1 :])
            group.create_array(
                name, shape=shape, dtype=_TYPES.get(name, like.dtype),
                chunks=tuple(block if i == axis else max(size, 1) for i, size in enumerate(shape)),
                fill_value=np.nan if name in ("p", "q") else 0,
                dimension_names=("task", *dimensions) if first.several else dimensions,
                attributes={"description": text},
            )  # fmt: skip
        windowed = first.window is not None
        texts = np.array(names, dtype=np.dtypes.StringDType())
        for name, data in {
            "sequences": sequences,
            "names": texts,
            "sources": first.sources,
            "targets": first.targets,
        }.items():
            dimensions, text = COMMON[name]
            if name == "targets" and windowed:
                dimensions, text = ("source", "target"), text + "; -1 off the end or not asked for"
            group.create_array(
                name, data=data, dimension_names=dimensions, attributes={"description": text}
            )
        return cls(group)

    @classmethod
    def open(cls, path: str | os.PathLike[str], mode: str = "r") -> MapStore:
        """Open a store.

        Raises
        ------
        OutputError
            If there is none, or it was made by a version with another layout.
        """
        found: Mapping[str, Any] = {}
        group: Any = None
        if Path(path).is_dir():
            try:
                group = zarr.open_group(os.fspath(path), mode=mode)  # type: ignore[arg-type]
                found = group.attrs.asdict()
            except (ValueError, OSError, KeyError):
                group = None
        if group is None or found.get("format") != FORMAT:
            raise OutputError(
                f"{path}: is no store of interaction maps; wanted maps.zarr of a "
                "folder that dfim-fast map made"
            )
        if found.get("format_version") != FORMAT_VERSION:
            raise OutputError(
                f"{path}: has layout version {found.get('format_version')}, wanted "
                f"{FORMAT_VERSION}; make the maps again with this version of dfim_fast"
            )
        return cls(group)

    @property
    def attributes(self) -> dict[str, Any]:
        """Model, settings, versions, null and diagnostics."""
        return self.group.attrs.asdict()

    @property
    def names(self) -> list[str]:
        """Names of the N sequences."""
        return [str(name) for name in self._array("names")[:]]

    @property
    def tasks(self) -> int:
        """Tasks K."""
        return self._array("fis").shape[0] if self.several else 1

    def __len__(self) -> int:
        """Sequences N."""
        return self._array("sequences").shape[0]

    def __contains__(self, name: str) -> bool:
        """Whether it holds an array of that name."""
        return name in self.group

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Write the attributes; tuples, arrays and NumPy scalars become JSON."""
        self.group.update_attributes(
            {"format": FORMAT, "format_version": FORMAT_VERSION, **_json(attributes)}
        )

    def blocks(self) -> Iterator[slice]:
        """Cut the sequences into blocks."""
        for first in range(0, len(self), self.block):
            yield slice(first, min(first + self.block, len(self)))

    def read(self, name: str, part: slice) -> np.ndarray:
        """Some sequences of an array, the task axis first: (K, n, ...)."""
        values = np.asarray(self._array(name)[self._place(name, part)])
        return values if self.several else values[None]

    def write(self, name: str, part: slice, values: np.ndarray) -> None:
        """Write some sequences of an array (K, n, ...)."""
        self._array(name)[self._place(name, part)] = values if self.several else values[0]

    def write_maps(self, part: slice, maps: InteractionMap) -> None:
        """Write the maps of some sequences."""
        for name in (*_OF_MAPS, "mask"):
            if name in self:
                self._array(name)[self._place(name, part)] = np.asarray(getattr(maps, name))

    def as_maps(self, first: InteractionMap, delta: float | None) -> InteractionMap:
        """All N sequences as an InteractionMap whose arrays are read when they are asked for.

        Parameters
        ----------
        first : InteractionMap
            What is the same for all: plan, positions, settings.
        delta : float or None
            Largest summation-to-delta error.
        """
        lazy = {name: self._array(name) for name in _OF_MAPS if name in self}
        lazy["predictions"] = lazy["predictions"][:]
        return replace(
            first,
            **lazy,
            names=self.names,
            sequences=self._array("sequences")[:],
            summation_to_delta=delta,
        )

    def sequence(self, n: int) -> SimpleNamespace:
        """One sequence in memory, with the attributes that figures read, N = 1.

        ``significant`` too, where it was written, shaped like ``fis``.
        """
        part = slice(n, n + 1)
        found = {
            name: np.asarray(self._array(name)[self._place(name, part)])
            for name in ARRAYS
            if name in self
        }
        attributes = self.attributes
        return SimpleNamespace(
            **found,
            names=[str(self._array("names")[n])],
            sources=self._array("sources")[:],
            targets=self._array("targets")[:],
            sequences=self._array("sequences")[part],
            task_names=attributes["task_names"],
            window=attributes["settings"]["window"],
        )

    def _array(self, name: str) -> Any:
        return self.group[name]

    def _axis(self, name: str) -> int:
        return 1 if self.several and name in ARRAYS else 0

    def _place(self, name: str, part: slice) -> tuple[slice, ...]:
        return (slice(None),) * self._axis(name) + (part,)


def block_size(row: int, n: int) -> int:
    """Sequences in a block, where the fis of one take ``row`` bytes and there are ``n``."""
    return int(np.clip(CHUNK_BYTES // max(row, 1), 1, min(MAX_CHUNK, n)))


def _json(value: Any) -> Any:
    """The same in types that JSON has."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value

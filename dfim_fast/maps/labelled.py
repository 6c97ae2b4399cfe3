"""Interaction maps with names on their axes: by position, as a table, as xarray, in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from dfim_fast.errors import InputError, SettingsError

if TYPE_CHECKING:
    import pandas as pd

BASES = np.array(list("ACGTN"))
SHOWN = 5  # interactions in the HTML of a map
_CELLS = ("sequence", "source", "mutant", "target")
_OF_CELLS = ("standard_error", "fold_spread", "sign_agreement")


class Labelled:
    """What an `InteractionMap` offers beside its arrays."""

    fis: Any
    window: int | None
    sources: np.ndarray
    targets: np.ndarray
    names: list[str]
    task_names: list[str]
    sequences: np.ndarray
    several: bool
    model_hash: str
    kind: str
    settings: dict[str, Any]

    @property
    def target_table(self) -> np.ndarray:
        """Target positions (S, T) of each source, -1 for none."""
        raise NotImplementedError

    def sequence_mask(self, n: int) -> np.ndarray:
        """The mask of sequence n: (S, 4, T), or (K, S, 4, T) with several tasks."""
        raise NotImplementedError

    def sel(
        self,
        *,
        sequence: int | str | Sequence[int | str] | None = None,
        source: int | Sequence[int] | None = None,
        mutant: str | Sequence[str] | None = None,
        target: int | Sequence[int] | None = None,
        task: int | str | Sequence[int | str] | None = None,
    ) -> np.ndarray:
        """FIS by name and position; one label drops its axis, a list keeps it.

        Parameters
        ----------
        sequence : str or int, or several, optional
            Names, or indices.
        source, target : int, or several, optional
            Positions, from 0; with ``window`` targets are offsets from the source.
        mutant : str, or several, optional
            Of A, C, G, T.
        task : str or int, or several, optional
            Only where the maps hold several.

        Returns
        -------
        ndarray

        Raises
        ------
        InputError
            For what is not there.
        SettingsError
            For a task where the maps have no such axis.

        Examples
        --------
        >>> import dfim_fast
        >>> from importlib.resources import files
        >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
        >>> maps = dfim_fast.interaction_map(
        ...     model, ["ACGTT" * 40], method="gradient", sources=[90, 91], progress=False
        ... )
        >>> maps.sel(sequence=0, source=91, mutant="A").shape
        (200,)
        """
        wanted: dict[str, Any] = {
            "task": task, "sequence": sequence, "source": source, "mutant": mutant,
            "target": target,
        }  # fmt: skip
        labels = self._labels()
        if task is not None and "task" not in labels:
            raise SettingsError(
                "task=: these maps hold one task and have no such axis; leave it out"
            )
        values, dropped = self.fis, []
        for axis, (name, own) in enumerate(labels.items()):
            given = wanted[name]
            if given is None:
                continue
            single = isinstance(given, str) or np.ndim(given) == 0
            found = [_place(name, own, label) for label in ([given] if single else given)]
            values = np.take(np.asarray(values), found, axis=axis)
            dropped += [axis] * single
        return np.squeeze(np.asarray(values), axis=tuple(dropped))

    def to_dataframe(self, minimum: float = 0.0) -> pd.DataFrame:
        """Tested cells as a table, a row each.

        Parameters
        ----------
        minimum : float
            Leave out smaller |fis|: a kilobase has three million cells.

        Returns
        -------
        DataFrame
            sequence, source, source_base, mutant, target, target_base, distance, task, fis, and
            where there are any standard_error, fold_spread and sign_agreement; in the order of the
            arrays.

        Raises
        ------
        SettingsError
        """
        import pandas as pd

        if not minimum >= 0:
            raise SettingsError(f"minimum={minimum}: pass a size of |fis| from 0")
        tasks, sequences = range(len(self.task_names)), range(len(self.names))
        parts = [self._rows(n, k, minimum) for k in tasks for n in sequences]
        return pd.concat(parts, ignore_index=True)

    def to_xarray(self) -> Any:
        """All arrays as an xarray Dataset: dimensions sequence, source, mutant, target.

        Positions, names and bases are coordinates; with ``window`` the coordinate ``target`` is
        the offset and ``target_position`` the position. Several tasks are a dimension ``task``.

        Returns
        -------
        xarray.Dataset

        Raises
        ------
        SettingsError
            Without the package xarray.
        """
        try:
            import xarray
        except ImportError:
            raise SettingsError(
                "to_xarray needs the package xarray; install it: pip install 'dfim_fast[xarray]'"
            ) from None
        lead = ("task",) if self.several else ()
        dimensions = {
            **dict.fromkeys(("fis", "mask", *_OF_CELLS), _CELLS),
            **dict.fromkeys(("self_effect", "mutant_predictions"), _CELLS[:3]),
            "attributions": ("sequence", "position"),
            "predictions": ("sequence",),
        }
        variables = {
            name: ((*lead, *own), np.asarray(getattr(self, name)))
            for name, own in dimensions.items()
            if getattr(self, name) is not None
        }
        variables["bases"] = (("sequence", "position"), BASES[self.sequences])
        coordinates: dict[str, Any] = dict(self._labels())
        coordinates["position"] = np.arange(self.sequences.shape[1])
        if self.window is not None:
            coordinates["target_position"] = (("source", "target"), self.targets)
        about = {"method": self.settings["method"], "model_hash": self.model_hash,
                 "kind": self.kind}  # fmt: skip
        return xarray.Dataset(variables, coordinates, about)

    def _repr_html_(self) -> str:
        """What the maps are, and the strongest interactions of the first sequences."""
        best = []
        for k in range(len(self.task_names)):
            for n in range(min(len(self.names), SHOWN)):
                tested, fis = self._cells(n, k)
                largest = float(np.abs(fis, where=tested, out=np.zeros_like(fis)).max())
                if largest > 0:
                    best.append((largest, self._rows(n, k, largest).iloc[0]))
        best.sort(key=lambda found: -found[0])
        head = ["sequence", "mutant", "target", "FIS", "task"]
        rows = [
            [row["sequence"], f"{row['source_base']}{row['source']}{row['mutant']}",
             f"{row['target_base']}{row['target']}", f"{row['fis']:.3g}", row["task"]]
            for _, row in best[:SHOWN]
        ]  # fmt: skip
        return table_html(repr(self), head, rows, "the strongest interaction of a sequence, of the "
                          "first few")  # fmt: skip

    def _labels(self) -> dict[str, Sequence[Any]]:
        """Labels of each axis of ``fis``, in order; targets are offsets where there is a window."""
        window = self.window
        targets = self.targets.tolist() if window is None else list(range(-window, window + 1))
        return {
            **({"task": self.task_names} if self.several else {}),
            "sequence": self.names,
            "source": self.sources.tolist(),
            "mutant": list("ACGT"),
            "target": targets,
        }

    def _cells(self, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Mask and FIS (S, 4, T) of one sequence and task."""
        mask = self.sequence_mask(n)
        at = (k, n) if self.several else (n,)
        return mask[k] if self.several else mask, np.asarray(self.fis[at])

    def _rows(self, n: int, k: int, minimum: float) -> pd.DataFrame:
        """Tested cells of one sequence and task."""
        import pandas as pd

        mask, fis = self._cells(n, k)
        i, g, j = np.nonzero(mask & (np.abs(fis) >= minimum))
        source, target = self.sources[i], self.target_table[i, j]
        codes = self.sequences[n]
        columns: dict[str, Any] = {
            "sequence": self.names[n],
            "source": source,
            "source_base": BASES[codes[source]],
            "mutant": BASES[g],
            "target": target,
            "target_base": BASES[codes[target]],
            "distance": np.abs(target - source),
            "task": self.task_names[k],
            "fis": fis[i, g, j],
        }
        at = (k, n) if self.several else (n,)
        for name in _OF_CELLS:
            array = getattr(self, name)
            if array is not None:
                columns[name] = np.asarray(array[at])[i, g, j]
        return pd.DataFrame(columns)


def _place(name: str, labels: Sequence[Any], label: Any) -> int:
    """Index of a label; sequences and tasks may be numbered, too."""
    if label in labels:
        return list(labels).index(label)
    numbered = name in ("sequence", "task") and isinstance(label, int | np.integer)
    if numbered and 0 <= label < len(labels):
        return int(label)
    shown = ", ".join(map(str, labels[:4])) + (", ..." if len(labels) > 4 else "")
    raise InputError(f"{name}: found {label!r}, wanted one of {shown} ({len(labels)} in all)")


def table_html(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str) -> str:
    """A heading and a table as HTML; texts are escaped."""
    line = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return (
        f"<div><strong>{escape(title)}</strong><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{line}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def lines_html(text: str) -> str:
    """Lines of text as HTML, escaped."""
    return f"<pre>{escape(text)}</pre>"

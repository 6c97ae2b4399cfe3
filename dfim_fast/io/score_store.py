"""The folder of a long run: parts come and stay, whatever happens; the results appear at the end.

``settings.json`` says what the run is, ``parts`` holds finished pieces until ``results`` appears,
complete, and ``log`` what depends on the day and the machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dfim_fast.errors import OutputError
from dfim_fast.io.output import Advice, force, force_all, locked, new_file, writing

FORMAT, FORMAT_VERSION = "dfim_fast.score", 1
SETTINGS, LOCK, PARTS, RESULTS, LOG = "settings.json", "lock", "parts", "results", "log"
_HIDDEN = ".*.partial*"
_PART = re.compile(r"(\d{9})-(\d{9})\.npz")
_SHOWN = 60  # characters of a setting in a message
_ADVICE = Advice(
    "what was finished is kept",
    "free some space and go on with --resume",
    "check the folder and go on with --resume",
)


class ScoreStore:
    """A folder that one run at a time writes into.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    @property
    def results(self) -> Path:
        """Where results appear when all is done."""
        return self.path / RESULTS

    @property
    def finished(self) -> bool:
        """Whether they have."""
        return self.results.is_dir()

    @contextmanager
    def open(self, settings: Mapping[str, Any], resume: bool) -> Iterator[None]:
        """Hold the store, new or one that was begun with the same settings.

        Parameters
        ----------
        settings : mapping
            All that the results depend on, JSON types.
        resume : bool
            Go on with what is there; without it, something there is refused.

        Raises
        ------
        OutputError
            If another run holds it, it was made with other settings, is no store, exists and is not
            to be resumed, or cannot be written.
        """
        check_store(self.path, resume)
        with self.writing():
            self.path.mkdir(exist_ok=True)
            with locked(self.path / LOCK, self.path) as held:
                found = self._settings(missing_ok=True)
                wanted = {"format": FORMAT, "format_version": FORMAT_VERSION, **_plain(settings)}
                if found is not None:
                    self._compare(found, wanted)
                (self.path / PARTS).mkdir(exist_ok=True)
                (self.path / LOG).mkdir(exist_ok=True)
                if not held:
                    self.log("this file system has no locks: nothing keeps a second run away")
                for left in (*self.path.glob(_HIDDEN), *self._parts.glob(_HIDDEN)):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                if found is None:
                    text = json.dumps(wanted, indent=1) + "\n"
                    with new_file(self.path / SETTINGS) as partial:
                        partial.write_text(text, encoding="utf-8")
                yield

    def settings(self) -> dict[str, Any]:
        """What the run is.

        Raises
        ------
        OutputError
            If the folder holds no run, or one of another version.
        """
        return self._settings(missing_ok=False) or {}

    def add(self, first: int, last: int, arrays: Mapping[str, np.ndarray]) -> Path:
        """Keep the piece of rows ``first`` to ``last``, the last left out; where it is."""
        target = self._parts / f"{first:09d}-{last:09d}.npz"
        with self.writing(), new_file(target) as partial, open(partial, "wb") as handle:
            save_arrays(handle, arrays)
        return target

    def parts(self) -> list[tuple[int, int, Path]]:
        """Rows and files of the finished pieces, in order.

        Raises
        ------
        OutputError
            If one is cut off or overlaps another: something else wrote here.
        """
        found, end = [], 0
        for path in sorted(self._parts.iterdir()) if self._parts.is_dir() else []:
            match = _PART.fullmatch(path.name)
            if match is None:
                continue
            first, last = int(match[1]), int(match[2])
            if first < end or not zipfile.is_zipfile(path):
                raise self._damaged(path)
            found.append((first, last, path))
            end = last
        return found

    def read(
        self, path: Path, wanted: Callable[[str], bool] = lambda name: True
    ) -> dict[str, np.ndarray]:
        """Arrays of a piece, those of wanted names.

        Raises
        ------
        OutputError
            If it is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files if wanted(name)}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            raise self._damaged(path) from None

    def gaps(self, rows: int, size: int, workers: int = 0) -> Iterator[tuple[int, int]]:
        """Cut what is not finished of ``rows`` into chunks of at most ``size``.

        Where it is known how many workers share them, the last chunks are smaller, so that none has
        long to wait for the others.
        """
        done = [(first, last) for first, last, _ in self.parts()]
        left = rows - sum(last - first for first, last in done)
        begin = 0
        for first, last in [*done, (rows, rows)]:
            while begin < first:
                step = min(size, -(-left // (2 * workers))) if workers else size
                yield begin, min(begin + step, first)
                left -= min(step, first - begin)
                begin += step
            begin = last

    @contextmanager
    def new_results(self) -> Iterator[Path]:
        """A folder to write results into, which then appears whole; the parts go."""
        partial = self.path / f".{RESULTS}.partial"
        with self.writing():
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                yield partial
                force_all(partial)
                os.replace(partial, self.results)
                force(self.path)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    def drop_parts(self) -> None:
        """Remove the pieces that the results were made of."""
        shutil.rmtree(self._parts, ignore_errors=True)

    def log(self, text: str) -> None:
        """Add a line to the log, with the time; a full disk is not worth ending a run for."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError), open(self.path / LOG / "log.txt", "a", encoding="utf-8") as handle:
            handle.write(f"{now} {text}\n")

    def writing(self) -> AbstractContextManager[None]:
        """As `io.output.writing`."""
        return writing(self.path, _ADVICE)

    @property
    def _parts(self) -> Path:
        return self.path / PARTS

    def _settings(self, missing_ok: bool) -> dict[str, Any] | None:
        path = self.path / SETTINGS
        if missing_ok and not path.exists():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found = None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise OutputError(
                f"{self.path}: holds no run of dfim-fast score (its {SETTINGS} is missing or "
                "damaged); pass the folder that one made, or a new one"
            )
        if found.get("format_version") != FORMAT_VERSION:
            raise OutputError(
                f"{self.path}: has layout version {found.get('format_version')}, wanted "
                f"{FORMAT_VERSION}; use the version of dfim_fast that began it, or a new folder"
            )
        return found

    def _compare(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        differences = [
            f"{name} was {_show(found.get(name))} and is {_show(wanted.get(name))}"
            for name in dict.fromkeys([*found, *wanted])
            if found.get(name) != wanted.get(name)
        ]
        if differences:
            raise OutputError(
                f"{self.path}: was made with other settings: {'; '.join(differences)}; run it with "
                "those, or choose a new folder"
            )

    def _damaged(self, path: Path) -> OutputError:
        return OutputError(
            f"{path}: is damaged, cut off or not of this run; remove it and run again with "
            "--resume, which computes it anew and keeps all others"
        )


def check_store(path: Path, resume: bool) -> None:
    """Refuse a folder that a run could not write, before anything is computed for it.

    Raises
    ------
    OutputError
    """
    if not Path(os.path.abspath(path)).parent.is_dir():
        raise OutputError(f"{path}: the folder above it does not exist; make it first")
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file; choose another folder")
    begun = {entry.name for entry in path.iterdir()}
    if SETTINGS in begun and not resume:
        raise OutputError(
            f"{path}: holds a run already; go on with it by --resume, or choose another folder"
        )
    # a run killed at its very start leaves a lock, perhaps empty folders, and nothing else
    own = re.compile(rf"{LOCK}|{PARTS}|{LOG}|\.{SETTINGS}\.partial-\d+")
    if SETTINGS not in begun and not all(own.fullmatch(name) for name in begun):
        raise OutputError(f"{path}: is not empty and holds no run; choose another folder")


def save_arrays(handle: Any, arrays: Mapping[str, Any]) -> None:
    """Write arrays by name as NPZ, the same arrays as the same bytes."""
    np.savez(handle, **arrays)


def _plain(value: Any) -> Any:
    """The same as JSON gives it back."""
    return json.loads(json.dumps(value))


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."

"""Folders and files of results that appear under their names only when they are complete.

What has its name is whole, after a loss of power too: contents are forced to the disk before they
are renamed, and the folder that holds the new name after it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dfim_fast.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: two runs then meet at the rename
    fcntl = None  # type: ignore[assignment]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_AT_ONCE = 16  # files forced to the disk together, which it writes in one go


class Advice(NamedTuple):
    """What a message says when something cannot be written: what stays, and what to do then."""

    kept: str
    full: str
    other: str


_NOTHING = Advice(
    "nothing was kept",
    "free some space, or choose another folder or fewer sequences",
    "check the folder and its permissions",
)


@contextmanager
def new_folder(out: str | os.PathLike[str], marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder beside ``out`` to write into, and rename it to ``out`` at the end.

    Whatever is raised on the way, the hidden folder is removed and what stood at ``out`` before
    stays as it was. A lock keeps a second run away from the same ``out``.

    Parameters
    ----------
    out : path
        The folder to make; the one above it has to exist.
    marker : str
        Name of a file or folder that every complete result holds. Only a folder with it, or an
        empty one, is ever replaced.
    overwrite : bool
        Replace an existing result, at the very end.

    Yields
    ------
    Path

    Raises
    ------
    OutputError
        If ``out`` exists (and is not to be, or cannot be, replaced), cannot be written, another run
        is writing it, or the disk is full.
    """
    check_new(out, marker, overwrite)
    target = Path(os.path.abspath(out))
    parent = target.parent
    partial = parent / f".{target.name}.partial-{os.getpid()}"
    with writing(out), locked(parent / f".{target.name}.lock", out):
        _remove_stale(target)
        try:
            partial.mkdir()
            yield partial
            force_all(partial)
            _put_in_place(partial, target, out, marker, overwrite)
            force(parent)
        finally:
            with _undisturbed():
                shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a hidden file's name beside ``path`` to write, and rename it to ``path`` at the end.

    Whatever is raised on the way, the hidden file is removed and what stood at ``path`` stays.

    Parameters
    ----------
    path : path
        An earlier file is replaced.

    Yields
    ------
    Path

    Raises
    ------
    OutputError
        If it cannot be written, or the disk is full.
    """
    target = Path(os.path.abspath(path))
    partial = target.with_name(f".{target.name}.partial-{os.getpid()}")
    with writing(path):
        try:
            yield partial
            force(partial)
            os.replace(partial, target)
            force(target.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def writing(out: object, advice: Advice = _NOTHING) -> Iterator[None]:
    """Turn what the disk says into a line about ``out``.

    Raises
    ------
    OutputError
    """
    try:
        yield
    except OSError as error:
        raise _refusal(out, error, advice) from error
    except OutputError as error:  # a writer's own words name the hidden folder
        if isinstance(error.__cause__, OSError):
            raise _refusal(out, error.__cause__, advice) from error.__cause__
        raise


def _refusal(out: object, error: OSError, advice: Advice) -> OutputError:
    if error.errno in _FULL or "No space left" in str(error):
        return OutputError(f"{out}: the disk is full; {advice.kept}: {advice.full}")
    return OutputError(
        f"{out}: cannot be written ({error.strerror or error}); {advice.kept}: {advice.other}"
    )


def force(path: Path) -> None:
    """Have a file, or the names in a folder, reach the disk."""
    if fcntl is None and path.is_dir():  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def force_all(folder: Path) -> None:
    """Have everything in a folder reach the disk: files, then the folders that name them."""
    paths = [*folder.rglob("*"), folder]
    for folders in (False, True):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(force, [path for path in paths if path.is_dir() == folders]))


def check_new(out: str | os.PathLike[str], marker: str, overwrite: bool = False) -> None:
    """Refuse a folder that `new_folder` would refuse, before anything is computed for it.

    Raises
    ------
    OutputError
        If ``out`` exists and is not to be, or cannot be, replaced, or has no folder to stand in.
    """
    target = Path(os.path.abspath(out))
    if not target.parent.is_dir():
        raise OutputError(f"{out}: the folder {target.parent} does not exist; make it first")
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise OutputError(f"{out}: exists already; choose another folder or pass --overwrite")
    empty = target.is_dir() and not any(target.iterdir())
    if target.is_symlink() or not (empty or (target / marker).exists()):
        raise OutputError(
            f"{out}: is no earlier result (it holds no {marker}), so --overwrite leaves it alone; "
            "remove it yourself or choose another folder"
        )


def _remove_stale(target: Path) -> None:
    """Remove what killed runs left behind; none is alive while we hold the lock."""
    name = re.compile(re.escape(f".{target.name}.partial-") + r"\d+")
    for path in target.parent.iterdir():
        if name.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _put_in_place(
    partial: Path, target: Path, out: str | os.PathLike[str], marker: str, overwrite: bool
) -> None:
    """Rename, with the old result kept until the new one stands."""
    check_new(out, marker, overwrite)  # it may have appeared meanwhile
    if not target.exists():
        os.rename(partial, target)
        return
    old = target.with_name(f".{target.name}.partial-{os.getpid()}-old")
    os.rename(target, old)
    try:
        os.rename(partial, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C wait until what the first one began is cleaned up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


@contextmanager
def locked(path: Path, out: object) -> Iterator[bool]:
    """Hold an exclusive lock file; one that a killed run left is taken over.

    Yields
    ------
    bool
        Whether a second run is kept away; False where the file system has no locks.

    Raises
    ------
    OutputError
        If another run holds it.
    """
    if fcntl is None:
        yield False
        return
    held = True
    while True:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise OutputError(
                f"{out}: another run is writing it; wait for that one or choose another folder"
            ) from None
        except OSError:
            held = False
        # The run before may have removed the file between our open and our lock.
        with suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == os.stat(path).st_ino:
                break
        os.close(handle)
    try:
        yield held
    finally:
        with suppress(OSError):
            os.unlink(path)
        os.close(handle)

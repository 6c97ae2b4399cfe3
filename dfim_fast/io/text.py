"""Lines of a plain or gzipped text file, with every failure as one line."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from dfim_fast.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"


def read_lines(path: str | os.PathLike[str], kind: str) -> Iterator[str]:
    """Stream the lines of a text file, without their ends.

    Gzip is known by its first bytes, not by the file's name. Any line ending is accepted.

    Parameters
    ----------
    path : path
    kind : str
        What the file should be, for the error messages, such as ``"FASTA"``.

    Yields
    ------
    str

    Raises
    ------
    InputError
        If the file is missing, no file, unreadable, damaged or not text.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such {kind} file; check the path")
    if path.is_dir():
        raise InputError(f"{path}: is a directory, wanted a {kind} file")
    not_text = InputError(f"{path}: not a text file; wanted {kind}, plain or gzipped")
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if zipped
            else open(path, encoding="utf-8-sig")
        ) as handle:
            for line in handle:
                if "\0" in line:
                    raise not_text
                yield line.rstrip("\n")
    except UnicodeDecodeError:
        raise not_text from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged gzip file ({error}); make or fetch it again") from None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); check its permissions"
        ) from None

"""The kernels' source as one string, for compilation at run time.

CuPy's cache of compiled code does not see headers that are found through an include path, so the
includes are expanded here and the compiler is given all there is.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from dfim_fast.errors import BackendError

MAIN = "kernels.cuh"
INCLUDE = re.compile(r'^\s*#include "([^"]+)"\s*$')
# beside this file once installed, in csrc/ in a checkout
FOLDERS = (Path(__file__).parent / "kernels", Path(__file__).parents[3] / "csrc" / "kernels")


@cache
def folder() -> Path:
    """Where the sources are.

    Raises
    ------
    BackendError
        If this installation has none.
    """
    for found in FOLDERS:
        if (found / MAIN).is_file():
            return found
    raise BackendError(
        f"the kernels' sources are not part of this installation (no {FOLDERS[0]}); install "
        "dfim_fast anew, or use backend='numba'"
    )


@cache
def source(main: str = MAIN) -> str:
    """A file with all that it includes from its own folder, each file once.

    The emulator's headers stay out: no compiler for a GPU comes to that line.
    """
    lines: list[str] = []
    seen: set[Path] = set()

    def expand(path: Path) -> None:
        if path in seen:
            return
        seen.add(path)
        for line in path.read_text(encoding="utf-8").splitlines():
            found = INCLUDE.match(line)
            included = (path.parent / found[1]).resolve() if found else None
            if included is not None and included.parent == path.parent:
                expand(included)
            elif line.strip() != "#pragma once":
                lines.append(line)

    expand((folder() / main).resolve())
    return "\n".join(lines) + "\n"

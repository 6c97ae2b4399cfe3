"""`dfim-fast report`: the HTML page of a finished run, made again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    out: Annotated[Path, typer.Argument(
        metavar="OUT", help="Folder that map, motifs, variants or demo made.")],
    quiet: Annotated[bool, typer.Option(
        "--quiet", "-q", help="Print nothing but warnings and errors.")] = False,
) -> None:  # fmt: skip
    """Write OUT/report.html: tables to sort and filter, maps to explore, the null and the checks.

    The page needs no network and nothing beside it: send it, or open it from disk. Runs write it
    at their end; this makes it for one that did not, or again with this version.
    """
    from dfim_fast.report import write_report

    path = write_report(out)
    if not quiet:
        size = path.stat().st_size / 1e6
        typer.echo(f"{path}: {size:.1f} MB; open it in a browser")

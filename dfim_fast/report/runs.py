"""From a finished run to its report: `write_report` finds out what kind of run a folder holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd

from dfim_fast.errors import OutputError
from dfim_fast.io.output import new_file
from dfim_fast.io.run_record import read_record
from dfim_fast.io.score_store import LOG
from dfim_fast.report.blocks import Facts, Notes, Page, Section
from dfim_fast.report.map_sections import STORE, map_facts, map_sections
from dfim_fast.report.motif_sections import motif_sections
from dfim_fast.report.render import render
from dfim_fast.report.score_sections import is_store, score_page
from dfim_fast.report.table_facts import attributes, facts
from dfim_fast.report.variant_sections import VARIANTS, variant_sections

REPORT = "report.html"
PAIRS = "motif_pairs.parquet"
DEMO_PAIRS = "motif_pairs.tsv"  # beside maps, as the demo writes them


def write_report(folder: str | os.PathLike[str]) -> Path:
    """Write the report of a finished run: one page that needs no network.

    Parameters
    ----------
    folder : path
        What `dfim-fast map`, `motifs`, `variants`, `score` or `demo` made.

    Returns
    -------
    Path
        ``report.html`` in that folder.

    Raises
    ------
    OutputError
        If the folder holds no finished run, or cannot be written into.
    """
    folder = Path(folder)
    text = render(_page(folder))
    with new_file(folder / REPORT) as partial:
        partial.write_text(text, encoding="utf-8")
    return folder / REPORT


def _page(folder: Path) -> Page:
    """Content of the page, by what the folder holds."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: there is no such folder; pass one that dfim-fast made")
    record = read_record(folder / LOG if is_store(folder) else folder)
    if is_store(folder):
        title, lead, run, sections = score_page(folder)
        last = []
    elif (folder / STORE).is_dir():
        lead, run, diagnostics = map_facts(folder)
        sections = map_sections(folder, record)
        title = "Interaction maps"
        if (folder / DEMO_PAIRS).is_file():
            table = pd.read_csv(folder / DEMO_PAIRS, sep="\t")
            sections += motif_sections(table, record)
            title = "Demo: maps, and pairs of motifs"
        last = [Section("diagnostics", "How far to believe it", [diagnostics])]
    elif (folder / PAIRS).is_file():
        about = attributes(folder / PAIRS)
        table = pd.read_parquet(folder / PAIRS)
        title, run = "Pairs of motifs", facts(about, len(table), "a row for each ordered pair")
        called = table.get("significant_matched", table.get("significant"))
        lead = f"{len(table):,} ordered pairs in {table['sequence'].nunique():,} sequences" + (
            "." if called is None else f"; {int(called.sum()):,} are significant"
            f" ({'matched' if 'significant_matched' in table else 'paper’s'} null)."
        )  # fmt: skip
        sections = motif_sections(table, record, about.get("significance"))
        last = []
    elif (folder / VARIANTS).is_file():
        about = attributes(folder / VARIANTS)
        rows = pd.read_parquet(folder / VARIANTS, columns=["variant"])
        title, run = "Variants", facts(about, len(rows), "a row for each allele and target")
        lead = f"{rows['variant'].nunique():,} alleles."
        sections, last = variant_sections(folder, record), []
    else:
        raise OutputError(
            f"{folder}: holds no finished run of map, motifs, variants, score or demo; pass the "
            "folder that one of them made with -o"
        )
    return Page(title, lead, [*_warnings(record), *sections, *last, _run(folder, run, record)])


def _warnings(record: dict[str, Any]) -> list[Section]:
    lines = record.get("warnings") or []
    if not lines:
        return []
    return [Section("warnings", "Warnings", [Notes(lines, "warning")])]


def _run(folder: Path, run: Facts, record: dict[str, Any]) -> Section:
    """What was run, for how long, and where all of it is."""
    rows = list(run.rows)
    if record:
        rows += [("Time", f"{record['seconds']:.1f} s, finished {record['finished']}"),
                 ("Written by", f"dfim_fast {record['dfim_fast']}, dfim-fast {record['kind']}")]
    files = sorted(p.name for p in folder.iterdir() if not p.name.startswith(".") and
                   p.name != REPORT)  # fmt: skip
    rows.append(("Files beside this page", ", ".join(files)))
    blocks: list[Any] = [Facts(rows)]
    if record.get("model"):
        blocks.append(Notes(record["model"].splitlines(), "code"))
    return Section("run", "What was run", blocks)

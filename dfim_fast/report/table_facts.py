"""What the tables of a finished run say about themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dfim_fast.errors import OutputError
from dfim_fast.report.blocks import Facts


def attributes(path: Path) -> dict[str, Any]:
    """Attributes that `io.tables.write_tables` left in a Parquet file.

    Raises
    ------
    OutputError
        If it is not such a file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        metadata = {}
    if b"dfim_fast" not in metadata:
        raise OutputError(f"{path}: is no table of dfim_fast; restore it, or run the command again")
    return json.loads(metadata[b"dfim_fast"])


def facts(about: Mapping[str, Any], rows: int, what: str) -> Facts:
    """Model, method and size of a table.

    Parameters
    ----------
    about : mapping
        Of `attributes`.
    rows : int
    what : str
        What a row is.
    """
    made = about["provenance"]
    kind, count = made["references"] or (None, 0)
    how = made["method"] + ("" if kind is None else f", {count} {kind} references")
    return Facts([
        ("Model", f"{about['model']['name']} ({about['model']['hash']})"),
        ("Scored", f"{made['target']}; {', '.join(map(str, made['task']))}"),
        ("Method", how),
        ("Sources become", str(made["mutant_rule"])),
        ("Rows", f"{rows:,}, {what}"),
    ])  # fmt: skip

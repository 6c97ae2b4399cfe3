"""What the reproductions share: the data folder, and results as a table, figures and a JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # bench/machine.py

DATA = HERE.parents[2] / "shared" / "data"
RESULTS = HERE.parent / "results" / "paper"


class Section:
    """One section of the paper: collects what comes out and writes it.

    Parameters
    ----------
    name : str
        Of the files.
    title : str
        What is reproduced.
    """

    def __init__(self, name: str, title: str) -> None:
        if not DATA.is_dir():
            raise SystemExit(f"{DATA}: the models and sequences are not there; nothing to do")
        self.name, self.title, self.numbers = name, title, {}
        self.started, self.files = time.perf_counter(), []
        self.minutes: dict[str, float] = {}
        RESULTS.mkdir(parents=True, exist_ok=True)

    def timed(self, what: str, call: Any) -> Any:
        """Call, and note the minutes it took."""
        start = time.perf_counter()
        found = call()
        self.minutes[what] = round((time.perf_counter() - start) / 60, 3)
        print(f"{what}: {60 * self.minutes[what]:.1f} s", flush=True)
        return found

    def figure(self, page: Any, suffix: str = "") -> None:
        """Write a figure."""
        from dfim_fast.plot import save

        path = RESULTS / f"{self.name}{suffix}.png"
        save(page, path)
        self.files.append(path.name)

    def table(self, table: pd.DataFrame) -> None:
        """Write the table."""
        path = RESULTS / f"{self.name}.tsv"
        table.to_csv(path, sep="\t", index=False, float_format="%.5g")
        self.files.append(path.name)

    def finish(self, **numbers: Any) -> None:
        """Write the JSON and print it."""
        import machine

        minutes = {**self.minutes, "all": round((time.perf_counter() - self.started) / 60, 2)}
        found = {
            "title": self.title, **self.numbers, **numbers, "minutes": minutes,
            "files": self.files, "cores": machine.usable_cores(),
            "processor": machine.hardware()["processor"], "revision": machine.revision(),
        }  # fmt: skip
        text = json.dumps(found, indent=1, default=_plain)
        (RESULTS / f"{self.name}.json").write_text(text + "\n", encoding="utf-8")
        print(text)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def rounded(value: float, digits: int = 4) -> float:
    """A number with so many significant digits, for a JSON that people read."""
    return float(f"{value:.{digits}g}")

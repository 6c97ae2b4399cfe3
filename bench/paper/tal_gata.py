"""Section 3.2, Fig. 3: do GATA1 and TAL1 motifs interact, and up to which distance?

    python bench/paper/tal_gata.py [--sequences N]

The model of TAL/GATA binding on human 1 kb windows that hold both motifs, found by scanning with
consensus matrices (WGATAAG, CAGMTGK). |FIS| of both directions by distance, neighbouring bins
compared by Mann-Whitney (signed FIS in the JSON, too: here it takes both signs); gradient, and
DeepLIFT against ten shuffled references; all three outputs, as the published file does not name
them. The logit is linear after pooling, so that nothing can interact beyond the reach of the
convolutions and one pool: such bins are greyed out, not compared. Writes to bench/results/paper:
tal_gata.json, .tsv and a figure for each method.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from common import DATA, Section, rounded
from matplotlib.figure import Figure

import dfim_fast
from dfim_fast.io.fasta import read_fasta
from dfim_fast.io.motifs import scan
from dfim_fast.plot import plot_distance_bins
from dfim_fast.sequence.one_hot import encode

IUPAC = {"W": "AT", "M": "AC", "K": "GT"}
CONSENSUS = {"GATA1": "WGATAAG", "TAL1": "CAGMTGK"}
OTHER = 0.02  # frequency of each base that a consensus does not name
THRESHOLD = 2e-4
PAIRS = (("TAL1", "GATA1"), ("GATA1", "TAL1"))


def matrix(consensus: str) -> np.ndarray:
    """Frequencies (4, width) of a consensus."""
    found = np.full((4, len(consensus)), OTHER)
    for i, letter in enumerate(consensus):
        bases = ["ACGT".index(b) for b in IUPAC.get(letter, letter)]
        found[bases, i] = (1 - OTHER * (4 - len(bases))) / len(bases)
    return found


def main() -> None:
    """Scan, score, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=10_000, help="windows scanned, at most")
    given = parser.parse_args()
    section = Section("tal_gata", "section 3.2, Fig. 3: GATA1 and TAL1 by distance")
    model = dfim_fast.load_model(DATA / "tal_gata" / "model.onnx")
    _, texts = read_fasta(DATA / "genome" / "human_1kb_10000.fa.gz")
    whole = [i for i, t in enumerate(texts) if "N" not in t and len(t) == model.sequence_length]
    whole = whole[: given.sequences]
    texts = [texts[i] for i in whole]
    hits = section.timed("scanning", lambda: scan(
        {name: matrix(c) for name, c in CONSENSUS.items()}, encode(texts), THRESHOLD
    ))  # fmt: skip
    held = hits.groupby("sequence")["name"].nunique()
    both = held.index[held == len(CONSENSUS)].to_numpy()
    hits = hits[hits["sequence"].isin(both)]
    hits = hits.assign(sequence=np.searchsorted(both, hits["sequence"]))
    x = [texts[i] for i in both]
    tables = []
    for method in ("gradient", "deeplift"):
        table = section.timed(f"{method}, {len(x)} sequences", lambda method=method: (
            dfim_fast.motif_interactions(
                model, x, hits, method=method, n_references=10, task=[0, 1, 2], progress=False
            )
        ))  # fmt: skip
        table = table[table["source"] != table["target"]].assign(method=method)
        tables.append(table)
        section.figure(page(table, method), f"_{method}")
    table = pd.concat(tables, ignore_index=True)
    bins, tests = compared(table)
    section.table(bins)
    reach = table.loc[table["reachable"], "distance"].max()
    section.finish(
        windows=len(texts),
        windows_with_both=len(x),
        consensus=CONSENSUS,
        threshold=THRESHOLD,
        note="human background windows, not peaks: most are predicted unbound; what is compared is "
        "what the model does with its motifs, by distance",
        largest_reachable_distance=int(reach),
        pairs=len(tables[0]) // 3,
        tests=[{**row, "p": rounded(row["p"]), "q": rounded(row["q"]), "auc": rounded(row["auc"])}
               for row in tests.to_dict("records")],
    )


def kinds(table: pd.DataFrame) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Each direction and output."""
    return [
        (source, target, task, table[(table["source"] == source) & (table["target"] == target)
                                     & (table["task"] == task)])
        for source, target in PAIRS
        for task in table["task"].unique()
    ]  # fmt: skip


def compared(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bins and neighbouring tests of every method, direction and output."""
    bins, tests = [], []
    for method, own in table.groupby("method", sort=False):
        for source, target, task, pairs in kinds(own):
            for absolute in (True, False):
                found = dfim_fast.distance_bins(pairs.drop(columns="task"), absolute=absolute)
                label = {"method": method, "source": source, "target": target, "output": task,
                         "score": "|FIS|" if absolute else "FIS"}  # fmt: skip
                bins.append(found.bins.assign(**label))
                order = found.bins["bin"].tolist()
                near = found.tests[[
                    order.index(b) == order.index(a) + 1
                    for a, b in zip(found.tests["nearer"], found.tests["farther"], strict=True)
                ]]  # fmt: skip
                tests.append(near.assign(**label))
    first = ["method", "source", "target", "output", "score"]
    both = [pd.concat(parts, ignore_index=True) for parts in (bins, tests)]
    return tuple(t[first + [c for c in t.columns if c not in first]] for t in both)  # type: ignore


def page(table: pd.DataFrame, method: str) -> Figure:
    """Directions by outputs."""
    tasks = table["task"].unique()
    figure = Figure(figsize=(5.2 * len(tasks), 9.2), layout="constrained")
    axes = figure.subplots(len(PAIRS), len(tasks)).ravel()
    for ax, (source, target, task, pairs) in zip(axes, kinds(table), strict=True):
        found = dfim_fast.distance_bins(pairs.drop(columns="task"), absolute=True)
        gone = [
            row.bin for row in found.bins.itertuples()
            if not pairs["reachable"][pairs["distance"].between(row.low, row.high - 1)].any()
        ]  # fmt: skip
        values = {label: v for (_, label), v in found.values.items()}
        plot_distance_bins(values, found.tests, unreachable=gone, label="", ax=ax)
        ax.set_title(f"{source} → {target}, {task}", fontsize=14, loc="left")
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(f"change of {target}'s importance, |FIS|", fontsize=13)
        if not ax.get_subplotspec().is_last_row():
            ax.set_xlabel("")
    figure.suptitle(
        f"Motifs act on each other only when they are near ({method}; boxes: quartiles)",
        fontsize=18, fontweight="bold", ha="left", x=0.01,
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()

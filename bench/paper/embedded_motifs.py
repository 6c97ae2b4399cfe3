"""Section 3.1, Fig. 2B, S1, S2: which of four embedded motifs does the model read together?

    python bench/paper/embedded_motifs.py [--sequences 20000]

All correctly predicted sequences that hold ELF1 and SIX5 (cls3), every ordered pair of motifs, by
gradient and by DeepLIFT against the constant background of GC 0.46. The paper's null (Gaussian on
shuffled sequences), its empirical version and the matched null stand side by side, with effects.
Writes to bench/results/paper: embedded_motifs.json, .tsv and a figure for each method.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from common import DATA, Section, rounded

import dfim_fast
from dfim_fast.io.fasta import read_fasta
from dfim_fast.plot import plot_motif_pairs

FOLDER = DATA / "embedded_motifs"
TRUE = [("SIX5", "ELF1"), ("ELF1", "SIX5")]
# Medians from a float64 computation of 1,000 sequences.
KNOWN = {"gradient": {"SIX5 > ELF1": 14.4, "ELF1 > SIX5": 6.9, "others, at most": 0.36},
         "deeplift": {"SIX5 > ELF1": 12.7, "ELF1 > SIX5": 3.7, "others, at most": 0.44}}
TESTS = {
    "gaussian": ("dinucleotide", "gaussian"),
    "empirical": ("dinucleotide", "empirical"),
    "matched": ("matched", "empirical"),
}
DRAWN = 250  # sequences of each pair in a figure


def main() -> None:
    """Compute, judge three ways, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=20_000, help="cls3 sequences, at most")
    given = parser.parse_args()
    section = Section("embedded_motifs", "section 3.1, Fig. 2B, S1, S2: embedded motifs")
    model = dfim_fast.load_model(FOLDER / "model.onnx")
    names, texts = read_fasta(FOLDER / "sequences.fa.gz")
    chosen = [i for i, name in enumerate(names) if name.startswith("cls3")][: given.sequences]
    names, x = [names[i] for i in chosen], dfim_fast.one_hot([texts[i] for i in chosen])
    right = model.predict(x)[:, 0] > 0
    names, x = [n for n, ok in zip(names, right, strict=True) if ok], x[right]
    motifs = pd.read_csv(FOLDER / "instances.tsv.gz", sep="\t")
    motifs = motifs[motifs["sequence"].isin(names)]
    tables = []
    section.numbers = {"sequences": len(chosen), "correctly predicted": len(names), "known": KNOWN}
    for method in ("gradient", "deeplift"):
        table = judged(section, model, names, x, motifs, method)
        tables.append(summarised(table).assign(method=method))
        section.numbers[method] = numbers(table)
        kept = table["sequence"].isin(names[:: max(1, len(names) // DRAWN)])
        page = plot_motif_pairs(
            table[kept],
            {"paper: Gaussian, shuffled sequences": "gaussian",
             "empirical, shuffled sequences": "empirical",
             "empirical, matched spans": "matched"},
            title=f"Only ELF1 and SIX5 interact ({method}; {kept.sum():,} of {len(table):,} pairs "
            "drawn)",
        )  # fmt: skip
        section.figure(page, f"_{method}")
    section.table(pd.concat(tables, ignore_index=True))
    section.finish()


def judged(
    section: Section, model: dfim_fast.Model, names: list[str], x: np.ndarray,
    motifs: pd.DataFrame, method: str,
) -> pd.DataFrame:  # fmt: skip
    """Scores of all pairs with a column of calls for each test."""
    how = {"names": names, "method": method, "references": "gc", "progress": False}
    table = section.timed(
        f"{method}, scores", lambda: dfim_fast.motif_interactions(model, x, motifs, **how)
    )
    nulls = {
        kind: section.timed(
            f"{method}, {kind} null",
            lambda kind=kind: dfim_fast.null_map(model, x, kind, features=motifs, **how),
        )
        for kind in ("dinucleotide", "matched")
    }
    for test, (kind, null_model) in TESTS.items():
        found = dfim_fast.significance(table, nulls[kind], null_model)
        table[test], table[f"q_{test}"] = found.significant, found.q
    return table


def summarised(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each kind of pair."""
    found = table.groupby(["source", "target"]).agg(
        pairs=("fis", "size"),
        median_fis=("fis", "median"),
        lower=("fis", lambda v: v.quantile(0.25)),
        upper=("fis", lambda v: v.quantile(0.75)),
        median_relative=("relative", "median"),
        **{test: (test, "mean") for test in TESTS},
    )
    return found.sort_values("median_fis", ascending=False).reset_index()


def numbers(table: pd.DataFrame) -> dict:
    """Medians and shares called, of the true pairs and of the others."""
    medians = table.groupby(["source", "target"])["fis"].median()
    true = pd.MultiIndex.from_frame(table[["source", "target"]]).isin(TRUE)
    found = {f"{a} > {b}": rounded(medians[a, b]) for a, b in TRUE}
    others = medians.drop(TRUE)
    found["others, at most"] = rounded(others.abs().max())
    for test in TESTS:
        found[f"significant, {test}"] = {
            **{f"{a} > {b}": rounded(table.loc[(table["source"] == a) & (table["target"] == b),
                                               test].mean()) for a, b in TRUE},
            "other pairs": rounded(table.loc[~true, test].mean()),
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main()

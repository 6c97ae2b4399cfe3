"""Section 3.4, Fig. 8: which flanking bases of the Cbf1 site does the network read together?

    python bench/paper/cbf1.py [--sequences 5000]

All 4^10 flanks (five bases on each side of CACGTG) are scored; |FIS| (gradient x input) is averaged
over the tightest and over the weakest, lower ddG binding tighter. Writes to bench/results/paper:
cbf1.json, .tsv and figures: the marginalised maps of both sets, and the four maps of the tight set,
one for each observed source base, before the maximum over mutants is taken.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from common import DATA, Section, rounded
from matplotlib.figure import Figure

import dfim_fast
from dfim_fast.plot import plot_aggregate
from dfim_fast.sequence.one_hot import from_codes

MINIMUM = 50  # sequences a cell
PART = 65_536  # flanks scored at a time
# Largest cells of the tight set: ../shared/data/README.md.
KNOWN = {"G-2 > T-1": 0.127, "C+2 > A+1": 0.126, "T+2 > A+1": 0.109, "T-1 > G-2": 0.096,
         "T-1 > A+1": 0.060, "A+1 > T-1": 0.078, "T+2 > T-1": 0.081}


def position(p: int) -> str:
    """Index 0 to 9 as the paper labels it: -5 to -1 and +1 to +5."""
    return f"−{5 - p}" if p < 5 else f"+{p - 4}"


def main() -> None:
    """Score, choose, aggregate, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=5000, help="of each set")
    given = parser.parse_args()
    section = Section("cbf1", "section 3.4, Fig. 8: Cbf1 flanks")
    model = dfim_fast.load_model(DATA / "cbf1" / "model.onnx")
    codes = np.stack(np.unravel_index(np.arange(4**10), (4,) * 10), axis=1).astype(np.int8)
    scores = section.timed("scores of all flanks", lambda: np.concatenate([
        model.predict(from_codes(codes[i : i + PART]))[:, 0] for i in range(0, len(codes), PART)
    ]))  # fmt: skip
    order = np.argsort(scores, kind="stable")
    sets = {"tight": order[: given.sequences], "weak": order[-given.sequences :]}
    found = {
        name: section.timed(f"aggregate, {name}", lambda rows=rows: dfim_fast.aggregate(
            model, from_codes(codes[rows]), method="gradient", progress=False
        ))
        for name, rows in sets.items()
    }  # fmt: skip
    maps = {name: a.marginal(minimum=MINIMUM) for name, a in found.items()}
    section.figure(marginal_page(maps))
    section.figure(four_page(found["tight"]), "_by_base")
    section.table(pd.concat([cells(table).assign(set=name) for name, table in maps.items()]))
    tight = cells(maps["tight"]).set_index("cell")["mean_abs_fis"]
    section.finish(
        sequences=given.sequences,
        minimum_per_cell=MINIMUM,
        composition_of_the_tight={
            "T at -1": rounded((codes[sets["tight"], 4] == 3).mean()),
            "A at +1": rounded((codes[sets["tight"], 5] == 0).mean()),
        },
        known=KNOWN,
        tight={cell: rounded(tight[cell]) for cell in KNOWN},
        largest_tight={cell: rounded(value) for cell, value in tight.head(10).items()},
        largest_weak={
            cell: rounded(value)
            for cell, value in cells(maps["weak"]).set_index("cell")["mean_abs_fis"].head(5).items()
        },
    )


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """Cells of a map, largest first, as the paper names them: G-2 > T-1."""
    rows = [
        (f"{a}{position(s)} > {b}{position(t)}".replace("−", "-"), table.loc[(s, a), (t, b)])
        for s, a in table.index
        for t, b in table.columns
    ]
    found = pd.DataFrame(rows, columns=["cell", "mean_abs_fis"]).dropna()
    return found.sort_values("mean_abs_fis", ascending=False, kind="stable", ignore_index=True)


def marginal_page(maps: dict[str, pd.DataFrame]) -> Figure:
    """Both sets, each on its own scale."""
    page = Figure(figsize=(17, 8), layout="constrained")
    axes = page.subplots(1, 2)
    titles = {
        name: f"the {name}est flanks (grey: fewer than {MINIMUM} sequences)" for name in maps
    }
    for ax, (name, table) in zip(axes, maps.items(), strict=True):
        plot_aggregate(table, position=position, title=titles[name], ax=ax)
    return page


def four_page(found: dfim_fast.Aggregate) -> Figure:
    """One map for each observed source base."""
    page = Figure(figsize=(17, 16), layout="constrained")
    tables = {base: found.marginal(minimum=MINIMUM, alpha=base) for base in "ACGT"}
    top = max(float(np.nanmax(table, initial=0)) for table in tables.values())
    for ax, (base, table) in zip(page.subplots(2, 2).ravel(), tables.items(), strict=True):
        plot_aggregate(table, position=position, limit=top, bar=base in "CT", ax=ax,
                      title=f"{base} mutated to the base at the left")  # fmt: skip
    return page


if __name__ == "__main__":
    main()

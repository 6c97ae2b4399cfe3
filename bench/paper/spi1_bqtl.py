"""Section 3.3, Fig. 4-7: what do SPI1 binding QTLs do to the bases around them?

    python bench/paper/spi1_bqtl.py [--controls 5]

The 123 bQTLs in 1 kb of hg19, DeepLIFT against ten shuffled references: interactions with the 15
bases on each side, the strongest target against its distance (Fig. 6A), and the largest |FIS| of a
bQTL against that of control positions of the same sequence, matched on predicted effect (Fig. 7).
The model is a stand-in for the paper's, whose weights are not available; what comes out is reported
as it is. Writes to bench/results/paper: spi1_bqtl.json, .tsv, figures.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from common import DATA, Section, rounded
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import dfim_fast
from dfim_fast.io.fasta import read_fasta
from dfim_fast.plot import figure_for
from dfim_fast.plot.style import (
    GREY,
    INK,
    LABEL_SIZE,
    ORANGE,
    PURPLE,
    open_frame,
    value_ticks,
)
from dfim_fast.stats.groups import GroupComparison

FLANK = 15
HOW = {"n_references": 10, "progress": False}
CLOSE = 0.02  # of the effect, in logits: the strongest bQTLs have no equal in their sequence
TRACKS = 2  # bQTLs drawn
AROUND = 40  # bases on each side in a track figure


def main() -> None:
    """Score bQTLs and controls, compare, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--controls", type=int, default=5, help="of each bQTL")
    given = parser.parse_args()
    section = Section("spi1_bqtl", "section 3.3, Fig. 4-7: SPI1 binding QTLs")
    folder = DATA / "spi1_bqtl"
    model = dfim_fast.load_model(folder / "model.onnx")
    names, texts = read_fasta(folder / "sequences.fa")
    variants = pd.read_csv(folder / "variants.tsv", sep="\t")
    table = section.timed("bQTLs", lambda: dfim_fast.variant_interactions(
        model, texts, variants, FLANK, names=names, **HOW
    ))  # fmt: skip
    controls = section.timed("matched controls", lambda: dfim_fast.matched_controls(
        model, texts, variants, given.controls, names=names, progress=False
    ))  # fmt: skip
    control_table = section.timed("scores of the controls", lambda: dfim_fast.variant_interactions(
        model, texts, controls, FLANK, names=names, **HOW
    ))  # fmt: skip
    best = table[table["strongest"]].reset_index(drop=True)
    other = control_table[control_table["strongest"]].reset_index(drop=True)
    comparison = dfim_fast.compare_groups(
        best["max_abs_fis"], other["max_abs_fis"], best["sequence"], other["sequence"]
    )
    off = (controls["effect"] - controls["variant_effect"]).abs()
    close = (off <= CLOSE).groupby(controls["variant"]).all().to_numpy()
    matched = dfim_fast.compare_groups(
        best["max_abs_fis"][close], other["max_abs_fis"][close[controls["variant"]]],
        best["sequence"][close], other["sequence"][close[controls["variant"]]],
    )  # fmt: skip
    agree = stronger_agrees(best, variants)
    page = Figure(figsize=(15, 6), layout="constrained")
    left, right = page.subplots(1, 2, width_ratios=[3, 2])
    distances(left, best)
    groups(right, best["max_abs_fis"], other["max_abs_fis"], comparison)
    section.figure(page)
    order = best["max_abs_fis"].sort_values(ascending=False, kind="stable").index
    for number, i in enumerate(order[:TRACKS], start=1):
        section.figure(track(model, texts, names, best.loc[i]), f"_track_{number}")
    section.table(best.drop(columns=["strongest", "task"]))
    near = best["distance"]
    section.finish(
        variants=len(best),
        controls=len(other),
        mismatch_of_effect={"median": rounded(off.median()), "largest": rounded(off.max())},
        max_abs_fis=described(comparison),
        max_abs_fis_where_all_controls_are_close={
            "effects within": CLOSE, "bQTLs": int(close.sum()), **described(matched),
        },
        distance_of_the_strongest_target={
            "median": float(near.median()), "within 5 bp": rounded((near <= 5).mean()),
            "within 10 bp": rounded((near <= 10).mean()),
        },
        effect_agrees_with_the_stronger_allele=rounded(agree),
        note="the model is a stand-in: it agrees with the stronger allele barely more often than "
        "chance, so differences from the paper say nothing of the method",
    )  # fmt: skip


def described(found: GroupComparison) -> dict:
    """A comparison for the JSON."""
    return {
        "bQTLs, median": rounded(found.median_cases),
        "controls, median": rounded(found.median_controls),
        "Mann-Whitney p": rounded(found.p),
        "AUC": rounded(found.auc),
        "AUC, 95% bootstrap over sequences": [rounded(found.low), rounded(found.high)],
    }


def stronger_agrees(best: pd.DataFrame, variants: pd.DataFrame) -> float:
    """Share of bQTLs whose stronger allele is predicted to bind better."""
    predicted = np.where(best["effect"] > 0, best["alt"], best["ref"])
    return float((predicted == variants["stronger_allele"].str.upper().to_numpy()).mean())


def distances(ax: Axes, best: pd.DataFrame) -> None:
    """Fig. 6A: the strongest target of each bQTL."""
    gains = best["fis"] < 0
    for rows, color, label in ((~gains, PURPLE, "target loses importance"),
                               (gains, ORANGE, "target gains importance")):  # fmt: skip
        ax.plot(best["offset"][rows], best["max_abs_fis"][rows], "o", color=color, markersize=8,
                alpha=0.7, markeredgewidth=0, label=label)  # fmt: skip
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.set_xlim(-FLANK - 1, FLANK + 1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("strongest target relative to the bQTL (bp)", fontsize=LABEL_SIZE)
    ax.set_ylabel("|FIS| of that target (alternate allele)", fontsize=LABEL_SIZE)
    ax.set_title(f"{len(best)} SPI1 bQTLs act on the bases beside them", loc="left",
                 fontsize=LABEL_SIZE + 2, fontweight="bold")  # fmt: skip
    ax.legend(frameon=False, fontsize=LABEL_SIZE, loc="upper left")
    value_ticks(ax.yaxis, 6)
    open_frame(ax)


def groups(ax: Axes, cases: pd.Series, controls: pd.Series, found: GroupComparison) -> None:
    """Fig. 7: bQTLs against matched controls."""
    ax.boxplot(
        [cases, controls], widths=0.55, showfliers=False, whis=(5, 95), patch_artist=True,
        boxprops={"facecolor": "#C9C2DD", "edgecolor": PURPLE},
        medianprops={"color": INK, "linewidth": 2.2}, whiskerprops={"color": PURPLE},
        capprops={"color": PURPLE},
    )  # fmt: skip
    labels = [f"bQTLs\n({len(cases)})", f"controls of the\nsame effect ({len(controls)})"]
    ax.set_xticks([1, 2], labels)
    ax.set_ylabel("largest |FIS| within 15 bp", fontsize=LABEL_SIZE)
    ax.set_title(
        f"AUC {found.auc:.2f} ({found.low:.2f} to {found.high:.2f}), "
        f"p {found.p:.2g}",
        loc="left", fontsize=LABEL_SIZE + 2, fontweight="bold",
    )  # fmt: skip
    ax.set_ylim(bottom=0)
    value_ticks(ax.yaxis, 6)
    open_frame(ax)


def track(
    model: dfim_fast.Model, texts: list[str], names: list[str], row: pd.Series
) -> Figure:
    """Fig. 4-5: letters of both alleles around one bQTL."""
    n, at = names.index(row["sequence"]), int(row["source"])
    shown = list(range(at - AROUND, at + AROUND + 1))
    maps = dfim_fast.interaction_map(
        model, [texts[n]], names=[names[n]], sources=shown, targets=shown, **HOW
    )
    return figure_for(maps, 0, source=at, mutant=row["alt"], view=[(shown[0], shown[-1] + 1)])


if __name__ == "__main__":
    main()

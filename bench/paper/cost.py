"""Section 2.5: what do DFIM, pairwise ISM and Shapley interactions cost, and do they agree?

    python bench/paper/cost.py [--largest 100]

F features are the most important of the 10 bp tiles of one SPI1-bound sequence; a feature is taken
away by setting it to background. DFIM needs a forward and a backward pass for each feature (here by
the incremental engine, exact), pairwise ISM a forward pass for each pair, exact pairwise Shapley
interactions (by shapiq) one for each subset. Passes are counted, time is measured, and the scores
of all pairs are compared by rank; so are those of all pairs of motifs in section 3.1's sequences.
Writes to bench/results/paper: cost.json, .tsv and a log-log figure.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from common import DATA, Section, rounded
from matplotlib.figure import Figure
from scipy.stats import spearmanr

import dfim_fast
from dfim_fast.backends.select import make_backend
from dfim_fast.io.fasta import read_fasta
from dfim_fast.plan.planner import make_plan
from dfim_fast.plot.style import INK, LABEL_SIZE, ORANGE, PURPLE, TICK_SIZE, open_frame

WIDTH = 10
COUNTS = (2, 4, 6, 8, 10, 12, 16, 25, 40, 63, 100)
SHAPLEY_UP_TO = 12
MOTIF_SEQUENCES = 200
ROUNDS, PATIENCE = 3, 10.0  # repeats, and seconds after which there are no more
BACKGROUND = np.array([0.27, 0.23, 0.23, 0.27], np.float32)


def main() -> None:
    """Time the three, compare, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--largest", type=int, default=100, help="features, at most")
    given = parser.parse_args()
    section = Section("cost", "section 2.5: cost against the number of features")
    folder = DATA / "spi1_bqtl"
    model = dfim_fast.load_model(folder / "model.onnx")
    _, texts = read_fasta(folder / "sequences.fa")
    x = [texts[int(np.argmax(model.predict(texts)[:, 0]))]]
    rows = []
    importance = dfim_fast.attribute(model, x, references="gc").sum(axis=(0, 1))
    for count in [c for c in COUNTS if c <= given.largest]:
        features = tiles(count, importance)
        rows += measured(model, x, features)
        print(pd.DataFrame(rows[-4:]).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    section.table(table)
    section.figure(page(table))
    slopes = {
        name: rounded(slope(own["features"], own["passes"]), 3)
        for name, own in table.groupby("score", sort=False)
    }
    section.finish(
        sequence_length=model.sequence_length,
        feature_width=WIDTH,
        growth_of_passes="exponent in log-log over the larger half of the counts",
        exponents=slopes,
        seconds={name: {int(f): rounded(s, 3) for f, s in zip(own["features"], own["seconds"],
                                                              strict=True)}
                 for name, own in table.groupby("score", sort=False)},
        agreement_on_motif_pairs=section.timed("motif pairs of section 3.1", motif_agreement),
        rank_agreement_with_pairwise_ism={
            name: {int(f): rounded(r, 3) for f, r in zip(own["features"], own["agreement"],
                                                         strict=True) if np.isfinite(r)}
            for name, own in table.groupby("score", sort=False) if name != "pairwise ISM"
        },
    )  # fmt: skip


def tiles(count: int, importance: np.ndarray) -> pd.DataFrame:
    """The most important tiles of a sequence, by the sum over their bases, in their order."""
    total = np.abs(importance.reshape(-1, WIDTH).sum(axis=1))
    start = WIDTH * np.sort(np.argsort(-total, kind="stable")[:count])
    return pd.DataFrame({"sequence": 0, "start": start, "end": start + WIDTH,
                         "name": [f"f{i:03d}" for i in range(count)]})  # fmt: skip


def measured(model: dfim_fast.Model, x: list[str], features: pd.DataFrame) -> list[dict]:
    """A row for each kind of score."""
    count = len(features)
    pairs = count * (count - 1) // 2
    given = {"progress": False}
    ism, ism_time = best(lambda: dfim_fast.pairwise_ism(model, x, features=features, **given))
    key = list(zip(ism["source"], ism["target"], strict=True))
    lost = dict(zip(key, ism["lost"], strict=True))
    found = [{"score": "pairwise ISM", "features": count, "passes": ism.attrs["passes"],
              "seconds": ism_time, "pairs": pairs, "agreement": 1.0}]  # fmt: skip
    for method, references, label in (
        ("gradient", "gc", "DFIM, gradient"), ("deeplift", "gc", "DFIM, DeepLIFT")
    ):  # fmt: skip
        table, seconds = best(lambda m=method, r=references: dfim_fast.motif_interactions(
            model, x, features, method=m, references=r, **given
        ))  # fmt: skip
        fis = table.set_index(["source", "target"])["mean_fis"]
        found.append({
            "score": label, "features": count,
            # original and each mutant: forward and backward; the reference forward
            "passes": 2 * (count + 1) + (method == "deeplift"),
            "seconds": seconds, "pairs": pairs,
            "agreement": rank(lost, {pair: fis[pair] for pair in key}),
        })  # fmt: skip
    if count <= SHAPLEY_UP_TO:
        (values, passes), seconds = best(lambda: shapley(model, x[0], features), 1)
        found.append({
            "score": "Shapley interactions", "features": count, "passes": passes,
            "seconds": seconds, "pairs": pairs, "agreement": rank(lost, values),
        })  # fmt: skip
    return found


def shapley(model: dfim_fast.Model, text: str, features: pd.DataFrame) -> tuple[dict, int]:
    """Exact pairwise Shapley interaction indices, by shapiq."""
    import shapiq

    plan = make_plan(model.graph, method="gradient", sources=[0], window=0)
    backend = make_backend("numba", plan)
    original = dfim_fast.one_hot(text)[0]
    passes = 0

    def value(coalitions: np.ndarray) -> np.ndarray:
        nonlocal passes
        scores = []
        for part in np.array_split(coalitions, max(1, len(coalitions) // 64)):
            batch = np.repeat(original[None], len(part), axis=0)
            for row, present in zip(batch, part, strict=True):
                for i in np.flatnonzero(~present.astype(bool)):
                    row[:, features["start"][i] : features["end"][i]] = BACKGROUND[:, None]
            scores.append(backend.predictions(batch)[:, 0])
            passes += len(part)
        return np.concatenate(scores).astype(np.float64)

    exact = shapiq.ExactComputer(value, n_players=len(features))
    found = exact("SII", order=2)
    names = features["name"].tolist()
    return {
        (names[i], names[j]): float(found[(i, j)])
        for i in range(len(names)) for j in range(i + 1, len(names))
    }, passes  # fmt: skip


def motif_agreement() -> dict[str, float]:
    """FIS of section 3.1's motif pairs, both directions' mean, against pairwise ISM."""
    folder = DATA / "embedded_motifs"
    model = dfim_fast.load_model(folder / "model.onnx")
    names, texts = read_fasta(folder / "sequences.fa.gz")
    chosen = [i for i, name in enumerate(names) if name.startswith("cls3")][:MOTIF_SEQUENCES]
    own, x = [names[i] for i in chosen], [texts[i] for i in chosen]
    motifs = pd.read_csv(folder / "instances.tsv.gz", sep="\t")
    motifs = motifs[motifs["sequence"].isin(own)]
    found = {}
    for method in ("gradient", "deeplift"):
        table = dfim_fast.motif_interactions(
            model, x, motifs, method=method, references="gc", names=own, progress=False
        )
        both = dfim_fast.pairwise_ism(model, x, table, names=own, progress=False)
        found[f"{method}, rank"] = rounded(spearmanr(both["mean_fis"], both["lost"]).statistic, 3)
        found[f"{method}, linear"] = rounded(np.corrcoef(both["mean_fis"], both["lost"])[0, 1], 3)
        found["pairs"] = len(both) // 2
    return found


def rank(first: dict, second: dict) -> float:
    """Spearman's correlation over the same pairs."""
    if len(first) < 3:
        return float("nan")
    return float(spearmanr(list(first.values()), [second[k] for k in first]).statistic)


def best(call, rounds: int = ROUNDS) -> tuple:
    """What a call gives, and the shortest of a few times; of fewer where one takes long."""
    found, times = None, []
    while len(times) <= rounds and sum(times) < PATIENCE:
        start = time.perf_counter()
        found = call()
        times.append(time.perf_counter() - start)
    return found, min(times)


def slope(features: pd.Series, passes: pd.Series) -> float:
    """Growth exponent over the larger half."""
    half = len(features) // 2
    return float(np.polyfit(np.log(features[half:]), np.log(passes[half:]), 1)[0])


def page(table: pd.DataFrame) -> Figure:
    """Passes and seconds against the number of features, both logarithmic."""
    figure = Figure(figsize=(14, 6), layout="constrained")
    axes = figure.subplots(1, 2)
    colors = {"pairwise ISM": ORANGE, "DFIM, gradient": PURPLE, "DFIM, DeepLIFT": "#998EC3",
              "Shapley interactions": INK}  # fmt: skip
    for ax, column, label in ((axes[0], "passes", "passes through the network"),
                              (axes[1], "seconds", "seconds, 2 threads")):  # fmt: skip
        for name, own in table.groupby("score", sort=False):
            ax.plot(own["features"], own[column], "o-", color=colors[name], linewidth=2.2,
                    label=name)  # fmt: skip
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
        ax.minorticks_off()
        ax.set_xlabel("features", fontsize=LABEL_SIZE)
        ax.set_ylabel(label, fontsize=LABEL_SIZE)
        open_frame(ax)
    axes[0].legend(frameon=False, fontsize=TICK_SIZE)
    figure.suptitle("All pairs: linear, quadratic, exponential", fontsize=18, fontweight="bold",
                    ha="left", x=0.01)  # fmt: skip
    return figure


if __name__ == "__main__":
    main()

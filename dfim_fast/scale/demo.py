"""The demonstration's question: which motifs does the model read together?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dfim_fast.io.run_record import RunRecord
from dfim_fast.maps.model import Model
from dfim_fast.maps.motif import motif_interactions
from dfim_fast.scale.motif_run import judge
from dfim_fast.stats.null import null_map

SHUFFLES, SPANS = 5, 10  # of each sequence, and for each source motif
NEGLIGIBLE = 0.1  # logits: moves a probability by 0.025 at most
TESTS = {
    "paper's null: shuffled sequences": "significant",
    "matched null: spans without a motif": "significant_matched",
    f"matched null, and |FIS| above {NEGLIGIBLE:g}": "interacts",
}
TABLE, FIGURE = "motif_pairs.tsv", "motif_pairs.png"


def judge_motif_pairs(
    model: Model,
    names: Sequence[str],
    sequences: Sequence[str],
    motifs: pd.DataFrame,
    threads: int | None,
    progress: bool,
    record: RunRecord,
) -> pd.DataFrame:
    """Interactions of all pairs of motifs, judged by the paper's null and by the matched one.

    Parameters
    ----------
    model : Model
    names, sequences : sequence of str, (N,)
    motifs : DataFrame
        sequence, start, end, name.
    threads : int, optional
    progress : bool
    record : RunRecord
        Takes in both nulls, for the report.

    Returns
    -------
    DataFrame
        Of `motif_interactions`, with p, q and significant of the paper's null, the same with
        ``_matched`` of the matched one, and ``interacts``: called by the latter, with an effect
        that is not negligible.
    """
    settings: dict[str, Any] = {"names": list(names), "threads": threads, "progress": progress}
    table = motif_interactions(model, list(sequences), motifs, **settings)
    for kind, n, null_model in (
        ("dinucleotide", SHUFFLES, "gaussian"),
        ("matched", SPANS, "empirical"),
    ):
        null: Any = null_map(model, list(sequences), kind, n, features=motifs, **settings)
        judge(table, null, kind, null_model)
        record.add_null(f"pairs, {kind}", null["fis"], table["fis"])
    return table.assign(interacts=table["significant_matched"] & (table["fis"].abs() > NEGLIGIBLE))


def write_motif_pairs(folder: Path, table: pd.DataFrame) -> None:
    """Write the table and its figure into a folder of results."""
    from dfim_fast.plot import plot_motif_pairs, save

    table.to_csv(folder / TABLE, sep="\t", index=False, float_format="%.6g")
    figure = plot_motif_pairs(
        table,
        TESTS,
        NEGLIGIBLE,
        "Take one motif away: how much importance does the other lose?",
    )
    (folder / "figures").mkdir(exist_ok=True)
    save(figure, folder / "figures" / FIGURE)


def describe_motif_pairs(table: pd.DataFrame) -> list[str]:
    """Lines for people: effect sizes and both nulls side by side, and what follows."""
    found = table.groupby(["source", "target"]).agg(
        fis=("fis", "mean"),
        relative=("relative", "mean"),
        shuffled=("significant", "mean"),
        matched=("significant_matched", "mean"),
        interacts=("interacts", "mean"),
    )
    found = found.sort_values("fis", key=abs, ascending=False)
    lines = [
        f"Motif pairs: with one motif set to background, the importance that the other loses, in "
        f"{table['sequence'].nunique()} sequences",
        f"  {'source > target':16s} {'FIS':>8s} {'of target':>10s}   significant by the",
        f"  {'':16s} {'(logits)':>8s} {'':>10s}   {'paper’s null':>12s} {'matched null':>13s} "
        f"{f'and above {NEGLIGIBLE:g}':>14s}",
    ]
    for (source, target), row in found.iterrows():
        lines.append(
            f"  {f'{source} > {target}':16s} {row.fis:+8.3f} {row.relative:10.0%}   "
            f"{row.shuffled:12.0%} {row.matched:13.0%} {row.interacts:14.0%}"
        )
    strong = found[found["interacts"] > 0.5]
    weak = table.set_index(["source", "target"]).loc[found.index.difference(strong.index)]
    names = " and ".join(f"{source} > {target}" for source, target in strong.index)
    return [
        *lines,
        f"The pairs that interact: {names or 'none'}.",
        f"Of the others, which change by {weak['fis'].abs().mean():.2g} on average, the paper's "
        f"null calls {weak['significant'].mean():.0%} (it asks whether a sequence has "
        f"strong features) and the matched null {weak['significant_matched'].mean():.0%} (whether "
        "the source does more than a span without a motif, however little); "
        f"{weak['interacts'].mean():.0%} are called and exceed {NEGLIGIBLE:g} logits: look at the "
        "effect, not only at p.",
    ]

"""`dfim-fast demo`: the whole job on a small model that ships with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfim_fast.cli import options as o

MAPPED, DRAWN = 8, 3  # sequences with maps of every base, and those of them with a figure


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")] = Path("dfim_demo"),
    threads: o.Threads = None,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Find out which motifs a small model reads together: the paper's section 3.1 in a minute.

    The model answers whether a sequence holds both an ELF1 and a SIX5 motif; AP1 and TAL1 motifs
    are there too and mean nothing. So ELF1 and SIX5 should interact, and nothing else.
    """
    import pandas as pd

    import dfim_fast
    from dfim_fast.io.fasta import read_fasta
    from dfim_fast.io.output import check_new
    from dfim_fast.io.run_record import RunRecord
    from dfim_fast.maps.model import load_model
    from dfim_fast.report import REPORT
    from dfim_fast.scale import demo as pairs
    from dfim_fast.scale.map_run import MARKER, run_maps

    check_new(out, MARKER, overwrite)
    data = Path(dfim_fast.__file__).parent / "data"
    model = load_model(data / "demo.onnx")
    # the negatives lack a motif, so that they have no such pair
    held = [s for s in zip(*read_fasta(data / "demo.fa"), strict=True) if s[0].startswith("pos")]
    names, sequences = [name for name, _ in held], [text for _, text in held]
    motifs = pd.read_csv(data / "demo_motifs.tsv", sep="\t")
    motifs = motifs[motifs["sequence"].isin(names)].reset_index(drop=True)

    def judge_pairs(folder: Path, record: RunRecord) -> list[str]:
        record.kind = "demo"
        table = pairs.judge_motif_pairs(
            model, names, sequences, motifs, threads, not quiet, record
        )
        pairs.write_motif_pairs(folder, table)
        return pairs.describe_motif_pairs(table)

    finished = run_maps(
        model,
        names[:MAPPED],
        sequences[:MAPPED],
        out,
        settings={"threads": threads},
        figures=DRAWN,
        overwrite=overwrite,
        progress=not quiet,
        also=judge_pairs,
    )
    if quiet:
        return
    (picture, *_) = sorted((out / "figures").glob("1_*.png"))
    typer.echo("\n".join([
        *finished.lines,
        "",
        "Where to look",
        f"  {out / REPORT}: everything in one page; open it in a browser",
        f"  {out / 'figures' / pairs.FIGURE}: the table above, a point for each sequence",
        f"  {picture}: losing one base of one motif takes the importance from the other",
        f"  {out / pairs.TABLE}: every pair of every sequence, with p and q of both nulls",
    ]))  # fmt: skip

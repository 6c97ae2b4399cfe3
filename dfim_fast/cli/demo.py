"""`dfim-fast demo`: the whole job on the model and sequences that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfim_fast.cli import options as o

POSITIVES, NEGATIVES = 6, 2


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")] = Path("dfim_demo"),
    threads: o.Threads = None,
    overwrite: Annotated[bool, typer.Option(
        "--overwrite", help="Replace an earlier result, when this one is complete.")] = False,
    quiet: Annotated[bool, typer.Option(
        "--quiet", "-q", help="Print nothing but warnings and errors.")] = False,
) -> None:  # fmt: skip
    """Map a small model's sequences and say what it learned.

    The model answers whether a sequence holds both an ELF1 and a SIX5 motif; AP1 and TAL1 motifs
    are there too and mean nothing. So ELF1 and SIX5 should interact, and nothing else.
    """
    import dfim_fast
    from dfim_fast.io.fasta import read_fasta
    from dfim_fast.io.output import check_new
    from dfim_fast.maps.model import load_model
    from dfim_fast.scale.demo import found_between_motifs
    from dfim_fast.scale.map_run import MARKER, run_maps

    check_new(out, MARKER, overwrite)
    data = Path(dfim_fast.__file__).parent / "data"
    model = load_model(data / "demo.onnx")
    names, sequences = read_fasta(data / "demo.fa")
    chosen = [
        i
        for kind, count in (("positive", POSITIVES), ("negative", NEGATIVES))
        for i in [i for i, name in enumerate(names) if name.startswith(kind)][:count]
    ]
    finished = run_maps(
        model,
        [names[i] for i in chosen],
        [sequences[i] for i in chosen],
        out,
        settings={"threads": threads},
        overwrite=overwrite,
        progress=not quiet,
    )
    if quiet:
        return
    picture = next(iter(sorted((out / "figures").glob("1_*.png"))))
    typer.echo("\n".join([
        *finished.lines,
        "",
        f"The model says whether ELF1 and SIX5 are both there; {POSITIVES} sequences hold both, "
        f"{NEGATIVES} lack one.",
        *found_between_motifs(out / MARKER, data / "demo_motifs.tsv"),
        f"See it in {picture}: losing one base of one motif takes the importance from the other.",
    ]))  # fmt: skip

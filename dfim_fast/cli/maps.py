"""`dfim-fast map`: nucleotide maps of sequences, judged, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfim_fast.cli import options as o
from dfim_fast.errors import SettingsError

FASTA = (".fa", ".fasta", ".fna", ".fa.gz", ".fasta.gz", ".fna.gz")


def map_sequences(
    files: Annotated[list[Path], typer.Argument(
        metavar="FILES", help="ONNX file of the model, or those of several folds; then a FASTA, "
        "plain or gzipped, where --bed and --genome are not given.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    bed: o.RegionsBed = None,
    genome: o.RegionsGenome = None,
    sequence_length: o.SequenceLength = None,
    target: o.Target = "logit",
    strands: o.Strands = "joint",
    output_range: o.OutputRange = None,
    reverse_complement: o.ReverseComplement = False,
    constant: o.Constants = None,
    task: o.Task = None,
    method: o.Method = "deeplift",
    references: o.References = "dinucleotide",
    n_references: o.NReferences = 20,
    gc: o.GC = 0.46,
    contribution: o.Contribution = "projected",
    maxpool: o.MaxPool = "shap",
    epsilon: o.Epsilon = 1e-6,
    sources: o.Sources = None,
    targets: o.Targets = None,
    window: o.Window = None,
    n_null: Annotated[int, typer.Option(
        min=1, help="Dinucleotide-shuffled copies of each sequence to make the null from.")] = 1,
    null_model: o.NullModel = "empirical",
    pool: Annotated[str, typer.Option(
        help="Null values that judge a score, of the same: task, sequence or global.")] = "task",
    family: Annotated[str, typer.Option(
        help="Tests corrected together, likewise: task, sequence or global.")] = "task",
    correction: Annotated[str, typer.Option(
        help="bh (Benjamini-Hochberg), by (Benjamini-Yekutieli) or decoy.")] = "bh",
    alpha: o.Alpha = 0.05,
    random_state: o.RandomState = 0,
    figures: Annotated[int, typer.Option(min=0, help="Sequences to draw, strongest first.")] = 5,
    top: Annotated[int, typer.Option(min=0, help="Rows of the table, strongest first.")] = 100_000,
    backend: o.BackendName = "auto",
    memory_limit: o.MemoryLimit = None,
    threads: o.Threads = None,
    report: o.Report = True,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Map how mutating each base changes the importance of every other, and judge it.

    FILES are a model and a FASTA: dfim-fast map model.onnx sequences.fa -o maps.

    OUT becomes a folder with maps.zarr (all maps, p and q), interactions.tsv.gz and .parquet
    (strongest first), figures, summary.txt and report.html. It appears only when all of it is
    complete.

    Several models are folds of one question: the maps are their means, with the same references
    for all, and the store and the table hold the folds' spread and their agreement in sign.
    """
    models = files if bed else files[:-1]
    # told by their names: what reading one for the other says would be beside the point
    last = files[-1].name
    if not models or (last.endswith(FASTA) if bed else last.endswith(".onnx")):
        raise SettingsError(
            "give either a FASTA file or --bed with --genome, to say which sequences to map"
        )
    o.check_regions(bed, genome)
    settings = {
        "method": method, "references": o.references(references), "n_references": n_references,
        "gc": gc, "random_state": random_state, "contribution": contribution, "maxpool": maxpool,
        "epsilon": epsilon, "sources": o.positions(sources, "--sources"),
        "targets": o.positions(targets, "--targets"), "window": window, "backend": backend,
        "memory_limit": o.size(memory_limit, "--memory-limit"), "threads": threads,
    }  # fmt: skip

    from dfim_fast.io.output import check_new
    from dfim_fast.scale.map_run import MARKER, run_maps
    from dfim_fast.scale.passes import Judging

    check_new(out, MARKER, overwrite)
    network = o.load(
        models, sequence_length, target, strands, output_range, reverse_complement, constant
    )
    settings["task"] = o.task(task, network)
    names, texts = o.sequences(files[-1], bed, genome, network.sequence_length)
    finished = run_maps(
        network,
        names,
        texts,
        out,
        settings=settings,
        judging=Judging(n_null, null_model, pool, family, correction, alpha),
        figures=figures,
        top=top,
        overwrite=overwrite,
        progress=not quiet,
        report=report,
    )
    if not quiet:
        typer.echo("\n".join(finished.lines))

"""`dfim-fast variants`: what variants do to the bases and motifs around them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfim_fast.cli import options as o
from dfim_fast.errors import SettingsError


def variants(
    models: o.ModelPaths,
    genome: Annotated[Path, typer.Option(
        help="FASTA the variants were called on, with its .fai index.")],
    vcf: Annotated[Path, typer.Option(help="Variants: VCF, plain or gzipped, or BCF.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    flank: o.Flank = 15,
    explain: Annotated[bool, typer.Option(
        "--explain", help="Split each effect exactly into the variant itself, each motif, and the "
        "rest.")] = False,
    features: Annotated[Path | None, typer.Option(
        help="Motifs for --explain, on the genome: BED, a table, or Fi-NeMo hits.")] = None,
    motifs: Annotated[Path | None, typer.Option(
        help="Or scan for the motifs of a MEME, JASPAR or HOMER file.")] = None,
    threshold: o.Threshold = 1e-4,
    figures: Annotated[int, typer.Option(
        min=0, help="Variants to draw with --explain, strongest effect first.")] = 5,
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
    random_state: o.RandomState = 0,
    backend: o.BackendName = "auto",
    memory_limit: o.MemoryLimit = None,
    threads: o.Threads = None,
    report: o.Report = True,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Say which bases and motifs gain or lose importance with each allele of a VCF.

    OUT becomes a folder with variants.tsv.gz and .parquet (a row per allele and base around it),
    by_variant.tsv, variants.vcf (the same in INFO), summary.txt and report.html; with --explain
    also explained.tsv.gz and .parquet, and waterfall figures. It appears when all of it is
    complete.

    Bases behind an insertion or deletion are compared with themselves where they have moved to.
    """
    if (features is not None or motifs is not None) and not explain:
        raise SettingsError("--features and --motifs are for --explain; add it or leave them out")
    if features is not None and motifs is not None:
        raise SettingsError("give --features or --motifs, not both")
    settings = {
        "method": method, "references": o.references(references), "n_references": n_references,
        "gc": gc, "random_state": random_state, "contribution": contribution, "maxpool": maxpool,
        "epsilon": epsilon, "backend": backend,
        "memory_limit": o.size(memory_limit, "--memory-limit"), "threads": threads,
    }  # fmt: skip

    from dfim_fast.io.output import check_new
    from dfim_fast.scale.variant_run import MARKER, found_motifs, run_variants

    check_new(out, MARKER, overwrite)
    network = o.load(
        models, sequence_length, target, strands, output_range, reverse_complement, constant
    )
    settings["task"] = o.task(task, network)
    table = None
    if features is not None:
        from dfim_fast.io.features import read_features

        table = read_features(features).rename(columns={"sequence": "chrom"})
    elif motifs is not None:
        table = found_motifs(motifs, genome, vcf, network.sequence_length, threshold)
    finished = run_variants(
        network,
        genome,
        vcf,
        out,
        flank=flank or None,
        explain=explain,
        features=table,
        settings=settings,
        figures=figures,
        overwrite=overwrite,
        progress=not quiet,
        report=report,
    )
    if not quiet:
        typer.echo("\n".join(finished.lines))

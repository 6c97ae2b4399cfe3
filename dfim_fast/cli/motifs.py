"""`dfim-fast motifs`: interactions of pairs of motifs, judged, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dfim_fast.cli import options as o
from dfim_fast.errors import SettingsError


def motif_pairs(
    files: Annotated[list[Path], typer.Argument(
        metavar="MODEL... [SEQUENCES] [FEATURES]", help="ONNX file, or those of several folds; a "
        "FASTA, where --bed and --genome are not given; a table of features (BED, "
        "sequence/start/end/name, fimo.tsv, Fi-NeMo hits), where --motifs is not given.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    bed: o.RegionsBed = None,
    genome: o.RegionsGenome = None,
    motifs: Annotated[Path | None, typer.Option(
        help="Find the features: scan for the motifs of a MEME, JASPAR or HOMER file.")] = None,
    threshold: o.Threshold = 1e-4,
    source: Annotated[str, typer.Option(
        help="What a source motif becomes: background, zeros, shuffle, nucleotide (every single "
        "change), replacement (the features' column), or a DNA string.")] = "background",
    gc: Annotated[float, typer.Option(
        "--gc", help="GC content of --source background, and of gc references.")] = 0.46,
    n_shuffles: Annotated[int, typer.Option(min=1, help="Of --source shuffle.")] = 10,
    sources: Annotated[list[str] | None, typer.Option(
        metavar="NAME", help="Motifs to change; repeat for several.  [default: all]")] = None,
    targets: Annotated[list[str] | None, typer.Option(
        metavar="NAME", help="Motifs to read, likewise.  [default: all]")] = None,
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
    contribution: o.Contribution = "projected",
    maxpool: o.MaxPool = "shap",
    epsilon: o.Epsilon = 1e-6,
    null: Annotated[list[str] | None, typer.Option(
        help="dinucleotide: the same spans in shuffled sequences; matched: spans of the same width "
        "without a motif; none.  [default: dinucleotide and matched]")] = None,
    n_null: Annotated[int, typer.Option(min=1, help="Shuffles of each sequence.")] = 1,
    n_matched: Annotated[int, typer.Option(
        min=1, help="Spans without a motif for each source motif.")] = 5,
    null_model: o.NullModel = "empirical",
    correction: o.Correction = "bh",
    alpha: o.Alpha = 0.05,
    random_state: o.RandomState = 0,
    backend: o.BackendName = "auto",
    memory_limit: o.MemoryLimit = None,
    threads: o.Threads = None,
    report: o.Report = True,
    overwrite: o.Overwrite = False,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Take each motif away and read what every other motif of its sequence loses.

    OUT becomes a folder with motif_pairs.tsv.gz and .parquet (a row per ordered pair, both
    directions), by_motif.tsv, features.tsv, figures, summary.txt and report.html. It appears only
    when all of it is complete.
    """
    wanted = (bed is None) + (motifs is None)
    models, rest = files[: len(files) - wanted], files[len(files) - wanted :]
    if not models or any(path.suffix == ".onnx" for path in rest):
        raise SettingsError(
            "give MODEL, then a FASTA (or --bed with --genome), then a table of features (or "
            f"--motifs); found {' '.join(path.name for path in files)}"
        )
    o.check_regions(bed, genome)
    settings = {
        "source": source, "gc": gc, "n_shuffles": n_shuffles, "sources": sources or None,
        "targets": targets or None, "method": method, "references": o.references(references),
        "n_references": n_references, "random_state": random_state, "contribution": contribution,
        "maxpool": maxpool, "epsilon": epsilon, "backend": backend,
        "memory_limit": o.size(memory_limit, "--memory-limit"), "threads": threads,
    }  # fmt: skip

    from dfim_fast.io.output import check_new
    from dfim_fast.scale.motif_run import MARKER, NULLS, PairJudging, run_motifs

    check_new(out, MARKER, overwrite)
    network = o.load(
        models, sequence_length, target, strands, output_range, reverse_complement, constant
    )
    settings["task"] = o.task(task, network)
    length = network.sequence_length
    names, texts = o.sequences(rest[0] if rest else files[0], bed, genome, length)
    if motifs is None:
        from dfim_fast.io.features import place_features, read_features

        features = place_features(read_features(rest[-1]), names, length, str(rest[-1]))
    else:
        from dfim_fast.io.motifs import read_motifs, scan
        from dfim_fast.sequence.one_hot import encode

        features = scan(read_motifs(motifs), encode(texts, length, names), threshold)
    nulls = tuple(NULLS) if null is None else tuple(kind for kind in null if kind != "none")
    finished = run_motifs(
        network,
        names,
        texts,
        features,
        out,
        settings=settings,
        judging=PairJudging(nulls, n_null, n_matched, null_model, correction, alpha),
        overwrite=overwrite,
        progress=not quiet,
        report=report,
    )
    if not quiet:
        typer.echo("\n".join(finished.lines))

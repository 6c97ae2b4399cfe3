"""`dfim-fast score`: interactions of any number of regions of a genome, streamed and resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dfim_fast.cli import options as o
from dfim_fast.errors import SettingsError


def score_regions(
    models: o.ModelPaths,
    genome: Annotated[Path, typer.Option(
        help="FASTA with its index, plain or bgzipped, or 2bit.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Store: a folder to make, or to go on "
                                      "with by --resume.")],
    bed: Annotated[Path | None, typer.Option(help="BED regions.")] = None,
    vcf: Annotated[Path | None, typer.Option(help="Or variants: VCF or BCF.")] = None,
    motifs: Annotated[Path | None, typer.Option(
        help="With --bed: score pairs of the motifs of a MEME, JASPAR or HOMER file, not whole "
        "maps.")] = None,
    threshold: o.Threshold = 1e-4,
    flank: o.Flank = 15,
    resume: Annotated[bool, typer.Option(
        "--resume", help="Go on with a store that was begun; begin it if there is none.")] = False,
    fit: Annotated[str, typer.Option(
        help="Regions of another length than the model's: centre or tile.")] = "centre",
    stride: Annotated[int | None, typer.Option(
        min=1, help="Bases from one tile to the next.  [default: the model's length]")] = None,
    ends: Annotated[str, typer.Option(
        help="Windows past the end of a contig: error, pad (with N) or skip.")] = "error",
    strand: Annotated[str, typer.Option(
        help="Which the model reads: forward, bed (column 6) or both.")] = "forward",
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
    null_regions: Annotated[int, typer.Option(
        min=1, help="Regions, drawn at random, whose shuffles make the null.")] = 1000,
    n_null: Annotated[int, typer.Option(min=1, help="Shuffles of each of them.")] = 1,
    null_model: o.NullModel = "empirical",
    pool: Annotated[str, typer.Option(
        help="Null values that judge a score, of the same: task, distance (and task) or "
        "global.")] = "task",
    family: Annotated[str, typer.Option(
        help="Tests corrected together: task or global.")] = "task",
    correction: o.Correction = "bh",
    alpha: o.Alpha = 0.05,
    top: Annotated[int, typer.Option(
        min=0, help="Interactions kept of each region, task and bin of distance, strongest "
        "first.")] = 100,
    keep: Annotated[str, typer.Option(
        help="significant interactions, or maps: every score as well.")] = "significant",
    export: Annotated[list[str] | None, typer.Option(
        metavar="FORM", help="Also write bedpe, bed or bigwig, for genome browsers; repeat for "
        "several.")] = None,
    random_state: o.RandomState = 0,
    backend: o.BackendName = "auto",
    memory_limit: o.MemoryLimit = None,
    chunk: Annotated[int | None, typer.Option(
        min=1, help="Regions done at a time; changes no number.  [default: by their size]")] = None,
    workers: Annotated[int, typer.Option(
        min=1, help="Processes, which share the processors; changes no number.")] = 1,
    threads: o.Threads = None,
    scheduler: Annotated[str | None, typer.Option(
        metavar="ADDRESS", help="Dask scheduler whose workers do the work, such as "
        "tcp://node1:8786; or slurm, for jobs that are workers.")] = None,
    slurm_jobs: Annotated[int | None, typer.Option(
        min=1, help="With --scheduler slurm: jobs, a worker each.  [default: 1]")] = None,
    slurm_cores: Annotated[int | None, typer.Option(
        min=1, help="Processors of a job.  [default: 4]")] = None,
    slurm_memory: Annotated[str | None, typer.Option(
        metavar="SIZE", help="Memory of a job.  [default: 8GB]")] = None,
    slurm_time: Annotated[str | None, typer.Option(
        metavar="TIME", help="Limit of a job, after which another takes its place.  "
        "[default: 04:00:00]")] = None,
    slurm_partition: Annotated[str | None, typer.Option(
        metavar="NAME", help="Partition of the jobs.")] = None,
    slurm_account: Annotated[str | None, typer.Option(
        metavar="NAME", help="Account that pays for them.")] = None,
    slurm_directive: Annotated[list[str] | None, typer.Option(
        metavar="TEXT", help="Another #SBATCH line of them, such as --gres=gpu:1; repeat for "
        "several.")] = None,
    slurm_setup: Annotated[list[str] | None, typer.Option(
        metavar="LINE", help="A line of the job script before the worker starts, such as 'module "
        "load cuda'; repeat for several.")] = None,
    slurm_interface: Annotated[str | None, typer.Option(
        metavar="NAME", help="Network that the jobs and this machine share, such as ib0.")] = None,
    quiet: o.Quiet = False,
) -> None:  # fmt: skip
    """Score the regions of a genome, however many, and keep what is significant.

    dfim-fast score model.onnx --genome hg38.fa --bed peaks.bed -o scored

    Killed at any moment, it goes on with --resume and ends with the same files. Ctrl-C keeps what
    is under way, too. In the store, results holds interactions.parquet (the significant ones),
    regions.zarr (for every region its attributions, and for every source its strongest
    interaction), the histograms that scores were judged by, and summary.txt; log holds times.
    More, on clusters too: dfim-fast guide genome_scale.
    """
    settings = {
        "method": method, "references": o.references(references), "n_references": n_references,
        "gc": gc, "random_state": random_state, "contribution": contribution, "maxpool": maxpool,
        "epsilon": epsilon, "sources": o.positions(sources, "--sources"),
        "targets": o.positions(targets, "--targets"), "window": window, "backend": backend,
        "memory_limit": o.size(memory_limit, "--memory-limit"),
    }  # fmt: skip

    if (bed is None) == (vcf is None):
        raise SettingsError("give --bed, regions, or --vcf, variants")

    asked: dict[str, Any] = {
        "jobs": slurm_jobs, "cores": slurm_cores, "memory": slurm_memory, "time": slurm_time,
        "partition": slurm_partition, "account": slurm_account, "directives": slurm_directive,
        "setup": slurm_setup, "interface": slurm_interface,
    }  # fmt: skip
    asked = {name: value for name, value in asked.items() if value}
    if asked and scheduler != "slurm":
        raise SettingsError("--slurm-...: ask for jobs of SLURM; add --scheduler slurm")

    from dfim_fast.io.score_store import check_store
    from dfim_fast.scale.score import score
    from dfim_fast.scale.slurm import Slurm

    check_store(out, resume)
    network = o.load(
        models, sequence_length, target, strands, output_range, reverse_complement, constant
    )
    scored = score(
        network,
        genome,
        out,
        bed=bed,
        vcf=vcf,
        motifs=motifs,
        threshold=threshold,
        flank=flank or None,
        export=tuple(export or ()),
        fit=fit,
        stride=stride,
        ends=ends,
        strands=strand,
        task=o.task(task, network),
        null_regions=null_regions,
        n_null=n_null,
        null_model=null_model,
        pool=pool,
        family=family,
        correction=correction,
        alpha=alpha,
        top=top,
        keep=keep,
        chunk=chunk,
        workers=workers,
        threads=threads,
        scheduler=Slurm(**asked) if scheduler == "slurm" else scheduler,
        resume=resume,
        progress=not quiet,
        **settings,
    )
    if not quiet:
        typer.echo("\n".join([*scored.summary, "", f"Results in {out / 'results'}"]))

"""Interactions of as many regions of a genome as there are: streamed, resumable, in a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dfim_fast.errors import SettingsError
from dfim_fast.io.score_store import LOG, check_store
from dfim_fast.maps.model import Model
from dfim_fast.plan.planner import whole_number
from dfim_fast.scale.runners import make_runner
from dfim_fast.scale.score_run import Judging, Scored, run_job
from dfim_fast.scale.score_work import make_score_request, streamed
from dfim_fast.scale.slurm import Slurm


def score(
    model: Model,
    genome: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    bed: str | os.PathLike[str] | None = None,
    vcf: str | os.PathLike[str] | None = None,
    motifs: str | os.PathLike[str] | None = None,
    threshold: float = 1e-4,
    flank: int | None = 15,
    fit: str = "centre",
    stride: int | None = None,
    ends: str = "error",
    strands: str = "forward",
    method: str = "deeplift",
    references: Any = "dinucleotide",
    n_references: int = 20,
    gc: float = 0.46,
    random_state: int = 0,
    task: Any = 0,
    contribution: str = "projected",
    maxpool: str = "shap",
    epsilon: float = 1e-6,
    sources: Any = None,
    targets: Any = None,
    window: int | None = None,
    backend: str = "auto",
    memory_limit: int | None = None,
    null_regions: int = 1000,
    n_null: int = 1,
    null_model: str = "empirical",
    pool: str = "task",
    family: str = "task",
    correction: str = "bh",
    alpha: float = 0.05,
    top: int = 100,
    keep: str = "significant",
    export: tuple[str, ...] = (),
    chunk: int | None = None,
    workers: int = 1,
    threads: int | None = None,
    scheduler: str | Slurm | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Scored:
    """Interactions of regions or variants of a genome, as many as there are, in a store on disk.

    Regions are read when they are needed, and results written chunk by chunk: killed at any moment,
    the run goes on with ``resume=True`` and ends with the same bytes. These depend neither on
    ``chunk`` nor on ``workers``, ``threads`` or ``scheduler``.

    Parameters
    ----------
    model : Model
    genome : path
        FASTA with its index, plain or bgzipped, or 2bit.
    out : path
        The store, a folder: ``results`` appears in it when all is done.
    bed : path
        Regions, for whole maps; with ``motifs`` for pairs of motifs instead.
    vcf : path
        Or variants, each in the middle of its sequence.
    motifs : path, optional
        MEME, JASPAR or HOMER file of motifs to find in the regions; every pair is a row.
    threshold : float
        Largest p of a motif's hit.
    flank : int, optional
        Bases read on each side of a variant; None for all.
    fit, stride, ends, strands
        How windows lie over regions: "centre" or "tile"; at ends of contigs "error", "pad" or
        "skip"; "forward", "bed" or "both" strands.
    method, references, n_references, gc, random_state, task, contribution, maxpool, epsilon,
    sources, targets, window, backend, memory_limit
        As in `interaction_map`.
    null_regions, n_null : int
        The null is made of ``n_null`` shuffles of as many regions, drawn at random.
    null_model : {"empirical", "gaussian"}
        Count null values, or fit a Gaussian to them, as the paper does.
    pool : {"task", "distance", "global"}
        Null values that judge a score: those of its task, of its task and bin of distance (under
        20, 20-50, 50-100, 100-200, 200 bp and more), or all.
    family : {"task", "global"}
        Tests corrected together: all of the run, not only those that are kept.
    correction : {"bh", "by"}
    alpha : float
    top : int
        Interactions kept of each region, task and bin of distance, strongest first; the significant
        ones of these make the table, and the summary says how many more there are.
    keep : {"significant", "maps"}
        "maps" keeps every score too, in ``maps.zarr``; use ``window`` with it.
    export : sequence of {"bedpe", "bed", "bigwig"}
        Write these for genome browsers too: the significant interactions as arcs and as BED12; the
        attributions, and the strongest interaction of each base, as bigWig.
    chunk : int, optional
        Regions done at a time, by size of a map as a rule.
    workers : int
        Processes, that share the processors; for a GPU backend one for each GPU as a rule.
    threads : int, optional
        Of each worker.
    scheduler : str or Slurm, optional
        Address of a Dask scheduler, whose workers then do the work; or "slurm" or a `Slurm`, for
        jobs of SLURM that are workers while the run lasts.
    resume : bool
        Go on with a store of the same settings.
    progress : bool

    Returns
    -------
    Scored

    Raises
    ------
    InputError, SettingsError, BackendError, NullError
    OutputError
        If the store is another run's, was made with other settings, or cannot be written.
    Interrupted
        After Ctrl-C; what was finished is kept.

    Examples
    --------
    >>> import dfim_fast, pysam
    >>> from importlib.resources import files
    >>> from pathlib import Path
    >>> model = dfim_fast.load_model(files("dfim_fast") / "data" / "demo.onnx")
    >>> _ = Path("genome.fa").write_text(">chr1\\n" + "ACGTTGCAAC" * 100 + "\\n")
    >>> _ = pysam.faidx("genome.fa")
    >>> _ = Path("regions.bed").write_text("chr1\\t100\\t300\\nchr1\\t250\\t450\\n")
    >>> scored = dfim_fast.score(
    ...     model, "genome.fa", "store", bed="regions.bed", method="gradient", progress=False
    ... )
    >>> sorted(path.name for path in scored.store.iterdir() if path.is_dir())
    ['log', 'results']
    """
    check_store(Path(out), resume)
    whole_number("workers", workers, 1)
    if chunk is not None:
        whole_number("chunk", chunk, 1)
    judging = Judging(null_regions, n_null, null_model, pool, family, correction, alpha)
    judging.check()
    settings = {
        "method": method, "references": references, "n_references": n_references, "gc": gc,
        "random_state": random_state, "task": task, "contribution": contribution,
        "maxpool": maxpool, "epsilon": epsilon, "sources": sources, "targets": targets,
        "window": window, "backend": backend, "memory_limit": memory_limit,
    }  # fmt: skip
    if (bed is None) == (vcf is None):
        raise SettingsError("bed, vcf: give one of them, regions or variants")
    whole_maps = bed is not None and motifs is None
    if not whole_maps and (keep != "significant" or export):
        raise SettingsError("keep, export: are for whole maps of regions; leave them out")
    where: dict[str, Any] = {"fit": fit, "stride": stride, "ends": ends, "strands": strands}
    if vcf is not None and motifs is not None:
        raise SettingsError("motifs: are found in regions; give bed with them, not vcf")
    settings = streamed(settings, whole_maps)
    request = make_score_request(model, settings, None)
    settings["backend"] = request.backend.name  # what others would choose elsewhere may differ
    if scheduler is not None:  # workers stand in folders of their own
        genome = os.path.abspath(genome)
    runner = make_runner(workers, threads, scheduler, request.backend.name, Path(out) / LOG)
    runner.begin(make_score_request.__module__, type(request.backend).__module__)
    from dfim_fast.scale.score_jobs import region_job, table_job  # workers are importing, too

    rows_of: Any = vcf if bed is None else bed
    if whole_maps:
        job = region_job(
            request, genome, rows_of, settings, judging, **where, top=top, keep=keep,
            export=tuple(export), chunk=chunk, progress=progress,
        )  # fmt: skip
    else:
        job = table_job(
            request, genome, rows_of, settings, judging, motifs=motifs,
            threshold=threshold, flank=flank, windows=where, chunk=chunk,
        )  # fmt: skip
    return run_job(job, out, runner, resume=resume, progress=progress)

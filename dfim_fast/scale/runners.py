"""Which runner does the chunks of a run, by what was asked for and what there is."""

from __future__ import annotations

import os

from dfim_fast.errors import SettingsError
from dfim_fast.scale.cluster import DaskRunner
from dfim_fast.scale.slurm import Slurm, SlurmRunner
from dfim_fast.scale.workers import Processes, Runner, Serial, visible_gpus


def make_runner(
    workers: int,
    threads: int | None,
    scheduler: str | Slurm | None,
    backend: str,
    log: str | os.PathLike[str] | None = None,
) -> Runner:
    """Who does the chunks.

    Parameters
    ----------
    workers : int
    threads : int, optional
    scheduler : str or Slurm, optional
        Address of a Dask scheduler, ``"slurm"``, or what to ask SLURM for.
    backend : str
        That computes; one on a GPU gets a worker for each.
    log : path, optional
        Folder for what SLURM's jobs print.

    Raises
    ------
    SettingsError
        If both workers and a scheduler are asked for.
    """
    if scheduler is not None:
        for option, given in (("workers", workers > 1), ("threads", threads is not None)):
            if given:
                raise SettingsError(
                    f"{option}={workers if option == 'workers' else threads}: a scheduler's "
                    "workers have processors of their own; leave it out, or the scheduler"
                )
        if isinstance(scheduler, Slurm) or scheduler == "slurm":
            return SlurmRunner(scheduler if isinstance(scheduler, Slurm) else Slurm(), log)
        return DaskRunner(scheduler)
    gpus = visible_gpus() if backend in ("cupy", "native") else []
    if len(gpus) > 1 and workers == 1:
        workers = len(gpus)
    if workers == 1:
        return Serial(threads)
    return Processes(workers, threads, gpus)

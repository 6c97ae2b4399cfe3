"""Workers that are jobs of SLURM: submitted when a run begins, and ended with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dfim_fast.errors import BackendError, SettingsError
from dfim_fast.scale.cluster import MISSING, DaskRunner, one_line

_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", re.IGNORECASE)
# minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes(:seconds)
_TIME = re.compile(r"[0-9]+(:[0-9]{2}){0,2}|[0-9]+-[0-9]{1,2}(:[0-9]{2}){0,2}")
REPLACE = "10s"  # from one look at whether jobs have ended to the next


@dataclass(frozen=True)
class Slurm:
    """What to ask SLURM for.

    Attributes
    ----------
    jobs : int
        Each is one worker.
    cores : int
        Of a job; a chunk is done with all of them.
    memory : str
        Of a job, such as ``"8GB"``.
    time : str
        Limit of a job as SLURM writes it, such as ``"04:00:00"``; a job whose time is over is
        replaced by a new one.
    partition, account : str, optional
    directives : sequence of str
        More for ``#SBATCH`` lines, such as ``"--gres=gpu:1"``.
    setup : sequence of str
        Lines of the job script before the worker starts, such as ``"module load cuda"``.
    interface : str, optional
        Network that jobs and this process share, such as ``"ib0"``.

    Raises
    ------
    SettingsError
        If a value is nothing that SLURM would take.

    Examples
    --------
    >>> import dfim_fast
    >>> dfim_fast.Slurm(jobs=32, cores=8, memory="16GB", partition="short").jobs
    32
    """

    jobs: int = 1
    cores: int = 4
    memory: str = "8GB"
    time: str = "04:00:00"
    partition: str | None = None
    account: str | None = None
    directives: Sequence[str] = ()
    setup: Sequence[str] = ()
    interface: str | None = None

    def __post_init__(self) -> None:
        for name in ("jobs", "cores"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"slurm: {name}={value!r}; pass an integer of at least 1")
        if not _MEMORY.fullmatch(self.memory):
            raise SettingsError(
                f"slurm: memory={self.memory!r} is no size; write a number and a unit, such as 8GB"
            )
        if not _TIME.fullmatch(self.time):
            raise SettingsError(
                f"slurm: time={self.time!r} is no time as SLURM writes it; wanted "
                "hours:minutes:seconds, such as 04:00:00, or days-hours"
            )
        for name in ("directives", "setup"):
            if isinstance(getattr(self, name), str):
                raise SettingsError(f"slurm: {name} is one text; pass a list of lines")


class SlurmRunner(DaskRunner):
    """Workers that are started as SLURM jobs, and ended afterwards.

    Parameters
    ----------
    slurm : Slurm
    log : path, optional
        Folder for what the jobs print.
    """

    start = "a job of SLURM to start (see squeue --me)"
    patience = float("inf")  # a queue may be as long as it likes

    def __init__(self, slurm: Slurm, log: str | os.PathLike[str] | None = None) -> None:
        super().__init__("slurm")
        self.slurm, self.log = slurm, log

    def cluster(self) -> Any:
        """A scheduler in this process, no job submitted: a ``dask_jobqueue.SLURMCluster``.

        Raises
        ------
        BackendError
            If dask_jobqueue is not installed.
        """
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError:
            raise BackendError(MISSING.format(package="dask_jobqueue")) from None
        asked = self.slurm
        try:
            return SLURMCluster(
                cores=asked.cores, processes=1, memory=asked.memory, walltime=asked.time,
                queue=asked.partition, account=asked.account,
                job_extra_directives=list(asked.directives), job_script_prologue=list(asked.setup),
                interface=asked.interface, job_name="dfim-fast",
                log_directory=None if self.log is None else os.path.abspath(self.log),
                scheduler_options={"dashboard_address": ":0"},  # any port that is free
            )  # fmt: skip
        except (RuntimeError, ValueError, OSError) as error:
            raise BackendError(
                f"slurm: no scheduler can be started here ({one_line(error)}); check the network "
                "interface"
            ) from None

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A connection to the scheduler, jobs submitted.

        Raises
        ------
        BackendError
            As `cluster`, or if there is no SLURM here, or it refuses a job.
        """
        if shutil.which("sbatch") is None:
            raise BackendError(
                "slurm: there is no sbatch command here; run this on a machine that submits jobs, "
                "or give the address of a Dask scheduler"
            )
        with self.cluster() as cluster:
            _refuse_what_slurm_refuses(cluster.job_script())
            cluster.scale(self.slurm.jobs)
            # jobs that end are replaced; not more often, should SLURM refuse them later on
            cluster.adapt(minimum=self.slurm.jobs, maximum=self.slurm.jobs, interval=REPLACE)
            from distributed import Client

            with Client(cluster, set_as_default=False) as client:
                yield client


def _refuse_what_slurm_refuses(script: str) -> None:
    """Have SLURM look at a job first: dask_jobqueue only logs what sbatch says, and tries on."""
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        asked = subprocess.run(
            ["sbatch", "--test-only", file.name], capture_output=True, text=True, check=False
        )
    if asked.returncode:
        told = " ".join((asked.stderr or asked.stdout).split())
        raise BackendError(f"slurm: a job would be refused ({told}); check what was asked for")

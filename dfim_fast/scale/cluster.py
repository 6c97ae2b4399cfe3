"""Chunks done by the workers of a Dask cluster: one that runs already, or jobs of SLURM."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from dfim_fast.errors import BackendError
from dfim_fast.scale.workers import AHEAD, Task

CONNECT_SECONDS = 30
WORKER_SECONDS = 600  # until the first worker is there; a queue may be long, but not a typing error
_MISSING = (
    "{package} is not installed, which schedulers need; run: pip install 'dfim_fast[cluster]'"
)


class DaskRunner:
    """The workers of a Dask scheduler.

    Each worker loads the model once, workers that join later too, and does one chunk at a time with
    the threads that it was given. A chunk whose worker died is done by another; only its result,
    once, comes back.

    Parameters
    ----------
    scheduler : str
        Its address, such as ``tcp://node1:8786``.
    """

    workers = 0  # they come and go

    def __init__(self, scheduler: str) -> None:
        self.scheduler = scheduler

    def begin(self, *modules: str) -> None:
        """Nothing: they run already, or start when there is work."""

    @contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            from distributed import Client
        except ImportError:
            raise BackendError(_MISSING.format(package="dask.distributed")) from None
        try:
            client = Client(self.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BackendError(
                f"scheduler {self.scheduler}: cannot be reached ({_one_line(error)}); check the "
                "address that dask-scheduler printed"
            ) from None
        with client:
            yield client

    def run(
        self, task: Task, chunks: Iterable[Any], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Any]]:
        """As `scale.workers.Runner.run`.

        Raises
        ------
        BackendError
            If the scheduler cannot be reached, has no workers, or the workers of one chunk keep
            dying.
        """
        with self._client() as client:
            yield from _run(client, self.scheduler, task, chunks, stop)


class SlurmRunner(DaskRunner):
    """Workers that are started as SLURM jobs, and ended afterwards.

    Parameters
    ----------
    jobs : int
        Each is one worker.
    cores : int
        Of a job.
    memory : str
        Of a job, such as ``"8GB"``.
    walltime : str
        Such as ``"04:00:00"``; a worker whose time is over is replaced by a new job.
    queue, account : str, optional
    extra : sequence of str
        Further ``#SBATCH`` directives, such as ``"--gres=gpu:1"``.
    """

    def __init__(
        self,
        jobs: int,
        cores: int = 1,
        memory: str = "4GB",
        walltime: str = "04:00:00",
        queue: str | None = None,
        account: str | None = None,
        extra: Iterable[str] = (),
    ) -> None:
        super().__init__("slurm")
        self.jobs = jobs
        self.options = {
            "cores": cores, "processes": 1, "memory": memory, "walltime": walltime, "queue": queue,
            "account": account, "job_extra_directives": list(extra),
        }  # fmt: skip

    def cluster(self) -> Any:
        """The jobs, none of them started: a ``dask_jobqueue.SLURMCluster``.

        Raises
        ------
        BackendError
            If dask_jobqueue is not installed.
        """
        try:
            from dask_jobqueue import SLURMCluster
        except ImportError:
            raise BackendError(_MISSING.format(package="dask_jobqueue")) from None
        return SLURMCluster(**self.options)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        from distributed import Client

        with self.cluster() as cluster:
            cluster.adapt(minimum=self.jobs, maximum=self.jobs)  # jobs that end are replaced
            with Client(cluster, set_as_default=False) as client:
                yield client


def _run(
    client: Any, name: str, task: Task, chunks: Iterable[Any], stop: Callable[[], bool]
) -> Iterator[tuple[int, Any]]:
    from distributed import as_completed

    key = f"dfim-fast-{uuid4().hex}"
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise BackendError(
            f"scheduler {name}: no worker came in {WORKER_SECONDS} s; start some, "
            f"such as: dask worker {name}"
        ) from None
    client.register_plugin(_holder(task), name=key)
    fresh = iter(enumerate(chunks))
    numbers: dict[str, int] = {}
    flying = as_completed(loop=client.loop)
    try:
        while True:
            room = AHEAD * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))
            while len(numbers) < room and not stop():
                number, chunk = next(fresh, (None, None))
                if number is None:
                    break
                future = client.submit(_work, key, chunk, key=f"{key}-{number}", pure=False)
                numbers[future.key] = number
                flying.add(future)
            if not numbers:
                return
            future = next(flying)
            yield numbers.pop(future.key), _result(future)
    finally:
        client.cancel(list(flying.futures))
        client.unregister_worker_plugin(key)


def _result(future: Any) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        raise BackendError(
            f"workers died again and again while chunk {future.key.rsplit('-', 1)[1]} was under "
            "way, which is mostly for want of memory; give them more, or set a smaller memory limit"
        ) from None


def _holder(task: Task) -> Any:
    """A plugin that brings the task to every worker, those that join later too."""
    from distributed import WorkerPlugin

    class Holder(WorkerPlugin):
        """Sets up when the first chunk comes: a model takes seconds, in which a worker answers."""

        def __init__(self) -> None:
            self.task = task
            self.ready = False

        def setup(self, worker: Any) -> None:
            self.lock = threading.Lock()
            self.task.threads = worker.state.nthreads

        def work(self, chunk: Any) -> Any:
            with self.lock:  # a chunk uses all of its worker's threads
                if not self.ready:
                    self.task.setup()
                    self.ready = True
                return self.task(chunk)

    return Holder()


def _work(key: str, chunk: Any) -> Any:
    from distributed import get_worker

    return get_worker().plugins[key].work(chunk)


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__

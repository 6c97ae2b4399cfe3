"""Who does the chunks of a long run: this process, or several that share the processors or GPUs.

A runner hands chunks to copies of a task and yields what they make, in whatever order it is ready.
It keeps only a few chunks under way, so that memory does not grow with their number.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import multiprocessing
import os
import pickle
import signal
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol

from dfim_fast.backends.select import has_driver
from dfim_fast.errors import BackendError
from dfim_fast.plan.processors import processors

RETRIES = 3  # a chunk whose worker died as often is not handed out again
_TICKETS: list[Any] = []  # kept: a worker that is starting, no longer needed, still looks for it
AHEAD = 2  # chunks under way for each worker: one at work, one waiting
_BLAS_AND_NUMBA = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"
)  # fmt: skip


class Task(Protocol):
    """What workers do; it is pickled once, and read by each worker once.

    Attributes
    ----------
    threads : int
        Processors it may use; the runner sets it before `setup`.
    """

    threads: int

    def setup(self) -> None:
        """Load what all chunks need."""

    def __call__(self, chunk: Any) -> Any:
        """Do one chunk; equal chunks give equal results, wherever and however often."""


class Runner(Protocol):
    """A way of running a task over chunks.

    Attributes
    ----------
    workers : int
        Chunks done at a time, as far as is known.
    """

    workers: int

    def begin(self, *modules: str) -> None:
        """Let workers start, and import what they will need, while the caller plans."""

    def run(
        self, task: Task, chunks: Iterable[Any], stop: Callable[[], bool] = ...
    ) -> Iterator[tuple[int, Any]]:
        """Yield (number of the chunk, result), in any order.

        Parameters
        ----------
        task : Task
        chunks : iterable
            Drawn from as workers become free.
        stop : callable
            When it answers True no further chunk is begun; those under way are still yielded.

        Yields
        ------
        int, object

        Raises
        ------
        DfimError
            Whatever the task raised.
        BackendError
            If the workers of one chunk keep dying.
        """
        ...


def _never() -> bool:
    return False


class Serial:
    """In this process.

    Parameters
    ----------
    threads : int, optional
        All processors by default.
    """

    workers = 1

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads or processors()

    def begin(self, *modules: str) -> None:
        """Nothing: the caller is the worker."""

    def run(
        self, task: Task, chunks: Iterable[Any], stop: Callable[[], bool] = _never
    ) -> Iterator[tuple[int, Any]]:
        """As `Runner.run`, in order."""
        task.threads = self.threads
        task.setup()
        for number, chunk in enumerate(chunks):
            if stop():
                return
            yield number, task(chunk)


class Processes:
    """In processes of this machine, each with its share of the processors, or with a GPU.

    Workers end with this process, however it ends.

    Parameters
    ----------
    workers : int
    threads : int, optional
        Of each worker; by default the processors are shared out.
    devices : sequence of str
        GPUs, by the names that CUDA_VISIBLE_DEVICES takes; worker i gets device ``i % len``.
    """

    def __init__(self, workers: int, threads: int | None = None, devices: Iterable[str] = ()):
        self.workers = workers
        self.threads = threads or max(1, processors() // workers)
        self.devices = tuple(devices)
        self._pool: ProcessPoolExecutor | None = None

    def begin(self, *modules: str) -> None:
        """As `Runner.begin`; `run` starts them if this did not."""
        self._pool = self._begun(modules)

    def _begun(self, modules: tuple[str, ...] = ()) -> ProcessPoolExecutor:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            raise BackendError(
                "workers start by importing the main script, which starts workers itself; put its "
                "call under: if __name__ == '__main__':"
            )
        spawn = multiprocessing.get_context("spawn")
        ticket = spawn.Value("i", 0)
        _TICKETS.append(ticket)
        pool = ProcessPoolExecutor(
            self.workers, mp_context=spawn, initializer=_begin,
            initargs=(self.threads, self.devices, ticket),
        )  # fmt: skip
        for _ in range(self.workers):
            pool.submit(_load, modules)
        return pool

    def run(
        self, task: Task, chunks: Iterable[Any], stop: Callable[[], bool] = _never
    ) -> Iterator[tuple[int, Any]]:
        """As `Runner.run`; the chunks of a worker that died are done again by others."""
        with tempfile.NamedTemporaryFile(prefix="dfim-fast-task-") as file:
            try:
                file.write(pickle.dumps(task))
                file.flush()
            except OSError as error:
                raise BackendError(
                    f"{file.name}: workers are told there what to do, and it cannot be written "
                    f"({error.strerror or error}); set TMPDIR to a folder with room"
                ) from None
            yield from self._run(file.name, chunks, stop)

    def _run(
        self, task: str, chunks: Iterable[Any], stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Any]]:
        fresh = iter(enumerate(chunks))
        waiting: deque[tuple[int, Any]] = deque()  # drawn, and not at a worker
        deaths: Counter[int] = Counter()
        complete = False
        while not complete:
            pool, self._pool = self._pool or self._begun(), None
            flying: dict[Future[Any], tuple[int, Any]] = {}
            try:
                yield from self._serve(pool, task, flying, waiting, fresh, stop)
                complete = True
            except BrokenProcessPool:
                waiting.extendleft(sorted(flying.values(), key=itemgetter(0), reverse=True))
                deaths.update(number for number, _ in list(waiting)[: max(len(flying), 1)])
                number, times = deaths.most_common(1)[0]
                if times >= RETRIES:
                    raise BackendError(
                        f"worker processes died {RETRIES} times while chunk {number} was under "
                        "way, which is mostly for want of memory; use fewer workers or a smaller "
                        "memory limit"
                    ) from None
            finally:
                pool.shutdown(wait=False, cancel_futures=True)  # they end while results are written

    def _serve(
        self,
        pool: ProcessPoolExecutor,
        task: str,
        flying: dict[Future[Any], tuple[int, Any]],
        waiting: deque[tuple[int, Any]],
        fresh: Iterator[tuple[int, Any]],
        stop: Callable[[], bool],
    ) -> Iterator[tuple[int, Any]]:
        """Yield results until nothing is left, or the pool breaks."""
        while True:
            while len(flying) < AHEAD * self.workers and not stop():
                if not waiting:
                    waiting.extend(islice(fresh, 1))
                if not waiting:
                    break
                future = pool.submit(_work, task, waiting[0][1])  # it stays waiting if that fails
                flying[future] = waiting.popleft()
            if not flying:
                return
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in sorted(done, key=lambda future: flying[future][0]):
                result = future.result()
                number, _ = flying.pop(future)
                yield number, result


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not has_driver():
        return []
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    cuda = ctypes.CDLL("libcuda.so.1")
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return []
    return [str(device) for device in range(count.value)]


class _Own:
    """What a worker process holds: its task, once that is set up, and the file it came from."""

    threads: int
    task: Task
    path = ""


def _begin(threads: int, devices: tuple[str, ...], ticket: Any) -> None:
    """Prepare a worker: its processors and GPU first, since libraries read them when loaded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    atexit.register(gc.freeze)  # and then it does not have to wait for a search for garbage
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in _BLAS_AND_NUMBA:
        os.environ[name] = str(threads)
    if devices:
        with ticket.get_lock():
            number = ticket.value
            ticket.value += 1
        os.environ["CUDA_VISIBLE_DEVICES"] = devices[number % len(devices)]
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)  # NumPy's BLAS is loaded already
    _Own.threads = threads


def _load(modules: tuple[str, ...]) -> None:
    for name in modules:
        importlib.import_module(name)


def _end_with_parent() -> None:
    """Leave when the parent has gone: waiting for work, a worker would outlive a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        if _Own.path:  # what told this worker what to do is as large as the model
            Path(_Own.path).unlink(missing_ok=True)
        os._exit(1)


def _work(path: str, chunk: Any) -> Any:
    if _Own.path != path:
        task: Task = pickle.loads(Path(path).read_bytes())
        task.threads = _Own.threads
        task.setup()
        _Own.task, _Own.path = task, path
    return _Own.task(chunk)

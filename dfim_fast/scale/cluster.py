"""Chunks done by the workers of a Dask scheduler."""

from __future__ import annotations

import logging
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from dfim_fast import __version__
from dfim_fast.errors import BackendError, DfimError, InputError
from dfim_fast.scale.workers import AHEAD, Task

CONNECT_SECONDS = 30
SAY_SECONDS = 10  # of waiting without a word
LOOK_SECONDS = 1.0  # from one look at what else happened to the next
ASKED = 5  # times that all workers are asked, while some go
MISSING = "{package} is not installed, which schedulers need; run: pip install 'dfim_fast[cluster]'"
_SAME = ("dfim_fast", "numpy", "numba")  # numbers may differ where these do
_PLUGIN = "dfim-fast-"


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

    start = "dask worker {name}"  # what brings workers, for a message
    patience = 600.0  # seconds without a worker: a queue may be long, but not a typing error

    workers = 0  # they come and go

    def __init__(self, scheduler: str) -> None:
        self.name = scheduler

    def begin(self, *modules: str) -> None:
        """Nothing: they run already, or start when there is work."""

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A connection to the scheduler.

        Raises
        ------
        BackendError
            If it cannot be reached.
        """
        try:
            from distributed import Client
        except ImportError:
            raise BackendError(MISSING.format(package="dask.distributed")) from None
        try:
            client = Client(self.name, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # of any class, where another service or version answers
            raise BackendError(
                f"scheduler {self.name}: cannot be reached ({one_line(error)}); check the "
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
            If the scheduler cannot be reached or goes away, has no workers or unlike ones, or the
            workers of one chunk keep dying.
        """
        with _quiet(), self.client() as client:
            wait = _Patience(self.name, self.start.format(name=self.name), self.patience)
            while not wait.workers(client):
                if stop():
                    return
                time.sleep(min(LOOK_SECONDS, self.patience / 4))
            try:
                _check_alike(client)
                yield from _run(client, wait, task, chunks, stop)
            except OSError:  # none of a task's: those come as the worker's complaint
                raise _gone(self.name) from None


class _Patience:
    """Knows for how long there has been no worker; says so after a while, and gives up at last."""

    def __init__(self, name: str, start: str, seconds: float) -> None:
        self.name, self.start, self.seconds = name, start, seconds
        self.since: float | None = None
        self.said = False

    def workers(self, client: Any) -> int:
        """Count the workers.

        Raises
        ------
        BackendError
            If there has been none for too long.
        """
        found = len(client.nthreads())
        if found:
            self.since, self.said = None, False
            return found
        self.since = self.since or time.monotonic()
        waited = time.monotonic() - self.since
        if waited > self.seconds:
            raise BackendError(
                f"scheduler {self.name}: no worker came in {self.seconds:g} s; start some, such "
                f"as: {self.start}"
            )
        if waited > SAY_SECONDS and not self.said:
            self.said = True
            warnings.warn(
                f"scheduler {self.name} has no worker; waiting for: {self.start}", stacklevel=2
            )
        return 0


def _run(
    client: Any, wait: _Patience, task: Task, chunks: Iterable[Any], stop: Callable[[], bool]
) -> Iterator[tuple[int, Any]]:
    _drop_orphans(client)
    key = _PLUGIN + client.id
    fresh = iter(enumerate(chunks))
    flying: dict[str, tuple[int, Any]] = {}
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    try:
        _bring(client, wait.name, task, key)
        while True:
            if client.status != "running":
                raise _gone(wait.name)
            try:
                workers = wait.workers(client)
            except RuntimeError:  # it has just been closed
                raise _gone(wait.name) from None
            while len(flying) < AHEAD * max(workers, 1) and not stop():
                number, chunk = next(fresh, (None, None))
                if number is None:
                    break
                future = client.submit(_work, key, chunk, key=f"{key}-{number}", pure=False)
                flying[future.key] = number, future
                future.add_done_callback(done.put)
            if not flying or (stop() and not workers):
                return
            try:
                future = done.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                continue
            if future.cancelled():
                raise _gone(wait.name)
            yield flying.pop(future.key)[0], _result(future)
    finally:
        with suppress(OSError, RuntimeError):  # it may be gone
            if client.status == "running":
                client.cancel([future for _, future in flying.values()])
                _forget(client, key)


def _bring(client: Any, name: str, task: Task, key: str) -> None:
    """Have workers take up the task.

    Raises
    ------
    BackendError
        If one cannot.
    """
    try:
        _all_of_them(client, lambda: client.register_plugin(_holder(task), name=key))
    except Exception as error:  # what a worker says, as a bare Exception
        raise BackendError(
            f"scheduler {name}: a worker cannot take up the run ({one_line(error)}); start workers "
            "in the environment of this command"
        ) from None


def _forget(client: Any, key: str) -> None:
    with suppress(KeyError):  # some worker never had it
        client.unregister_worker_plugin(key)


def _gone(name: str) -> BackendError:
    return BackendError(
        f"scheduler {name}: has gone; what was finished is kept: start it again and go on with "
        "--resume"
    )


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
            self.task, self.version = task, __version__
            self.ready = False

        def setup(self, worker: Any) -> None:
            self.lock = threading.Lock()
            self.address = worker.address
            self.task.threads = worker.state.nthreads

        def work(self, chunk: Any) -> Any:
            with self.lock:  # a chunk uses all of its worker's threads
                if not self.ready:
                    refuse_unlike(self.address, {"dfim_fast": self.version}, _own_version())
                try:
                    if not self.ready:
                        self.task.setup()
                        self.ready = True
                    return self.task(chunk)
                except DfimError as error:  # a file may be missing there alone
                    raise type(error)(f"worker {self.address}: {error}") from None
                except OSError as error:
                    raise InputError(f"worker {self.address}: {error}") from None

    return Holder()


def _own_version() -> dict[str, str]:
    import dfim_fast

    return {"dfim_fast": dfim_fast.__version__}


def _work(key: str, chunk: Any) -> Any:
    from distributed import get_worker

    return get_worker().plugins[key].work(chunk)


def refuse_unlike(where: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse a worker whose results might not be those of this process.

    Raises
    ------
    BackendError
    """
    for package, version in wanted.items():
        if found.get(package) != version:
            raise BackendError(
                f"worker {where}: has {package} {found.get(package) or 'not at all'}, wanted "
                f"{version} as here; start workers in the environment of this command"
            )


def _check_alike(client: Any) -> None:
    """Refuse workers that are there with other versions than this process."""
    versions = _all_of_them(client, lambda: client.get_versions(packages=list(_SAME)))
    own = _versions(versions["client"])
    for address, found in versions["workers"].items():
        refuse_unlike(address, own, _versions(found))


def _all_of_them(client: Any, ask: Callable[[], Any]) -> Any:
    """Ask all workers something; once more, and again, where one of them goes meanwhile."""
    for _ in range(ASKED - 1):
        try:
            return ask()
        except OSError:
            if client.status != "running":
                raise
            time.sleep(LOOK_SECONDS)
    return ask()


def _versions(told: Mapping[str, Any]) -> dict[str, Any]:
    python = ".".join(str(told["host"]["python"]).split(".")[:2])
    return {"Python": python, **{package: told["packages"].get(package) for package in _SAME}}


def _drop_orphans(client: Any) -> None:
    """Free workers of the models of runs that were killed and could not."""
    prefix = _PLUGIN

    def orphans(dask_scheduler: Any) -> list[str]:  # nested, so that it travels by value
        return [
            name for name in dask_scheduler.worker_plugins
            if name.startswith(prefix) and name.removeprefix(prefix) not in dask_scheduler.clients
        ]  # fmt: skip

    for name in client.run_on_scheduler(orphans):
        _forget(client, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from writing its own lines to stderr beside ours."""
    loggers = [logging.getLogger(name) for name in ("distributed", "dask_jobqueue", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def one_line(error: Exception) -> str:
    """First line of what an exception says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__

"""On a real cluster of two worker processes, one pair for the whole file."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scale.worker_tasks import (
    Dying,
    Refusing,
    Square,
    Unreadable,
    find_package,
    lose_package,
    set_version,
)

from dfim_fast.errors import BackendError, InputError
from dfim_fast.scale import cluster as module
from dfim_fast.scale.cluster import DaskRunner

distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")


@pytest.fixture(scope="module")
def scheduler():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0",
        silence_logs=50,
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


def test_chunks_are_done_once_and_the_model_loaded_once_a_worker(tmp_path, scheduler):
    results = {}
    for number, result in DaskRunner(scheduler).run(Square(tmp_path), iter(range(12))):
        assert number not in results
        results[number] = result
    assert {number: result[0] for number, result in results.items()} == {i: i**2 for i in range(12)}
    workers = {result[3] for result in results.values()}
    assert os.getpid() not in workers
    assert len(workers) == len(list(tmp_path.glob("setup-*")))
    assert {result[1] for result in results.values()} == {1}


def test_chunks_of_killed_workers_are_done_again(tmp_path, scheduler):
    results = list(DaskRunner(scheduler).run(Dying(tmp_path, {0, 3, 7}), range(10)))
    assert sorted((number, result[0]) for number, result in results) == [
        (i, i**2) for i in range(10)
    ]
    assert len(list(tmp_path.glob("seen-*"))) == 3


def test_stop_lets_what_is_under_way_finish(tmp_path, scheduler):
    results = []
    for number, _ in DaskRunner(scheduler).run(
        Square(tmp_path), range(1000), lambda: len(results) >= 2
    ):
        results.append(number)
    assert 2 <= len(results) <= 8


def test_errors_are_one_line(tmp_path, scheduler, monkeypatch):
    with pytest.raises(InputError, match=r"^worker tcp://\S+: chunk 5: not wanted$"):
        list(DaskRunner(scheduler).run(Refusing(tmp_path), [5]))
    with pytest.raises(InputError, match=r"^worker tcp://\S+: \[Errno 13\] Permission denied"):
        (tmp_path / "own").mkdir()
        list(DaskRunner(scheduler).run(Unreadable(tmp_path / "own"), [5]))
    with pytest.raises(InputError, match=r"^worker tcp://\S+: .* No such file or directory"):
        list(DaskRunner(scheduler).run(Square(tmp_path / "none"), [5]))
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.2)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(BackendError, match=r"cannot be reached .*; check the address") as error:
            list(DaskRunner(address).run(Square(tmp_path), [5]))
        assert "\n" not in str(error.value)


def test_a_chunk_that_kills_every_worker_is_an_error(tmp_path, scheduler):
    with pytest.raises(BackendError, match="workers died again and again while chunk 0"):
        list(DaskRunner(scheduler).run(Dying(tmp_path, {7}, always=True), [7]))


def test_no_worker_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(DaskRunner, "patience", 0.2)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty,
        pytest.raises(BackendError, match=r"no worker came in 0\.2 s; start some"),
    ):
        list(DaskRunner(empty.scheduler_address).run(Square(tmp_path), [5]))


def test_workers_in_another_environment_are_refused(tmp_path, scheduler):
    with distributed.Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2)  # those of an earlier test were killed
        before = client.run(set_version, "0.0.1").popitem()[1]
        with pytest.raises(BackendError, match=r"has dfim_fast 0.0.1, wanted .* as here; start wo"):
            list(DaskRunner(scheduler).run(Square(tmp_path), [5]))
        client.run(set_version, before)
        client.run(lose_package)
        # which of the two depends on where Dask looks for the package
        text = r"has dfim_fast not at all|a worker cannot take up the run \(ModuleNotFoundError"
        with pytest.raises(BackendError, match=text):
            list(DaskRunner(scheduler).run(Square(tmp_path), [5]))
        client.run(find_package)
    assert len(list(DaskRunner(scheduler).run(Square(tmp_path), [5]))) == 1


def test_a_worker_of_another_version_that_comes_later_is_refused():
    with pytest.raises(BackendError, match=r"worker tcp://x:1: has dfim_fast 2, wanted 1 as here"):
        module.refuse_unlike("tcp://x:1", {"dfim_fast": "1"}, {"dfim_fast": "2"})


def test_a_worker_that_goes_while_all_are_asked(monkeypatch):
    class Client:
        status = "running"
        asked = 0

        def ask(self):
            self.asked += 1
            if self.asked < 3:
                raise OSError("Timed out during handshake while connecting to tcp://x:1")
            return "versions"

    client = Client()
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    assert module._all_of_them(client, client.ask) == "versions"
    client.asked, client.status = 0, "closed"
    with pytest.raises(OSError, match="handshake"):
        module._all_of_them(client, client.ask)
    assert client.asked == 1


def test_what_killed_runs_left_is_removed(tmp_path, scheduler):
    def plugins(dask_scheduler):
        return [name for name in dask_scheduler.worker_plugins if name.startswith("dfim-fast-")]

    with distributed.Client(scheduler, set_as_default=False) as client:
        nothing, own = distributed.WorkerPlugin(), f"dfim-fast-{client.id}"  # of a run that lives
        client.register_plugin(nothing, name="dfim-fast-Client-of-old")
        client.register_plugin(nothing, name=own)
        list(DaskRunner(scheduler).run(Square(tmp_path), [5]))
        left = client.run_on_scheduler(plugins)
        client.unregister_worker_plugin(own)
    assert left == [own]


def test_a_scheduler_that_goes_away(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 8)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]))
    started = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0",
               "--dashboard-address", ":0", "--host", "127.0.0.1",
               "--scheduler-file", str(tmp_path / "at.json")]  # fmt: skip
    processes = [subprocess.Popen(started, stderr=subprocess.DEVNULL)]
    try:
        until = time.monotonic() + 30
        while not (text := _text(tmp_path / "at.json")).endswith("}"):
            assert time.monotonic() < until
            time.sleep(0.05)
        address = json.loads(text)["address"]
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny",
                  "--dashboard-address", ":0", "--death-timeout", "5"]  # fmt: skip
        processes.append(subprocess.Popen(worker, stderr=subprocess.DEVNULL))
        results = DaskRunner(address).run(Square(tmp_path), range(1000))
        next(results)
        processes[0].kill()
        with pytest.raises(BackendError, match=f"^scheduler {address}: has gone; what was fini"):
            list(results)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _text(path):
    return path.read_text().strip() if path.exists() else ""

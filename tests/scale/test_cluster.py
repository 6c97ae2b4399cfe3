"""On a real cluster of two worker processes, one pair for the whole file."""

import os

import pytest
from scale.worker_tasks import Dying, Refusing, Square

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
    with pytest.raises(InputError, match=r"^chunk 5: not wanted$"):
        list(DaskRunner(scheduler).run(Refusing(tmp_path), [5]))
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

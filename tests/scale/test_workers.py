import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from scale.worker_tasks import Dying, Refusing, Square

from dfim_fast.errors import BackendError, InputError
from dfim_fast.plan.processors import processors
from dfim_fast.scale.workers import Processes, Serial, visible_gpus

TESTS = Path(__file__).parents[1]


def test_serial(tmp_path):
    found = list(Serial(threads=3).run(Square(tmp_path), [3, 4]))
    assert [(number, result[:2]) for number, result in found] == [(0, (9, 3)), (1, (16, 3))]
    assert Serial().threads == processors()


def test_processes_do_each_chunk_once_and_load_the_model_once_each(tmp_path):
    drawn = []

    def chunks():
        for chunk in range(20):
            drawn.append(chunk)
            yield chunk

    runner = Processes(2, devices=["GPU-a", "7"])
    results, ahead = {}, 0
    for number, result in runner.run(Square(tmp_path), chunks()):
        assert number not in results
        results[number] = result
        ahead = max(ahead, len(drawn) - len(results))
    assert {number: result[0] for number, result in results.items()} == {i: i**2 for i in range(20)}
    assert {result[1] for result in results.values()} == {max(1, processors() // 2)}
    workers = {result[3]: result[2] for result in results.values()}
    assert set(workers.values()) <= {"GPU-a", "7"} and os.getpid() not in workers
    assert len(set(workers.values())) == len(workers) == len(list(tmp_path.glob("setup-*")))
    assert ahead <= 4  # two chunks a worker, however many there are


def test_workers_that_began_early_do_the_work(tmp_path):
    before = {process.pid for process in multiprocessing.active_children()}
    runner = Processes(2)
    runner.begin("scale.worker_tasks")
    begun = {process.pid for process in multiprocessing.active_children()} - before
    assert len(begun) == 2
    for folder in (tmp_path / "one", tmp_path / "two"):  # a second run begins its own
        folder.mkdir()
        results = dict(runner.run(Square(folder), range(6)))
        assert {number: result[0] for number, result in results.items()} == {
            i: i**2 for i in range(6)
        }
        own = {result[3] for result in results.values()}
        assert own <= begun if folder.name == "one" else not own & begun


def test_a_task_that_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    full = tmp_path / "full"
    monkeypatch.setattr(pickle, "dumps", lambda _: (_ for _ in ()).throw(OSError(28, "No space")))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(BackendError, match=r"cannot be written \(No space\); set TMPDIR to a"):
        list(Processes(1).run(Square(full), [1]))


def test_stop_lets_what_is_under_way_finish(tmp_path):
    results = []
    for number, _ in Processes(1).run(Square(tmp_path), range(1000), lambda: len(results) >= 3):
        results.append(number)
    assert 3 <= len(results) <= 5
    assert sorted(results) == list(range(len(results)))
    stopped = []
    for number, _ in Serial().run(Square(tmp_path / "."), range(9), lambda: len(stopped) >= 2):
        stopped.append(number)
    assert stopped == [0, 1]


def test_chunks_of_a_killed_worker_are_done_again(tmp_path):
    results = dict(Processes(2).run(Dying(tmp_path, {0, 5}), range(8)))
    assert {number: result[0] for number, result in results.items()} == {i: i**2 for i in range(8)}
    assert (tmp_path / "seen-5").exists()


def test_a_chunk_that_kills_every_worker_is_an_error(tmp_path):
    with pytest.raises(BackendError, match="worker processes died 3 times while chunk"):
        list(Processes(1).run(Dying(tmp_path, {0}, always=True), range(2)))


def test_a_tasks_own_error_arrives_as_it_is(tmp_path):
    for runner in (Serial(), Processes(1)):
        with pytest.raises(InputError, match=r"^chunk 4: not wanted$"):
            list(runner.run(Refusing(tmp_path), [4]))


def test_workers_end_with_a_killed_parent(tmp_path):
    code = (
        "import sys; from pathlib import Path; from dfim_fast.scale.workers import Processes\n"
        "from scale.worker_tasks import Slow\n"
        "if __name__ == '__main__': list(Processes(1).run(Slow(sys.argv[1]), range(3)))"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    parent = subprocess.Popen([sys.executable, script, tmp_path], env=environment)
    try:
        worker = int(_soon(lambda: list(tmp_path.glob("setup-*")))[0].name.split("-")[1])
    finally:
        parent.kill()
        parent.wait()
    assert _soon(lambda: _gone(worker))


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys; from dfim_fast.scale.workers import Processes\n"
        "from scale.worker_tasks import Square\n"
        "list(Processes(1).run(Square(sys.argv[1]), [1]))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    ended = subprocess.run(
        [sys.executable, script, tmp_path], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "put its call under: if __name__ == '__main__':" in ended.stderr


def test_workers_that_are_begun_for_nothing_end_without_a_word():
    code = (
        "from dfim_fast.scale.workers import Processes\n"
        "if __name__ == '__main__':\n"
        "    runner = Processes(2); runner.begin('json'); del runner"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_gpus_that_are_named(monkeypatch):
    monkeypatch.setattr("dfim_fast.scale.workers.has_driver", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,GPU-77,-1")
    assert visible_gpus() == ["1", "GPU-77"]
    monkeypatch.setattr("dfim_fast.scale.workers.has_driver", lambda: False)
    assert visible_gpus() == []


def _soon(answer, seconds=30):
    until = time.monotonic() + seconds
    while not (found := answer()) and time.monotonic() < until:
        time.sleep(0.05)
    return found


def _gone(process):
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIG_DFL)  # signal 0 only asks
        return Path(f"/proc/{process}/stat").read_text().split()[2] == "Z"
    return True

"""`score` by the workers of real clusters, some of whom are killed: the bytes of a local run."""

import os
import signal
import sys
from pathlib import Path

import pytest
from scale.score_helpers import contents, interrupted, run

from dfim_fast.errors import BackendError, SettingsError
from dfim_fast.scale import runners, score_jobs
from dfim_fast.scale import slurm as slurm_module
from dfim_fast.scale.cluster import DaskRunner
from dfim_fast.scale.slurm import Slurm, SlurmRunner

distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
TESTS = Path(__file__).parents[1]
SBATCH = """#!/bin/bash
# The script of a job outlives the file that sbatch was given; a job is a process group.
[ -n "$SBATCH_SAYS" ] && { echo "sbatch: error: $SBATCH_SAYS" >&2; exit 1; }
[ "$1" = --test-only ] && exit 0
job=$(ls "$SLURM_JOBS" | grep -c script)
job=$((job + 100))
cp "${@: -1}" "$SLURM_JOBS/$job.script"
setsid bash "$SLURM_JOBS/$job.script" > "$SLURM_JOBS/$job.out" 2>&1 &
echo $! > "$SLURM_JOBS/$job.pid"
echo "Submitted batch job $job"
"""
SCANCEL = """#!/bin/bash
kill -9 -- -$(cat "$SLURM_JOBS/$1.pid")
"""


@pytest.fixture(scope="module")
def whole(model, genome, tmp_path_factory):
    """What a run of this process writes."""
    return contents(run(model, genome, tmp_path_factory.mktemp("whole") / "store").store)


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Workers die at their first sight of regions 1 and 5."""
    monkeypatch.setenv("DYING_CHUNKS", "1,5")
    monkeypatch.setenv("DYING_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *sys.path]))
    from scale.worker_tasks import DyingRegions

    monkeypatch.setattr(score_jobs, "RegionWork", DyingRegions)
    return tmp_path


def cluster(workers=2):
    return distributed.LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0",
        silence_logs=50,
    )  # fmt: skip


def test_sigint_and_workers_that_are_killed_change_nothing(
    model, genome, whole, dying, monkeypatch
):
    monkeypatch.chdir(genome)
    monkeypatch.setattr(runners, "DaskRunner", interrupted(runners.DaskRunner))
    given = {"chunk": 1, "resume": True}
    with cluster() as workers:  # whose folder is another one
        given["scheduler"] = workers.scheduler_address
        with pytest.raises(KeyboardInterrupt, match=r"after [34567] of 9 regions, which are kept"):
            run(model, Path(), dying / "store", **given)
        monkeypatch.setattr(runners, "DaskRunner", DaskRunner)
        run(model, Path(), dying / "store", **given)
    assert len(list(dying.glob("seen-*"))) == 2
    assert contents(dying / "store") == whole


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands that do with processes of this machine what SLURM does with nodes."""
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    (tmp_path / "bin").mkdir()
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOBS", str(jobs))
    yield jobs
    left = [pid for path in jobs.glob("*.pid") if not gone(pid := int(path.read_text()))]
    for pid in left:
        os.killpg(pid, signal.SIGKILL)
    assert not left, "a job outlived its run"


def gone(pid):
    """Whether a process has ended, perhaps without anyone to take note of it."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_jobs_that_are_killed_are_replaced(model, genome, whole, dying, slurm, monkeypatch):
    import dask

    monkeypatch.setenv("DYING_JOB", "1")
    monkeypatch.setenv("DYING_CHUNKS", "4")
    monkeypatch.setattr(slurm_module, "REPLACE", "200ms")
    asked = Slurm(jobs=1, cores=1, memory="1GB", setup=["export WAS_SET_UP=1"])
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "100ms"}):
        run(model, genome, dying / "store", chunk=1, scheduler=asked)
    assert (dying / "seen-4").exists()
    assert contents(dying / "store") == whole
    scripts = [path.read_text() for path in sorted(slurm.glob("*.script"))]
    assert len(scripts) >= 2
    assert "export WAS_SET_UP=1" in scripts[0]


def test_the_job_script_asks_for_what_was_asked(tmp_path):
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    asked = Slurm(jobs=3, cores=4, memory="8GB", time="02:00:00", partition="short", account="lab",
                  directives=["--gres=gpu:1"], setup=["module load cuda"])  # fmt: skip
    with SlurmRunner(asked, tmp_path / "log").cluster() as cluster:
        script = cluster.job_script()
    for line in ("-J dfim-fast", "--cpus-per-task=4", "--mem=8G", "-t 02:00:00", "-p short",
                 "-A lab", "--gres=gpu:1", f"-o {tmp_path}/log/dfim-fast-%J.out"):  # fmt: skip
        assert f"#SBATCH {line}\n" in script
    assert script.index("module load cuda") < script.index("--nthreads 4")


def test_a_job_that_slurm_refuses(model, genome, tmp_path, slurm, monkeypatch):
    monkeypatch.setenv("SBATCH_SAYS", "invalid partition specified: shrt")
    with pytest.raises(BackendError) as refused:
        run(model, genome, tmp_path / "store", scheduler=Slurm(partition="shrt"))
    assert str(refused.value) == (
        "slurm: a job would be refused (sbatch: error: invalid partition specified: shrt); "
        "check what was asked for"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match="no sbatch command here"):
        run(model, genome, tmp_path / "store", scheduler="slurm", resume=True)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"jobs": 0}, "jobs=0; pass an integer of at least 1"),
        ({"memory": "lots"}, "memory='lots' is no size"),
        ({"time": "4h"}, "time='4h' is no time as SLURM writes it"),
        ({"setup": "module load cuda"}, "setup is one text; pass a list of lines"),
    ],
)
def test_what_slurm_would_not_take(wrong, text):
    with pytest.raises(SettingsError, match=text):
        Slurm(**wrong)

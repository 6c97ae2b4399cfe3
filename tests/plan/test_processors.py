import os

import pytest

from dfim_fast.plan.processors import cgroup_quota, processors


@pytest.fixture
def groups(tmp_path):
    """A tree of control groups; gives a function that writes a file of it."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_version_2_counts_the_groups_above(tmp_path, groups):
    own = groups("own", "0::/user/job\n")
    assert cgroup_quota(tmp_path, own) is None
    groups("user/job/cpu.max", "max 100000\n")
    assert cgroup_quota(tmp_path, own) is None
    groups("user/cpu.max", "250000 100000\n")
    assert cgroup_quota(tmp_path, own) == 2.5
    groups("user/job/cpu.max", "50000 100000\n")
    assert cgroup_quota(tmp_path, own) == 0.5


def test_version_1(tmp_path, groups):
    own = groups("own", "5:memory:/a\n4:cpu,cpuacct:/job\n")
    groups("cpu/job/cpu.cfs_period_us", "100000\n")
    groups("cpu/job/cpu.cfs_quota_us", "-1\n")
    assert cgroup_quota(tmp_path, own) is None
    groups("cpu/job/cpu.cfs_quota_us", "300000\n")
    assert cgroup_quota(tmp_path, own) == 3


def test_no_control_groups(tmp_path):
    assert cgroup_quota(tmp_path, tmp_path / "absent") is None


def test_slurm_and_affinity_bound_it(monkeypatch):
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    here = processors()
    assert 1 <= here <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert processors() == 1
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "100000")
    assert processors() == here

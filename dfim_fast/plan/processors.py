"""How many processors this process may use, which is often fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def processors() -> int:
    """The least of what the affinity mask, the control group and SLURM allow; at least 1."""
    allowed = [os.cpu_count() or 1]
    if hasattr(os, "sched_getaffinity"):
        allowed.append(len(os.sched_getaffinity(0)))
    quota = cgroup_quota(_CGROUPS, _OWN_CGROUP)
    if quota is not None:
        allowed.append(int(quota))
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit():
        allowed.append(int(slurm))
    return max(1, min(allowed))


def cgroup_quota(root: Path, own: Path) -> float | None:
    """Processors' worth of time that the control group, or one above it, grants; None for all.

    Parameters
    ----------
    root : Path
        Where control groups are mounted; version 2 (``cpu.max``) and 1 (``cpu.cfs_quota_us``).
    own : Path
        File that names this process's groups.

    Returns
    -------
    float or None
    """
    granted = []
    for version_1, group in _groups(own):
        base = root / "cpu" if version_1 else root
        folder = base / group.strip("/")
        for place in (folder, *folder.parents):
            limit = _limit(place, version_1)
            if limit is not None:
                granted.append(limit)
            if place == base:
                break
    return min(granted) if granted else None


def _groups(own: Path) -> list[tuple[bool, str]]:
    """Whether it is of version 1, and the path, of each group that may limit processor time."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0" and not controllers:
            found.append((False, group))
        elif "cpu" in controllers.split(","):
            found.append((True, group))
    return found


def _limit(place: Path, version_1: bool) -> float | None:
    try:
        if version_1:
            quota = (place / "cpu.cfs_quota_us").read_text().strip()
            period = (place / "cpu.cfs_period_us").read_text().strip()
        else:
            quota, period = (place / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return int(quota) / int(period) if quota.isdigit() and int(period) else None

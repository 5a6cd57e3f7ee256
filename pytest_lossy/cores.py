"""How many cores this process may use: those it may run on, and what a container's quota leaves of them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["physical_cores", "quota", "usable_cores"]


def usable_cores() -> int:
    """Hardware threads that this process may run on, capped by a container's quota; 1 at least.

    More busy threads than a quota pays for are stopped together until its next period, which costs more than it gains.
    """
    return max(1, min(len(_allowed()), quota() or len(_allowed())))


def physical_cores(topology: Path = Path("/sys/devices/system/cpu")) -> int:
    """The same, but hardware threads of one core count once."""
    cores = set()
    for cpu in _allowed():
        try:
            cores.add((topology / f"cpu{cpu}/topology/thread_siblings_list").read_text(encoding="ascii"))
        except OSError:
            cores.add(str(cpu))
    return max(1, min(len(cores), quota() or len(cores)))


def quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Whole processors of a container's limit (cgroup v2); None where there is none."""
    try:
        limit, period = path.read_text(encoding="ascii").split()
        return max(1, int(limit) // int(period))
    except (OSError, ValueError):
        return None


def _allowed() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))

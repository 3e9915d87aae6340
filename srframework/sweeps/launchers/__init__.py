"""Where the tasks of a sweep run: in this process, in others on this machine, or on a Ray cluster.

Each is a :class:`srframework.sweeps.scheduler.Launcher`.
"""

from __future__ import annotations

import os


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_each(jobs: int) -> int:
    """Threads of each of several processes: what OMP_NUM_THREADS says, or else an equal share of the CPUs."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else max(1, cpus() // jobs)

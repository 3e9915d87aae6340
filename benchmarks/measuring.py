"""Compare the CPU time of functions in one process, on a machine that does nothing else."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

_MOST_WAITING = 1.1
"""Largest wall time of a repeat, as a multiple of its CPU time: a thread that waits for another process shares its
caches and memory too, and their ratios mean nothing."""


def require_idle_machine(threads: int = 1) -> None:
    """End the program with a sentence and exit code 1 if other processes use the machine.

    Args:
        threads: Threads that the program itself uses.
    """
    load = os.getloadavg()[0]
    if load > threads + 0.5:
        sys.exit(
            f"Other processes use this machine (load {load:.1f}, expected at most {threads + 0.5}): try again later."
        )


def interleaved(cases: dict[str, Callable[[], object]], repeats: int, disk: bool = False) -> dict[str, float]:
    """Run all cases in turn, ``repeats`` times; after one run of each that is not counted.

    Args:
        cases: Name -> what is measured.
        repeats: At least 1.
        disk: The cases wait for a disk, so that their wall time says nothing about other processes.

    Returns:
        Name -> median wall time in seconds. Ends the program if the cases waited for other processes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    wall = cpu = 0.0
    for repeat in range(repeats + 1):
        for name, run in cases.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            run()
            taken = time.perf_counter() - start
            if repeat:
                seconds[name].append(taken)
                wall, cpu = wall + taken, cpu + time.process_time() - cpu_start
    if wall > _MOST_WAITING * cpu and not disk:
        names = ", ".join(cases)
        sys.exit(f"{names}: {wall:.1f} s, but only {cpu:.1f} s of CPU time: other processes use this machine.")
    return {name: statistics.median(each) for name, each in seconds.items()}

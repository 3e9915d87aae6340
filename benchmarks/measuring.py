"""Compare the times of functions, on a machine that does nothing else."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import psutil

_MOST_OF_OTHERS = 0.1
"""CPU time of other processes, as a fraction of the time of the measurement, above which it means nothing: they share
caches and memory too."""


@contextlib.contextmanager
def alone(title: str, despite_load: bool = False) -> Iterator[None]:
    """End the program with a sentence and exit code 1 if other processes use the processors during the block.

    Args:
        title: What the block measures.
        despite_load: Only print how much they use.
    """
    begin, others = time.perf_counter(), _others()
    yield
    share = (_others() - others) / (time.perf_counter() - begin)
    if share > _MOST_OF_OTHERS and not despite_load:
        sys.exit(f"{title}: not reported, because other processes used {share:.0%} of a core; stop them and repeat")
    if despite_load:
        print(f"{title}: other processes used {share:.0%} of a core")


def interleaved(cases: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Run all cases in turn, ``repeats`` times; after one run of each that is not counted.

    Args:
        cases: Name -> what is measured.
        repeats: At least 1.

    Returns:
        Name -> median wall time in seconds. Ends the program if other processes use the processors.
    """
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    with alone(", ".join(cases)):
        for repeat in range(repeats + 1):
            for name, run in cases.items():
                start = time.perf_counter()
                run()
                if repeat:
                    seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def _others() -> float:
    """Return the CPU seconds of all processes but this one and its children, since the machine started."""
    times, own = psutil.cpu_times(), os.times()
    guest = getattr(times, "guest", 0.0)  # is in user too
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - guest - sum(own[:4])

"""The options that say who does the work of a sweep."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import click

from srframework.errors import UsageError
from srframework.sweeps.launchers import threads_of_each
from srframework.sweeps.launchers.serial import Here
from srframework.sweeps.scheduler import Launcher

LAUNCHERS = ("local", "ray")

_OPTIONS = (
    click.option(
        "--jobs",
        type=click.IntRange(1, 1024),
        help="Processes at a time. Default: 1; with ray, what there is room for.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        help="Threads of each process. Default: $OMP_NUM_THREADS, or the CPUs divided by the processes.",
    ),
    click.option(
        "--launcher",
        type=click.Choice(LAUNCHERS),
        default="local",
        show_default=True,
        help="Where processes run: on this machine, or on a Ray cluster (pip install 'srframework[ray]').",
    ),
    click.option(
        "--address",
        help="The Ray cluster. Default: $RAY_ADDRESS, or one of this machine alone, for as long as it takes.",
    ),
)


def launcher_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``jobs``, ``threads``, ``launcher`` and ``address``, for :func:`started`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def started(name: str, jobs: int | None, threads: int | None, address: str | None) -> AbstractContextManager[Launcher]:
    """The launcher that the options name; it starts when the block begins, and is closed when it ends.

    Raises:
        UsageError: The options do not belong together.
    """
    if address is not None and name != "ray":
        raise UsageError(f"--address {address}: expected --launcher ray too, which it is for")
    return _started(name, jobs, threads, address)


@contextlib.contextmanager
def _started(name: str, jobs: int | None, threads: int | None, address: str | None) -> Iterator[Launcher]:
    launcher = _launcher(name, jobs, threads, address)
    try:
        yield launcher
    finally:
        launcher.close()


def _launcher(name: str, jobs: int | None, threads: int | None, address: str | None) -> Launcher:
    if name == "ray":
        from srframework.sweeps.launchers.ray import OnRay

        return OnRay(address, jobs, threads or (threads_of_each(jobs) if jobs else 1))
    if jobs in (None, 1):
        return Here(threads)
    from srframework.sweeps.launchers.local import Local

    return Local(jobs, threads or threads_of_each(jobs))

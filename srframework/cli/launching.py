"""The options that choose the launcher of a sweep."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import click

from srframework.cli import completion
from srframework.contracts import Launcher
from srframework.registry.registry import Registry
from srframework.sweeps.launchers import choose_launcher, running_launcher

_OPTIONS = (
    click.option(
        "--jobs",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Jobs that run at a time. Default: 1, or as the launcher chooses.",
    ),
    click.option(
        "--threads",
        type=click.IntRange(1, 1024),
        metavar="N",
        help="Threads of each job. Default: $OMP_NUM_THREADS, or the number of CPUs divided by --jobs.",
    ),
    click.option(
        "--launcher",
        metavar="NAME",
        shell_complete=completion.launchers,
        help="Where jobs run (see `srframework list launcher`). Default: serial; local with --jobs 2 or more.",
    ),
    click.option(
        "--launcher-option",
        "launcher_options",
        multiple=True,
        metavar="KEY=VALUE",
        shell_complete=completion.launcher_options,
        help="Set an option of the launcher (see `srframework show launcher/NAME`). Repeatable.",
    ),
)


def worker_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``jobs``, ``threads``, ``launcher`` and ``launcher_options``, for :func:`launched`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def launched(
    registry: Registry, name: str | None, options: tuple[str, ...], jobs: int | None, threads: int | None
) -> AbstractContextManager[Launcher]:
    """The launcher that the options name; started at the beginning of the block and closed at its end.

    Raises:
        UsageError: There is no such launcher, or it has no such options.
    """
    return running_launcher(choose_launcher(registry, name, options, jobs), jobs, threads)

"""Launchers run the jobs of a sweep: in this process (serial), in other processes (local), or as a plugin defines.

Each launcher is a :class:`srframework.Launcher` and a component.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from pydantic import ValidationError

from srframework.contracts import Launcher
from srframework.errors import Problem, UsageError, lines_of
from srframework.faults import validated
from srframework.recipe.model import Use
from srframework.recipe.option_errors import explain
from srframework.recipe.overrides import value_of
from srframework.registry.registry import Registry
from srframework.text import key_text, one_line


def choose_launcher(registry: Registry, name: str | None, settings: Sequence[str] = (), jobs: int | None = None) -> Use:
    """Return the launcher that the user chose, with its options.

    Args:
        registry: The components.
        name: Name of the launcher; None: ``serial`` for one job at a time, ``local`` for several.
        settings: Its options as ``KEY=VALUE``; the value is TOML, or a bare word, which is a string.
        jobs: Number of parallel jobs; None: not set by the user.

    Raises:
        UsageError: The launcher or one of the options is unknown or invalid; lists the valid choices.
    """
    name = name or ("serial" if jobs in (None, 1) else "local")
    registered = registry.get("launcher", name)
    table, places = {}, {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key, place = key.strip(), f"--launcher-option {one_line(setting, 120)}"
        if not key or not equals:
            raise UsageError(f"{place}: expected KEY=VALUE, such as address=auto")
        try:
            table[key], places[key] = value_of(text), place
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from error
    try:
        return Use(registered, validated(registered.component.options, table, registered.owner))
    except ValidationError as error:
        problems = [
            Problem(
                places.get(str(each.key[0]) if each.key else "", f"--launcher {name}"),
                ".".join(map(key_text, each.key)),
                each.message,
                each.nearest,
                registered.owner,
            )
            for each in explain(registered.component.options, error, table)
        ]
        raise UsageError("\n".join(lines_of(problems))) from None


@contextlib.contextmanager
def running_launcher(use: Use, jobs: int | None, threads: int | None) -> Iterator[Launcher]:
    """Start a launcher and close it at the end; until then, stdout is redirected to stderr.

    Args:
        use: The launcher; see :func:`choose_launcher`.
        jobs: Number of parallel jobs; None: the launcher decides.
        threads: Threads per job; None: the launcher decides.

    Raises:
        PluginError: The launcher is broken.
        UsageError: It cannot start with these options.
    """
    launcher: Launcher = use.build()
    with contextlib.redirect_stdout(sys.stderr):  # a cluster may print at any time; stdout is for results
        try:
            launcher.start(jobs, threads)
            yield launcher
        finally:
            launcher.close()


def cpus() -> int:
    """The number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_each(jobs: int) -> int:
    """Threads per process for ``jobs`` processes: OMP_NUM_THREADS if set, else an equal share of the CPUs."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdecimal() and int(threads) else max(1, cpus() // jobs)

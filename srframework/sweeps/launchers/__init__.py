"""Where the jobs of a sweep run: in this process (serial), in others on this machine (local), or where a plugin says.

Each is a :class:`srframework.Launcher`, and a component like any other.
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
    """The launcher that the user names, with its options.

    Args:
        registry: The components.
        name: Of the launcher; None: ``serial`` for one job at a time, ``local`` for several.
        settings: Its options, ``KEY=VALUE`` each, with the value as in TOML, or a bare word, which is a string.
        jobs: How many jobs at once, if the user says it.

    Raises:
        UsageError: There is no such launcher, or it has no such options; says what there is.
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
    """A launcher, from its start to its end; as long, what anything prints to stdout goes to stderr.

    Args:
        use: See :func:`choose_launcher`.
        jobs: How many jobs at once; None leaves it to the launcher.
        threads: Threads of each job; None leaves it to the launcher.

    Raises:
        PluginError: The launcher is broken.
        UsageError: It cannot start with these options.
    """
    launcher: Launcher = use.build()
    with contextlib.redirect_stdout(sys.stderr):  # a cluster tells of its workers at any time; stdout is for results
        try:
            launcher.start(jobs, threads)
            yield launcher
        finally:
            launcher.close()


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_of_each(jobs: int) -> int:
    """Threads of each of several processes: what OMP_NUM_THREADS says, or else an equal share of the CPUs."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() and int(said) else max(1, cpus() // jobs)

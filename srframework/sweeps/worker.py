"""A piece of a sweep, as a process is told to do it."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srframework.files import append
from srframework.recipe.check import load
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.crash import LOG, sentence
from srframework.run.options import RunOptions
from srframework.run.progress import LineReporter
from srframework.run.reporter import Display, Reporter, silent


@dataclass(frozen=True)
class Work:
    """One stage, or one whole run.

    Attributes:
        recipe: Path of a resolved recipe.
        stage: See to this stage and those that it builds on, in the store alone; None: the whole run, into ``out``.
        out: The run directory.
        store: Where stages are kept.
        blocked: Plugins not to load.
        cwd: What relative paths are seen from.
        log: File that progress is added to; None: see :func:`shown_by`.
        stored_only: Compute nothing; what the store does not have is an error.
        keep: Stage -> steps that other runs build on.
        users: Run directories for which what is computed is to stay in the store.
        failures: The plugins that failed to load where the work comes from, a line each.
    """

    recipe: str
    stage: str | None
    out: str | None
    store: str
    blocked: tuple[str, ...]
    cwd: str
    log: str | None
    stored_only: bool = False
    keep: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        report: Of a whole run, as ``run --json`` prints it.
        error: A sentence, where it failed.
        computed: The stages that were computed here, and their seconds.
        warnings: The plugins that failed to load in this process alone, a line each.
    """

    report: dict[str, Any] | None = None
    error: str | None = None
    computed: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


_display: ContextVar[Display] = ContextVar("_display", default=silent)


@contextlib.contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Have ``display`` show, in the block, the progress of work in this process that has no log."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def perform(work: Work) -> Outcome:
    """Do it; what goes wrong is in the outcome, with a traceback in a log where it is no user's mistake.

    Raises:
        KeyboardInterrupt: Alone of all that may happen.
    """
    os.chdir(work.cwd)
    with contextlib.ExitStack() as stack:
        if work.log is None:
            progress: Reporter = stack.enter_context(_display.get()())
        else:
            Path(work.log).parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(append(Path(work.log)), "a", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(file))
            progress = LineReporter(file)
        computed: dict[str, float] = {}
        try:
            return _performed(work, progress, computed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 -- the rest of the sweep is to go on
            said = sentence(error, Path(work.log or Path(work.recipe).with_name(LOG)))
            if work.log is not None:
                progress.note(f"error: {said}")
            return Outcome(error=said, computed=computed, warnings=_failed_here(work))


def _performed(work: Work, progress: Reporter, computed: dict[str, float]) -> Outcome:
    from srframework.run.api import run_recipe

    warnings = _failed_here(work)
    for warning in warnings:
        progress.note(f"warning: {warning}")
    recipe = load(work.recipe, _registry(work.blocked))
    if work.stage is not None:
        recipe = recipe.only(work.stage)
    options = RunOptions(
        out=None if work.out is None else Path(work.out),
        stored_only=work.stored_only,
        keep=work.keep,
        users=[Path(user) for user in work.users],
        shared=True,
    )
    ran = run_recipe(recipe, Path(work.store), options, progress, computed)
    return Outcome(ran.report, computed=ran.computed, warnings=warnings)


def _failed_here(work: Work) -> tuple[str, ...]:
    """What failed to load in this process, and not in the one that gives the work."""
    return tuple(line for line in _registry(work.blocked).failures() if line not in work.failures)


@functools.cache
def _registry(blocked: tuple[str, ...]) -> Registry:
    return Registry(discover(blocked))

"""Run a job of a sweep in the current process."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from srframework.contracts import Job, JobResult, PluginChoice
from srframework.files import append
from srframework.recipe.check import check_recipe
from srframework.recipe.document import Document, Source
from srframework.registry.discovery import discover
from srframework.registry.registry import Registry
from srframework.run.crash import LOG, sentence
from srframework.run.options import RunOptions
from srframework.run.progress import LineReporter
from srframework.run.reporter import Display, Reporter, silent

_display: ContextVar[Display] = ContextVar("_display", default=silent)


@contextlib.contextmanager
def shown_by(display: Display) -> Iterator[None]:
    """Inside the block, show the progress of jobs without a log file with ``display``."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


def run_job(job: Job) -> JobResult:
    """Run a job in this process; changes the current directory to that of the job.

    Args:
        job: The job, as submitted to the launcher.

    Returns:
        The result for the launcher. If the job failed, it has the error; the log has the traceback, unless the
        error is a mistake of the user.

    Raises:
        KeyboardInterrupt: An interrupt; all other exceptions become the error of the result.
    """
    os.chdir(job.cwd)
    with contextlib.ExitStack() as stack:
        if job.log is None:
            progress: Reporter = stack.enter_context(_display.get()())
        else:
            Path(job.log).parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(open(append(Path(job.log)), "a", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(file))
            progress = LineReporter(file)
        computed: dict[str, float] = {}
        try:
            return _done(job, progress, computed)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 -- a failed job must not stop other jobs
            text = sentence(error, Path(job.log or _place(job) / LOG))
            if job.log is not None:
                progress.note(f"error: {text}")
            return JobResult(error=text, computed=computed, warnings=_failed_here(job))


def _done(job: Job, progress: Reporter, computed: dict[str, float]) -> JobResult:
    from srframework.run.api import run_recipe

    warnings = _failed_here(job)
    for warning in warnings:
        progress.note(f"warning: {warning}")
    recipe = check_recipe(Document(Source(_place(job) / "recipe.toml", job.recipe)), _registry(job.plugins))
    if job.stage is not None:
        recipe = recipe.only(job.stage)
    options = RunOptions(
        out=None if job.out is None else Path(job.out),
        stored_only=job.stored_only,
        keep=job.keep,
        users=[Path(user) for user in job.users],
        full_models=False,  # a sweep may have hundreds of runs; `srframework export` writes the models
        shared=True,
    )
    ran = run_recipe(recipe, Path(job.store), options, progress, computed)
    return JobResult(ran.report, computed=ran.computed, warnings=warnings)


def _place(job: Job) -> Path:
    """The directory of the run; for a stage, the directory of the first run that needs it."""
    return Path(job.out or job.users[0])


def _failed_here(job: Job) -> tuple[str, ...]:
    """The plugins that failed to load in this process, but not in the process that created the job."""
    return tuple(line for line in _registry(job.plugins).failures() if line not in job.failures)


@functools.cache
def _registry(plugins: PluginChoice) -> Registry:
    return Registry(discover(plugins))

"""Progress of ``run``, ``sweep`` and ``claims`` on stderr: nothing, lines, or a live display."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from srframework.cli.live_screen import LiveScreen
from srframework.cli.plain_screen import LineScreen, Screen
from srframework.errors import SRFrameworkError, UsageError
from srframework.faults import describe
from srframework.recipe.model import Recipe
from srframework.run.progress import (
    BEFORE_STAGES,
    RunLog,
)
from srframework.run.reporter import NO_FIGURES, NO_SCALARS, Every, Reporter, RunStart

LOADING = "loading PyTorch and transformers"


def screen(quiet: bool = False, verbose: bool = False) -> Screen:
    """The screen for the stderr of this process.

    Raises:
        UsageError: It is to be quiet and verbose.
    """
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other.")
    if quiet:
        return Screen()
    console = Console(stderr=True)
    return LiveScreen(console, verbose) if console.is_interactive else LineScreen(verbose)


@contextmanager
def single_run(on: Screen, *others: Reporter) -> Iterator[Reporter]:
    """The reporter of a run outside a sweep; it also writes ``run.log``, and passes each call to ``others``.

    Raises:
        KeyboardInterrupt: Of the block; says where the run was interrupted.
    """
    log = RunLog()
    last = ""
    with on.reporter() as shown:
        try:
            yield Both(shown, log, *others)
            last = "finished"
        except KeyboardInterrupt:
            last = log.interrupted()
            raise KeyboardInterrupt(last) from None
        except BaseException as error:
            last = f"error: {error if isinstance(error, SRFrameworkError) else describe(error)}"
            raise
        finally:
            log.close(last)


@contextmanager
def tracker(recipe: Recipe, log_with: str | None) -> Iterator[list[Reporter]]:
    """The reporter for a tracker, if one is asked for; its run ends with the block.

    Raises:
        UsageError: There is no such tracker, or its package is not installed.
    """
    if log_with is None:
        yield []
        return
    from srframework.run.trackers import TrackerReporter

    with closing(TrackerReporter(log_with, recipe)) as found:
        yield [found]


@contextmanager
def resumable(directory: Path | None = None) -> Iterator[None]:
    """Make an interrupt in the block print how to resume, if it does not say so itself.

    Args:
        directory: Where the results are; None if nothing is computed in the block.

    Raises:
        KeyboardInterrupt: Of the block.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args:
            raise
        where = f" ({directory})" if directory is not None else ""
        kept = "" if directory is not None else f" {BEFORE_STAGES}"
        raise KeyboardInterrupt(f"Interrupted{kept}. Run the same command to resume{where}.") from None


_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def verbosity_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options ``quiet`` and ``verbose``, for :func:`screen`."""
    options: tuple[_Decorator, ...] = (
        click.option("-q", "--quiet", is_flag=True, help="Print only warnings and errors on stderr."),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Print more: a line for each evaluation; in a log, a line for each reported step.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


class Both(Reporter):
    """Passes each call to several reporters."""

    def __init__(self, *each: Reporter) -> None:
        self._each = each

    def note(self, text: str) -> None:
        for each in self._each:
            each.note(text)

    def info(self, text: str) -> None:
        for each in self._each:
            each.info(text)

    def doing(self, text: str) -> None:
        for each in self._each:
            each.doing(text)

    def run_started(self, start: RunStart) -> None:
        for each in self._each:
            each.run_started(start)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        for each in self._each:
            each.stage_started(name, formula, index, count, steps)

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        for each in self._each:
            each.stage_reused(name, formula, index, count, seconds)

    def resumed(self, step: int) -> None:
        for each in self._each:
            each.resumed(step)

    def step(self, step: int, loss: float, learning_rate: float, scalars: Mapping[str, float] = NO_SCALARS) -> None:
        for each in self._each:
            each.step(step, loss, learning_rate, scalars)

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float], every: Every = NO_FIGURES) -> None:
        for each in self._each:
            each.evaluated(step, id_metric, ood, every)

    def stopped(self, step: int) -> None:
        for each in self._each:
            each.stopped(step)

    def stage_finished(self, name: str) -> None:
        for each in self._each:
            each.stage_finished(name)


# -- the live display ------------------------------------------------------------------------------

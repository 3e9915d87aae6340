"""Progress of ``run``, ``sweep`` and ``claims`` on stderr: nothing, lines, or a live display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from srframework.cli.context import print_text
from srframework.errors import SRFrameworkError, UsageError
from srframework.faults import describe
from srframework.run.progress import (
    BEFORE_STAGES,
    LineReporter,
    RunLog,
    Tracker,
    clock_text,
    figures,
    resumes,
    reused,
    stamped,
    start_lines,
)
from srframework.run.reporter import Reporter, RunStart

LOADING = "loading PyTorch and transformers"

_MOST_NAMED = 6
"""Number of stages listed below the bar of a sweep."""


class Screen:
    """Shows warnings only; used for ``--quiet``. Enter it before the first call."""

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def doing(self, text: str) -> None:
        """Something that takes seconds begins; it ends with the next call."""

    def event(self, text: str) -> None:
        """A job of a sweep begins or ends."""

    def line(self, text: str) -> None:
        """Print a final message."""

    def next_steps(self, *commands: str) -> None:
        """Print commands that the user may want to copy."""

    def warning(self, text: str) -> None:
        """Print a warning or an error."""
        click.echo(text, err=True)

    def jobs(self, done: int, total: int) -> None:
        """Set the number of finished jobs of a sweep."""

    def running(self, names: Sequence[str]) -> None:
        """Set the jobs that run in other processes now."""

    def paused(self) -> AbstractContextManager[object]:
        """A block in which other code may print on the terminal."""
        return nullcontext()

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        """A reporter that shows one run on this screen."""
        yield _Notes()


class LineScreen(Screen):
    """Lines on stderr, for a file or a pipe; see :class:`srframework.run.progress.LineReporter`."""

    def __init__(self, verbose: bool = False) -> None:
        self._verbose = verbose

    def doing(self, text: str) -> None:
        if self._verbose:
            self.event(text)

    def event(self, text: str) -> None:
        click.echo(stamped(text), err=True)

    def line(self, text: str) -> None:
        click.echo(text, err=True)

    def next_steps(self, *commands: str) -> None:
        for each in _steps_text(commands):
            self.line(each)

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        yield LineReporter(verbose=self._verbose)


class LiveScreen(Screen):
    """Bars at the bottom of a terminal: the sweep or all stages, then the current stage, with its figures below.

    The figures have lines of their own, so that bar, counter and time are there in any terminal of 60 columns.
    """

    def __init__(self, console: Console | None = None, verbose: bool = False) -> None:
        self._bars = _Bars(console or Console(stderr=True))
        self._verbose = verbose
        self._sweep: _Bar | None = None
        self._counted = 0, 0

    def __enter__(self) -> Screen:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def doing(self, text: str) -> None:
        self._bars.spinner = Spinner("dots", Text(f"{text} …")) if text else None
        self._bars.refresh()

    def event(self, text: str) -> None:
        self.line(text)

    def line(self, text: str) -> None:
        console = self._bars.console
        for each in text.splitlines():
            if any(cell_len(word) > console.width for word in each.split()):  # a path: not with a line end in it
                console.print(Text(each), soft_wrap=True)
            else:
                print_text(console, each)

    def next_steps(self, *commands: str) -> None:
        for each in _steps_text(commands):
            self._bars.console.print(Text(each), soft_wrap=True)

    def warning(self, text: str) -> None:
        self.line(text)

    def jobs(self, done: int, total: int) -> None:
        if self._sweep is None:
            self.doing("")
            self._sweep = _Bar(self._bars, "sweep", total, "jobs", by_mean=True)
        self._counted = done, total
        self._sweep.update(done, total)

    def partly(self, share: float) -> None:
        """Move the bar of the sweep by a share, in [0, 1], of the job that runs in this process."""
        done, total = self._counted
        if self._sweep is not None:
            self._sweep.update(min(done + share, total), total)

    def running(self, names: Sequence[str]) -> None:
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        self._bars.below = f"running: {', '.join(names[:_MOST_NAMED])}{more}" if names else ""
        self._bars.refresh()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._bars.hidden = True  # of hidden bars nothing is left that the next display would erase
        self._bars.stop()
        try:
            yield
        finally:
            self._bars.hidden = False
            self._bars.live.vertical_overflow = "ellipsis"  # stop() has changed it
            self._bars.start()

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        live = _LiveReporter(self, self._bars, self._verbose, with_total=self._sweep is None)
        try:
            yield live
        finally:
            live.clear()


def _steps_text(commands: Sequence[str]) -> list[str]:
    return [f"{'' if number else 'Next:':6}{each}" for number, each in enumerate(commands)]


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
def single_run(on: Screen) -> Iterator[Reporter]:
    """The reporter of a run outside a sweep; it also writes ``run.log``.

    Raises:
        KeyboardInterrupt: Of the block; says where the run was interrupted.
    """
    log = RunLog()
    last = ""
    with on.reporter() as shown:
        try:
            yield _Both(shown, log)
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


class _Notes(Reporter):
    """Shows what the user should know, and no progress."""

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def info(self, text: str) -> None:
        pass


class _Both(Reporter):
    """Passes each call to two reporters."""

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

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        for each in self._each:
            each.step(step, loss, learning_rate)

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float]) -> None:
        for each in self._each:
            each.evaluated(step, id_metric, ood)

    def stopped(self, step: int) -> None:
        for each in self._each:
            each.stopped(step)

    def stage_finished(self, name: str) -> None:
        for each in self._each:
            each.stage_finished(name)


# -- the live display ------------------------------------------------------------------------------


class _Bars(Progress):
    """Bars of one layout, with a spinner above or text below."""

    hidden: bool = False
    spinner: Spinner | None = None
    below: str = ""

    def __init__(self, console: Console) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=min(max(console.width - 60, 5), 40)),
            TextColumn("{task.fields[count]}/{task.total:.0f} {task.fields[unit]}", justify="right"),
            _Times(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )

    def get_renderables(self) -> Iterator[RenderableType]:
        if self.hidden:
            return
        if self.tasks:
            yield self.make_tasks_table(self.tasks)
        if self.below:
            yield Text(self.below)
        if self.spinner is not None:
            yield self.spinner


class _Times(ProgressColumn):
    """Elapsed time, and time left."""

    def render(self, task: Task) -> Text:
        end, elapsed, done = task.fields["end"], task.elapsed or 0.0, task.completed
        left = None if end is None else end - time.monotonic()
        if task.fields["by_mean"] and done and task.total:
            left = elapsed * (task.total - done) / done
        if done == task.total:
            left = 0.0
        shown = "-:--:--" if left is None or left < 0 else clock_text(left)
        return Text(f"{clock_text(elapsed)}, {shown} left")


class _Bar:
    """One bar.

    Args:
        bars: The display.
        label: A short name.
        total: How much is to be done.
        unit: Of ``total``, in the plural.
        by_mean: Estimate the time left by the mean speed; else it is that of the last update, and counts down.
    """

    def __init__(self, bars: _Bars, label: str, total: int, unit: str, by_mean: bool = False) -> None:
        self._bars = bars
        self.task: TaskID = bars.add_task(label, total=total, unit=unit, count=0, end=None, by_mean=by_mean)

    def update(self, done: float, total: int, left: float | None = None) -> None:
        """Set the progress; ``left``: seconds until the end, None if unknown."""
        end = None if left is None else time.monotonic() + left
        self._bars.update(self.task, completed=done, total=total, count=int(done), end=end)

    def remove(self) -> None:
        self._bars.remove_task(self.task)


class _LiveReporter(Tracker):
    """The bars of one run: all its stages, and the stage in training.

    Args:
        on: The screen.
        bars: Its bars.
        verbose: Print a line for each evaluation.
        with_total: Show a bar of all stages.
    """

    def __init__(self, on: LiveScreen, bars: _Bars, verbose: bool, with_total: bool) -> None:
        super().__init__()
        self._on, self._bars, self._verbose, self._with_total = on, bars, verbose, with_total
        self._all: _Bar | None = None
        self._one: _Bar | None = None
        self._figures = self._formula = ""

    def note(self, text: str) -> None:
        self._on.line(text)

    def doing(self, text: str) -> None:
        self._on.doing(text)

    def run_started(self, start: RunStart) -> None:
        super().run_started(start)
        self.doing("")
        if self._with_total:
            for line in start_lines(start):
                self.note(line)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        super().stage_started(name, formula, index, count, steps)
        self.doing("")
        self._formula = formula
        if self._with_total and self._all is None and self.start is not None and len(self.start.pending) > 1:
            self._all = _Bar(self._bars, "all stages", self.total, "steps")
        self._one = _Bar(self._bars, f"stage {index}/{count}", steps, "steps")
        self._figures = ""
        self._show(known=False)

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        super().stage_reused(name, formula, index, count, seconds)
        self.note(reused(name, index, count, seconds))

    def resumed(self, step: int) -> None:
        super().resumed(step)
        self.note(f"{self.label}: {resumes(step)}")
        self._show(known=False)

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        super().step(step, loss, learning_rate)
        self._show()

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float]) -> None:
        super().evaluated(step, id_metric, ood)
        self._figures = figures(id_metric, ood)
        if self._verbose:
            self.note(f"{self.label}: step {step}/{self.steps}: {self._figures}")
        self._show()

    def stage_finished(self, name: str) -> None:
        if name == self.stage:
            self.note(f"{self.label}: {self._formula}, {self.steps} steps, done in {self.took}")
        super().stage_finished(name)
        self.doing("")
        if self._one is not None:
            self._one.remove()
            self._one = None
        self._bars.below = ""
        if self._all is not None:
            self._all.update(self.done, self.total, self.total_left)

    def clear(self) -> None:
        """Remove the bars of this run."""
        for bar in (self._all, self._one):
            if bar is not None:
                bar.remove()
        self._all = self._one = None
        self._bars.below = ""
        self.doing("")

    def _show(self, known: bool = True) -> None:
        """Show the progress of the stage; without time left while the speed is unknown."""
        if self._one is None:
            return
        self._one.update(self.at, self.steps, self.left if known else None)
        if self._all is not None:
            self._all.update(self.done, self.total, self.total_left if known or self._before else None)
        elif not self._with_total and self.total:
            self._on.partly(self.done / self.total)
        loss = "" if self.loss is None else f"loss {self.loss:.3f}, {self.speed:.1f} steps/s"
        self._bars.below = "\n".join(filter(None, (f"{self.stage}: {loss or 'starting'}", self._figures)))

"""Progress on stderr as a live display, for terminals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.spinner import Spinner
from rich.text import Text

from srframework.cli.bars import Bar, Bars
from srframework.cli.context import print_text
from srframework.cli.plain_screen import Screen, steps_text
from srframework.run.progress import (
    Tracker,
    every_text,
    figures,
    resumes,
    reused,
    start_lines,
)
from srframework.run.reporter import NO_FIGURES, NO_SCALARS, Every, Reporter, RunStart

_MOST_NAMED = 6
"""Number of stages listed below the bar of a sweep."""


_NEARLY = 0.99
"""Share of a job whose training is done, but not its evaluation."""


class LiveScreen(Screen):
    """Bars at the bottom of a terminal: the sweep or all stages, then the current stage, with its figures below.

    The figures have lines of their own, so that bar, counter and time are there in any terminal of 60 columns.
    """

    def __init__(self, console: Console | None = None, verbose: bool = False) -> None:
        self._bars = Bars(console or Console(stderr=True))
        self._verbose = verbose
        self._sweep: Bar | None = None
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
        for each in steps_text(commands):
            self._bars.console.print(Text(each), soft_wrap=True)

    def warning(self, text: str) -> None:
        self.line(text)

    def jobs(self, done: int, total: int) -> None:
        if self._sweep is None:
            self.doing("")
            self._sweep = Bar(self._bars, "sweep", total, "jobs", by_mean=True)
        self._counted = done, total
        self._sweep.update(done, total)

    def partly(self, share: float) -> None:
        """Move the bar of the sweep by a share, in [0, 1], of the job that runs in this process, and is not done."""
        done, total = self._counted
        if self._sweep is not None:
            self._sweep.update(min(done + min(share, _NEARLY), total), total)

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
        live = LiveReporter(self, self._bars, self._verbose, with_total=self._sweep is None)
        try:
            yield live
        finally:
            live.clear()


class LiveReporter(Tracker):
    """The bars of one run: all its stages, and the stage in training.

    Args:
        on: The screen.
        bars: Its bars.
        verbose: Print a line for each evaluation.
        with_total: Show a bar of all stages.
    """

    def __init__(self, on: LiveScreen, bars: Bars, verbose: bool, with_total: bool) -> None:
        super().__init__()
        self._on, self._bars, self._verbose, self._with_total = on, bars, verbose, with_total
        self._all: Bar | None = None
        self._one: Bar | None = None
        self._figures = self._formula = ""

    def note(self, text: str) -> None:
        self._on.line(text)

    def doing(self, text: str) -> None:
        self._on.doing(text)

    def run_started(self, start: RunStart) -> None:
        super().run_started(start)
        self.doing("")
        for line in start_lines(start):
            self.note(line)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        super().stage_started(name, formula, index, count, steps)
        self.doing("")
        self._formula = formula
        if self._with_total and self._all is None and self.start is not None and len(self.start.pending) > 1:
            self._all = Bar(self._bars, "all stages", self.total, "steps")
        self._one = Bar(self._bars, f"stage {index}/{count}", steps, "steps")
        self._figures = ""
        self._show(known=False)

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        super().stage_reused(name, formula, index, count, seconds)
        self.note(reused(name, index, count, seconds))

    def resumed(self, step: int) -> None:
        super().resumed(step)
        self.note(f"{self.label}: {resumes(step)}")
        self._show(known=False)

    def step(self, step: int, loss: float, learning_rate: float, scalars: Mapping[str, float] = NO_SCALARS) -> None:
        super().step(step, loss, learning_rate, scalars)
        self._show()

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float], every: Every = NO_FIGURES) -> None:
        super().evaluated(step, id_metric, ood, every)
        self._figures = figures(id_metric, ood, self.unit)
        if self._verbose:
            self.note(f"{self.label}: step {step}/{self.steps}: {self._figures}{every_text(every)}")
        self._show(known=bool(step))

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
        loss += "".join(f", {name} {value:.4g}" for name, value in self.scalars.items())
        self._bars.below = "\n".join(filter(None, (f"{self.stage}: {loss or 'starting'}", self._figures)))

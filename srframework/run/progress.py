"""Progress on stderr: a live display where it is a terminal, plain lines where it is not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from srframework.run.reporter import Reporter


@contextmanager
def reporter() -> Iterator[Reporter]:
    """The reporter that suits this process's stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LineReporter()
        return
    with _display(console) as progress:
        yield LiveReporter(progress)


def _display(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.fields[stage]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[figures]}"),
        console=console,
    )


class LiveReporter(Reporter):
    """One line of a rich display for each stage: step, speed, time left, loss, latest figures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._clock = _Clock()

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        stage = f"[{index}/{count}] {name}".replace("[", "\\[")
        self._task = self._progress.add_task("", total=steps, stage=stage, speed="", loss="", figures="")
        self._clock = _Clock()

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        self.note(_taken(name, formula, index, count, seconds))

    def resumed(self, step: int) -> None:
        self._clock = _Clock(step)
        if self._task is not None:
            self._progress.update(self._task, completed=step)
        self.note(_resumed(step))

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        if self._task is not None:
            speed = f"{self._clock.speed(step):.1f} steps/s"
            self._progress.update(self._task, completed=step, speed=speed, loss=f"loss {loss:.3f}")

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float]) -> None:
        if self._task is not None:
            self._progress.update(self._task, figures=_figures(id_metric, ood))


class LineReporter(Reporter):
    """Log lines: at each evaluation, and in between at most every ten seconds.

    Args:
        file: Where they go; None for stderr.
    """

    interval = 10.0

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._stage, self._steps, self._clock, self._last = "", 0, _Clock(), time.monotonic()
        self._loss: float | None = None

    def note(self, text: str) -> None:
        print(text, file=self._file or sys.stderr, flush=True)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        self._stage, self._steps, self._clock, self._loss = f"[{index}/{count}] {name}", steps, _Clock(), None
        self.note(f"{self._stage}: {formula}, {steps} steps")

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        self.note(_taken(name, formula, index, count, seconds))

    def resumed(self, step: int) -> None:
        self._clock = _Clock(step)
        self.note(f"{self._stage}: {_resumed(step)}")

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        self._loss = loss
        if time.monotonic() - self._last >= self.interval:
            self._line(step)

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float]) -> None:
        self._line(step, ", " + _figures(id_metric, ood))

    def _line(self, step: int, figures: str = "") -> None:
        self._last = time.monotonic()
        speed = self._clock.speed(step)
        left = timedelta(seconds=round((self._steps - step) / speed))
        loss = "" if self._loss is None else f", loss {self._loss:.3f}"
        self.note(f"{self._stage}: step {step}/{self._steps}{loss}, {speed:.1f} steps/s, {left} left{figures}")


class _Clock:
    """Steps per second since the stage began, or went on."""

    def __init__(self, step: int = 0) -> None:
        self._start, self._step = time.monotonic(), step

    def speed(self, step: int) -> float:
        return max(step - self._step, 1e-9) / max(time.monotonic() - self._start, 1e-9)


def _taken(name: str, formula: str, index: int, count: int, seconds: float) -> str:
    took = timedelta(seconds=round(seconds))
    return f"[{index}/{count}] {name}: {formula}, taken from the store, where it had taken {took}"


def _resumed(step: int) -> str:
    return f"goes on from the checkpoint at step {step}"


def _figures(id_metric: float, ood: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in {"ID": id_metric, **ood}.items())

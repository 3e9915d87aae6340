"""Progress as lines of text, for a log file or a stderr that is not a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import TextIO

from srframework.files import append
from srframework.run.directory_lock import sentences
from srframework.run.reporter import NO_FIGURES, NO_SCALARS, Every, Reporter, RunStart
from srframework.text import duration_text
from srframework.units import with_unit

LOG = "run.log"
"""The log file of a run directory."""


BEFORE_STAGES = "before the first stage; earlier results are kept"
"""Where a run was interrupted that has computed nothing yet."""


class Tracker(Reporter):
    """Keeps the progress of a run for displays.

    Attributes:
        start: The facts of the run; None before they are known.
        stage: Name of the stage that is trained; empty between stages.
        label: Its number and name: ``[2/4] srnet``.
        steps: Optimizer steps of the stage.
        at: Steps that are done.
        loss: The latest mean loss; None before the first.
        scalars: The latest means of the numbers that components log.
    """

    def __init__(self) -> None:
        self.start: RunStart | None = None
        self.stage = self.label = ""
        self.steps = self.at = 0
        self.loss: float | None = None
        self.scalars: dict[str, float] = {}
        self._clock = self._run_clock = _Clock()
        self._began = time.monotonic()
        self._todo: dict[str, int] = {}
        self._before = 0
        self._stopped: int | None = None

    def run_started(self, start: RunStart) -> None:
        self.start, self._todo = start, dict(start.pending)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        if not self._before:
            self._run_clock = _Clock()
        self._todo[name] = steps
        self.stage, self.label, self.steps, self.at, self.loss = name, f"[{index}/{count}] {name}", steps, 0, None
        self.scalars = {}
        self._clock, self._began = _Clock(), time.monotonic()

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        self._todo.pop(name, None)  # another process may have computed it since the start

    def resumed(self, step: int) -> None:
        self.at, self._clock = step, _Clock(step)
        self._run_clock = _Clock(self._before + step)

    def step(self, step: int, loss: float, learning_rate: float, scalars: Mapping[str, float] = NO_SCALARS) -> None:
        self.at, self.loss, self.scalars = step, loss, dict(scalars)

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float], every: Every = NO_FIGURES) -> None:
        self.at = step

    def stopped(self, step: int) -> None:
        self._stopped = step

    def stage_finished(self, name: str) -> None:
        self._before += self._todo.get(name, 0) if name == self.stage else 0
        self.stage = ""

    @property
    def unit(self) -> str:
        """Unit of the task's metric."""
        return "fraction" if self.start is None else self.start.unit

    @property
    def speed(self) -> float:
        """Steps of the stage per second."""
        return self._clock.speed(self.at)

    @property
    def left(self) -> float:
        """Seconds until the last step of the stage, at its speed."""
        return max(self.steps - self.at, 0) / self.speed

    @property
    def total(self) -> int:
        """Steps of all stages that are not in the store."""
        return sum(self._todo.values())

    @property
    def done(self) -> int:
        """How many of these steps are done."""
        return self._before + (self.at if self.stage else 0)

    @property
    def total_left(self) -> float:
        """Seconds until the last step of the last stage, at the speed of the run after this stage."""
        left = self.left if self.stage else 0.0
        after = self.total - self.done - (self.steps - self.at if self.stage else 0)
        return left + max(after, 0) / self._run_clock.speed(self.done)

    @property
    def took(self) -> str:
        """How long the stage has been running, for a sentence."""
        return duration_text(time.monotonic() - self._began)

    def interrupted(self) -> str:
        """The message of an interrupted run: where it stopped, and how to resume it."""
        where = ""
        if self.stage:
            where = f" in '{self.stage}'"
            if self._stopped is not None:
                where = f" at step {self._stopped}/{self.steps} of '{self.stage}'"
        if self.start is None:
            return f"Interrupted {BEFORE_STAGES}. Run the same command to resume."
        if self.start.directory is None:
            return f"Interrupted{where}."
        return f"Interrupted{where}. Run the same command to resume ({self.start.directory})."


def every_text(every: Every) -> str:
    """Return all figures of the evaluators, for the end of a line: ``", nll/dev 0.7192"``."""
    return "".join(f", {name}/{split} {value:.4g}" for name, values in every.items() for split, value in values.items())


class LineReporter(Tracker):
    """Log lines with the time of day: at each evaluation, and in between at most every ten seconds.

    Args:
        file: Where they are written; None for stderr.
        verbose: Write a line for each step that is reported.
    """

    interval = 10.0

    def __init__(self, file: TextIO | None = None, verbose: bool = False) -> None:
        super().__init__()
        self._file, self._verbose = file, verbose
        self._last = time.monotonic()

    def note(self, text: str) -> None:
        print(stamped(text), file=self._file or sys.stderr, flush=True)

    def doing(self, text: str) -> None:
        if self._verbose:
            self.note(text)

    def run_started(self, start: RunStart) -> None:
        super().run_started(start)
        for line in start_lines(start):
            self.note(line)

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        super().stage_started(name, formula, index, count, steps)
        self.note(f"{self.label}: {formula}, {steps} steps")

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        super().stage_reused(name, formula, index, count, seconds)
        self.note(reused(name, index, count, seconds))

    def resumed(self, step: int) -> None:
        super().resumed(step)
        self.note(f"{self.label}: {resumes(step)}")

    def step(self, step: int, loss: float, learning_rate: float, scalars: Mapping[str, float] = NO_SCALARS) -> None:
        super().step(step, loss, learning_rate, scalars)
        if self._verbose or time.monotonic() - self._last >= self.interval:
            self._line()

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float], every: Every = NO_FIGURES) -> None:
        super().evaluated(step, id_metric, ood, every)
        self._line(", " + figures(id_metric, ood, self.unit) + (every_text(every) if self._verbose else ""))

    def stage_finished(self, name: str) -> None:
        if name == self.stage:
            self.note(f"{self.label}: done in {self.took}")
        super().stage_finished(name)

    def _line(self, more: str = "") -> None:
        self._last = time.monotonic()
        loss = "" if self.loss is None else f", loss {self.loss:.3f}"
        loss += "".join(f", {name} {value:.4g}" for name, value in self.scalars.items())
        every = f", {clock_text(self.total_left)} left in all stages" if self.total > self.steps else ""
        speed = f", {self.speed:.1f} steps/s, {clock_text(self.left)} left{every}" if self.at else ""
        self.note(f"{self.label}: step {self.at}/{self.steps}{loss}{speed}{more}")


class RunLog(LineReporter):
    """Writes the lines of a run into ``run.log`` of its directory; keeps earlier lines until the directory is known."""

    def __init__(self) -> None:
        super().__init__()
        self._early: list[str] = []

    def note(self, text: str) -> None:
        if self._file is None:
            self._early.append(stamped(text))
        else:
            with contextlib.suppress(OSError):  # what else the run writes there reports a full disk
                super().note(text)

    def run_started(self, start: RunStart) -> None:
        if start.directory is not None and self._file is None:
            with sentences(start.directory):
                self._file = open(append(start.directory / LOG), "a", encoding="utf-8")  # noqa: SIM115 -- until close
            for line in self._early:
                print(line, file=self._file)
        super().run_started(start)

    def close(self, last: str = "") -> None:
        """Write a last line, if there is one, and close the file."""
        if self._file is not None:
            if last:
                self.note(last)
            with contextlib.suppress(OSError):
                self._file.close()


class _Clock:
    """Steps per second since the start, or since a run was resumed."""

    def __init__(self, step: int = 0) -> None:
        self._start, self._step = time.monotonic(), step

    def speed(self, step: int) -> float:
        return max(step - self._step, 1e-9) / max(time.monotonic() - self._start, 1e-9)


def stamped(text: str) -> str:
    """A line of a log, with the local time."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"


def start_lines(start: RunStart) -> list[str]:
    """The start lines: recipe, device and run directory."""
    cached = start.stages - len(start.pending)
    stages = f"{start.stages} stage{'s' if start.stages != 1 else ''}{f' ({cached} cached)' if cached else ''}"
    processes = f", {start.processes} processes" if start.processes > 1 else ""
    threads = f"{start.threads} thread{'s' if start.threads != 1 else ''}"
    facts = f"{stages}, {sum(start.pending.values()):,} steps, {start.examples:,} training examples"
    lines = [f"{start.recipe}, seed {start.seed}: {facts}", f"device: {start.device}{processes}, {threads}"]
    return [*lines, f"run directory: {start.directory}"] if start.directory is not None else lines


def reused(name: str, index: int, count: int, seconds: float) -> str:
    """The line for a stage that is reused."""
    return f"[{index}/{count}] {name}: reused cached result ({duration_text(seconds)} when computed)"


def resumes(step: int) -> str:
    """The line for a stage that resumes."""
    return f"resumes from the checkpoint at step {step}"


def figures(id_metric: float, ood: Mapping[str, float], unit: str) -> str:
    """The figures of an evaluation, with their unit."""
    shown = {"ID": id_metric, **{f"OOD {split}": value for split, value in ood.items()}}
    return ", ".join(f"{name} {with_unit(value, unit)}" for name, value in shown.items())


def clock_text(seconds: float) -> str:
    """Hours, minutes and seconds: ``0:01:05``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"

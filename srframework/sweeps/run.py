"""Run a sweep: several runs at a time, each distinct stage once; sweep.json is written after each run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from srframework.contracts import INSTALLED, JobResult, Launcher, PluginChoice
from srframework.recipe.points import check_early
from srframework.recipe.sweep import Cell
from srframework.registry.registry import Registry
from srframework.run.api import kept_materials, one_process_only
from srframework.run.reporter import Display, silent
from srframework.run.state import mark_failed
from srframework.sweeps import scheduler
from srframework.sweeps.directory import SweepDirectory
from srframework.sweeps.jobs import Tasks
from srframework.sweeps.launchers.serial import SerialLauncher
from srframework.sweeps.scheduler import Task
from srframework.sweeps.worker import shown_by


@dataclass(frozen=True)
class Piece:
    """A part of a sweep: a run, or a stage that several runs may share.

    Attributes:
        name: Unique name.
        run: The number of the run, counted from 0; None for a stage.
        runs: The numbers of the runs that need the piece.
        log: The file with its progress; None if this process shows the progress.
    """

    name: str
    run: int | None
    runs: tuple[int, ...]
    log: str | None


class SweepEvents:
    """Callbacks of a sweep. They do nothing by default; override those that you need."""

    def begun(self, cells: Sequence[Cell], in_process: bool) -> None:
        """The sweep of these cells starts; with ``in_process`` this process runs them and shows their progress."""

    def counted(self, done: int, total: int) -> None:
        """Reports the number of finished jobs: before the first job, and after each."""

    def looked_at(self, number: int) -> None:
        """A run was finished before; the sweep now checks that the store still has its results."""

    def repeated(self, number: int, why: str) -> None:
        """A run that was finished before must run again."""

    def started(self, piece: Piece) -> None:
        """A piece starts."""

    def restarted(self, piece: Piece, why: str) -> None:
        """The worker process of a piece died; the piece restarts."""

    def ended(self, piece: Piece, outcome: JobResult) -> None:
        """A piece is done or has failed; not called if only a piece that it depends on has failed."""

    def warned(self, text: str) -> None:
        """A plugin failed to load in a worker process, but not in this process."""

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        """A run is done or has failed; its report is in sweep.json."""


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        path: Directory of the sweep.
        reports: One report per run, in the order of the cells: the report of ``run --json`` and the ``values`` of
            the cell; for a run that failed, ``values``, ``run``, ``error`` and ``log``.
        computed: Number of stages that were computed, repetitions included.
        reused: Number of stages that were reused from the store.
        repeated: Number of runs that were finished before and ran again.
        computing: Total compute time of the computed stages, in seconds.
        wall: Wall time of the sweep, in seconds.
    """

    path: Path
    reports: list[dict[str, Any]]
    computed: int
    reused: int
    repeated: int
    computing: float
    wall: float

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The reports of the runs that failed."""
        return [report for report in self.reports if "error" in report]


@dataclass(frozen=True)
class Workers:
    """The workers of a sweep.

    Attributes:
        launcher: Context manager that starts and closes a launcher; None: run all jobs in this process.
        plugins: The plugins that every worker loads.
        display: Shows the progress of runs in this process.
    """

    launcher: AbstractContextManager[Launcher] | None = None
    plugins: PluginChoice = INSTALLED
    display: Display = silent


def run_sweep(
    cells: Sequence[Cell],
    registry: Registry,
    store: Path,
    out: Path | None = None,
    workers: Workers | None = None,
    events: SweepEvents | None = None,
    beside: Collection[str] = (),
) -> SweepResult:
    """Run every cell of a sweep, each distinct stage once; resume an earlier sweep in the same directory.

    If a run fails, the other runs still run; the report of the failed run has the error.

    Args:
        cells: At least one, all checked: see :func:`srframework.recipe.sweep.load_cells`.
        registry: The components.
        store: Directory of the stage store.
        out: Directory of the sweep: new, empty, or of the same sweep; None: the default, which depends on the cells.
        workers: The workers; None: this process.
        events: Callbacks.
        beside: Names of further files that the directory may contain.

    Raises:
        UsageError: The directory or the launcher is not valid, a stage refers to a point that is never reached,
            or several processes run this.
        RunDirectoryError: The directory cannot be written.
    """
    one_process_only("sweep")
    start = time.monotonic()
    workers, events = workers or Workers(), events or SweepEvents()
    check_early(cell.recipe for cell in cells)
    directory = SweepDirectory(out or SweepDirectory.default_path(cells), cells, beside)
    here = SerialLauncher()
    with kept_materials(), shown_by(workers.display), workers.launcher or nullcontext(here) as launcher:
        directory.make()
        failures = tuple(registry.failures())
        in_process = launcher.in_process
        tasks = Tasks(cells, directory.path, store, workers.plugins, logs=not in_process, failures=failures)
        events.begun(cells, in_process)
        run = _Run(cells, directory, tasks, events)
        finished = directory.finished()
        scheduler.run([tasks.stored(number) for number in finished], here, run.of_finished(finished))
        rest = [number for number in range(len(cells)) if number not in run.reports]
        todo = tasks.all(rest, every_stage=not in_process)
        scheduler.run(todo, launcher, run.of_rest(rest, len(todo)))
    return run.result(time.monotonic() - start)


class _Run:
    """Turns the events of the scheduler into reports, counts and events of one sweep."""

    def __init__(self, cells: Sequence[Cell], directory: SweepDirectory, tasks: Tasks, events: SweepEvents) -> None:
        self._cells, self._directory, self._tasks, self._events = cells, directory, tasks, events
        self.reports: dict[int, dict[str, Any]] = {}
        self._users: dict[str, list[int]] = {}
        self._logs: dict[str, str | None] = {}
        self._computed: Counter[str] = Counter()  # signature of a stage -> how often it was computed
        self._computing = 0.0
        self._repeated: set[int] = set()
        self._warned: set[str] = set()
        self._done = self._jobs = 0

    def of_finished(self, numbers: Sequence[int]) -> scheduler.Events:
        """Callbacks for the runs that were finished before; their results should be in the store."""
        self._users = self._tasks.users(numbers)
        return scheduler.Events(
            started=lambda task: self._events.looked_at(self._numbers[task.name]), ended=self._ended_stored
        )

    def of_rest(self, numbers: Sequence[int], jobs: int) -> scheduler.Events:
        """Callbacks for the other runs; ``jobs``: the number of their jobs."""
        self._users = self._tasks.users(numbers)
        self._done, self._jobs = 0, jobs
        self._events.counted(0, jobs)
        return scheduler.Events(
            started=lambda task: self._events.started(self._piece(task)),
            lost=lambda task, why: self._events.restarted(self._piece(task), why),
            ended=self._ended,
        )

    def result(self, wall: float) -> SweepResult:
        """The result of the sweep; ``wall``: wall time in seconds."""
        succeeded = [number for number, report in self.reports.items() if "error" not in report]
        used = [sign for number in succeeded for sign in self._tasks.signatures[number].values()]
        return SweepResult(
            path=self._directory.path,
            reports=[self.reports[number] for number in range(len(self._cells))],
            computed=self._computed.total(),
            reused=len(used) - len(self._computed.keys() & set(used)),
            repeated=len(self._repeated),
            computing=self._computing,
            wall=wall,
        )

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {cell.slug: number for number, cell in enumerate(self._cells)}

    def _piece(self, task: Task) -> Piece:
        return Piece(task.name, self._numbers.get(task.name), tuple(self._users[task.name]), task.job.log)

    def _ended_stored(self, task: Task, outcome: JobResult) -> None:
        number = self._numbers[task.name]
        if outcome.error is None:
            self._succeeded(number, outcome)
        else:
            self._repeated.add(number)
            self._events.repeated(number, outcome.error)

    def _ended(self, task: Task, outcome: JobResult) -> None:
        piece = self._piece(task)
        signs = self._tasks.signatures[piece.runs[0]]
        self._computed.update(signs[name] for name in outcome.computed)
        self._computing += sum(outcome.computed.values())
        for warning in [each for each in outcome.warnings if each not in self._warned]:
            self._warned.add(warning)
            self._events.warned(warning)
        inherited = [self._logs[name] for name in task.needs if name in self._logs]
        if not inherited:
            self._events.ended(piece, outcome)
        if outcome.error is not None:
            self._logs[task.name] = [*inherited, piece.log][0]
            if piece.run is not None:
                self._failed(piece.run, outcome.error, self._logs[task.name])
        elif piece.run is not None:
            self._succeeded(piece.run, outcome)
        self._done += 1
        self._events.counted(self._done, self._jobs)

    def _failed(self, number: int, error: str, log: str | None) -> None:
        place = self._directory.path / self._cells[number].slug
        mark_failed(place, error)
        self._keep(number, {"values": self._cells[number].values, "run": str(place), "error": error, "log": log})

    def _succeeded(self, number: int, outcome: JobResult) -> None:
        assert outcome.report is not None, "a run that did not fail has a report"
        self._keep(number, {"values": self._cells[number].values} | outcome.report)

    def _keep(self, number: int, report: dict[str, Any]) -> None:
        self.reports[number] = report
        self._directory.write([self.reports[each] for each in sorted(self.reports)])
        self._events.reported(number, report)

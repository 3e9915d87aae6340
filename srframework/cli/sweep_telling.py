"""What a sweep tells while it works: lines on stderr, a table for each run, and the report of each on disk."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from srframework.cli.run import print_report
from srframework.contracts import JobResult
from srframework.recipe.sweep import Cell
from srframework.sweeps.scheduler import Events, Task

if TYPE_CHECKING:  # these need what only a run needs
    from srframework.sweeps.directory import SweepDirectory
    from srframework.sweeps.jobs import Tasks


class Telling:
    """The events of a sweep.

    Args:
        cells: Of the sweep.
        directory: Of the sweep.
        tasks: Of the sweep.
        alone: Whether this process does all the work, and tells of its progress itself.
        tables: Where to print a table for each run that is done, as soon as those before it are; None: nowhere.

    Attributes:
        reports: Cell -> its report, of those that are done.
    """

    def __init__(
        self, cells: Sequence[Cell], directory: SweepDirectory, tasks: Tasks, alone: bool, tables: TextIO | None
    ) -> None:
        self._cells, self._directory, self._tasks = cells, directory, tasks
        self._alone, self._tables = alone, tables
        self.reports: dict[int, dict[str, Any]] = {}
        self._numbers = {cell.slug: number for number, cell in enumerate(cells)}
        self._users: dict[str, list[int]] = {}
        self._announced: set[int] = set()
        self._logs: dict[str, str | None] = {}
        self._computed: Counter[str] = Counter()  # signature of a stage -> how often it was computed
        self._again: set[int] = set()
        self._seconds = 0.0
        self._printed = 0
        self._warned: set[str] = set()

    def of_finished(self, numbers: Sequence[int]) -> Events:
        """Told of the runs that are taken from the store."""
        self._users = self._tasks.users(numbers)
        return Events(started=self._announce, ended=self._ended_stored)

    def of_rest(self, numbers: Sequence[int]) -> Events:
        """Told of the others."""
        self._users = self._tasks.users(numbers)
        return Events(self._started, self._lost, self._ended)

    def summary(self, wall: float) -> str:
        """How many stages were computed, repetitions included, and how many reused; ``wall``: seconds of the sweep."""
        good = [number for number, report in self.reports.items() if "error" not in report]
        used = [sign for number in good for sign in self._tasks.signatures[number].values()]
        taken = len(used) - len(self._computed.keys() & set(used))
        count = self._computed.total()
        stages = f"{count} stage{'s' if count != 1 else ''} computed in {self._seconds:.0f} s"
        ratio = f", {wall / self._seconds:.2f} × the time of the stages" if self._seconds else ""
        runs = f"{len(self._cells)} run{'s' if len(self._cells) != 1 else ''}"
        done = len(self._again)
        again = f"; {done} finished run{'s' if done != 1 else ''} done again" if done else ""
        return f"{runs}: {stages}, {taken} taken from the store; wall time {wall:.0f} s{ratio}{again}"

    def _print_tables(self) -> None:
        """Print a table for each run that is done, in the order of the cells; for none twice."""
        with contextlib.redirect_stdout(self._tables):
            while self._printed in self.reports:
                if "error" not in (report := self.reports[self._printed]):
                    click.echo(self._cells[self._printed].label)
                    print_report(report, as_json=False)
                self._printed += 1

    # -- events --------------------------------------------------------------------------------

    def _announce(self, task: Task) -> None:
        """Say which run begins: the first that the task is done for."""
        number = self._users[task.name][0]
        if number not in self._announced:
            self._announced.add(number)
            click.echo(f"run {number + 1} of {len(self._cells)}: {self._cells[number].label}", err=True)

    def _started(self, task: Task) -> None:
        if self._alone:
            self._announce(task)
        elif task.name in self._numbers:
            click.echo(f"started {self._title(task)}", err=True)
        else:
            first, *more = self._users[task.name]
            also = f" and {len(more)} more" if more else ""
            whom = f"{self._cells[first].label}{also}"
            click.echo(f"started {self._title(task)} (for {whom}): {task.work.log}", err=True)

    def _lost(self, task: Task, why: str) -> None:
        click.echo(f"warning: {self._title(task)}: {why}; it is started again", err=True)

    def _ended_stored(self, task: Task, outcome: JobResult) -> None:
        if outcome.error is None:
            self._report(self._numbers[task.name], outcome)
        else:
            self._again.add(self._numbers[task.name])
            click.echo(f"warning: {self._title(task)}: finished before, and done again: {outcome.error}", err=True)

    def _ended(self, task: Task, outcome: JobResult) -> None:
        number = self._numbers.get(task.name)
        self._count(task, outcome)
        for warning in [each for each in outcome.warnings if each not in self._warned]:
            self._warned.add(warning)
            click.echo(f"warning: in a worker process, {warning}", err=True)
        if outcome.error is not None:
            inherited = [self._logs[name] for name in task.needs if name in self._logs]
            self._logs[task.name] = [*inherited, task.work.log][0]
            if number is not None:
                self._fail(number, outcome.error, self._logs[task.name])
            elif not self._alone and not inherited:  # what builds on it fails with it, and only the runs tell of that
                click.echo(f"failed {self._title(task)}: {outcome.error}", err=True)
            return
        if not self._alone:
            seconds = f" in {sum(outcome.computed.values()):.1f} s" if outcome.computed else ""
            taken = number is None and not outcome.computed
            click.echo(f"{'taken from the store:' if taken else 'done'} {self._title(task)}{seconds}", err=True)
        if number is not None:
            self._report(number, outcome)

    def _count(self, task: Task, outcome: JobResult) -> None:
        signs = self._tasks.signatures[self._users[task.name][0]]
        self._computed.update(signs[name] for name in outcome.computed)
        self._seconds += sum(outcome.computed.values())

    def _title(self, task: Task) -> str:
        if task.name not in self._numbers:
            return task.name
        number = self._numbers[task.name]
        return f"run {number + 1} of {len(self._cells)}: {self._cells[number].label}"

    # -- reports -------------------------------------------------------------------------------

    def _fail(self, number: int, error: str, log: str | None) -> None:
        from srframework.run.directory import mark_failed

        cell, place = self._cells[number], self._directory.path / self._cells[number].slug
        mark_failed(place, error)
        click.echo(f"error: {cell.label}: {error}", err=True)
        self._keep(number, {"values": cell.values, "run": str(place), "error": error, "log": log})

    def _report(self, number: int, outcome: JobResult) -> None:
        assert outcome.report is not None, "a run that did not fail has one"
        self._keep(number, {"values": self._cells[number].values} | outcome.report)

    def _keep(self, number: int, report: dict[str, Any]) -> None:
        self.reports[number] = report
        self._directory.write([self.reports[each] for each in sorted(self.reports)])
        if self._tables is not None:
            self._print_tables()

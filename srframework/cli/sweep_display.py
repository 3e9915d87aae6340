"""The display of a sweep: events on stderr, and the table of each finished run on stdout."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from srframework.cli.context import print_report
from srframework.cli.plain_screen import Screen
from srframework.cli.streams import echo_error
from srframework.contracts import JobResult
from srframework.recipe.sweep import Cell
from srframework.sweeps.run import Piece, SweepEvents, SweepResult
from srframework.text import duration_text


class SweepDisplay(SweepEvents):
    """Shows the events of a sweep.

    Args:
        on: The screen.
        directory: Of the sweep.
        tables: Whether to print a table of each run, as soon as those before it are done.
    """

    def __init__(self, on: Screen, directory: Path, tables: bool) -> None:
        self._on, self._directory = on, directory
        self._cells: Sequence[Cell] = ()
        self._tables = tables
        self._in_process = True
        self._announced: set[int] = set()
        self._running: dict[str, str] = {}
        self._waiting: dict[int, Mapping[str, Any]] = {}
        self._printed = 0
        self._results = sys.stdout  # a launcher or the live display may send stdout elsewhere

    def begun(self, cells: Sequence[Cell], in_process: bool) -> None:
        self._cells, self._in_process = cells, in_process
        self._on.event(f"{len(cells)} run{'s' if len(cells) != 1 else ''}, run directory: {self._directory}")

    def counted(self, done: int, total: int) -> None:
        self._on.jobs(done, total)

    def looked_at(self, number: int) -> None:
        self._announce(number)

    def repeated(self, number: int, why: str) -> None:
        self._on.warning(f"warning: {self._run(number)}: finished before, and computed again: {why}")

    def started(self, piece: Piece) -> None:
        first, *more = piece.runs
        if self._in_process:
            self._announce(first)
            return
        self._running[piece.name] = piece.name if piece.run is None else self._cells[piece.run].label
        self._on.running([*self._running.values()])
        if piece.run is not None:
            self._on.event(f"started {self._title(piece)}")
        else:
            also = f" and {len(more)} more" if more else ""
            self._on.event(f"started {piece.name} (for {self._cells[first].label}{also}): {piece.log}")

    def restarted(self, piece: Piece, why: str) -> None:
        self._on.warning(f"warning: {self._title(piece)}: {why}; it is started again")

    def ended(self, piece: Piece, outcome: JobResult) -> None:
        if self._in_process:
            return
        self._running.pop(piece.name, None)
        self._on.running([*self._running.values()])
        if outcome.error is not None:
            if piece.run is None:  # a run that failed has a report
                self._on.warning(f"failed {piece.name}: {outcome.error}")
            return
        if piece.run is None and not outcome.computed:
            self._on.event(f"{piece.name}: reused cached result")
            return
        seconds = f" in {duration_text(sum(outcome.computed.values()))}" if outcome.computed else ""
        self._on.event(f"done {self._title(piece)}{seconds}")

    def warned(self, text: str) -> None:
        self._on.warning(f"warning: in a worker process, {text}")

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        if "error" in report:
            with self._on.paused():
                echo_error(f"error: {self._cells[number].label}: {report['error']}")
        if self._tables:
            self._waiting[number] = report
            with self._on.paused(), contextlib.redirect_stdout(self._results):
                self._print_tables()

    def _print_tables(self) -> None:
        """Print the table of each finished run once, in the order of the cells."""
        while (report := self._waiting.pop(self._printed, None)) is not None:
            if "error" not in report:
                click.echo(self._cells[self._printed].label)
                print_report(report, as_json=False)
            self._printed += 1

    def _announce(self, number: int) -> None:
        """Show the run that begins."""
        if number not in self._announced:
            self._announced.add(number)
            self._on.event(self._run(number))

    def _title(self, piece: Piece) -> str:
        return piece.name if piece.run is None else self._run(piece.run)

    def _run(self, number: int) -> str:
        return f"run {number + 1} of {len(self._cells)}: {self._cells[number].label}"


def summary(result: SweepResult) -> str:
    """The number of computed stages (including repetitions) and of reused ones."""
    stages = (
        f"{result.computed} stage{'s' if result.computed != 1 else ''} computed in {duration_text(result.computing)}"
    )
    ratio = f" ({result.wall / result.computing:.2f} times the computing time)" if result.computing else ""
    runs = f"{len(result.reports)} run{'s' if len(result.reports) != 1 else ''}"
    again = f"; {result.repeated} finished run{'s' if result.repeated != 1 else ''} computed again"
    wall = f"wall time {duration_text(result.wall)}{ratio}{again if result.repeated else ''}"
    return f"{runs}: {stages}, {result.reused} reused; {wall}"

"""What a sweep prints: lines on stderr while it works, and a table of each run that is done on stdout."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from srframework.cli.context import print_report
from srframework.contracts import JobResult
from srframework.recipe.sweep import Cell
from srframework.sweeps.run import Piece, SweepEvents, SweepResult


class SweepDisplay(SweepEvents):
    """Prints the events of a sweep.

    Args:
        tables: Whether to print a table of each run, as soon as those before it are done.
    """

    def __init__(self, tables: bool) -> None:
        self._cells: Sequence[Cell] = ()
        self._results = sys.stdout if tables else None  # a launcher may send stdout elsewhere
        self._in_process = True
        self._announced: set[int] = set()
        self._waiting: dict[int, Mapping[str, Any]] = {}
        self._printed = 0

    def begun(self, cells: Sequence[Cell], in_process: bool) -> None:
        self._cells, self._in_process = cells, in_process

    def looked_at(self, number: int) -> None:
        self._announce(number)

    def repeated(self, number: int, why: str) -> None:
        click.echo(f"warning: {self._run(number)}: finished before, and done again: {why}", err=True)

    def started(self, piece: Piece) -> None:
        first, *more = piece.runs
        if self._in_process:
            self._announce(first)
        elif piece.run is not None:
            click.echo(f"started {self._title(piece)}", err=True)
        else:
            also = f" and {len(more)} more" if more else ""
            click.echo(f"started {piece.name} (for {self._cells[first].label}{also}): {piece.log}", err=True)

    def restarted(self, piece: Piece, why: str) -> None:
        click.echo(f"warning: {self._title(piece)}: {why}; it is started again", err=True)

    def ended(self, piece: Piece, outcome: JobResult) -> None:
        if self._in_process:
            return
        if outcome.error is not None:
            if piece.run is None:  # of a run that failed, its report tells
                click.echo(f"failed {piece.name}: {outcome.error}", err=True)
            return
        seconds = f" in {sum(outcome.computed.values()):.1f} s" if outcome.computed else ""
        taken = piece.run is None and not outcome.computed
        click.echo(f"{'taken from the store:' if taken else 'done'} {self._title(piece)}{seconds}", err=True)

    def warned(self, text: str) -> None:
        click.echo(f"warning: in a worker process, {text}", err=True)

    def reported(self, number: int, report: Mapping[str, Any]) -> None:
        if "error" in report:
            click.echo(f"error: {self._cells[number].label}: {report['error']}", err=True)
        if self._results is not None:
            self._waiting[number] = report
            with contextlib.redirect_stdout(self._results):
                self._print_tables()

    def _print_tables(self) -> None:
        """Print a table of each run that is done, in the order of the cells; of none twice."""
        while (report := self._waiting.pop(self._printed, None)) is not None:
            if "error" not in report:
                click.echo(self._cells[self._printed].label)
                print_report(report, as_json=False)
            self._printed += 1

    def _announce(self, number: int) -> None:
        """Print which run begins."""
        if number not in self._announced:
            self._announced.add(number)
            click.echo(self._run(number), err=True)

    def _title(self, piece: Piece) -> str:
        return piece.name if piece.run is None else self._run(piece.run)

    def _run(self, number: int) -> str:
        return f"run {number + 1} of {len(self._cells)}: {self._cells[number].label}"


def summary(result: SweepResult) -> str:
    """How many stages were computed, repetitions included, and how many reused."""
    stages = f"{result.computed} stage{'s' if result.computed != 1 else ''} computed in {result.computing:.0f} s"
    ratio = f", {result.wall / result.computing:.2f} × the time of the stages" if result.computing else ""
    runs = f"{len(result.reports)} run{'s' if len(result.reports) != 1 else ''}"
    again = f"; {result.repeated} finished run{'s' if result.repeated != 1 else ''} done again"
    wall = f"wall time {result.wall:.0f} s{ratio}{again if result.repeated else ''}"
    return f"{runs}: {stages}, {result.reused} taken from the store; {wall}"

"""Progress on stderr without a live display: nothing, or lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import click

from srframework.run.progress import (
    LineReporter,
    stamped,
)
from srframework.run.reporter import Reporter


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
        yield Notes()


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
        for each in steps_text(commands):
            self.line(each)

    @contextmanager
    def reporter(self) -> Iterator[Reporter]:
        yield LineReporter(verbose=self._verbose)


def steps_text(commands: Sequence[str]) -> list[str]:
    """The lines that show what to do next."""
    return [f"{'' if number else 'Next:':6}{each}" for number, each in enumerate(commands)]


class Notes(Reporter):
    """Shows what the user should know, and no progress."""

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def info(self, text: str) -> None:
        pass

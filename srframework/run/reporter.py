"""What the pipeline tells of its progress. The base says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager


class Reporter:
    """Silent; override what is of interest. Calls come in the order of a run."""

    def note(self, text: str) -> None:
        """A sentence that the user should know: rows that were skipped, say."""

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        """Stage ``index`` of ``count``, from 1, begins; it takes ``steps`` optimizer steps."""

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        """Instead of :meth:`stage_started`: the stage was in the store; it once took ``seconds``."""

    def resumed(self, step: int) -> None:
        """The stage, which has started, goes on from a checkpoint after ``step`` steps."""

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """``loss`` is the mean since the last call."""

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float]) -> None:
        """The metric, in [0, 1], on ID examples and on each OOD split."""

    def stage_finished(self, name: str) -> None:
        """The stage's result is on disk."""


Display = Callable[[], AbstractContextManager[Reporter]]
"""Shows the progress of one run, from when it is entered: :func:`silent`, :func:`srframework.run.progress.reporter`."""


@contextmanager
def silent() -> Iterator[Reporter]:
    """Show nothing."""
    yield Reporter()

"""The interface to which the pipeline reports its progress. The base class shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class RunStart:
    """Facts about a run after its data and model are read.

    Attributes:
        recipe: Name of the recipe.
        seed: Of the run.
        device: As PyTorch names it: ``"cpu"``, ``"cuda:0"``.
        processes: How many share each step.
        threads: Of PyTorch, in each process.
        examples: Training examples.
        stages: Stages of the run.
        pending: Stage -> optimizer steps, of the stages that are not in the store.
        directory: The run directory; None where there is none.
        unit: Unit of the task's metric.
    """

    recipe: str
    seed: int
    device: str
    processes: int
    threads: int
    examples: int
    stages: int
    pending: Mapping[str, int]
    directory: Path | None
    unit: str = "fraction"


NO_SCALARS: Mapping[str, float] = {}
"""Of components that log nothing."""

Every: TypeAlias = Mapping[str, Mapping[str, float]]
"""Name of a figure -> split -> value."""

NO_FIGURES: Every = {}
"""If only the metric is known."""


class Reporter:
    """Shows nothing; override some methods. They are called in the order of a run."""

    def note(self, text: str) -> None:
        """A sentence that the user should know, such as how many rows were skipped."""

    def info(self, text: str) -> None:
        """A fact about the run that calls for nothing, such as the shares of the labels; :meth:`note` shows it."""
        self.note(text)

    def doing(self, text: str) -> None:
        """Something begins that takes seconds and has no steps: "reading the data and the model"."""

    def run_started(self, start: RunStart) -> None:
        """Data and model are read; the first stage comes next."""

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        """Stage ``index`` of ``count``, from 1, begins; it has ``steps`` optimizer steps."""

    def stage_reused(self, name: str, formula: str, index: int, count: int, seconds: float) -> None:
        """Instead of :meth:`stage_started`: the stage was in the store; it took ``seconds`` when it was computed."""

    def resumed(self, step: int) -> None:
        """The stage that has just started resumes from a checkpoint after ``step`` steps."""

    def step(self, step: int, loss: float, learning_rate: float, scalars: Mapping[str, float] = NO_SCALARS) -> None:
        """``loss`` and the numbers that the components log are means since the last call."""

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float], every: Every = NO_FIGURES) -> None:
        """The metric on ID examples and on each OOD split; ``every``: all figures of all evaluators, by split."""

    def stopped(self, step: int) -> None:
        """An interrupt stops the stage after ``step`` steps; a checkpoint is written."""

    def stage_finished(self, name: str) -> None:
        """The stage's result is on disk."""


Display = Callable[[], AbstractContextManager[Reporter]]
"""A context manager whose reporter shows one run: :func:`silent`, or a method of a screen."""


@contextmanager
def silent() -> Iterator[Reporter]:
    """Show nothing."""
    yield Reporter()

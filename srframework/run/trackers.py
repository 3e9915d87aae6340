"""Progress for an experiment tracker of Accelerate, such as TensorBoard or Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers

from srframework.errors import UsageError
from srframework.recipe.dotted_keys import flat
from srframework.recipe.model import Recipe
from srframework.run.reporter import NO_FIGURES, NO_SCALARS, Every, Reporter, RunStart
from srframework.text import choices_text, nearest

_DIRECTORY = "tracker"
"""Directory in the run directory, for trackers that write files."""


class TrackerReporter(Reporter):
    """Writes losses, logged scalars and figures to a tracker, by stage and step: ``srnet/loss``, ``srnet/ID``,
    ``srnet/accuracy/dev``.

    Args:
        name: Name of the tracker: ``"tensorboard"``, ``"wandb"``, …
        recipe: Its settings are stored with the run.

    Raises:
        UsageError: There is no such tracker, or its package is not installed.
    """

    def __init__(self, name: str, recipe: Recipe) -> None:
        names = [str(each) for each in LOGGER_TYPE_TO_CLASS]
        if name not in names:
            raise UsageError(f"--log-with {name}: no tracker has this name{choices_text(nearest(name, names), names)}")
        installed = sorted(str(each.value) for each in get_available_trackers())
        if name not in installed:
            offer = f"; installed: {', '.join(installed)}" if installed else ""
            raise UsageError(f"--log-with {name}: the package of this tracker is not installed{offer}")
        self._kind: Any = LOGGER_TYPE_TO_CLASS[name]
        self._recipe, self._stage = recipe, ""
        self._tracker: GeneralTracker | None = None

    def run_started(self, start: RunStart) -> None:
        """Begin a run in the tracker."""
        if start.directory is None:
            return
        place = [str(start.directory / _DIRECTORY)] if self._kind.requires_logging_directory else []
        self._tracker = self._kind(start.directory.name, *place)
        if hasattr(self._tracker, "start"):
            self._tracker.start()
        values = flat({key: value for key, value in self._recipe.table().items() if key not in ("claim", "figure")})
        self._tracker.store_init_configuration({key: _plain(value) for key, value in values.items()})

    def stage_started(self, name: str, formula: str, index: int, count: int, steps: int) -> None:
        """Log under this stage."""
        self._stage = name

    def step(self, step: int, loss: float, learning_rate: float, scalars: Mapping[str, float] = NO_SCALARS) -> None:
        """Log the loss, the learning rate and the scalars of the components."""
        self._log(step, {"loss": loss, "learning_rate": learning_rate, **scalars})

    def evaluated(self, step: int, id_metric: float, ood: Mapping[str, float], every: Every = NO_FIGURES) -> None:
        """Log the metric, and every figure of the evaluators."""
        figures = {f"{name}/{split}": value for name, values in every.items() for split, value in values.items()}
        self._log(step, {"ID": id_metric, **{f"OOD/{split}": value for split, value in ood.items()}, **figures})

    def close(self) -> None:
        """End the run in the tracker."""
        if self._tracker is not None:
            self._tracker.finish()

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        if self._tracker is not None:
            self._tracker.log({f"{self._stage}/{name}": value for name, value in values.items()}, step=step)


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)

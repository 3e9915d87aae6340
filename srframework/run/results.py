"""Measured figures of a saved model, of a stage, and of the points inside the stage.

::

    figures.json    {"final": figures, "points": {point: figures}}; of a stage, in the store and in the run directory
    baselines.json  {name: figures} of the majority class and of the bias model
    results.json    {"run", "recipe", "seed", "id_split", "dev_split", "stages": [stage and levels],
                    "baselines": [stage], "bias"}; what ``run --json`` prints
    summary.json    the same without evaluations, plus the recipe's settings, for ``srframework results``
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from srframework.contracts import Figure
from srframework.files import json_text, read_json
from srframework.recipe.model import Reference
from srframework.training.chosen import Chosen

FIGURES = "figures.json"
BASELINES = "baselines.json"

MAJORITY, BIAS_MODEL = "majority class", "bias model"
"""Names of the baselines: predictors that no stage trains."""

BASELINE = "baseline"
"""In place of the operation of a stage."""

MODEL = "model"
"""In place of the name of a split: the figures of the model itself, or of several splits."""

COLLAPSED = 0.99
"""A model has collapsed on a split if at least this share of its predictions is one label."""

Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""Limited so that sums and squares stay finite; checked when a file is decoded."""


class Figures(msgspec.Struct, gc=False, omit_defaults=True):
    """Figures of one saved model.

    Attributes:
        sparsity: Share of zeros in the matrices of the encoder and the classifier, in [0, 1]; None for a baseline.
        id: The task's metric on the ID test split, or on the dev split if there is no test split. None only in tables
            of another figure, which this split does not have.
        ood: The same on each OOD split.
        also: The same on each additional split.
        evaluations: All figures of the evaluators by split, and under :data:`MODEL`. Not in a summary.
        collapsed: The splits on which the model has collapsed; see :func:`srframework.run.collapse.has_collapsed`.
    """

    sparsity: Number | None
    id: Number | None
    ood: dict[str, Number]
    also: dict[str, Number]
    evaluations: dict[str, dict[str, float]] = {}
    collapsed: list[str] = []


class LevelFigures(Figures, gc=False, kw_only=True):
    """Figures of a sparsity level in (0, 1) inside a stage."""

    level: Number


class StageFigures(Figures, gc=False, kw_only=True):
    """Figures of a stage at its end.

    Attributes:
        metric: Name of the figure in ``id``, ``ood`` and ``also``.
        unit: Its unit; ``"fraction"`` is shown in percent.
        better: Whether higher or lower values are better; None if neither is.
        step: The step of the result.
        steps: Optimizer steps of the stage.
        candidates: Number of checkpoints among which the result is the best by the ID metric; 0 if it is the last one.
    """

    name: str
    op: str
    metric: str
    unit: str
    better: Literal["higher", "lower"] | None
    step: int = 0
    steps: int = 0
    candidates: int = 0


class StageAndLevels(StageFigures, gc=False, kw_only=True):
    """Figures of a stage and of its sparsity levels, in the order in which they were reached."""

    levels: list[LevelFigures] = []

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of ``run --json``."""
        table: dict[str, Any] = msgspec.to_builtins(self)
        for each in (table, *table.get("levels", ())):
            each.setdefault("collapsed", [])  # omitted as a default
        first = ("name", "op", "metric", "unit", "better")
        chosen = {key: getattr(self, key) for key in ("step", "steps", "candidates")}
        return {key: table.pop(key) for key in first} | chosen | table


_NOT_KNOWN = Chosen()


def of_baseline(name: str, figures: Figures, metric: Figure) -> StageFigures:
    """Return the figures of a baseline in the form of a stage."""
    return StageFigures(
        name=name,
        op=BASELINE,
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        **msgspec.structs.asdict(figures),
    )


class Measured(msgspec.Struct):
    """The content of figures.json: the end of a stage and its points, in the order in which they were reached."""

    final: Figures
    points: dict[str, Figures] = {}

    @classmethod
    def read(cls, directory: Path) -> Measured:
        """Read figures.json in a directory of the store."""
        found = read_json(directory / FIGURES)
        return cls(Figures(**found["final"]), {point: Figures(**each) for point, each in found["points"].items()})

    def text(self) -> str:
        """Return the text of figures.json."""
        return json_text(msgspec.to_builtins(self))

    def only(self, points: Iterable[str]) -> Measured:
        """Keep only these points."""
        return Measured(self.final, {point: self.points[point] for point in points})

    def of_stage(self, name: str, op: str, metric: Figure, chosen: Chosen = _NOT_KNOWN) -> StageAndLevels:
        """Return the figures of the stage with its sparsity levels.

        Args:
            name: Name of the stage.
            op: ``"train"`` or ``"prune"``.
            metric: The task's metric.
            chosen: How its result was chosen.
        """
        levels = {point: Reference(name, point).level for point in self.points}
        return StageAndLevels(
            name=name,
            op=op,
            metric=metric.name,
            unit=metric.unit,
            better=metric.better,
            step=chosen.step,
            steps=chosen.steps,
            candidates=chosen.candidates,
            levels=[
                LevelFigures(level=level, **msgspec.structs.asdict(self.points[point]))
                for point, level in levels.items()
                if level is not None
            ],
            **msgspec.structs.asdict(self.final),
        )

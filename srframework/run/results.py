"""Measured figures of a saved model, of a stage, and of the points inside the stage.

::

    figures.json    {"final": figures, "points": {point: figures}}; of a stage, in the store and in the run directory
    results.json    {"run", "recipe", "seed", "stages": [stage and levels], "bias"}; what ``run --json`` prints
    summary.json    the same without evaluations, plus the recipe's settings, for ``srframework results``
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec

from srframework.files import json_text, read_json
from srframework.recipe.model import Reference

FIGURES = "figures.json"

Figure = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
"""Limited so that sums and squares stay finite; checked when a file is decoded."""


class Figures(msgspec.Struct, gc=False, omit_defaults=True):
    """Figures of one saved model.

    Attributes:
        sparsity: Share of zeros in the matrices of the encoder and the classifier, in [0, 1].
        id: The task's metric on the ID test split, or on the dev split if there is no test split.
        ood: The same on each OOD split.
        also: The same on each additional split.
        evaluations: All figures of the evaluators by split; ``"model"`` has those of the weights. Not in a summary.
    """

    sparsity: Figure
    id: Figure
    ood: dict[str, Figure]
    also: dict[str, Figure]
    evaluations: dict[str, dict[str, float]] = {}


class LevelFigures(Figures, gc=False, kw_only=True):
    """Figures of a sparsity level in (0, 1) inside a stage."""

    level: Figure


class StageFigures(Figures, gc=False, kw_only=True):
    """Figures of a stage at its end; ``metric`` names the figure in ``id``, ``ood`` and ``also``."""

    name: str
    op: str
    metric: str


class StageAndLevels(StageFigures, gc=False, kw_only=True):
    """Figures of a stage and of its sparsity levels, in the order in which they were reached."""

    levels: list[LevelFigures] = []

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of ``run --json``."""
        table: dict[str, Any] = msgspec.to_builtins(self)
        return {key: table.pop(key) for key in ("name", "op", "metric")} | table


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

    def of_stage(self, name: str, op: str, metric: str) -> StageAndLevels:
        """Return the figures of the stage with its sparsity levels."""
        levels = {point: Reference(name, point).level for point in self.points}
        return StageAndLevels(
            name=name,
            op=op,
            metric=metric,
            levels=[
                LevelFigures(level=level, **msgspec.structs.asdict(self.points[point]))
                for point, level in levels.items()
                if level is not None
            ],
            **msgspec.structs.asdict(self.final),
        )

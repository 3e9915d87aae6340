"""Turn the cells of a sweep into tasks: one per distinct stage, which several cells may share, and one per run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from srframework.contracts import INSTALLED, Job, PluginChoice
from srframework.recipe.model import Recipe
from srframework.recipe.stage_lengths import plan
from srframework.recipe.sweep import Cell
from srframework.run.identity import signatures
from srframework.sweeps.scheduler import Task


@dataclass(frozen=True)
class Tasks:
    """The tasks of a sweep.

    Attributes:
        cells: The cells of the sweep.
        out: Directory of the sweep, with ``SLUG/recipe.toml`` for each cell.
        store: Directory of the stage store.
        plugins: The plugins to load.
        logs: Whether each task writes its progress into its own file.
        failures: The plugins that failed to load, one line each.
    """

    cells: Sequence[Cell]
    out: Path
    store: Path
    plugins: PluginChoice = INSTALLED
    logs: bool = True
    failures: tuple[str, ...] = ()

    @cached_property
    def signatures(self) -> list[dict[str, str]]:
        """For each cell: the signature of each stage; equal signatures mean the same work."""
        return [signatures(cell.recipe) for cell in self.cells]

    @cached_property
    def _tables(self) -> list[dict[str, Any]]:
        return [cell.recipe.table() for cell in self.cells]

    @cached_property
    def _points(self) -> dict[str, set[str]]:
        """Signature -> points inside the stage that some cell refers to or keeps."""
        found: dict[str, set[str]] = {}
        choices: dict[str, dict[str, tuple[Recipe, str]]] = {}
        for cell, signs in zip(self.cells, self.signatures, strict=True):
            for stage in cell.recipe.stages:
                sign = signs[stage.name]
                found.setdefault(sign, set()).update(cell.recipe.points_kept(stage.name))
                if stage.pruner is not None:
                    options = stage.pruner.options.model_dump_json()
                    choices.setdefault(sign, {}).setdefault(options, (cell.recipe, stage.name))
        for sign, of_options in choices.items():
            for recipe, name in of_options.values() if len(of_options) > 1 else ():
                phases = plan(recipe, recipe.dataset.build().sizes()).get(name, ())
                found[sign].update(phase.point for phase in phases if phase.point is not None and phase.kept)
        return found

    @cached_property
    def _names(self) -> dict[str, str]:
        """Signature -> task name: the stage's name in the first cell with it, and 8 digits of the signature."""
        found: dict[str, str] = {}
        for signs in self.signatures:
            for name, sign in signs.items():
                found.setdefault(sign, f"{name}-{sign[:8]}")
        return found

    def stored(self, number: int) -> Task:
        """The task that reads a complete run from the store and computes nothing."""
        return Task(self.cells[number].slug, self._job(number, None, stored_only=True))

    def all(self, numbers: Sequence[int], every_stage: bool = True) -> list[Task]:
        """The tasks of some of the cells, earlier cells first, each task after its dependencies.

        Args:
            numbers: The cells, counted from 0.
            every_stage: Whether a stage that only one cell has is a separate task, not a part of its run.
                False saves a single process from reading the data again.
        """
        uses = Counter(sign for number in numbers for sign in set(self.signatures[number].values()))
        tasks: dict[str, Task] = {}
        for number in numbers:
            signs = self.signatures[number]
            separate = [sign for sign in signs.values() if every_stage or uses[sign] > 1]
            for stage in self.cells[number].recipe.stages:
                sign = signs[stage.name]
                if sign in separate and sign not in tasks:
                    before = dict.fromkeys(signs[reference.stage] for _, reference in stage.references())
                    needs = tuple(self._names[each] for each in before)
                    users = [each for each in numbers if sign in self.signatures[each].values()]
                    tasks[sign] = Task(self._names[sign], self._job(number, stage.name, users=users), needs)
            slug, needs = self.cells[number].slug, tuple(self._names[sign] for sign in dict.fromkeys(separate))
            tasks[slug] = Task(slug, self._job(number, None), needs, self._job(number, None, stored_only=True))
        return list(tasks.values())

    def users(self, numbers: Sequence[int]) -> dict[str, list[int]]:
        """Task name -> the cells among ``numbers`` that need the task."""
        found: dict[str, list[int]] = {}
        for number in numbers:
            found[self.cells[number].slug] = [number]
            for sign in set(self.signatures[number].values()):
                found.setdefault(self._names[sign], []).append(number)
        return found

    def _job(self, number: int, stage: str | None, stored_only: bool = False, users: Sequence[int] = ()) -> Job:
        place, signs = self.out / self.cells[number].slug, self.signatures[number]
        name = self.cells[number].slug if stage is None else self._names[signs[stage]]
        points = {each: tuple(sorted(self._points[sign])) for each, sign in signs.items() if self._points[sign]}
        return Job(
            recipe=self._tables[number],
            stage=stage,
            out=str(place) if stage is None else None,
            store=str(self.store),
            plugins=self.plugins,
            cwd=str(Path.cwd()),
            log=str(self.out / "logs" / f"{name}.log") if self.logs else None,
            stored_only=stored_only,
            users=tuple(str(self.out / self.cells[each].slug) for each in users),
            failures=self.failures,
            keep={} if stored_only else points,  # those for other cells are not part of this result
        )

"""Runs -> rows: each stage under each combination of the settings that vary, with its figures over the seeds."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from srframework.contracts import Figure
from srframework.report.run_settings import Settings
from srframework.report.runs import Run
from srframework.run.results import BASELINE, BIAS_MODEL, MAJORITY, Figures, StageFigures

RECIPE = "recipe"
"""The key under which the name of the recipe varies."""

_BASELINES_DEPEND_ON = {MAJORITY: ("dataset",), BIAS_MODEL: ("dataset", "bias", "backbone")}
"""The tables of a recipe that the figures of a baseline depend on; the backbone can give the bias model its vectors."""


@dataclass(frozen=True)
class Statistic:
    """A figure over seeds; ``sd`` divides by n − 1 and is None for one value."""

    mean: float
    sd: float | None
    values: Sequence[float]

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        """Compute from at least one value."""
        mean = math.fsum(values) / len(values)
        if len(values) < 2:
            return cls(mean, None, values)
        return cls(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)), values)


@dataclass
class Row:
    """One stage, or a level inside it, under one combination of the settings that vary.

    Attributes:
        name: ``srnet``, or ``imp@0.3``.
        metric: Name, unit and direction of the figures.
        values: The settings that vary and affect this stage, by key.
        is_finished: Whether the runs are finished; a row has only such runs or only others.
        figures: The figures by seed; one observation per seed.
        runs: Every run that has the stage; there may be several per seed, since runs share stages.
        chosen_on: The splits whose ID metric chose the checkpoint of the result; usually one. Empty if it is the model
            after the last step, or at a level.
        conflicts: Pairs of runs with the same settings and seed but different figures.
    """

    name: str
    stage: str
    level: float | None
    op: str
    metric: Figure
    values: Mapping[str, Any]
    is_finished: bool = True
    figures: dict[int, Figures] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    chosen_on: dict[str, None] = field(default_factory=dict)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    _first: dict[int, str] = field(default_factory=dict)

    def add(self, run: Run, figures: Figures) -> None:
        """Add the figures of a run; a run with the same seed is the same observation."""
        self.runs.append(run)
        if getattr(figures, "candidates", 0):
            self.chosen_on[run.dev_split] = None
        before = self.figures.get(run.seed)
        if before is None:
            self.figures[run.seed] = figures
            self._first[run.seed] = run.path
        elif any(getattr(before, kind) != getattr(figures, kind) for kind in ("id", "sparsity", "ood", "also")):
            self.conflicts.append((self._first[run.seed], run.path))

    @property
    def seeds(self) -> list[int]:
        """The seeds in ascending order; their number is n."""
        return sorted(self.figures)

    def statistic(self, kind: str, split: str = "") -> Statistic | None:
        """The statistic of ``"sparsity"``, ``"id"``, or a split of ``"ood"`` or ``"also"``; None if there is none."""
        each = [getattr(self.figures[seed], kind) for seed in self.seeds]
        values = (
            [figures[split] for figures in each if split in figures] if split else [v for v in each if v is not None]
        )
        return Statistic.of(values) if values else None

    def collapsed(self) -> dict[str, list[int]]:
        """Each split on which the model has collapsed, with the seeds in which it has."""
        found: dict[str, list[int]] = {}
        for seed in self.seeds:
            for split in self.figures[seed].collapsed:
                found.setdefault(split, []).append(seed)
        return found

    def splits(self, kind: str) -> list[str]:
        """The names of the splits of ``"ood"`` or ``"also"``."""
        return list(dict.fromkeys(split for figures in self.figures.values() for split in getattr(figures, kind)))


def summarise(runs: Sequence[Run], levels: bool = False) -> tuple[list[str], list[Row]]:
    """The keys that vary among the runs, and the rows, sorted by stage (in order of appearance), settings and level."""
    keys = varying(dict.fromkeys(run.settings for run in runs))
    rows: dict[tuple[Any, ...], Row] = {}
    shared: dict[tuple[Any, ...], Row] = {}

    def row(run: Run, stage: Any, level: float | None) -> Row:
        metric = Figure(stage.metric, stage.unit, stage.better, "")
        place = (run.settings, stage.name, metric, level, run.is_finished)
        found = shared.get(place)
        if found is None:
            values = _values(run.settings, keys, stage)
            name = stage.name if level is None else f"{stage.name}@{level:g}"
            same = tuple((key, comparable(value)) for key, value in values.items())
            key = (name, metric, same, run.is_finished)
            new = Row(name, stage.name, level, stage.op, metric, values, run.is_finished)
            found = shared[place] = rows.setdefault(key, new)
        return found

    for run in runs:
        for baseline in run.baselines:
            row(run, baseline, None).add(run, baseline)
        for stage in run.stages:
            row(run, stage, None).add(run, stage)
            if levels:
                for each in getattr(stage, "levels", ()):
                    row(run, stage, each.level).add(run, each)
    names = dict.fromkeys(row.stage for row in sorted(rows.values(), key=lambda row: row.op == BASELINE))
    order = {name: place for place, name in enumerate(names)}

    def place(row: Row) -> tuple[Any, ...]:
        values = tuple(rank(row.values.get(key)) for key in keys)
        return (order[row.stage], values, math.inf if row.level is None else row.level, not row.is_finished)

    return keys, sorted(rows.values(), key=place)


def without_repeated_ends(rows: Sequence[Row]) -> list[Row]:
    """The rows without the levels that are the end of their stage: the stage has the same figures."""
    ends = {(row.stage, row.metric, str(row.values), row.is_finished): row for row in rows if row.level is None}

    def is_end(row: Row) -> bool:
        end = ends.get((row.stage, row.metric, str(row.values), row.is_finished))
        return row.level is not None and end is not None and _content(row) == _content(end)

    return [row for row in rows if not is_end(row)]


def _content(row: Row) -> dict[int, tuple[Any, ...]]:
    return {seed: (each.sparsity, each.id, each.ood, each.also) for seed, each in row.figures.items()}


def varying(settings: Iterable[Settings]) -> list[str]:
    """The keys with more than one value, ``recipe`` first.

    A missing key counts as another value only if the recipe has the same component or stage: not if it has
    another pruner, or no such stage.
    """
    every = list(settings)
    found = [RECIPE] if len({each.recipe for each in every}) > 1 else []
    for key in dict.fromkeys(key for each in every for key in each.values):
        having = [each for each in every if key in each.values]
        if len({comparable(each.values[key]) for each in having}) > 1:
            found.append(key)
        elif len(having) < len(every):
            owners = {_owner(each, key) for each in having} - {None}
            if any(_owner(each, key) in owners for each in every if key not in each.values):
                found.append(key)
    return found


def varying_within_recipes(runs: Iterable[Run]) -> set[str]:
    """The keys that vary among the runs of some recipe, and the recipe's name."""
    recipes: dict[str, dict[Settings, None]] = {}
    for run in runs:
        recipes.setdefault(run.settings.recipe, {})[run.settings] = None
    return {RECIPE, *(key for settings in recipes.values() for key in varying(settings))}


def comparable(value: Any) -> str:
    """A text that is equal for equal values; 1 and 1.0 are equal."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        value = float(value)
    return json.dumps(value, sort_keys=True)


def rank(value: Any) -> tuple[Any, ...]:
    """A sort key for values of any type: numbers by size, then others as text, then missing values."""
    if value is None:
        return (2,)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (0, value)
    return (1, value if isinstance(value, str) else json.dumps(value))


def _owner(settings: Settings, key: str) -> Any:
    """The component or stage that a key depends on; None for neither."""
    table, _, last = key.rpartition(".")
    if last == "use":
        return True if not table.startswith("stages.") else _is_stage(settings, table.rpartition(".")[0])
    above = table
    while above:
        if f"{above}.use" in settings.values:
            return settings.values[f"{above}.use"]
        above = above.rpartition(".")[0]
    return _is_stage(settings, table)


def _is_stage(settings: Settings, table: str) -> bool | None:
    return True if table.removeprefix("stages.") in settings.builds_on else None


def _values(settings: Settings, keys: Sequence[str], stage: StageFigures) -> dict[str, Any]:
    if stage.op == BASELINE:
        concerning = [key for key in keys if key.partition(".")[0] in (RECIPE, *_BASELINES_DEPEND_ON[stage.name])]
    else:
        concerning = [key for key in keys if key == RECIPE or settings.concerns(key, stage.name)]
    values = {key: settings.recipe if key == RECIPE else settings.values.get(key) for key in concerning}
    return {key: value for key, value in values.items() if value is not None}

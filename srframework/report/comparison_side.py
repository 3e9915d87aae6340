"""One side of a comparison: the runs of one experiment, one run per seed, with their predictions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srframework.contracts import Figure
from srframework.errors import DataError, UsageError
from srframework.recipe.model import Reference
from srframework.report.any_figure import with_metric
from srframework.report.result_rows import RECIPE, varying
from srframework.report.runs import Run, find_runs
from srframework.report.selection import conditions, select_runs
from srframework.run.directory import stage_place
from srframework.run.paths import predictions_file
from srframework.run.results import Figures, StageAndLevels

Place = tuple[str, float | None]
"""A stage, and a sparsity level inside it; None for the end of the stage."""


@dataclass(frozen=True, eq=False)
class Side:
    """The runs of one experiment, by seed.

    Attributes:
        path: As the user wrote it.
        warnings: Sentences about runs that were skipped.
    """

    path: str
    runs: Mapping[int, Run]
    warnings: Sequence[str] = ()

    @classmethod
    def read(
        cls, paths: Sequence[str], where: Sequence[str] = (), option: str = "--a", metric: str | None = None
    ) -> Side:
        """Read directories of a run, or of several runs that differ only in their seed.

        Args:
            paths: The directories, at least one.
            where: Conditions that choose runs; see :func:`~srframework.report.selection.conditions`.
            option: The option with which the user writes the conditions.
            metric: A figure in place of the task's metric.

        Raises:
            UsageError: There is no finished run, no run meets the conditions, or there is more than one experiment.
            DataError: The only run's summary.json is damaged.
        """
        path = ", ".join(paths)
        found = find_runs(paths, levels=True)
        if not found.runs:
            if found.damaged:
                raise DataError(found.damaged[0])
            why = f", {len(found.unfinished)} unfinished" if found.unfinished else ""
            raise UsageError(f"{path}: expected a finished run, or a directory of finished runs; got none{why}")
        chosen = select_runs(found.runs, conditions(where, found.runs, option))
        if keys := varying(dict.fromkeys(run.settings for run in chosen)):
            more = f" and {len(keys) - 3} more" if keys[3:] else ""
            raise UsageError(
                f"{path}: the runs must differ only in their seed, but {len(chosen)} runs have several values of "
                f"{', '.join(keys[:3])}{more}; choose with {option} {_example(keys[0], chosen)}, or "
                "give the directory of one run or of runs that are alike"
            )
        runs: dict[int, Run] = {}
        for run in chosen:
            if run.seed in runs:
                both = f"{runs[run.seed].path} and {run.path}"
                raise UsageError(f"{path}: expected one run per seed, but {both} both have seed {run.seed}")
            runs[run.seed] = run
        if metric is not None:
            runs = {run.seed: run for run in with_metric([*runs.values()], metric)}
        return cls(path, dict(sorted(runs.items())), [*found.damaged, *(f"{p}: unfinished" for p in found.unfinished)])

    @property
    def first(self) -> Run:
        """The run with the lowest seed."""
        return next(iter(self.runs.values()))

    def stages(self) -> dict[Place, tuple[Figure, dict[int, Figures]]]:
        """Metric and figures by seed, for each place that every run has; levels come before the end of their stage."""
        found: dict[Place, tuple[Figure, dict[int, Figures]]] = {}
        for seed, run in self.runs.items():
            for stage in run.stages:
                assert isinstance(stage, StageAndLevels)
                metric = Figure(stage.metric, stage.unit, stage.better, "")
                for level in stage.levels:
                    found.setdefault((stage.name, level.level), (metric, {}))[1][seed] = level
                found.setdefault((stage.name, None), (metric, {}))[1][seed] = stage
        return {place: each for place, each in found.items() if len(each[1]) == len(self.runs)}

    def baselines(self) -> dict[str, tuple[Figure, dict[int, Figures]]]:
        """Metric and figures by seed of each baseline that every run has."""
        found: dict[str, tuple[Figure, dict[int, Figures]]] = {}
        for seed, run in self.runs.items():
            for each in run.baselines:
                metric = Figure(each.metric, each.unit, each.better, "")
                found.setdefault(each.name, (metric, {}))[1][seed] = each
        return {name: each for name, each in found.items() if len(each[1]) == len(self.runs)}

    def chosen(self) -> list[tuple[str, str]]:
        """The stages, each with the split that chose its checkpoint; empty for the last step."""
        first = self.first
        return [(stage.name, first.dev_split if stage.candidates else "") for stage in first.stages]

    def facts(self, name: str) -> dict[int, Mapping[str, Any]]:
        """A table of each run.json, by seed; empty if it cannot be read."""
        return {seed: _table(run.fact(name), of_tables=name == "data") for seed, run in self.runs.items()}

    @property
    def id_split(self) -> str:
        """The split of the ID figures; ``"dev"`` if the run does not name it."""
        return self.first.id_split or "dev"

    def predictions_file(self, seed: int, place: Place, split: str) -> Path:
        """The predictions of a run for a split."""
        stage, level = place
        point = None if level is None else f"{level:g}"
        return predictions_file(stage_place(Path(self.runs[seed].path), Reference(stage, point)), split)


def _example(key: str, runs: Sequence[Run]) -> str:
    """A condition that some of the runs meet, quoted for a shell."""
    values = (run.settings.recipe if key == RECIPE else run.settings.values.get(key) for run in runs)
    value = next(value for value in values if value is not None)
    return shlex.quote(f"{key}={value if isinstance(value, str) else json.dumps(value)}")


def _table(value: Any, of_tables: bool) -> Mapping[str, Any]:
    """The valid entries of a table from a file that may be damaged."""
    table = value if isinstance(value, dict) else {}
    return {key: each for key, each in table.items() if isinstance(each, dict) or not of_tables}

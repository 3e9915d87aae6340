"""Training curves: loss and figures by step, from the logs in run directories."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srframework.contracts import Figure
from srframework.errors import DataError, UsageError
from srframework.files import read_text
from srframework.recipe.model import Reference
from srframework.report.any_figure import declarations
from srframework.report.figure_data import NOT_RUN, FigureData, Line, Panel, Point
from srframework.report.lines import Set, check_splits, notes_of, series_of, sets, title
from srframework.report.named_lines import SourcesOf
from srframework.report.result_rows import Row, Statistic
from srframework.report.runs import Run
from srframework.report.series import Series, by_dataset
from srframework.run.directory import stage_place
from srframework.run.paths import LOG

LOSS = "loss"
NOT_LOGGED = "not logged"
_OOD_HINT = "OOD figures are logged by step only with training.eval_ood = true"

Curve = dict[int, float]
"""Step -> value."""


def figure(
    runs: Sequence[Run], splits: Sequence[str] = (), loss: bool = True, named: SourcesOf | None = None
) -> FigureData:
    """Every stage of some runs by step: its loss, and its metric on each set that was evaluated during training.

    Args:
        runs: At least one.
        splits: The sets to show; empty for the ID set and all OOD sets.
        loss: Whether there is a panel for the loss.
        named: The lines; None for one for each stage.

    Raises:
        UsageError: No run has a log, or no run has a set.
        DataError: A log cannot be read.
    """
    check_splits(splits, runs)
    panels: list[Panel] = []
    datasets = by_dataset(runs)
    found = {name: series_of(of_dataset, lambda _: 0.0, named, levels=False) for name, of_dataset in datasets.items()}
    labels = list(dict.fromkeys(each.label for series in found.values() for each in series))
    for name, series in found.items():
        before = f"{name}: " if len(found) > 1 else ""
        metric = _metric(series)
        logs = {each.label: of_series(each) for each in series}
        if loss:
            lines = [line(label, logs.get(label), LOSS) for label in labels]
            panels.append(Panel(f"{before}training loss", lines, LOSS, "", "lower"))
        for where in sets(datasets[name], splits):
            lines = [line(label, logs.get(label), metric.name, where) for label in labels]
            shown = "ID dev" if where[0] == "id" else title(*where)
            panels.append(Panel(f"{before}{shown}", lines, metric.name, metric.unit, metric.better))
    if all(panel.is_empty for panel in panels):
        raise UsageError("the directories of these runs have no training logs (stages/NAME/metrics.jsonl)")
    notes, conflicts = notes_of(found)
    notes += [_OOD_HINT] if any(panel.is_empty for panel in panels) else []
    return FigureData("Training curves", "step", "", panels, (), notes, conflicts)


def of_series(series: Series) -> list[list[dict[str, Any]]]:
    """The logs of the stage of a series, one for each seed; empty for a seed without a log."""
    (_, row), *_ = series.rows
    return logs_of(row)


def logs_of(row: Row) -> list[list[dict[str, Any]]]:
    """The logs of a row's stage, one for each seed, from the first run of each seed."""
    firsts = {run.seed: run for run in reversed(row.runs)}
    return [_read(stage_place(Path(firsts[seed].path), Reference(row.stage)) / LOG) for seed in row.seeds]


def line(label: str, logs: Sequence[Sequence[Mapping[str, Any]]] | None, name: str, where: Set | None = None) -> Line:
    """The line of a logged number; ``logs``: None if the stage has not been run."""
    points = [] if logs is None else curve(logs, name, where)
    return Line(label, points, absent=NOT_RUN if logs is None else NOT_LOGGED)


def curve(logs: Sequence[Sequence[Mapping[str, Any]]], name: str, where: Set | None = None) -> list[Point]:
    """A logged number over the seeds that logged it, at every step.

    Args:
        logs: The log of each seed.
        name: ``loss``, or a figure.
        where: The set of a figure. The ID figure is that of dev, which chooses the checkpoint: it is logged first.
    """
    curves = [_values(log, name, where) for log in logs]
    steps = sorted({step for each in curves for step in each})
    return [Point(float(step), Statistic.of([each[step] for each in curves if step in each])) for step in steps]


def _values(log: Sequence[Mapping[str, Any]], name: str, where: Set | None) -> Curve:
    found: Curve = {}
    for line in log:
        value = line.get(name)
        if where is not None:
            of_splits = value if isinstance(value, dict) else {}
            value = of_splits.get(next(iter(of_splits), "") if where[0] == "id" else where[1])
        if isinstance(value, int | float) and isinstance(step := line.get("step"), int):
            found[step] = float(value)
    return found


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in read_text(file).splitlines() if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: the log cannot be read: {type(error).__name__}: {error}") from error
    return [line for line in lines if isinstance(line, dict)]


def _metric(series: Sequence[Series]) -> Figure:
    """The metric by which checkpoints were chosen: the first that run.json declares, or that of the rows."""
    row = series[0].rows[0][1]
    return next((each for each in declarations(row.runs[0]) if each.name == row.metric.name), row.metric)

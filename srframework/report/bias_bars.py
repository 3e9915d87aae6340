"""Bars of the groups of an evaluator such as ``bias-groups``: its figures are called ``bias-groups/GROUP``."""

from __future__ import annotations

from collections.abc import Sequence

from srframework.errors import UsageError
from srframework.report.any_figure import measured
from srframework.report.figure_data import FigureData, Line, Panel, Point
from srframework.report.lines import check_splits, notes_of, series_of, sets, title
from srframework.report.named_lines import SourcesOf
from srframework.report.result_rows import Row, Statistic
from srframework.report.runs import Run
from srframework.report.series import Series, by_dataset
from srframework.units import PER_CENT

PREFIX = "bias-groups/"
"""Beginning of the names of the figures."""

_Values = dict[str, list[float]]


def figure(
    runs: Sequence[Run], splits: Sequence[str] = (), named: SourcesOf | None = None, prefix: str = PREFIX
) -> FigureData:
    """A bar for every stage in every group, one panel a set that has such figures.

    Figures for the classes inside a group (``bias-groups/aligned/entailment``) are groups of their own if there are
    no others; otherwise they are left out.

    Raises:
        UsageError: No run has such figures, or no run has a set.
        DataError: The figures of a run cannot be read.
    """
    check_splits(splits, runs)
    datasets = by_dataset(runs)
    found = {name: series_of(of_dataset, lambda _: 0.0, named, levels=False) for name, of_dataset in datasets.items()}
    labels = list(dict.fromkeys(each.label for series in found.values() for each in series))
    panels: list[tuple[str, dict[str, _Values]]] = []
    for name, series in found.items():
        for kind, split in sets(datasets[name], splits):
            values = {each.label: _values(each, split, prefix) for each in series}
            if any(values.values()):
                before = f"{name}: " if len(found) > 1 else ""
                panels.append((f"{before}{title(kind, split)}", values))
    names = list(dict.fromkeys(group for _, values in panels for each in values.values() for group in each))
    if not names:
        raise UsageError(
            f"no run has figures named {prefix}...; add the evaluator to the recipe: "
            f'evaluators = ["{prefix.rstrip("/")}"]'
        )
    groups = [name for name in names if "/" not in name] or names
    drawn = [
        Panel(name, [_line(each, values.get(each, {}), groups) for each in labels], "accuracy", PER_CENT, "higher")
        for name, values in panels
    ]
    return FigureData("Aligned and conflicting examples", "group", "", drawn, groups, *notes_of(found))


def _line(label: str, values: _Values, groups: Sequence[str]) -> Line:
    points = [Point(float(x), Statistic.of(values[group])) for x, group in enumerate(groups) if group in values]
    return Line(label, points)


def _values(series: Series, split: str, prefix: str) -> _Values:
    (_, row), *_ = series.rows
    found: _Values = {}
    for name, value in _figures(row, split):
        if name.startswith(prefix):
            found.setdefault(name.removeprefix(prefix), []).append(value)
    return found


def _figures(row: Row, split: str) -> list[tuple[str, float]]:
    firsts = {run.seed: run for run in reversed(row.runs)}
    found: list[tuple[str, float]] = []
    for seed in row.seeds:
        evaluations = measured(firsts[seed], row.stage).final.evaluations
        found += evaluations.get(split, {}).items()
    return found

"""Figures of the metric over sparsity or over a setting: one panel a set, one line a method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srframework.errors import UsageError
from srframework.report.figure_data import FigureData, Line, Panel, Point
from srframework.report.named_lines import SourcesOf, named_series
from srframework.report.result_rows import Row
from srframework.report.runs import Run
from srframework.report.series import Series, XOf, all_series, by_dataset, sparsity_of
from srframework.text import choices_text, nearest, shorten
from srframework.units import PER_CENT

SPARSITY = "sparsity"
"""The x of a figure over the measured sparsity."""

Set = tuple[str, str]
"""A set: ``("id", split)``, ``("ood", split)`` or ``("also", split)``."""


def figure(
    runs: Sequence[Run], x: str = SPARSITY, splits: Sequence[str] = (), named: SourcesOf | None = None
) -> FigureData:
    """Every stage of some runs over x, on each ID and OOD set; stages at one x only are single points.

    Args:
        runs: At least one, read with the levels of their stages.
        x: ``sparsity``, or a setting with numbers: a key of the stage (``epochs``) or a complete key.
        splits: The sets to show; empty for the ID set and all OOD sets.
        named: The lines; None for one for each stage.

    Raises:
        UsageError: No stage has x as a number, or no run has a set; lists the existing ones.
    """
    check_splits(splits, runs)
    datasets = by_dataset(runs)
    found = {name: series_of(of_dataset, x_of(x), named) for name, of_dataset in datasets.items()}
    if not any(not each.is_full for series in found.values() for each in series):
        _refuse(x, runs)
    panels = []
    labels = dict.fromkeys((each.label, each.is_full) for series in found.values() for each in series)
    for name, series in found.items():
        for kind, split in sets(datasets[name], splits):
            before = f"{name}: " if len(found) > 1 else ""
            panels.append(panel(f"{before}{title(kind, split)}", series, labels, (kind, split)))
    return FigureData(f"Metric over {x}", x, PER_CENT if x == SPARSITY else "", panels, (), *notes_of(found))


def series_of(runs: Sequence[Run], x_of: XOf, named: SourcesOf | None, levels: bool = True) -> list[Series]:
    """The named lines of some runs, or a series for each stage."""
    return all_series(runs, x_of, levels) if named is None else named_series(runs, named, x_of, levels)


def panel(name: str, series: Sequence[Series], labels: Mapping[tuple[str, bool], Any], where: Set) -> Panel:
    """A panel with a line for each label; those without a series, or without figures on the set, have no points."""
    points = {(each.label, each.is_full): points_of(each, where) for each in series}
    lines = [Line(label, points.get((label, full), []), full) for label, full in labels]
    metric = next((each.rows[0][1].metric for each in series if each.rows), None)
    return Panel(name, lines) if metric is None else Panel(name, lines, metric.name, metric.unit, metric.better)


def points_of(series: Series, where: Set) -> list[Point]:
    """The points of a series on a set."""
    kind, split = where
    pairs = [(x, row.statistic("id") if kind == "id" else row.statistic(kind, split)) for x, row in series.rows]
    return [Point(x, y) for x, y in pairs if y is not None]


def x_of(x: str) -> XOf:
    """The function that gives the x of a row."""
    return sparsity_of if x == SPARSITY else lambda row: _setting(row, x)


def sets(runs: Sequence[Run], splits: Sequence[str] = ()) -> Iterator[Set]:
    """The sets of runs on one data set: ID, then OOD, then, if they are named, additional ones."""
    found = {("id", run.id_split): None for run in runs}
    for kind in ("ood", "also"):
        found |= {(kind, split): None for run in runs for stage in run.stages for split in getattr(stage, kind)}
    for kind, split in found:
        if split in splits or (not splits and kind != "also"):
            yield kind, split


def title(kind: str, split: str) -> str:
    """The title of the panel of a set."""
    return f"ID {split}" if kind == "id" else f"OOD {split}" if kind == "ood" else split


def check_splits(splits: Sequence[str], runs: Sequence[Run]) -> None:
    """Refuse the name of a set that no run has.

    Raises:
        UsageError: There is such a name.
    """
    known = dict.fromkeys(run.id_split for run in runs)
    for kind in ("ood", "also"):
        known |= dict.fromkeys(split for run in runs for stage in run.stages for split in getattr(stage, kind))
    for split in splits:
        if split not in known:
            offer = choices_text(nearest(split, known), known)
            raise UsageError(f"--split {split}: no run has a set named {shorten(split)}{offer}")


def notes_of(found: Mapping[str, Sequence[Series]]) -> tuple[list[str], list[tuple[str, str]]]:
    """The notes about settings that change along a line, and the pairs of runs that contradict each other."""
    notes, conflicts = dict[str, None](), dict[tuple[str, str], None]()
    for each in (each for series in found.values() for each in series):
        if each.along:
            notes[f"{each.label}: other settings change with x: {', '.join(each.along)}"] = None
        conflicts |= dict.fromkeys(pair for _, row in each.rows for pair in row.conflicts)
    return [*notes], [*conflicts]


def _setting(row: Row, key: str) -> float | None:
    values = row.runs[0].settings.values
    value = values.get(f"stages.{row.stage}.{key}", values.get(key))
    if row.level is not None:
        return None  # a setting belongs to the stage, not to a level inside it
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _refuse(x: str, runs: Sequence[Run]) -> None:
    if x == SPARSITY:
        raise UsageError(
            "no stage of these runs is sparse; only full models are there, and a figure needs other stages"
        )
    names = dict.fromkeys(
        key.partition(".")[2].partition(".")[2] if key.startswith("stages.") else key
        for run in runs
        for key, value in run.settings.values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    )
    offer = choices_text(nearest(x, names), [SPARSITY, "step", *names])
    raise UsageError(f"--x {x}: no sparse stage has a number as its setting {shorten(x)}{offer}")

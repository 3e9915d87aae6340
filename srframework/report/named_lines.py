"""Lines that a recipe or the user names: each joins the series of its stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from srframework.errors import UsageError
from srframework.report.figure_table import PLOT, Source
from srframework.report.runs import Run
from srframework.report.series import Series, XOf, all_series
from srframework.text import choices_text, nearest, shorten

SourcesOf = Callable[[Run], Mapping[str, Source]]
"""The lines that a run has, each with its source."""


def of_figure(figure: str) -> SourcesOf:
    """The lines that the recipe of a run lists for a figure; a damaged table lists none."""

    def sources(run: Run) -> dict[str, Source]:
        table = run.settings.figure.get(figure)
        found: dict[str, Source] = {}
        for label, value in table.items() if isinstance(table, dict) else ():
            with suppress(ValueError):
                found[label] = Source.parse(value)
        return found

    return sources


def of_texts(texts: Sequence[str], runs: Sequence[Run]) -> SourcesOf | None:
    """The lines that the user names, ``LABEL=STAGE,STAGE``; if there are none, those of the recipes' [figure.plot].

    Raises:
        UsageError: A text has another form, or no run has the stage. None: no line is named anywhere.
    """
    if not texts:
        recipes = of_figure(PLOT)
        return recipes if any(recipes(run) for run in runs) else None
    known = dict.fromkeys(stage.name for run in runs for stage in run.stages)
    found: dict[str, Source] = {}
    for text in texts:
        label, equals, names = text.rpartition("=")
        stages = [name.strip() for name in names.split(",")]
        if not equals or not label.strip() or not all(stages):
            raise UsageError(f"--line {text}: expected LABEL=STAGE or LABEL=STAGE,STAGE")
        for stage in stages:
            if stage not in known:
                offer = choices_text(nearest(stage, known), known)
                raise UsageError(f"--line {text}: no run has the stage {shorten(stage)}{offer}")
        found[label.strip()] = Source(tuple(stages))
    return lambda _: found


def named_series(
    runs: Sequence[Run], sources: SourcesOf, x_of: XOf, levels: bool = True, what: str = "--line"
) -> list[Series]:
    """One series for each named line, in the order in which the runs name them.

    Raises:
        UsageError: A line has several results at the same x: runs with other settings, or other stages.
    """
    labels = dict.fromkeys(label for run in runs for label in sources(run))
    return [series for label in labels for series in _joined(label, runs, sources, x_of, levels, what)]


def _joined(label: str, runs: Sequence[Run], sources: SourcesOf, x_of: XOf, levels: bool, what: str) -> list[Series]:
    chosen = []
    for run in runs:
        source = sources(run).get(label)
        if source is not None and source.meets(run.settings.values):
            chosen.append(replace(run, stages=[each for each in run.stages if each.name in source.stages]))
    series = all_series(chosen, x_of, levels)
    if not series:
        return []
    used: dict[float, Series] = {}
    for each in series:
        for x in {round(x, 3) for x, _ in each.rows}:
            if x in used:
                raise UsageError(_several(what, label, used[x], each))
            used[x] = each
    rows = sorted((pair for each in series for pair in each.rows), key=lambda pair: pair[0])
    along = list(dict.fromkeys(key for each in series for key in each.along))
    return [Series(series[0].stage, {}, along, all(each.is_full for each in series), rows, label)]


def _several(what: str, label: str, first: Series, other: Series) -> str:
    """The message about two results at the same x."""
    differing: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*first.rows[0][1].values, *other.rows[0][1].values]):
        a, b = first.rows[0][1].values.get(key), other.rows[0][1].values.get(key)
        if a != b:
            differing[key] = a, b
    how = "; ".join(f"{key}: {shorten(a)} and {shorten(b)}" for key, (a, b) in [*differing.items()][:3])
    if first.stage != other.stage:
        how = f"stages {first.stage} and {other.stage}" + (f"; {how}" if how else "")
    return f"{what}: the line {shorten(label)} has several results ({how}); choose one with --where"

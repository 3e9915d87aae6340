"""The figures and tables of the paper from runs of several recipes, beside the published numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import tomli

from srframework.errors import UsageError
from srframework.recipe.model import shipped
from srframework.report import curves, lines
from srframework.report.figure_data import FigureData, Line, Panel
from srframework.report.figure_table import Definition, definitions
from srframework.report.named_lines import named_series, of_figure
from srframework.report.result_rows import Statistic
from srframework.report.runs import Run
from srframework.report.series import Series, by_dataset
from srframework.text import choices_text, nearest, shorten
from srframework.units import PER_CENT

_DIGITS = 2
STEP = "step"


@dataclass(frozen=True)
class Published:
    """A published number, in the unit of a fraction.

    Attributes:
        mean, sd: None if the paper gives words only.
        text: The words.
        x: The x for which it stands; empty for any.
    """

    mean: float | None
    sd: float | None
    text: str = ""
    x: Sequence[float] = ()


@dataclass(frozen=True)
class Beside:
    """One number of the paper beside ours.

    Attributes:
        line, set: The row and the column.
        x: The x in a figure; None in a table.
        paper: None if the paper gives no number.
        ours: None if it has not been run.
    """

    line: str
    set: str
    x: float | None
    paper: Published | None
    ours: Statistic | None

    @property
    def difference(self) -> float | None:
        """Ours − paper, in the unit of a fraction; None if one of both is missing."""
        if self.paper is None or self.paper.mean is None or self.ours is None:
            return None
        return self.ours.mean - self.paper.mean

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON; numbers are fractions."""
        paper = None if self.paper is None else {"mean": self.paper.mean, "sd": self.paper.sd, "text": self.paper.text}
        ours = (
            None if self.ours is None else {"mean": self.ours.mean, "sd": self.ours.sd, "values": [*self.ours.values]}
        )
        n = 0 if self.ours is None else len(self.ours.values)
        head: dict[str, Any] = {"line": self.line, "set": self.set, "x": self.x}
        return {**head, "paper": paper, "ours": ours, "difference": self.difference, "n": n}


def definition(name: str) -> Definition:
    """The figure or table with a name.

    Raises:
        UsageError: There is none; lists them.
    """
    found = definitions()
    if name not in found:
        raise UsageError(f"the paper has no figure or table {shorten(name)}{choices_text(nearest(name, found), found)}")
    return found[name]


def recipes_of(figure: Definition) -> list[str]:
    """The shipped recipes that have lines of a figure."""
    names = []
    for name, path in shipped().items():
        if figure.owner in tomli.loads(path.read_text(encoding="utf-8")).get("figure", {}):
            names.append(name)
    return names


def figure(of: Definition, runs: Sequence[Run]) -> FigureData:
    """A figure of the paper: every panel and every line, also those that have not been run.

    Args:
        of: Its definition.
        runs: Runs of any recipes, read with the levels of their stages. Those whose recipe has no line of the figure
            are ignored. A data set that the paper does not have gets panels after those of the paper.

    Raises:
        UsageError: A line has several results at the same x.
        DataError: A log cannot be read.
    """
    found = {name: _series(of, of_dataset) for name, of_dataset in by_dataset(_with_lines(of, runs)).items()}
    ids = {run.settings.values.get("dataset.use", "").rpartition("/")[2]: run.id_split for run in runs}
    panels = []
    for each in of.sets:
        where = ("id", ids.get(each.dataset, "")) if each.ood is None else ("ood", each.ood)
        panels.append(_panel(of, each.name, found.get(each.dataset, []), where))
    known = {each.dataset for other in definitions().values() for each in other.sets}
    for name, of_dataset in by_dataset(_with_lines(of, runs)).items():
        others = () if name in known else lines.sets(of_dataset)
        panels += [_panel(of, f"{name}: {lines.title(*each)}", found[name], each) for each in others]
    notes, conflicts = lines.notes_of(found)
    unit = PER_CENT if of.x == lines.SPARSITY else ""
    return FigureData(of.title, of.x, unit, panels, (), [*filter(None, [of.note]), *notes], conflicts)


def table(of: Definition, runs: Sequence[Run]) -> list[Beside]:
    """The published numbers of a figure or table beside ours, line by line; for a table, every line and set.

    Raises:
        UsageError: As :func:`figure`; or a line of a table has several sparsities.
    """
    data = figure(of, runs)
    found = []
    names = {each.name for each in of.sets}
    for label, _ in of.labels:
        for panel in data.panels:
            line = next(each for each in panel.lines if each.label == label)
            paper = published().get(of.owner, {}).get(label, {}).get(panel.title) if panel.title in names else None
            if of.is_table:
                found.append(Beside(label, panel.title, None, paper, _only(of, line)))
            elif paper is not None:
                at = {round(point.x, _DIGITS): point.y for point in line.points}
                found += [Beside(label, panel.title, x, paper, at.get(x)) for x in paper.x]
    return found


@cache
def published() -> Mapping[str, Mapping[str, Mapping[str, Published]]]:
    """The published numbers: figure -> line -> set -> number."""
    data = tomli.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
    del data["source"]
    return {
        name: {label: {column: _published(value) for column, value in of.items()} for label, of in every.items()}
        for name, every in data.items()
    }


def _published(value: Any) -> Published:
    if isinstance(value, dict):
        return Published(None, None, value["text"], value["x"])
    mean, sd = value
    return Published(mean / 100, sd / 100)


def _with_lines(of: Definition, runs: Sequence[Run]) -> list[Run]:
    sources = of_figure(of.owner)
    return [run for run in runs if sources(run)]


def _series(of: Definition, runs: Sequence[Run]) -> list[Series]:
    by_step = of.x == STEP
    return named_series(
        runs, of_figure(of.owner), (lambda _: 0.0) if by_step else lines.x_of(of.x), not by_step, of.name
    )


def _panel(of: Definition, name: str, series: Sequence[Series], where: lines.Set) -> Panel:
    if of.x != STEP:
        return lines.panel(name, [_as(each, of) for each in series], dict.fromkeys(of.labels), where)
    if not series:
        return Panel(name, [Line(label) for label, _ in of.labels])
    metric = series[0].rows[0][1].metric
    logs = {each.label: curves.of_series(each) for each in series}
    every = [curves.line(label, logs.get(label), metric.name, where) for label, _ in of.labels]
    return Panel(name, every, metric.name, metric.unit, metric.better)


def _as(series: Series, of: Definition) -> Series:
    """The series as a full model or not, as the definition says."""
    return Series(
        series.stage, series.settings, series.along, (series.name, True) in of.labels, series.rows, series.name
    )


def _only(of: Definition, line: Line) -> Statistic | None:
    if len(line.points) > 1:
        xs = ", ".join(f"{100 * point.x:.1f} %" for point in line.points)
        raise UsageError(
            f"{of.name}: the line {shorten(line.label)} has several sparsities ({xs}); choose with --where"
        )
    return line.points[0].y if line.points else None

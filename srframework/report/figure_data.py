"""The numbers behind a figure: panels with lines, lines with points. Nothing here draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from srframework.report.result_rows import Statistic
from srframework.units import PER_CENT, heading

NOT_RUN = "not run"
"""The text in place of a line or a panel without results."""


@dataclass(frozen=True)
class Point:
    """One point of a line: ``x`` in the unit of the axis, ``y`` over the seeds."""

    x: float
    y: Statistic


@dataclass(frozen=True)
class Line:
    """One method in one panel.

    Attributes:
        label: Its name in the legend.
        points: In ascending order of x; empty if nothing has been run. The line of a full model has one point.
        is_full: Whether it is a full model, which is drawn as a dashed horizontal.
        absent: The text in place of the points, if there are none.
    """

    label: str
    points: Sequence[Point] = ()
    is_full: bool = False
    absent: str = NOT_RUN


@dataclass(frozen=True)
class Panel:
    """One set (ID or OOD) with all lines of the figure, those without points included.

    Attributes:
        title: The set.
        lines: In the same order in all panels of a figure.
        metric, unit, better: What y is; ``"fraction"`` is shown in percent.
    """

    title: str
    lines: Sequence[Line]
    metric: str = ""
    unit: str = PER_CENT
    better: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no line has a point."""
        return not any(line.points for line in self.lines)

    @property
    def absent(self) -> str:
        """The text in an empty panel: ``not run`` only if that is so for all lines."""
        return next((line.absent for line in self.lines if line.absent != NOT_RUN), NOT_RUN)

    @property
    def heading(self) -> str:
        """The name of y with its unit, without an arrow: ``accuracy %``."""
        return heading(self.metric, self.unit, None) if self.unit else self.metric


@dataclass(frozen=True)
class FigureData:
    """A figure.

    Attributes:
        title: For a caption; not drawn.
        x: The name of x.
        x_unit: Its unit; ``"fraction"`` is shown in percent. For bars, empty.
        panels: At least one.
        groups: For bars: the names of the groups on the x axis, where x is the index of a group; else empty.
        notes: Sentences that a reader of the figure must know.
        conflicts: Pairs of runs with the same settings and seed but different figures.
    """

    title: str
    x: str
    x_unit: str
    panels: Sequence[Panel]
    groups: Sequence[str] = ()
    notes: Sequence[str] = ()
    conflicts: Sequence[tuple[str, str]] = field(default=(), repr=False)

    @property
    def labels(self) -> list[tuple[str, bool]]:
        """The distinct lines of all panels: label, and whether it is a full model; full models last."""
        found = dict.fromkeys((line.label, line.is_full) for panel in self.panels for line in panel.lines)
        return sorted(found, key=lambda each: each[1])

    @property
    def empty_panels(self) -> list[str]:
        """The titles of the panels in which no line has a point."""
        return [panel.title for panel in self.panels if panel.is_empty]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON: x and y in their units, lines without points included."""
        panels = [
            {
                "set": panel.title,
                "metric": panel.metric,
                "unit": panel.unit,
                "better": panel.better,
                "lines": [
                    {"label": line.label, "full": line.is_full, "points": [self._point(point) for point in line.points]}
                    for line in panel.lines
                ],
            }
            for panel in self.panels
        ]
        return {"title": self.title, "x": self.x, "x_unit": self.x_unit, "panels": panels, "notes": list(self.notes)}

    def _point(self, point: Point) -> dict[str, Any]:
        y = {"mean": point.y.mean, "sd": point.y.sd, "n": len(point.y.values), "values": list(point.y.values)}
        return {"x": self.groups[int(point.x)] if self.groups else point.x, **y}


def ordered(points: Iterable[Point]) -> list[Point]:
    """The points by x."""
    return sorted(points, key=lambda point: point.x)

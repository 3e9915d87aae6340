"""The ``[figure]`` table of a recipe: which of its stages are which line of a figure. Loads nothing heavy.

::

    [figure.fig-2]                                      # a figure or table of the paper
    "imp poe" = "imp-poe"                               # the stage, with the levels that it keeps
    "mask poe" = ["mask-50", "mask-70"]                 # several stages make one line
    "full std" = { stage = "full", where."backbone.use" = "bert-base" }    # only runs with this setting

    [figure.plot]                                       # of `srframework plot`, with labels of one's own
    "mask" = "srnet"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import tomli

from srframework.errors import SHOWN
from srframework.recipe.check import Add
from srframework.recipe.dotted_keys import flat
from srframework.report.result_rows import comparable
from srframework.text import choices_text, nearest, shorten

PLOT = "plot"
"""The figure of ``srframework plot``, whose lines have any name."""

_FORM = 'expected a stage, an array of stages, or a table with `stage` and `where`, such as "mask-poe"'


@dataclass(frozen=True)
class Source:
    """Where the figures of a line come from.

    Attributes:
        stages: Stages of the recipe, at least one.
        where: Settings that the run must have, by complete key; a component with or without its plugin.
    """

    stages: Sequence[str]
    where: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, value: Any) -> Source:
        """Read the value of a line.

        Raises:
            ValueError: It has another form; says which was expected.
        """
        stages, where = value, {}
        if isinstance(value, dict):
            stages, where = value.get("stage"), value.get("where", {})
            if value.keys() - {"stage", "where"} or not isinstance(where, dict):
                raise ValueError(f"{_FORM}; got {shorten(value)}")
        stages = [stages] if isinstance(stages, str) else stages
        if not isinstance(stages, list) or not stages or not all(isinstance(each, str) for each in stages):
            raise ValueError(f"{_FORM}; got {shorten(value)}")
        return cls(tuple(stages), flat(where))

    def meets(self, values: Mapping[str, Any]) -> bool:
        """Whether a run with these settings has the line."""
        return all(_is(values.get(key), value) for key, value in self.where.items())


@dataclass(frozen=True)
class Set:
    """A column of a table, or a panel: the ID set of a data set, or one of its OOD sets."""

    name: str
    dataset: str
    ood: str | None = None


@dataclass(frozen=True)
class Definition:
    """A figure or table of the paper; see paper_figures.toml.

    Attributes:
        lines: Its lines; those of full models are in ``full``.
        owner: The name under which recipes list its lines: its own, or that of the figure with the same lines.
    """

    name: str
    title: str
    x: str
    lines: Sequence[str]
    full: Sequence[str]
    sets: Sequence[Set]
    owner: str
    note: str = ""

    @property
    def labels(self) -> list[tuple[str, bool]]:
        """All lines, each with whether it is a full model."""
        return [*((line, False) for line in self.lines), *((line, True) for line in self.full)]

    @property
    def is_table(self) -> bool:
        """Whether it is a table."""
        return self.name.startswith("table-")


@cache
def definitions() -> dict[str, Definition]:
    """The figures and tables of the paper, by name: ``fig-2``, ``table-5``."""
    data = tomli.loads(Path(__file__).with_name("paper_figures.toml").read_text(encoding="utf-8"))
    sets = {each["name"]: Set(**each) for each in data["sets"]}
    found = {}
    for name, own in data["figures"].items():
        owner = own.get("lines_of", name)
        lines = data["figures"][owner]
        found[name] = Definition(
            name,
            own["title"],
            lines.get("x", "sparsity"),
            lines["lines"],
            lines.get("full", ()),
            [sets[each] for each in own.get("sets", sets)],
            owner,
            own.get("note", ""),
        )
    return found


def check_table(data: Mapping[str, Any], add: Add) -> None:
    """Report the problems of the ``[figure]`` table of a recipe.

    Args:
        data: All tables of the recipe, with a ``figure``.
        add: Called for each problem.
    """
    table = data["figure"]
    if not isinstance(table, dict):
        return  # the recipe reports it
    stages = data.get("stages")
    names = [each.get("name") for each in stages if isinstance(each, dict)] if isinstance(stages, list) else []
    known = {name for name in names if isinstance(name, str)}
    owners = [each.name for each in definitions().values() if each.owner == each.name]
    for name, lines in table.items():
        if name != PLOT and name not in owners:
            of = definitions()[name].owner if name in definitions() else None
            same = f"{name} has the lines of {of}; name them there" if of is not None else ""
            choices = [*owners, PLOT]
            add(("figure", name), same or f"no figure has this name{choices_text(nearest(name, choices), choices)}")
        elif not isinstance(lines, dict):
            add(("figure", name), f"expected a table of lines and their stages, got {shorten(lines)}")
        else:
            labels = None if name == PLOT else [label for label, _ in definitions()[name].labels]
            _check_lines(name, lines, labels, known, add)


def _check_lines(
    figure: str, lines: Mapping[str, Any], labels: Sequence[str] | None, stages: set[str], add: Add
) -> None:
    for number, (label, value) in enumerate(lines.items()):
        if labels is not None and label not in labels:
            offer = choices_text(nearest(label, labels), labels)
            add(("figure", figure, label), f"{figure} has no line {shorten(label)}{offer}")
            continue
        try:
            source = Source.parse(value)
        except ValueError as error:
            add(("figure", figure, label), str(error))
            continue
        for stage in source.stages if stages else ():
            if stage not in stages:
                near = nearest(stage, stages) if number < SHOWN else None
                offer = choices_text(near, sorted(stages))
                add(("figure", figure, label), f"no stage is named {shorten(stage)}{offer}")


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return wanted in (value, value.rpartition("/")[2])
    return comparable(value) == comparable(wanted)

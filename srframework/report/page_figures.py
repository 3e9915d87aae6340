"""The figures of a report page as inline SVG."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srframework.errors import DataError, UsageError
from srframework.files import read_text
from srframework.report import bias_bars, curves, lines
from srframework.report.drawing import check_target, draw
from srframework.report.figure_data import FigureData
from srframework.report.named_lines import SourcesOf, of_texts
from srframework.report.runs import Run

_WIDTH = 7.0
"""Inches."""

_KINDS: dict[str, Callable[[Sequence[Run], SourcesOf | None], FigureData]] = {
    "metric": lambda runs, named: lines.figure(runs, named=named),
    "bias-groups": lambda runs, named: bias_bars.figure(runs, named=named),
    "curves": lambda runs, named: curves.figure(runs, named=named),
}
"""Kind of ``srframework plot`` -> its numbers."""


@dataclass(frozen=True)
class PageFigure:
    """A drawn figure.

    Attributes:
        recipe: The recipe of its runs.
        kind: As ``srframework plot --kind``.
        title: Its title.
        svg: An ``svg`` element.
        notes: Sentences that a reader must know.
    """

    recipe: str
    kind: str
    title: str
    svg: str
    notes: Sequence[str]


def page_figures(runs: Sequence[Run]) -> tuple[list[PageFigure], list[str]]:
    """Draw the figures of each recipe that its runs have the numbers for.

    Returns:
        The figures; and a sentence if none can be drawn, because matplotlib is missing.
    """
    of_recipes: dict[str, list[Run]] = {}
    for run in runs:
        of_recipes.setdefault(run.settings.recipe, []).append(run)
    found: list[PageFigure] = []
    with tempfile.TemporaryDirectory(prefix="srframework-") as place:
        file = Path(place, "figure.svg")
        try:
            check_target(file)
        except UsageError as error:
            return [], [str(error)]
        for recipe, own in of_recipes.items():
            for kind, numbers in _KINDS.items():
                try:
                    data = numbers(own, of_texts((), own))
                except (UsageError, DataError):
                    continue  # these runs have no such figure
                draw(data, file, _WIDTH)
                svg = _inline(read_text(file), f"f{len(found)}-")
                found.append(PageFigure(recipe, kind, data.title, svg, data.notes))
    return found, []


def _inline(text: str, prefix: str) -> str:
    """The ``svg`` element of a file, without metadata; its ids differ from those of other figures of the page."""
    element = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{prefix}", element)

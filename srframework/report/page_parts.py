"""Parts of a report page as HTML. Every text from a file passes through :func:`escape`."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from srframework.report.claim_files import ClaimCheck, ClaimRow
from srframework.report.columns import NUMERIC, Column
from srframework.report.page_figures import PageFigure
from srframework.report.result_rows import RECIPE, Row, Statistic
from srframework.units import number, suffix

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Characters that an HTML file cannot have."""


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the number to sort by, if it has one."""

    text: str
    value: float | None = None


def escape(text: object) -> str:
    """Text for HTML, in elements and in attributes."""
    return html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text)))


def paragraphs(texts: Iterable[str]) -> str:
    """A paragraph for each text."""
    return "".join(f"<p>{escape(text)}</p>\n" for text in texts)


def table(caption: str, heads: Sequence[tuple[str, bool]], rows: Iterable[Sequence[Cell]]) -> str:
    """A table that the script of the page can sort and filter.

    Args:
        caption: Its name.
        heads: Of each column: heading, and whether it is aligned to the right.
        rows: The cells of each row; the first one names the row.
    """
    kinds = [' class="number"' if right else "" for _, right in heads]
    head = "".join(
        f'<th scope="col"{kind}><button type="button">{escape(text)}</button></th>'
        for (text, _), kind in zip(heads, kinds, strict=True)
    )
    body = []
    for row in rows:
        cells = []
        for place, (cell, kind) in enumerate(zip(row, kinds, strict=True)):
            value = "" if cell.value is None else f' data-value="{cell.value!r}"'
            tag = "td" if place else "th"
            scope = "" if place else ' scope="row"'
            cells.append(f"<{tag}{scope}{kind}{value}>{escape(cell.text)}</{tag}>")
        body.append(f"<tr>{''.join(cells)}</tr>\n")
    name = escape(caption)
    return (
        f'<div class="sortable"><p class="filter" hidden><label>Filter {name.lower()}: <input type="search"></label> '
        f'<output></output></p>\n<div class="scroll" role="region" aria-label="{name}" tabindex="0"><table>'
        f"<caption>{name}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{''.join(body)}</tbody></table></div></div>\n"
    )


def results(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """The results table: the stage, the recipe, the figures; then the other settings."""
    places = {"stage": 0, RECIPE: 1}
    ordered = sorted(columns, key=lambda column: places.get(column.key, 3 if column.kind == "setting" else 2))

    def cell(column: Column, row: Row) -> Cell:
        value = column.value(row)
        sort = value.mean if isinstance(value, Statistic) else value
        is_number = isinstance(sort, int | float) and not isinstance(sort, bool)
        return Cell(column.text(row), float(sort) if is_number else None)

    heads = [(column.head, column.kind in NUMERIC) for column in ordered]
    return table("Results", heads, [[cell(column, row) for column in ordered] for row in rows])


def claim(row: ClaimRow) -> str:
    """A claim with its verdict, its figures, checks and controls."""
    parts = [f"<article>\n<h3>{escape(row.claim)}: <strong>{escape(row.verdict)}</strong></h3>\n"]
    source = f"Source: {row.source}" if row.source else ""
    error = f"Error: {row.error}" if row.error else ""
    note = f"Note: {row.note}" if row.note else ""
    parts.append(paragraphs(filter(None, (row.statement, source, note, error))))
    if row.checks or row.controls:
        decided = [("check", row.checks), ("control", row.controls)]
        cells = [
            [Cell(text), Cell(each.verdict), Cell(kind), Cell(_more(each))]
            for kind, of_kind in decided
            for text, each in of_kind.items()
        ]
        heads = ["check", "verdict", "kind", "why, or what would decide"]
        parts.append(table(f"Checks of {row.claim}", [(head, False) for head in heads], cells))
    if row.figures:
        cells = []
        for text, each in row.figures.items():
            spread = "" if each.sd is None else f" ± {number(each.sd, each.unit, 2)}"
            values = ", ".join(number(value, each.unit, 2) for value in each.values)
            shown = f"{number(each.mean, each.unit, 2)}{spread}{suffix(each.unit)}"
            cells.append(
                [Cell(text), Cell(shown, each.mean), Cell(str(len(each.values)), len(each.values)), Cell(values)]
            )
        heads_of = [("figure", False), ("mean ± standard deviation", True), ("n", True), ("by seed", False)]
        parts.append(table(f"Figures of {row.claim}", heads_of, cells))
    return "".join([*parts, "</article>\n"])


def figure(each: PageFigure, is_open: bool) -> str:
    """A figure, which can be folded."""
    label = escape(f"{each.recipe}: {each.title}")
    return (
        f"<details{' open' if is_open else ''}><summary>{label}</summary>\n"
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><figure role="img" aria-label="{label}">'
        f"{each.svg}</figure></div>\n{paragraphs(each.notes)}</details>\n"
    )


def recipe(title: str, text: str) -> str:
    """The text of a recipe, folded."""
    return (
        f"<details><summary>{escape(title)}</summary>\n"
        f'<pre tabindex="0" role="region" aria-label="{escape(title)}">{escape(text)}</pre></details>\n'
    )


def _more(check: ClaimCheck) -> str:
    return check.reason or (f"about {check.seeds} seeds would decide" if check.seeds else "")

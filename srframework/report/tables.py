"""The table of a run: stage × (sparsity, ID metric, each OOD metric), from its report (as ``--json`` prints it)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from srframework.contracts import SPARSITY
from srframework.units import P_B_OF_BACKBONE, PER_CENT, heading, number, suffix


def results_table(stages: Sequence[Mapping[str, Any]], width: int = 1000) -> RenderableType:
    """The stages in the order in which they ran, each with the levels inside it.

    Beside each figure is its change against the full model: the first stage that is trained and not sparse. The last
    level of a stage has no row where it is the end of the stage.

    Args:
        stages: At least one, as ``run --json`` prints them.
        width: Columns of the terminal; if a table needs more, each stage is a paragraph, so that no name is broken.
    """
    splits = {kind: list(dict.fromkeys(name for stage in stages for name in stage[kind])) for kind in ("also", "ood")}
    metric, unit, better = (stages[0][key] for key in ("metric", "unit", "better"))
    full = next((stage for stage in stages if stage["op"] == "train" and not round(stage["sparsity"], 3)), None)
    points = ", in percentage points" if unit == PER_CENT else ""
    against = f"; in brackets: change against {full['name']}{points}" if full is not None and stages[1:] else ""
    heads = ["ID", *splits["also"], *(f"OOD {split}" for split in splits["ood"])]
    plain = ["stage", "sparsity", *(f"{head} {metric}" for head in heads)]
    heads = ["stage", "sparsity %", *(f"{head} {heading(metric, unit, better)}" for head in heads)]
    rows: list[tuple[list[str], bool]] = []
    for stage in stages:
        levels = stage.get("levels", [])
        if levels and _figures(levels[-1], splits) == _figures(stage, splits):
            levels = levels[:-1]
        rows += [
            ([f"{stage['name']}@{level['level']:g}", *_cells(level, splits, full, unit)], False) for level in levels
        ]
        rows.append(([stage["name"], *_cells(stage, splits, None if stage is full else full, unit)], bool(levels)))
    caption = f"sparsity: {SPARSITY}{against}"
    widths = [max(cell_len(cells[place]) for cells, _ in rows) for place in range(len(heads))]
    needed = [max(each, *map(cell_len, head.split())) for each, head in zip(widths, heads, strict=True)]
    if sum(needed) + 3 * len(needed) + 1 > width:
        return Group(*_paragraphs(plain, [cells for cells, _ in rows], width, unit), Text(caption, "italic"))
    table = Table(caption=caption, caption_justify="left")
    for head, least in zip(heads, widths, strict=True):
        table.add_column(head, justify="left" if head == "stage" else "right", min_width=least, overflow="fold")
    for cells, is_end in rows:
        table.add_row(*cells, end_section=is_end)
    return table


def _paragraphs(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, unit: str) -> Iterator[RenderableType]:
    for name, *figures in rows:
        yield Text(name, "bold cyan")
        units = [PER_CENT, *[unit] * (len(figures) - 1)]
        values = [text.partition(" ") for text in figures]
        shown = [
            f"{head} {value}{suffix(each)}{space}{change}"
            for head, (value, space, change), each in zip(heads[1:], values, units, strict=True)
            if value
        ]
        yield from map(Text, filled(shown, width))


def filled(items: Sequence[str], width: int) -> list[str]:
    """Indented lines with the items in a row; an item is broken only if it is wider than a line."""
    space = "\u00a0"
    text = ", ".join(item.replace(" ", space) if len(item) < width - 5 else item for item in items)
    lines = textwrap.wrap(text, width, initial_indent=" " * 4, subsequent_indent=" " * 4, break_on_hyphens=False)
    return [line.replace(space, " ") for line in lines]


def bias_table(report: Mapping[str, Any]) -> Table:
    """The accuracy of the bias model alone on each split; and its share of examples that it predicts right and is
    confident about, which the debiasing losses give the least weight."""
    least = f"{100 * report['confident_from']:g}"
    caption = f"the bias model alone; right and confident: right, with a probability of {least} % or more"
    if report.get("word_vectors") == "backbone":
        caption += f"; {P_B_OF_BACKBONE}"
    rows = {(name, ""): figures for name, figures in report["splits"].items()}
    rows |= {(name, ", labels merged"): figures["merged"] for (name, _), figures in rows.items() if "merged" in figures}
    table = Table(caption=caption, caption_justify="left")
    table.add_column(str(report["use"]), overflow="fold")
    for head in ("accuracy %", "right and confident %"):
        table.add_column(head, justify="right", overflow="fold")
    for (name, merged), figures in sorted(rows.items(), key=lambda row: [*report["splits"]].index(row[0][0])):
        table.add_row(f"{name}{merged}", _percent(figures["accuracy"]), _percent(figures["confidently_right"]))
    return table


def _figures(figures: Mapping[str, Any], splits: Mapping[str, Sequence[str]]) -> list[float | None]:
    values = [figures["sparsity"], figures["id"]]
    return values + [figures[kind].get(split) for kind, names in splits.items() for split in names]


def _cells(
    figures: Mapping[str, Any], splits: Mapping[str, Sequence[str]], full: Mapping[str, Any] | None, unit: str
) -> list[str]:
    sparsity, *values = _figures(figures, splits)
    before = [None] * len(values) if full is None else _figures(full, splits)[1:]
    return [_percent(sparsity), *(_changed(*pair, unit) for pair in zip(values, before, strict=True))]


def _changed(value: float | None, before: float | None, unit: str) -> str:
    if value is None:
        return ""
    change = "" if before is None else f" ({number(value - before, unit, sign=True)})"
    return f"{number(value, unit)}{change}"


def _percent(value: float | None) -> str:
    return "" if value is None else number(value, PER_CENT)

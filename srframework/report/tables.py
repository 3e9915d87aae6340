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
from srframework.report.summary_files import DEV
from srframework.run.results import COLLAPSED
from srframework.units import P_B_OF_BACKBONE, PER_CENT, heading, number, suffix

COLLAPSED_MARK = "†"
"""After a figure of a model that has collapsed."""

COLLAPSED_NOTE = f"{100 * COLLAPSED:g} % or more of the predictions are one label"
"""Meaning of collapsed."""


def results_table(
    stages: Sequence[Mapping[str, Any]],
    width: int = 1000,
    baselines: Sequence[Mapping[str, Any]] = (),
    id_split: str = "",
    dev_split: str = DEV,
) -> RenderableType:
    """The stages in the order in which they ran, each with the levels inside it; then the baselines.

    Beside each figure is its change against the full model: the first stage that is trained and not sparse. The last
    level of a stage has no row where it is the end of the stage. A figure of a model that has collapsed is marked.

    Args:
        stages: At least one, as ``run --json`` prints them.
        width: Columns of the terminal; if a table needs more, each stage is a paragraph, so that no name is broken.
        baselines: The majority class and the bias model, as ``run --json`` prints them.
        id_split: The split of the ID figures.
        dev_split: The split that chooses checkpoints.
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

    def cells(row: Mapping[str, Any], reference: Mapping[str, Any] | None) -> list[str]:
        return _cells(row, splits, reference, unit, id_split)

    for stage in stages:
        levels = stage.get("levels", [])
        if levels and _figures(levels[-1], splits) == _figures(stage, splits):
            levels = levels[:-1]
        rows += [([f"{stage['name']}@{level['level']:g}", *cells(level, full)], False) for level in levels]
        is_end = bool(levels) or (bool(baselines) and stage is stages[-1])
        rows.append(([stage["name"], *cells(stage, None if stage is full else full)], is_end))
    rows += [([each["name"], *cells(each, None)], False) for each in baselines]
    caption = f"sparsity: {SPARSITY}{against}"
    if any(COLLAPSED_MARK in cell for row, _ in rows for cell in row):
        caption += f"; {COLLAPSED_MARK} collapsed: {COLLAPSED_NOTE}"
    caption = "\n".join([caption, *_chosen(stages, dev_split)])
    widths = [max(cell_len(row[place]) for row, _ in rows) for place in range(len(heads))]
    needed = [max(each, *map(cell_len, head.split())) for each, head in zip(widths, heads, strict=True)]
    if sum(needed) + 3 * len(needed) + 1 > width:
        return Group(*_paragraphs(plain, [row for row, _ in rows], width, unit), Text(caption, "italic"))
    table = Table(caption=caption, caption_justify="left")
    for head, wide in zip(heads, column_widths(heads, needed, width), strict=True):
        table.add_column(head, justify="left" if head == "stage" else "right", width=wide, overflow="fold")
    for row, is_end in rows:
        table.add_row(*row, end_section=is_end)
    return table


def column_widths(heads: Sequence[str], needed: Sequence[int], width: int) -> list[int]:
    """The widths of the columns of a table: their headings have as few lines as the terminal allows.

    rich would break words of headings, even where there is room.

    Args:
        heads: The headings.
        needed: Least width of each column.
        width: Columns of the terminal.
    """
    widths = list(needed)
    for _ in range(width - sum(needed) - 3 * len(needed) - 1):
        lines = [len(textwrap.wrap(head, wide)) for head, wide in zip(heads, widths, strict=True)]
        if max(lines) == 1:
            break
        widths[lines.index(max(lines))] += 1
    return widths


def _chosen(stages: Sequence[Mapping[str, Any]], dev_split: str) -> Iterator[str]:
    """A line that names the split that chose the results, and among how many checkpoints each result is the best."""
    counts = [f"{stage['name']} {count}" for stage in stages if (count := stage.get("candidates"))]
    if counts:
        best = f"the result is the checkpoint with the best ID metric on {dev_split}"
        yield f"{best}; number of checkpoints: {', '.join(counts)}"


def _paragraphs(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int, unit: str) -> Iterator[RenderableType]:
    for name, *figures in rows:
        yield Text(name, "bold cyan")
        units = [PER_CENT, *[unit] * (len(figures) - 1)]
        values = [text.partition(" ") for text in figures]
        shown = [
            f"{head} {value.removesuffix(COLLAPSED_MARK)}{suffix(each)}{_mark(value)}{space}{change}"
            for head, (value, space, change), each in zip(heads[1:], values, units, strict=True)
            if value
        ]
        yield from map(Text, filled(shown, width))


def _mark(value: str) -> str:
    return COLLAPSED_MARK if value.endswith(COLLAPSED_MARK) else ""


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
    figures: Mapping[str, Any],
    splits: Mapping[str, Sequence[str]],
    full: Mapping[str, Any] | None,
    unit: str,
    id_split: str,
) -> list[str]:
    sparsity, *values = _figures(figures, splits)
    before = [None] * len(values) if full is None else _figures(full, splits)[1:]
    names = [id_split, *splits["also"], *splits["ood"]]
    marks = [COLLAPSED_MARK if name in figures.get("collapsed", ()) else "" for name in names]
    changed = [_changed(*each, unit) for each in zip(values, before, marks, strict=True)]
    return [_percent(sparsity), *changed]


def _changed(value: float | None, before: float | None, mark: str, unit: str) -> str:
    if value is None:
        return ""
    change = "" if before is None else f" ({number(value - before, unit, sign=True)})"
    return f"{number(value, unit)}{mark}{change}"


def _percent(value: float | None) -> str:
    return "" if value is None else number(value, PER_CENT)

"""The results table for a terminal, and as JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Collection, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from srframework.contracts import SPARSITY
from srframework.report.chosen_on import chosen_note
from srframework.report.columns import NUMERIC, Column
from srframework.report.result_rows import RECIPE, Row, Statistic
from srframework.report.tables import COLLAPSED_MARK, COLLAPSED_NOTE, column_widths, filled
from srframework.run.results import BASELINE

_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPED |= {"↑": r"$\uparrow$", "↓": r"$\downarrow$", COLLAPSED_MARK: r"$\dagger$"}
_ESCAPED |= {character: f"\\{character}" for character in "&%$#_{}"}


def print_rows(
    console: Console,
    rows: Sequence[Row],
    columns: Sequence[Column],
    wanted: Collection[str] | None = None,
    named: Collection[str] = (),
    runs: bool = False,
    notes: Sequence[str] = (),
) -> None:
    """Print the rows on a terminal: as a table where that fits, else as paragraphs.

    Args:
        console: Where to.
        rows: The rows.
        columns: All their columns.
        wanted: Keys of the settings to show, as far as they fit in a table; None for all, whether they fit or not.
        named: Keys of the settings to show in any case.
        runs: Whether to show the directories of the runs of each row.
        notes: Sentences below the table.
    """
    shown = [each for each in columns if wanted is None or each.kind != "setting" or each.key in wanted]
    table = list(shown) if wanted is None else _narrowed(shown, rows, (*named, RECIPE), console.width, runs)
    if _width(table, rows, runs) <= console.width:
        shown = table
        console.print(_table(rows, table, runs, console.width))
    else:
        for row in rows:
            _print_row(console, row, shown, runs)
    hidden = sum(each.kind == "setting" for each in columns) - sum(each.kind == "setting" for each in shown)
    count = f"{hidden} more settings differ" if hidden > 1 else "1 more setting differs"
    more = f" {count}; --settings shows them." if hidden else ""
    note = f"Mean ± standard deviation over n seeds; sparsity: {SPARSITY}.{more}"
    if any(COLLAPSED_MARK in column.text(row) for row in rows for column in shown):
        note += f" {COLLAPSED_MARK} collapsed in at least one seed: {COLLAPSED_NOTE}."
    for text in (note, *notes):
        for line in Text(text).wrap(console, console.width):
            console.print(line, soft_wrap=True)


def _narrowed(
    columns: Sequence[Column], rows: Sequence[Row], kept: Collection[str], width: int, runs: bool
) -> list[Column]:
    """The columns without settings that the rows can spare, the last first, until they fit or none is left.

    A setting can be spared if no two rows look alike without it that do not look alike with all columns.
    """
    table = list(columns)
    for each in [each for each in reversed(columns) if each.kind == "setting" and each.key not in kept]:
        if _width(table, rows, runs) <= width:
            break
        rest = [column for column in table if column is not each]
        if _distinct(rest, rows) == _distinct(columns, rows):
            table = rest
    return table


def _distinct(columns: Sequence[Column], rows: Sequence[Row]) -> int:
    """How many rows differ in what names them."""
    naming = [column for column in columns if column.kind in ("setting", "stage", "run", "metric")]
    return len({tuple(column.text(row) for column in naming) for row in rows})


def _width(columns: Sequence[Column], rows: Sequence[Row], runs: bool) -> int:
    """How wide a table is in which headings are broken between words, and nothing else is."""
    cells = _needed(columns, rows)
    cells += [max(cell_len(run.path) for row in rows for run in row.runs)] if runs else []
    return sum(cells) + 3 * len(cells) + 1


def _needed(columns: Sequence[Column], rows: Sequence[Row]) -> list[int]:
    """The least width of each column: that of its widest cell, or of the widest word of its heading."""
    return [
        max(cell_len(text) for text in (*column.head.split(), *(column.text(row) for row in rows)))
        for column in columns
    ]


def _table(rows: Sequence[Row], columns: Sequence[Column], runs: bool, width: int) -> Table:
    table = Table()
    room = width - (max(cell_len(run.path) for row in rows for run in row.runs) + 3 if runs else 0)
    widths = column_widths([column.head for column in columns], _needed(columns, rows), room)
    for column, wide in zip(columns, widths, strict=True):
        table.add_column(
            column.head, justify="right" if column.kind in NUMERIC else "left", width=wide, overflow="fold"
        )
    if runs:
        table.add_column("runs", no_wrap=True)
        table.show_lines = True
    for row in rows:
        paths = ["\n".join(run.path for run in row.runs)] if runs else []
        table.add_row(*(column.text(row) for column in columns), *paths)
    return table


def _print_row(console: Console, row: Row, columns: Sequence[Column], runs: bool) -> None:
    console.print(Text(row.name, "bold cyan"), soft_wrap=True)
    for kinds in (("setting", "run"), NUMERIC):
        of_kind = [column for column in columns if column.kind in kinds and column.text(row)]
        for line in filled([column.phrase(row) for column in of_kind], console.width):
            console.print(Text(line), soft_wrap=True)
    for run in row.runs if runs else ():
        console.print(f"    {run.path}", soft_wrap=True)


def choice(rows: Sequence[Row]) -> str:
    """The sentence about the split that chose the checkpoints of the rows."""
    stages = [(row.stage, row) for row in rows if row.level is None and row.op != BASELINE]
    return chosen_note((name, split) for name, row in stages for split in row.chosen_on or [""])


def as_json(row: Row) -> dict[str, Any]:
    """A row as JSON: figures in their unit, values in the order of ``seeds``, and the runs."""
    figures: dict[str, Any] = {kind: _statistic(row.statistic(kind)) for kind in ("sparsity", "id")}
    for kind in ("also", "ood"):
        figures[kind] = {split: _statistic(row.statistic(kind, split)) for split in row.splits(kind)}
    head: dict[str, Any] = {"settings": dict(row.values), "stage": row.stage, "level": row.level, "op": row.op}
    head |= {"metric": row.metric.name, "unit": row.metric.unit, "better": row.metric.better}
    head["chosen_on"] = ", ".join(row.chosen_on) or None
    figures["collapsed"] = row.collapsed()
    return head | {"n": len(row.seeds), "seeds": row.seeds, **figures, "runs": [run.record() for run in row.runs]}


def as_csv(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Keys in full; figures in their unit, each with a column for its standard deviation; last, the splits on which the
    model has collapsed in at least one seed, and the split that chose the checkpoint; empty for the last step."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = ("id", "also", "ood")
    heads = [[column.key, f"{column.key} sd"] if column.kind in figures else [column.key] for column in columns]
    writer.writerow([*itertools.chain(*heads), "collapsed", "chosen_on"])
    for row in rows:
        cells: list[Any] = []
        for column in columns:
            value = column.value(row)
            if column.kind in figures:
                cells += [value.mean, value.sd] if isinstance(value, Statistic) else [None, None]
            else:
                cells.append(value.mean if isinstance(value, Statistic) else value)
        writer.writerow([*cells, " ".join(row.collapsed()), " ".join(row.chosen_on)])
    return out.getvalue()


def as_latex(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A tabular for the package booktabs, and a comment about the split that chose the checkpoints."""
    align = "".join("r" if column.kind in NUMERIC else "l" for column in columns)
    lines = [f"\\begin{{tabular}}{{{align}}}", "\\toprule", _line(escape(column.head) for column in columns)]
    lines.append("\\midrule")
    lines += [_line(_latex(column, row) for column in columns) for row in rows]
    comment = [f"% {each}" for each in [choice(rows)] if each]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", *comment]) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX sets it, character by character."""
    return re.sub(r"[\\~^&%$#_{}↑↓†]", lambda found: _ESCAPED[found[0]], text)


def _latex(column: Column, row: Row) -> str:
    if isinstance(column.value(row), Statistic):
        return "$" + column.text(row, r" \pm ").replace(COLLAPSED_MARK, r"^\dagger") + "$"
    return escape(column.text(row))


def _line(cells: Any) -> str:
    return " & ".join(cells) + r" \\"


def _statistic(statistic: Statistic | None) -> dict[str, Any] | None:
    if statistic is None:
        return None
    return {"mean": statistic.mean, "sd": statistic.sd, "values": list(statistic.values)}

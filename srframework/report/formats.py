"""The results table for a terminal, and as JSON, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from srframework.contracts import SPARSITY
from srframework.report.columns import NUMERIC, Column
from srframework.report.result_rows import Row, Statistic

_ESCAPED = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_ESCAPED |= {character: f"\\{character}" for character in "&%$#_{}"}


def text_table(rows: Sequence[Row], columns: Sequence[Column], runs: bool = False) -> Table:
    """The table for a terminal; ``runs`` adds the run directories."""
    caption = f"in percent: mean ± standard deviation over n seeds; sparsity: {SPARSITY}"
    table = Table(caption=caption, caption_justify="left")
    for column in columns:
        table.add_column(column.heading, justify="right" if column.kind in NUMERIC else "left", overflow="fold")
    if runs:
        table.add_column("runs", overflow="fold")
        table.show_lines = True
    for row in rows:
        paths = ["\n".join(run.path for run in row.runs)] if runs else []
        table.add_row(*(column.text(row) for column in columns), *paths)
    return table


def as_json(row: Row) -> dict[str, Any]:
    """A row as JSON: figures as fractions, values in the order of ``seeds``, and the runs."""
    figures: dict[str, Any] = {kind: _statistic(row.statistic(kind)) for kind in ("sparsity", "id")}
    for kind in ("also", "ood"):
        figures[kind] = {split: _statistic(row.statistic(kind, split)) for split in row.splits(kind)}
    head = {"settings": dict(row.values), "stage": row.stage, "level": row.level, "op": row.op, "metric": row.metric}
    return head | {"n": len(row.seeds), "seeds": row.seeds, **figures, "runs": [run.record() for run in row.runs]}


def as_csv(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """Keys in full; figures as shares, each with a column for its standard deviation."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    figures = ("id", "also", "ood")
    writer.writerow(
        name
        for column in columns
        for name in ([column.key, f"{column.key} sd"] if column.kind in figures else [column.key])
    )
    for row in rows:
        cells: list[Any] = []
        for column in columns:
            value = column.value(row)
            if column.kind in figures:
                cells += [value.mean, value.sd] if isinstance(value, Statistic) else [None, None]
            else:
                cells.append(value.mean if isinstance(value, Statistic) else value)
        writer.writerow(cells)
    return out.getvalue()


def as_latex(rows: Sequence[Row], columns: Sequence[Column]) -> str:
    """A tabular for the package booktabs; figures in percent."""
    align = "".join("r" if column.kind in NUMERIC else "l" for column in columns)
    lines = [f"\\begin{{tabular}}{{{align}}}", "\\toprule", _line(escape(column.heading) for column in columns)]
    lines.append("\\midrule")
    lines += [_line(_latex(column, row) for column in columns) for row in rows]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def escape(text: str) -> str:
    """Text as LaTeX sets it, character by character."""
    return re.sub(r"[\\~^&%$#_{}]", lambda found: _ESCAPED[found[0]], text)


def _latex(column: Column, row: Row) -> str:
    if isinstance(column.value(row), Statistic):
        return "$" + column.text(row, r" \pm ") + "$"
    return escape(column.text(row))


def _line(cells: Any) -> str:
    return " & ".join(cells) + r" \\"


def _statistic(statistic: Statistic | None) -> dict[str, Any] | None:
    if statistic is None:
        return None
    return {"mean": statistic.mean, "sd": statistic.sd, "values": list(statistic.values)}

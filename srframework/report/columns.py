"""The columns of the results table: settings that vary, stage, sparsity, figures, n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from srframework.errors import UsageError
from srframework.report.result_rows import Row, Statistic, rank
from srframework.report.tables import COLLAPSED_MARK
from srframework.text import choices_text, nearest, shorten
from srframework.units import PER_CENT, heading, number, suffix

NUMERIC = ("sparsity", "id", "also", "ood", "n")
"""Kinds of column that are aligned to the right."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: The full key: ``stages.srnet.pruner.sparsity``, ``ood.hans``, ``n``.
        heading: For people.
        after: Unit and direction, for the head of a table.
        kind: ``setting``, ``stage``, ``run``, ``metric``, or one of :data:`NUMERIC`.
        split: The split, for ``also`` and ``ood``.
    """

    key: str
    heading: str
    kind: str
    split: str = ""
    after: str = ""

    @property
    def head(self) -> str:
        """The heading with unit and direction."""
        return self.heading + self.after

    def value(self, row: Row) -> Any:
        """The value in a row: a :class:`Statistic` for figures; None if there is no value."""
        if self.kind == "setting":
            return row.values.get(self.key)
        if self.kind == "run":
            return None if row.is_finished else "unfinished"
        if self.kind in ("stage", "metric"):
            return row.name if self.kind == "stage" else row.metric.name
        return len(row.figures) if self.kind == "n" else row.statistic(self.kind, self.split)

    def text(self, row: Row, plus_minus: str = " ± ") -> str:
        """The printed text, in the unit of the head: mean ± sd; only the mean for sparsity."""
        value = self.value(row)
        if self.kind == "metric":
            return heading(row.metric.name, row.metric.unit, row.metric.better)
        if not isinstance(value, Statistic):
            return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        mark = COLLAPSED_MARK if self._split_of(row) in row.collapsed() else ""
        unit = PER_CENT if self.kind == "sparsity" else row.metric.unit
        spread = "" if value.sd is None or self.kind == "sparsity" else f"{plus_minus}{number(value.sd, unit, 2)}"
        return f"{number(value.mean, unit, 2)}{spread}{mark}"

    def _split_of(self, row: Row) -> str:
        """The split of a figure; empty for other columns."""
        return self.split or (row.runs[0].id_split if self.kind == "id" else "")

    def phrase(self, row: Row) -> str:
        """Name, value and unit, for a line of text: ``OOD hans f1 45.8 ± 0.3 %``, ``2 seeds``."""
        text = self.text(row)
        if self.kind == "n":
            return f"{text} seed{'s' if text != '1' else ''}"
        if self.kind not in NUMERIC:
            return f"{self.heading} {text}"
        if self.kind == "sparsity":
            return f"{self.heading} {text}{suffix(PER_CENT)}"
        metric = "" if self.heading.endswith(f" {row.metric.name}") else f" {row.metric.name}"
        return f"{self.heading}{metric} {text}{suffix(row.metric.unit)}"


def columns(keys: Sequence[str], rows: Sequence[Row]) -> list[Column]:
    """All columns of these rows. The heading of a setting is the shortest end of its key that is not ``use`` and not
    another heading."""
    metrics = list(dict.fromkeys(row.metric for row in rows))
    one = metrics[0] if len(metrics) == 1 else None
    of, after = ("", "") if one is None else (f" {one.name}", heading("", one.unit, one.better))
    fixed = [Column("stage", "stage", "stage")]
    fixed += [Column("run", "run", "run")] if not all(row.is_finished for row in rows) else []
    fixed += [Column("metric", "metric", "metric")] if len(metrics) > 1 else []
    fixed.append(Column("sparsity", "sparsity", "sparsity", after=" %"))
    if any(row.statistic("id") is not None for row in rows):
        fixed.append(Column("id", f"ID{of}", "id", after=after))
    for kind, before in (("also", ""), ("ood", "OOD ")):
        splits = dict.fromkeys(split for row in rows for split in row.splits(kind))
        fixed += [Column(f"{kind}.{split}", f"{before}{split}{of}", kind, split, after) for split in splits]
    fixed.append(Column("n", "n", "n"))
    shown = [key for key in keys if any(key in row.values for row in rows)]
    used = {column.heading for column in fixed}
    return [Column(key, _heading(key, shown, used), "setting") for key in shown] + fixed


def words(column: Column, among: Sequence[Column]) -> list[str]:
    """Names that a user may give for a column, the usual first: ``OOD`` for the only OOD split, else ``hans``."""
    if not column.split:
        return ["ID", column.heading] if column.kind == "id" else [column.heading, column.key]
    before = "OOD " if column.kind == "ood" else ""
    names = [column.split, column.heading, column.key, f"{before}{column.split}"]
    only = before and sum(each.kind == "ood" for each in among) == 1
    return ["OOD", *names] if only else names


def ordered(rows: Sequence[Row], by: str, among: Sequence[Column]) -> list[Row]:
    """The rows sorted by a column; ``-`` before its name means descending. Rows without a value come last.

    Raises:
        UsageError: There is no such column; lists the columns and the nearest one.
    """
    descending = by.startswith("-")
    column = _sorted_by(by, among)

    def place(row: Row) -> tuple[Any, ...]:
        value = column.value(row)
        return rank(value.mean if isinstance(value, Statistic) else value)

    there = [row for row in rows if column.value(row) is not None]
    return sorted(there, key=place, reverse=descending) + [row for row in rows if column.value(row) is None]


def sort_key(by: str | None, among: Sequence[Column]) -> set[str]:
    """The key of the column that a user sorts by, as a set; empty for None."""
    return set() if by is None else {_sorted_by(by, among).key}


def _sorted_by(by: str, among: Sequence[Column]) -> Column:
    name = by.removeprefix("-")
    called = [(column, words(column, among)) for column in among]
    names = {word.lower(): column for column, every in reversed(called) for word in every}
    column = names.get(name.lower()) if name else None
    if column is None:
        offered = choices_text(nearest(name.lower(), names), (every[0] for _, every in called))
        raise UsageError(f"--sort {by}: no column is named {shorten(name)}{offered}")
    return column


def _heading(key: str, keys: Sequence[str], used: set[str]) -> str:
    parts = key.split(".")
    for length in range(1, len(parts)):
        short = ".".join(parts[-length:])
        if short not in (*used, "use") and not any(each.endswith(f".{short}") for each in keys if each != key):
            return short
    return key

"""Rows of a file, read so that whatever is wrong with one has a file and a row number."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from srf_datasets.text_file import Enough, TextFile
from srframework import DataError, did_you_mean, nearest

FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
"""Format by the ending of a file's name."""

_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_OWN = {"tsv": "\t", "csv": ","}


class MissingColumn(DataError):
    """A file has no such column; ``column`` says which, ``near`` the most similar one."""

    def __init__(self, message: str, column: str, near: str | None) -> None:
        self.column, self.near = column, near
        super().__init__(message + did_you_mean(near))


@dataclass
class RowFile:
    """A file of rows: an unquoted TSV or a quoted CSV, each with a header; or JSON lines.

    In a TSV a double quote is text (GLUE). A byte-order mark and CRLF are removed. Cells are
    stripped of space around them.

    Attributes:
        path: The file.
        format: ``"tsv"``, ``"csv"`` or ``"jsonl"``.
        columns: The columns that are wanted.
        encoding: A text encoding that Python knows.
        has_format: Whether the data set has an option ``format``, which messages may name.
        at_most: Bytes after which no further row is read; None for all.
        short: Rows with fewer cells than the header, skipped until now.
        complete: Whether the rows were read to the end.
        notes: Sentences on what is odd, and does no harm.
    """

    path: str
    format: str
    columns: tuple[str, ...]
    encoding: str = "utf-8"
    has_format: bool = True
    at_most: int | None = None
    short: int = field(default=0, init=False)
    complete: bool = field(default=False, init=False)
    notes: list[str] = field(default_factory=list, init=False)

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Row number in the file (from 1, the header included), and the wanted cells.

        Raises:
            DataError: The file cannot be read, is empty, lacks a column, or a row is malformed.
        """
        rows = self._objects() if self.format == "jsonl" else self._cells()
        self._header = False
        empty = True
        try:
            for item in rows:
                empty = False
                yield item
        except Enough:
            return
        self.complete = True
        if empty and not self.short:
            wanted = ", ".join(self.columns)
            if self._header:
                raise DataError(f"{self.path}: expected rows of {wanted}; the file has a header but no rows")
            raise DataError(f"{self.path}: expected rows of {wanted}, got an empty file")

    @cached_property
    def _file(self) -> TextFile:
        return TextFile(self.path, self.encoding, self.format, self.at_most)

    # -- tables --------------------------------------------------------------------------------

    def _cells(self) -> Iterator[tuple[int, dict[str, str]]]:
        header: list[str] | None = None
        places: dict[str, int] = {}
        for number, cells in self.table():
            if header is None:
                header = [cell.strip() for cell in cells]
                self._check_header(number, header)
                places = {column: self._place(number, header, column) for column in self.columns}
            elif len(cells) < len(header):
                self.short += 1
            elif len(cells) > len(header):
                raise self._file.error(number, f"expected {len(header)} columns, got {len(cells)}")
            else:
                yield number, {column: cells[place].strip() for column, place in places.items()}

    def table(self) -> Iterator[tuple[int, list[str]]]:
        """The cells of a TSV or CSV as they are, the header's first."""
        return self._quoted() if self.format == "csv" else self._unquoted()

    def _unquoted(self) -> Iterator[tuple[int, list[str]]]:
        for number, line in self._file.lines():
            line = line.rstrip("\r\n")
            if number == 1 and "\r" in line:
                raise self._file.error(1, "expected lines that end in LF or CRLF, got CR alone; convert the file")
            yield number, line.split("\t")

    def _quoted(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader((line for _, line in self._file.lines()), strict=True)
        start = 1
        try:
            for cells in reader:
                yield start, cells
                start = reader.line_num + 1
        except csv.Error as error:
            reason = str(error)
            if "field larger" in reason:
                reason = f"a cell of more than {csv.field_size_limit()} characters; is a quote not closed?"
            elif "new-line character" in reason:
                reason = "a line that ends in CR alone; convert the file to LF or CRLF"
            elif "unexpected end" in reason:
                reason += "; a quote is not closed"
            raise self._file.error(start, f"expected quoted CSV: {reason}") from error

    def _check_header(self, number: int, header: Sequence[str]) -> None:
        self._header = True
        if not self._has_all(header) and (hint := self._other_format(header)):
            raise self._file.error(number, hint)
        twice = {name: count for name, count in Counter(header).items() if count > 1 and name}
        for column in self.columns:
            if column in twice:
                at = ", ".join(str(place) for place, name in enumerate(header, 1) if name == column)
                raise self._file.error(number, f"expected one column {column!r}, got {twice[column]} (columns {at})")
        if twice:
            self.notes.append(f"{self.path}: row {number}: duplicate columns, not used: {listed(list(twice))}")

    def _has_all(self, header: Sequence[str]) -> bool:
        return set(self.columns) <= set(header)

    def _other_format(self, header: Sequence[str]) -> str | None:
        """What a header says that is a single cell, since other characters separate its columns."""
        own = _OWN[self.format]
        line = own.join(header).strip()
        if line.startswith("{"):
            return self._set_format("jsonl", "columns", "a JSON object")
        for separator, name in _SEPARATORS.items():
            parts = {part.strip().strip('"') for part in line.split(separator)}
            if separator != own and len(parts) > 1 and (len(header) == 1 or parts & set(self.columns)):
                format_ = next((each for each, its in _OWN.items() if its == separator), None)
                return self._set_format(format_, f"columns separated by {_SEPARATORS[own]}", name)
        return None

    def _set_format(self, format_: str | None, expected: str, got: str) -> str:
        if format_ is not None and self.has_format:
            return f'expected {expected}, got {got}; set format = "{format_}"'
        return f"expected {expected}, got {got}; convert the file"

    # -- JSON ----------------------------------------------------------------------------------

    def parsed(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """JSON lines as they are, with all their columns; blank ones are skipped as short."""
        first = True
        for number, line in self._file.lines():
            if not line.strip():
                self.short += 1
                continue
            try:
                row = _DECODER.decode(line.strip())
            except (ValueError, RecursionError) as error:
                raise self._file.error(
                    number, f"expected a JSON object: {self._not_json(line, error, first)}"
                ) from error
            if not isinstance(row, dict):
                of_objects = isinstance(row, list) and any(isinstance(each, dict) for each in row)
                array = "; write one object in each line, not an array of objects" if of_objects else ""
                got = "null" if row is None else type(row).__name__
                raise self._file.error(number, f"expected a JSON object, got {got}{array}")
            if isinstance(row, _Ambiguous) and (column := next((c for c in self.columns if c in row.twice), None)):
                raise self._file.error(number, f"expected one column {column!r}, got several of that name")
            first = False
            yield number, row

    def _not_json(self, line: str, error: Exception, first: bool) -> str:
        if isinstance(error, RecursionError):
            return "nested too deeply"
        if "Exceeds the limit" in str(error):
            return "a number with too many digits"
        reason = str(error) if len(str(error)) < 200 else f"{str(error)[:199]}…"
        if first and line.lstrip()[:1] not in ("{", "["):
            for separator, name in (("\t", "tsv"), (",", "csv")):
                parts = {part.strip().strip('"') for part in line.split(separator)}
                if len(parts) > 1 and parts & set(self.columns) and self.has_format:
                    return f'{reason}; its columns are separated by {_SEPARATORS[separator]}: set format = "{name}"'
        if first and line.strip() in ("[", "{"):
            return f"{reason}; expected one object in each line"
        return reason

    def _objects(self) -> Iterator[tuple[int, dict[str, str]]]:
        for number, row in self.parsed():
            for column in self.columns:
                self._place(number, list(row), column)
            yield number, {column: self._text(number, column, row[column]) for column in self.columns}

    def _text(self, number: int, column: str, value: Any) -> str:
        if isinstance(value, dict | list):
            raise self._file.error(number, f"expected a text or a number in {column!r}, got {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._file.error(number, f"expected a text or a finite number in {column!r}, got a number too large")
        text = "" if value is None else str(value).strip()
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self._file.error(number, f"expected text in {column!r}, got half of a surrogate pair") from error
        return text

    # -- errors --------------------------------------------------------------------------------

    def _place(self, number: int, header: list[str], column: str) -> int:
        if column in header:
            return header.index(column)
        short = [name for name in header[:1000] if len(name) < 100]
        near = next((name for name in short if name.casefold() == column.casefold()), nearest(column, short))
        raise MissingColumn(
            f"{self.path}: row {number}: expected a column {column!r}, got {listed(header) or 'none'}", column, near
        )


class _Ambiguous(dict[str, Any]):
    """A JSON object with a key that is there twice."""

    twice: frozenset[str] = frozenset()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) == len(pairs):
        return table
    found = _Ambiguous(table)
    found.twice = frozenset(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for a message: printable, none long, and not too many."""
    shown = [name if name.isprintable() else repr(name)[1:-1] for name in names[:most]]
    cut = [name if len(name) <= 60 else f"{name[:59]}…" for name in shown]
    return ", ".join(cut) + (f" and {len(names) - most} more" if len(names) > most else "")


def columns_of(path: str, kind: str, encoding: str = "utf-8", has_format: bool = True) -> tuple[str, ...]:
    """The columns that a file has: its header, or, for JSON lines, those of its first row; none where it is empty.

    Raises:
        DataError: The file cannot be read, or that row is malformed.
    """
    rows = RowFile(path, kind, (), encoding, has_format)
    for _, row in rows.parsed() if kind == "jsonl" else rows.table():
        return tuple(row) if isinstance(row, dict) else tuple(cell.strip() for cell in row)
    return ()


def format_of(path: str) -> str | None:
    """The format that the file's name tells; None where it tells none."""
    return FORMATS.get(Path(path).suffix.lower())

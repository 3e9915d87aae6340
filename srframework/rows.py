"""Rows of a text file. Every error names the file and the row. Imports no heavy library."""

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

from srframework.errors import DataError, MissingColumn
from srframework.text import listed, nearest
from srframework.text_file import Enough, TextFile

FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
"""Extension of a file's name -> its format."""

_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_OWN = {"tsv": "\t", "csv": ","}


@dataclass
class RowFile:
    """A file of rows, to iterate over: an unquoted TSV or a quoted CSV, each with a header; or JSON lines.

    In a TSV a double quote is text (GLUE). A byte-order mark, CRLF, and spaces around cells are removed. Rows with
    fewer cells than the header are skipped::

        rows = RowFile("train.tsv", "tsv", ("text", "label"))
        for number, row in rows:
            if row["label"] not in LABELS:
                raise rows.error(number, f"expected a label ({', '.join(LABELS)}), got {row['label']!r}")

    Attributes:
        path: The file.
        format: ``"tsv"``, ``"csv"`` or ``"jsonl"``.
        columns: The columns to read; every row must have them.
        encoding: A text encoding that Python knows.
        has_format: Whether the data set has an option ``format``, which messages may name.
        distinct: Columns with different meanings: the suggestion for a missing one is never another of them.
        at_most: Number of bytes after which no further row is read; None for all.
        short: Number of rows skipped so far because they have fewer cells than the header.
        complete: Whether the rows were read to the end.
        notes: Sentences about irregularities that are not errors, such as duplicate columns.
    """

    path: str
    format: str
    columns: tuple[str, ...]
    encoding: str = "utf-8"
    has_format: bool = False
    at_most: int | None = None
    distinct: tuple[str, ...] = ()
    short: int = field(default=0, init=False)
    complete: bool = field(default=False, init=False)
    notes: list[str] = field(default_factory=list, init=False)

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the number of each row, from 1 with the header counted, and its cells by column.

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
                raise DataError(f"{self.path}: expected rows with {wanted}; the file has a header but no rows")
            raise DataError(f"{self.path}: expected rows with {wanted}, got an empty file")

    def header(self) -> tuple[str, ...]:
        """Return all columns of the file: its header or, for JSON lines, the keys of its first row; empty without one.

        Raises:
            DataError: The file cannot be read, or that row is malformed.
        """
        for _, row in self.parsed() if self.format == "jsonl" else self.table():
            return tuple(row) if isinstance(row, dict) else tuple(cell.strip() for cell in row)
        return ()

    def error(self, number: int, message: str) -> DataError:
        """Return an error that names the file and the row ``number``."""
        return self._file.error(number, message)

    @staticmethod
    def format_of(path: str) -> str | None:
        """Return the format by the extension of a file's name, such as ``.tsv``; None for other extensions."""
        return FORMATS.get(Path(path).suffix.lower())

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
                raise self.error(number, f"expected {len(header)} columns, got {len(cells)}")
            else:
                yield number, {column: cells[place].strip() for column, place in places.items()}

    def table(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number and the cells of each row of a TSV or CSV, unchanged; the header first."""
        return self._quoted() if self.format == "csv" else self._unquoted()

    def _unquoted(self) -> Iterator[tuple[int, list[str]]]:
        for number, line in self._file.lines():
            line = line.rstrip("\r\n")
            if number == 1 and "\r" in line:
                raise self.error(1, "expected lines that end in LF or CRLF, got CR alone; convert the file")
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
            raise self.error(start, f"expected quoted CSV: {reason}") from error

    def _check_header(self, number: int, header: Sequence[str]) -> None:
        self._header = True
        if not self._has_all(header) and (hint := self._other_format(header)):
            raise self.error(number, hint)
        twice = {name: count for name, count in Counter(header).items() if count > 1 and name}
        for column in self.columns:
            if column in twice:
                at = ", ".join(str(place) for place, name in enumerate(header, 1) if name == column)
                raise self.error(number, f"expected one column {column!r}, got {twice[column]} (columns {at})")
        if twice:
            self.notes.append(f"{self.path}: row {number}: duplicate columns, not used: {listed(twice, 20)}")

    def _has_all(self, header: Sequence[str]) -> bool:
        return set(self.columns) <= set(header)

    def _other_format(self, header: Sequence[str]) -> str | None:
        """Return a hint if other characters seem to separate the columns of the header."""
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
        """Yield the number and the object of each JSON line, with all its columns; blank lines count as short."""
        first = True
        for number, line in self._file.lines():
            if not line.strip():
                self.short += 1
                continue
            try:
                row = _DECODER.decode(line.strip())
            except (ValueError, RecursionError) as error:
                raise self.error(number, f"expected a JSON object: {self._not_json(line, error, first)}") from error
            if not isinstance(row, dict):
                of_objects = isinstance(row, list) and any(isinstance(each, dict) for each in row)
                array = "; write one object in each line, not an array of objects" if of_objects else ""
                got = "null" if row is None else type(row).__name__
                raise self.error(number, f"expected a JSON object, got {got}{array}")
            if isinstance(row, _Ambiguous) and (column := next((c for c in self.columns if c in row.twice), None)):
                raise self.error(number, f"expected one column {column!r}, got several of that name")
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
            raise self.error(number, f"expected a text or a number in {column!r}, got {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.error(number, f"expected a text or a finite number in {column!r}, got a number too large")
        text = "" if value is None else str(value).strip()
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self.error(number, f"expected text in {column!r}, got half of a surrogate pair") from error
        return text

    # -- errors --------------------------------------------------------------------------------

    def _place(self, number: int, header: list[str], column: str) -> int:
        if column in header:
            return header.index(column)
        others = self.distinct if column in self.distinct else ()
        short = [name for name in header[:1000] if len(name) < 100 and name not in others]
        near = next((name for name in short if name.casefold() == column.casefold()), nearest(column, short))
        raise MissingColumn(
            f"{self.path}: row {number}: expected a column {column!r}, got {listed(header, 20) or 'none'}", column, near
        )


class _Ambiguous(dict[str, Any]):
    """A JSON object that has a key twice."""

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

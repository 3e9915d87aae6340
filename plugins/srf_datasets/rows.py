"""Rows of a file, read so that whatever is wrong with one has a file and a row number."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srframework import DataError, nearest

FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
"""Format by the ending of a file's name."""


@dataclass
class RowFile:
    """A file of rows: an unquoted TSV or a quoted CSV, each with a header; or JSON lines.

    In a TSV a double quote is text (GLUE). A byte-order mark and CRLF are taken off. Cells are
    stripped of space around them.

    Attributes:
        path: The file.
        format: ``"tsv"``, ``"csv"`` or ``"jsonl"``.
        columns: The columns that are wanted.
        short: Rows with fewer cells than the header, skipped until now.
    """

    path: str
    format: str
    columns: tuple[str, ...]
    short: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Row number in the file (from 1, the header included), and the wanted cells.

        Raises:
            DataError: The file cannot be read, is empty, lacks a column, or a row is malformed.
        """
        rows = self._objects() if self.format == "jsonl" else self._cells()
        empty = True
        for item in rows:
            empty = False
            yield item
        if empty and not self.short:
            raise DataError(f"{self.path}: expected rows of {', '.join(self.columns)}, got an empty file")

    def _lines(self) -> Iterator[tuple[int, str]]:
        try:
            with open(self.path, "rb") as file:
                for number, raw in enumerate(file, 1):
                    try:
                        yield number, (raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw).decode("utf-8")
                    except UnicodeDecodeError as error:
                        byte = error.object[error.start]
                        raise self._error(number, f"expected UTF-8 text, got the byte 0x{byte:02x}") from error
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _cells(self) -> Iterator[tuple[int, dict[str, str]]]:
        header: list[str] | None = None
        places: dict[str, int] = {}
        for number, cells in self.table():
            if header is None:
                header = [cell.strip() for cell in cells]
                places = {column: self._place(number, header, column) for column in self.columns}
            elif len(cells) < len(header):
                self.short += 1
            elif len(cells) > len(header):
                raise self._error(number, f"expected {len(header)} columns, got {len(cells)}")
            else:
                yield number, {column: cells[place].strip() for column, place in places.items()}

    def table(self) -> Iterator[tuple[int, list[str]]]:
        """The cells of a TSV or CSV as they are, the header's first."""
        return self._quoted() if self.format == "csv" else self._unquoted()

    def _unquoted(self) -> Iterator[tuple[int, list[str]]]:
        for number, line in self._lines():
            yield number, line.rstrip("\r\n").split("\t")

    def _quoted(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader((line for _, line in self._lines()), strict=True)
        start = 1
        try:
            for cells in reader:
                yield start, cells
                start = reader.line_num + 1
        except csv.Error as error:
            raise self._error(start, f"expected quoted CSV: {error}") from error

    def parsed(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """JSON lines as they are, with all their columns; blank ones are skipped as short."""
        for number, line in self._lines():
            if not line.strip():
                self.short += 1
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise self._error(number, f"expected a JSON object: {error}") from error
            if not isinstance(row, dict):
                raise self._error(number, f"expected a JSON object, got {type(row).__name__}")
            yield number, row

    def _objects(self) -> Iterator[tuple[int, dict[str, str]]]:
        for number, row in self.parsed():
            for column in self.columns:
                self._place(number, list(row), column)
            yield number, {column: self._text(number, column, row[column]) for column in self.columns}

    def _text(self, number: int, column: str, value: Any) -> str:
        if isinstance(value, dict | list):
            raise self._error(number, f"expected a text or a number in {column!r}, got {type(value).__name__}")
        text = "" if value is None else str(value).strip()
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self._error(number, f"expected text in {column!r}, got half of a surrogate pair") from error
        return text

    def _place(self, number: int, header: list[str], column: str) -> int:
        if column in header:
            return header.index(column)
        near = nearest(column, header)
        hint = f"; did you mean {near!r}?" if near else ""
        raise self._error(number, f"expected a column {column!r}, got {', '.join(header) or 'none'}{hint}")

    def _error(self, number: int, message: str) -> DataError:
        return DataError(f"{self.path}: row {number}: {message}")


def columns_of(path: str, kind: str) -> tuple[str, ...]:
    """The columns that a file has: its header, or, for JSON lines, those of its first row; none where it is empty.

    Raises:
        DataError: The file cannot be read, or that row is malformed.
    """
    rows = RowFile(path, kind, ())
    for _, row in rows.parsed() if kind == "jsonl" else rows.table():
        return tuple(row) if isinstance(row, dict) else tuple(cell.strip() for cell in row)
    return ()


def format_of(path: str) -> str | None:
    """The format that the file's name tells; None where it tells none."""
    return FORMATS.get(Path(path).suffix.lower())

"""Rows of a file, read so that whatever is wrong with one has a file and a row number."""

from __future__ import annotations

import codecs
import csv
import errno
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from srframework import DataError, did_you_mean, nearest

FORMATS = {".tsv": "tsv", ".txt": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".json": "jsonl"}
"""Format by the ending of a file's name."""

LONGEST = 1 << 24
"""Bytes of the longest row that is read: a file without line ends must not fill the memory."""

_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_OWN = {"tsv": "\t", "csv": ","}
_CHUNK = 1 << 16

_MAGIC = (
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"PK\x03\x04", "a zip archive or an Excel file (.xlsx); unpack it, or save it as text"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls); save it as text"),
    (b"PAR1", "a parquet file; name its directory with hub instead"),
    (b"ARROW1", "an Arrow file; name its directory with hub instead"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF file"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
)
"""How files of other kinds begin."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NO_TEXT = ("idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem")
"""Python's encodings in which no file of text is written."""


class MissingColumn(DataError):
    """A file has no such column; ``column`` says which, ``near`` the most similar one."""

    def __init__(self, message: str, column: str, near: str | None) -> None:
        self.column, self.near = column, near
        super().__init__(message + did_you_mean(near))


class _Enough(Exception):
    """As many bytes are read as were wanted."""


@dataclass
class RowFile:
    """A file of rows: an unquoted TSV or a quoted CSV, each with a header; or JSON lines.

    In a TSV a double quote is text (GLUE). A byte-order mark and CRLF are taken off. Cells are
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
        except _Enough:
            return
        self.complete = True
        if empty and not self.short:
            wanted = ", ".join(self.columns)
            if self._header:
                raise DataError(f"{self.path}: expected rows of {wanted}; the file has a header but no rows")
            raise DataError(f"{self.path}: expected rows of {wanted}, got an empty file")

    # -- lines ---------------------------------------------------------------------------------

    def _lines(self) -> Iterator[tuple[int, str]]:
        read = 0
        with opened(self.path) as file:
            try:
                self._check_kind(file)
                lines = self._by_line(file) if _is_ascii_like(self.encoding) else self._by_chunk(file)
                for number, size, line in lines:
                    yield number, line.removeprefix("\ufeff") if number == 1 else line
                    read += size
                    if self.at_most is not None and read >= self.at_most:
                        raise _Enough
            except OSError as error:
                raise DataError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _by_line(self, file: BinaryIO) -> Iterator[tuple[int, int, str]]:
        number = 0
        while raw := file.readline(LONGEST + 1):
            number += 1
            if len(raw) > LONGEST:
                raise self._too_long(number)
            try:
                line = raw.decode(self.encoding)
            except UnicodeDecodeError as error:
                raise self._undecodable(number, error) from error
            yield number, len(raw), self._without_surrogates(number, line)

    def _by_chunk(self, file: BinaryIO) -> Iterator[tuple[int, int, str]]:
        """Of an encoding in which a line feed is no single byte, such as UTF-16."""
        decoder = codecs.getincrementaldecoder(self.encoding)()
        number, rest, chunk = 1, "", b"more"
        while chunk:
            chunk, state = file.read(_CHUNK), decoder.getstate()
            try:
                text = decoder.decode(chunk, not chunk)
            except UnicodeError as error:
                at = number
                if isinstance(error, UnicodeDecodeError):
                    decoder.setstate(state)
                    good = decoder.decode(chunk[: max(0, error.start - (len(error.object) - len(chunk)))])
                    at += good.count("\n")
                raise self._undecodable(at, error) from error
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                yield number, len(line), self._without_surrogates(number, f"{line}\n")
                number += 1
            if len(rest) > LONGEST:
                raise self._too_long(number)
        if rest:
            yield number, len(rest), self._without_surrogates(number, rest)

    def _check_kind(self, file: BinaryIO) -> None:
        """Refuse what is no text in the encoding, by the first bytes."""
        head = file.read(512)
        file.seek(0)
        mark = next((name for bytes_, name in _BYTE_ORDER_MARKS if head.startswith(bytes_)), None)
        if mark is not None and not codecs.lookup(self.encoding).name.startswith(mark):
            expected = f"expected {self._encoding_name} text, got the byte 0x{head[0]:02x} of a byte-order mark of "
            raise self._error(1, f'{expected}{mark.upper()}; set encoding = "{mark}"')
        for magic, what in _MAGIC:
            if head.startswith(magic):
                raise DataError(f"{self.path}: expected a text file ({self.format}), got {what}")
        start = head.lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
            raise DataError(f"{self.path}: expected a text file ({self.format}), got an HTML or XML page")
        if _is_ascii_like(self.encoding) and (line := head.partition(b"\n")[0]).count(b"\0") * 3 > len(line) > 3:
            order = "le" if head[1:2] == b"\0" else "be"
            expected = f"expected {self._encoding_name} text, got NUL bytes, as UTF-16 has"
            raise self._error(1, f'{expected}; set encoding = "utf-16-{order}"')

    def _undecodable(self, number: int, error: UnicodeError) -> DataError:
        got = str(error)
        if isinstance(error, UnicodeDecodeError):
            got = f"the byte 0x{error.object[error.start]:02x}" if error.start < len(error.object) else error.reason
        other = "latin-1" if self._encoding_name == "UTF-8" else "utf-8"
        hint = f'if the file is in another encoding, name it, for example encoding = "{other}"'
        return self._error(number, f"expected {self._encoding_name} text, got {got}; {hint}")

    def _without_surrogates(self, number: int, line: str) -> str:
        if self._encoding_name != "UTF-8":
            try:
                line.encode()
            except UnicodeEncodeError as error:
                raise self._error(number, "expected text, got half of a surrogate pair") from error
        return line

    @property
    def _encoding_name(self) -> str:
        name = codecs.lookup(self.encoding).name
        return "UTF-8" if name in ("utf-8", "utf-8-sig") else name

    def _too_long(self, number: int) -> DataError:
        return self._error(number, f"expected at most {LONGEST >> 20} MiB in a row, got more; are there line ends?")

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
                raise self._error(number, f"expected {len(header)} columns, got {len(cells)}")
            else:
                yield number, {column: cells[place].strip() for column, place in places.items()}

    def table(self) -> Iterator[tuple[int, list[str]]]:
        """The cells of a TSV or CSV as they are, the header's first."""
        return self._quoted() if self.format == "csv" else self._unquoted()

    def _unquoted(self) -> Iterator[tuple[int, list[str]]]:
        for number, line in self._lines():
            line = line.rstrip("\r\n")
            if number == 1 and "\r" in line:
                raise self._error(1, "expected lines that end in LF or CRLF, got CR alone; convert the file")
            yield number, line.split("\t")

    def _quoted(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader((line for _, line in self._lines()), strict=True)
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
            raise self._error(start, f"expected quoted CSV: {reason}") from error

    def _check_header(self, number: int, header: Sequence[str]) -> None:
        self._header = True
        if not self._has_all(header) and (hint := self._other_format(header)):
            raise self._error(number, hint)
        twice = {name: count for name, count in Counter(header).items() if count > 1 and name}
        for column in self.columns:
            if column in twice:
                at = ", ".join(str(place) for place, name in enumerate(header, 1) if name == column)
                raise self._error(number, f"expected one column {column!r}, got {twice[column]} (columns {at})")
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
        for number, line in self._lines():
            if not line.strip():
                self.short += 1
                continue
            try:
                row = _DECODER.decode(line.strip())
            except (ValueError, RecursionError) as error:
                raise self._error(number, f"expected a JSON object: {self._not_json(line, error, first)}") from error
            if not isinstance(row, dict):
                of_objects = isinstance(row, list) and any(isinstance(each, dict) for each in row)
                array = "; write one object in each line, not an array of objects" if of_objects else ""
                got = "null" if row is None else type(row).__name__
                raise self._error(number, f"expected a JSON object, got {got}{array}")
            if isinstance(row, _Ambiguous) and (column := next((c for c in self.columns if c in row.twice), None)):
                raise self._error(number, f"expected one column {column!r}, got several of that name")
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
            raise self._error(number, f"expected a text or a number in {column!r}, got {type(value).__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(number, f"expected a text or a finite number in {column!r}, got a number too large")
        text = "" if value is None else str(value).strip()
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise self._error(number, f"expected text in {column!r}, got half of a surrogate pair") from error
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

    def _error(self, number: int, message: str) -> DataError:
        return DataError(f"{self.path}: row {number}: {message}")


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


def opened(path: str | Path) -> BinaryIO:
    """A file, open to be read; anything but a regular file is refused, and never waited for.

    Raises:
        DataError: It is no file, or cannot be read.
    """
    try:
        _check_regular(path, os.stat(path).st_mode)
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _check_regular(path, os.fstat(handle).st_mode)
        except DataError:
            os.close(handle)
            raise
        return os.fdopen(handle, "rb")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _check_regular(path: str | Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise DataError(f"{path}: cannot be read: {os.strerror(errno.EISDIR)}")
    if not stat.S_ISREG(mode):
        kind = "a FIFO" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
        raise DataError(f"{path}: cannot be read: expected a regular file, got {kind}")


@cache
def _is_ascii_like(encoding: str) -> bool:
    """Whether a line feed, and every other character of ASCII, is the one byte that it is in ASCII."""
    plain = "".join(map(chr, [9, 10, 13, *range(32, 127)]))
    try:
        return plain.encode().decode(encoding) == plain
    except UnicodeError:
        return False


def check_encoding(name: str) -> str:
    """The name of a text encoding, as it is.

    Raises:
        ValueError: Python knows no such encoding.
    """
    expected = 'a text encoding that Python knows, such as "utf-8", "latin-1", "cp1252" or "utf-16"'
    try:
        known = codecs.lookup(name)
        "a".encode(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(expected) from error
    if known.name in _NO_TEXT:
        raise ValueError(expected)
    return name


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

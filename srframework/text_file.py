"""Lines of a text file. A file that is not text is refused with a sentence that says what it is."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, BinaryIO

from pydantic import AfterValidator

from srframework.errors import DataError

LONGEST = 1 << 24
"""Bytes of the longest row that is read: a file without line ends must not fill the memory."""

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


class Enough(Exception):
    """The requested number of bytes has been read."""


@dataclass(frozen=True)
class TextFile:
    """A file of text, a row in each line.

    Attributes:
        path: The file.
        encoding: A text encoding that Python knows.
        format: What the rows are in, for messages.
        at_most: Bytes after which no further line is read; None for all.
    """

    path: str
    encoding: str
    format: str
    at_most: int | None = None

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield the number, from 1, and the text of each line, with its line end and without a byte-order mark.

        Raises:
            DataError: The file cannot be read, or is no text in the encoding.
            Enough: The requested number of bytes has been read.
        """
        read = 0
        with open_input(self.path) as file:
            try:
                self._check_kind(file)
                lines = self._by_line(file) if _is_ascii_like(self.encoding) else self._by_chunk(file)
                for number, size, line in lines:
                    yield number, line.removeprefix("\ufeff") if number == 1 else line
                    read += size
                    if self.at_most is not None and read >= self.at_most:
                        raise Enough
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
        """Read an encoding in which a line feed has several bytes, such as UTF-16."""
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
            raise self.error(1, f'{expected}{mark.upper()}; set encoding = "{mark}"')
        for magic, what in _MAGIC:
            if head.startswith(magic):
                raise DataError(f"{self.path}: expected a text file ({self.format}), got {what}")
        start = head.lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
            raise DataError(f"{self.path}: expected a text file ({self.format}), got an HTML or XML page")
        if _is_ascii_like(self.encoding) and (line := head.partition(b"\n")[0]).count(b"\0") * 3 > len(line) > 3:
            order = "le" if head[1:2] == b"\0" else "be"
            expected = f"expected {self._encoding_name} text, got NUL bytes, as UTF-16 has"
            raise self.error(1, f'{expected}; set encoding = "utf-16-{order}"')

    def _undecodable(self, number: int, error: UnicodeError) -> DataError:
        got = str(error)
        if isinstance(error, UnicodeDecodeError):
            got = f"the byte 0x{error.object[error.start]:02x}" if error.start < len(error.object) else error.reason
        other = "latin-1" if self._encoding_name == "UTF-8" else "utf-8"
        hint = f'if the file is in another encoding, name it, for example encoding = "{other}"'
        return self.error(number, f"expected {self._encoding_name} text, got {got}; {hint}")

    def _without_surrogates(self, number: int, line: str) -> str:
        if self._encoding_name != "UTF-8":
            try:
                line.encode()
            except UnicodeEncodeError as error:
                raise self.error(number, "expected text, got half of a surrogate pair") from error
        return line

    @property
    def _encoding_name(self) -> str:
        name = codecs.lookup(self.encoding).name
        return "UTF-8" if name in ("utf-8", "utf-8-sig") else name

    def _too_long(self, number: int) -> DataError:
        return self.error(number, f"expected at most {LONGEST >> 20} MiB in a row, got more; are there line ends?")

    def error(self, number: int, message: str) -> DataError:
        """An error of a line."""
        return DataError(f"{self.path}: row {number}: {message}")


def open_input(path: str | Path) -> BinaryIO:
    """Open an input file to read its bytes; never blocks. A pipe, a device or a directory is refused.

    Raises:
        DataError: It is not a regular file, or cannot be read.
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
    """Whether the encoding writes every ASCII character as the same single byte as ASCII."""
    plain = "".join(map(chr, [9, 10, 13, *range(32, 127)]))
    try:
        return plain.encode().decode(encoding) == plain
    except UnicodeError:
        return False


def check_encoding(name: str) -> str:
    """Return the name of a text encoding, unchanged.

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


Encoding = Annotated[str, AfterValidator(check_encoding)]
"""Type of an option that names a text encoding that Python knows: ``"utf-8"``, ``"latin-1"``."""

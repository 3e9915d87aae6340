"""Checks the first row of a fastText file of word vectors, without NumPy, for `validate`."""

from __future__ import annotations

import codecs
import os
from typing import BinaryIO

from srframework import DataError, open_input

LONGEST = 1 << 24
"""Bytes of the longest row that is read."""


def read_head(file: BinaryIO, path: str) -> tuple[int, int]:
    """Read the number of words and the number of dimensions from the first row of a file.

    Raises:
        DataError: The header is not valid, or claims more data than the file has.
    """
    raw = file.readline(LONGEST + 1)
    kind = next((name for magic, name in _MAGIC if raw.startswith(magic)), None)
    if kind is not None:
        raise DataError(f"{path}: expected a .vec text file of fastText, got {kind}")
    try:
        first = raw.removeprefix(codecs.BOM_UTF8).decode().rstrip(" \r\n")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path}: row 1: expected UTF-8 text, got the byte 0x{byte:02x}") from error
    counts = first.split()
    is_head = len(counts) == 2 and all(each.isascii() and each.isdigit() for each in counts)
    if not is_head or not counts[1].strip("0"):
        got = first if len(first) <= 40 else first[:39] + "…"
        raise DataError(f"{path}: row 1: expected the number of words and the number of dimensions, got {got!r}")
    size = os.fstat(file.fileno()).st_size
    words, dimensions = (int(each) if len(each) < 19 else 10**18 for each in counts)
    needed = len(raw) + max(words, 1) * 2 * dimensions  # at least one space and one digit for each number
    if words > size or dimensions > size or needed > size:
        raise DataError(
            f"{path}: row 1: expected numbers that fit the file ({size} bytes), "
            f"got {counts[0][:20]} words of {counts[1][:20]} dimensions"
        )
    return words, dimensions


_MAGIC = (
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\xba\x16\x4f\x2f", "a binary model of fastText (.bin)"),
)


def check_vectors(path: str) -> str | None:
    """Check the first row of a file of word vectors; return the error message, or None."""
    try:
        with open_input(path) as file:
            read_head(file, path)
    except DataError as error:
        return str(error)
    return None

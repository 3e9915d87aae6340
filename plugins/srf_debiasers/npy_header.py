"""Checks the header of a .npy file before memory is allocated; without NumPy, for `validate`."""

from __future__ import annotations

import ast
import errno
import os
import re
import stat
from dataclasses import dataclass
from math import prod
from typing import BinaryIO

from srframework import DataError

_MAGIC = b"\x93NUMPY"
_LONGEST = 10_000
"""Maximum length of a header in bytes, as in NumPy."""

_NUMBER = re.compile(r"[<>|=]?([biuf])(\d{1,2})")
"""The type of plain numbers or bools, in the notation of NumPy."""


@dataclass(frozen=True)
class Header:
    """A header of a .npy file that matches the size of the file.

    Attributes:
        shape: Shape of the array.
        kind: Kind of its numbers: ``"b"``, ``"i"``, ``"u"`` or ``"f"``.
    """

    shape: tuple[int, ...]
    kind: str


def opened(path: str) -> BinaryIO:
    """Open a regular file for reading; a FIFO or device is refused without blocking.

    Raises:
        DataError: The path is not a regular file, or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise DataError(f"{path}: cannot be read: expected a regular file, got a FIFO, a socket or a device")
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        return os.fdopen(handle, "rb")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_header(file: BinaryIO, path: str) -> Header:
    """Read and check the header of a file, and return to the start of the file.

    Raises:
        DataError: The header is damaged, its type is not plain numbers, or its size is not that of the file.
    """

    def refuse(message: str) -> DataError:
        return DataError(f"{path}: expected rows of numbers, which cannot be read: {message}")

    size = os.fstat(file.fileno()).st_size
    start = file.read(12)
    if not start.startswith(_MAGIC):
        raise refuse("it is not a .npy file")
    if len(start) < 12 or start[6] not in (1, 2, 3):
        raise refuse("its header is damaged or has an unknown version")
    wide = start[6] > 1
    length = int.from_bytes(start[8:12] if wide else start[8:10], "little")
    data = (12 if wide else 10) + length
    if length > _LONGEST or data > size:
        raise refuse(f"its header claims a length of {length} bytes")
    file.seek(12 if wide else 10)
    try:
        fields = ast.literal_eval(file.read(length).decode("utf-8" if start[6] == 3 else "latin-1").strip())
        shape, type_ = fields["shape"], fields["descr"]
        is_shape = isinstance(shape, tuple) and all(type(each) is int and each >= 0 for each in shape)
        if set(fields) != {"shape", "descr", "fortran_order"} or not is_shape:
            raise ValueError("its header is damaged")
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise refuse("its header is damaged") from error
    number = _NUMBER.fullmatch(type_) if isinstance(type_, str) else None
    if number is None:
        objects = "Object arrays cannot be loaded: " if "O" in str(type_) else ""
        raise refuse(f"{objects}expected plain numbers, got the type {str(type_)[:60]!r}")
    claimed = prod(shape) * int(number[2])
    if claimed != size - data:
        shown = f"{shape}" if len(str(shape)) < 100 else f"{len(shape)} dimensions"
        raise refuse(f"its header claims {shown}, {_bytes(claimed)} bytes of numbers; the file has {size - data}")
    file.seek(0)
    return Header(shape, number[1])


def _bytes(count: int) -> str:
    return str(count) if count < 10**30 else "too many"


def check_header(path: str) -> str | None:
    """Check the header of a .npy file; return the error message, or None."""
    try:
        with opened(path) as file:
            read_header(file, path)
    except DataError as error:
        return str(error)
    return None

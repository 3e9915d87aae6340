"""The header of a .npy file, checked before anything that it claims is allocated; light, for `validate`."""

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
"""Bytes of the longest header that is read, as in NumPy."""

_NUMBER = re.compile(r"[<>|=]?([biuf])(\d{1,2})")
"""A plain number or truth value, as NumPy writes its type."""


@dataclass(frozen=True)
class Header:
    """What a .npy file claims, which fits its size.

    Attributes:
        shape: Of the array.
        kind: ``"b"``, ``"i"``, ``"u"`` or ``"f"``.
    """

    shape: tuple[int, ...]
    kind: str


def opened(path: str) -> BinaryIO:
    """A file, open to be read; anything but a regular file is refused, and never waited for.

    Raises:
        DataError: It is no file, or cannot be read.
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
    """Read the header of a file that was just opened, and go back to its start.

    Raises:
        DataError: It is damaged, is of no plain numbers, or claims another size than the file has.
    """

    def refuse(message: str) -> DataError:
        return DataError(f"{path}: expected rows of numbers, which cannot be read: {message}")

    size = os.fstat(file.fileno()).st_size
    start = file.read(12)
    if not start.startswith(_MAGIC):
        raise refuse("it is no .npy file")
    if len(start) < 12 or start[6] not in (1, 2, 3):
        raise refuse("its header is damaged, or of an unknown version")
    wide = start[6] > 1
    length = int.from_bytes(start[8:12] if wide else start[8:10], "little")
    data = (12 if wide else 10) + length
    if length > _LONGEST or data > size:
        raise refuse(f"its header claims {length} bytes")
    file.seek(12 if wide else 10)
    try:
        said = ast.literal_eval(file.read(length).decode("utf-8" if start[6] == 3 else "latin-1").strip())
        shape, type_ = said["shape"], said["descr"]
        is_shape = isinstance(shape, tuple) and all(type(each) is int and each >= 0 for each in shape)
        if set(said) != {"shape", "descr", "fortran_order"} or not is_shape:
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
    """What is wrong with the header of a .npy file; None for nothing."""
    try:
        with opened(path) as file:
            read_header(file, path)
    except DataError as error:
        return str(error)
    return None

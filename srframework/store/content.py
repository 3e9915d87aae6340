"""The files of an entry or a draft: which count, their checksums, and whether they are as they were written."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import NoReturn

from srframework.errors import NoFile
from srframework.hashing import sha256

FILES = "files"
SCRATCH = "checkpoints"
"""What a stage keeps in ``files/`` only while it works: this directory, and whatever begins with a dot."""


class Damaged(Exception):
    """An entry is not as it was written; the message says which file, what was expected, what is there."""


Look = tuple[int, int, int]
"""Size, time of the last change, and number of a file: it need not be read again while these are the same."""

_TICK = 50_000_000
"""Nanoseconds; within these a file may change without its time of the last change telling."""


@dataclass(frozen=True)
class Sum:
    """Size and SHA-256 of a file, as it was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Sum:
        """Of what is in a file now.

        Raises:
            OSError: It cannot be read.
        """
        return cls(path.stat().st_size, sha256(path))


def compare(path: Path, expected: Sum) -> None:
    """See that a file is as it was written.

    Raises:
        Damaged: It is not.
        OSError: It cannot be read, which is no damage to it.
    """
    if not is_file(path):
        raise Damaged(f"{path}: expected a file of {expected.bytes} bytes, got something else")
    if (size := path.stat().st_size) != expected.bytes:
        raise Damaged(f"{path}: expected {expected.bytes} bytes, got {size}")
    try:
        found = sha256(path)
    except OSError as error:
        if is_damage(error):
            raise Damaged(f"{path}: expected {expected.bytes} bytes, got: {error.strerror}") from error
        raise
    if found != expected.sha256:
        raise Damaged(f"{path}: expected SHA-256 {expected.sha256[:12]}, got {found[:12]}")


def is_damage(error: OSError) -> bool:
    """Whether what cannot be read is lost; not where this process may not, or has not the means to."""
    return isinstance(error, NoFile) or error.errno in (errno.EIO, errno.ELOOP, errno.ENXIO, errno.EISDIR)


def is_file(path: Path) -> bool:
    """Whether it is a regular file, and no link to one."""
    return S_ISREG(path.lstat().st_mode)


def is_directory(path: Path) -> bool:
    """Whether it is a directory, and no link to one."""
    return S_ISDIR(path.lstat().st_mode)


def content(files: Path) -> Iterator[Path]:
    """Every file and directory under ``files`` that is no scratch, in a fixed order."""
    for folder, folders, names in os.walk(files, onerror=_raise):
        folders[:] = sorted(each for each in folders if not is_scratch(Path(folder, each), files))
        paths = (Path(folder, each) for each in sorted([*folders, *names]))
        yield from (path for path in paths if not is_scratch(path, files))


def _raise(error: OSError) -> NoReturn:
    raise error


def is_scratch(path: Path, files: Path) -> bool:
    """Whether ``path``, below ``files``, is of no use once the stage is done."""
    return path.name.startswith(".") or path == files / SCRATCH


def look(path: Path) -> Look:
    """How a file looks now."""
    stat = path.lstat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def is_settled(found: Look) -> bool:
    """Whether a later change of a file would show in how it looks: not where it was changed just now."""
    return time.time_ns() - found[1] > _TICK

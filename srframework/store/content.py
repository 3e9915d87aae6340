"""Files of an entry or a draft: which files count, their checksums, and checks for damage."""

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
"""Directory in ``files/`` that exists only while a stage runs. Names that begin with a dot are scratch too."""

POINTS = "points"
"""A directory in an entry or a draft. Damage to one of its subdirectories does not affect the others."""

BASE = "base"
"""A directory in an entry, or in one of its points: hard links to weights of another entry."""


class Damaged(Exception):
    """An entry was changed after it was written. The message names the file, the expected and the actual content."""


Look = tuple[int, int, int]
"""Size, modification time (ns) and inode of a file. While these stay the same, the file need not be read again."""

_TICK = 50_000_000
"""Nanoseconds. A second change within this time may leave the modification time as it was."""


@dataclass(frozen=True)
class Sum:
    """Size in bytes and SHA-256 of a file when it was written."""

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Sum:
        """Compute both from the current content of a file.

        Raises:
            OSError: The file cannot be read.
        """
        return cls(path.stat().st_size, sha256(path))


def compare(path: Path, expected: Sum) -> None:
    """Check that a file is unchanged since it was written.

    Raises:
        Damaged: The file was changed.
        OSError: The file cannot be read for a reason other than damage.
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
    """Whether a read error means that the file is lost. Missing permissions or resources do not mean that."""
    return isinstance(error, NoFile) or error.errno in (errno.EIO, errno.ELOOP, errno.ENXIO, errno.EISDIR)


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file and not a link."""
    return S_ISREG(path.lstat().st_mode)


def is_directory(path: Path) -> bool:
    """Whether ``path`` is a directory and not a link."""
    return S_ISDIR(path.lstat().st_mode)


def content(files: Path) -> Iterator[Path]:
    """Yield every file and directory under ``files`` except scratch, in a fixed order."""
    for folder, folders, names in os.walk(files, onerror=_raise):
        folders[:] = sorted(each for each in folders if not is_scratch(Path(folder, each), files))
        paths = (Path(folder, each) for each in sorted([*folders, *names]))
        yield from (path for path in paths if not is_scratch(path, files))


def _raise(error: OSError) -> NoReturn:
    raise error


def is_scratch(path: Path, files: Path) -> bool:
    """Whether ``path``, below ``files``, is useless once the stage is complete."""
    return path.name.startswith(".") or path == files / SCRATCH


def is_base(name: str) -> bool:
    """Whether a file of an entry, by its path in ``files/``, is a link to weights of another entry."""
    parts = name.split("/")
    return (parts[2:] if parts[0] == POINTS else parts)[:1] == [BASE]


def look(path: Path) -> Look:
    """Return the current state of a file."""
    stat = path.lstat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def is_settled(found: Look) -> bool:
    """Whether a later change of the file would change its state. This is not certain for a very recent file."""
    return time.time_ns() - found[1] > _TICK

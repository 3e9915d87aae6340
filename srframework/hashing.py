"""SHA-256 of JSON values, of files and of directories, in hexadecimal."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from srframework.files import open_file


def digest(document: Any) -> str:
    """Return the SHA-256 of a JSON value, independent of the order of its keys."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sha256(path: Path) -> str:
    """Return the hash of the current content of a file.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_SETTLED = 2 * 10**9
"""Nanoseconds after which a second write changes the time of a file on every file system."""

_cached: dict[str, tuple[tuple[int, ...], str]] = {}
"""Path -> stat fields and hash of the file; it is not read again while the stat fields stay the same."""


def file_digest(path: str | Path) -> str:
    """Return the hash of an input file. The file is read again only if its size or times changed, so this does not
    detect damage; :func:`sha256` does.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    place = os.path.realpath(path)
    handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # do not wait for a FIFO
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"expected a regular file, got another kind: {path}")
        stats = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if (before := _cached.get(place)) is not None and before[0] == stats:
            return before[1]
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(handle)
    unchanged = stats == (after.st_dev, after.st_ino, after.st_size, after.st_mtime_ns, after.st_ctime_ns)
    if unchanged and time.time_ns() - max(stats[3], stats[4]) > _SETTLED:
        _cached[place] = stats, digest
    return digest


def directory_digest(path: str | Path) -> str:
    """Return the hash of the names and the content of all files in a directory.

    Raises:
        OSError: A file cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    sha = hashlib.sha256()
    for folder, folders, names in _walked(path, refuse):
        inside = os.path.relpath(folder, path)
        for name in folders:
            sha.update(f"{os.path.join(inside, name)}/\n".encode("utf-8", "surrogateescape"))
        for name in names:
            digest = file_digest(os.path.join(folder, name))
            sha.update(f"{os.path.join(inside, name)}\0{digest}\n".encode("utf-8", "surrogateescape"))
    return sha.hexdigest()


def _walked(path: str | Path, refuse: Callable[[OSError], None]) -> Iterable[tuple[str, list[str], list[str]]]:
    seen: set[str] = set()
    for folder, folders, names in os.walk(path, onerror=refuse, followlinks=True):
        folders.sort()
        yield folder, list(folders), sorted(names)
        seen.add(os.path.realpath(folder))
        folders[:] = [each for each in folders if os.path.realpath(os.path.join(folder, each)) not in seen]

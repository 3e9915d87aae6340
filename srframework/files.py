"""Files that are whole or not there: written under a temporary name, brought to the disk, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)
"""What a file system says that cannot link: another device, none of its kind, too many of one file."""


_TEMPORARY = ".srframework-"
"""How the names of all temporary files and directories begin."""


def is_temporary(path: Path) -> bool:
    """Whether it is something that a process has not brought to its name, or never will, since it was killed."""
    return path.name.startswith(_TEMPORARY)


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, which becomes ``path`` if the block ends well; power may fail at any time."""
    handle, name = tempfile.mkstemp(prefix=f"{_TEMPORARY}{path.name[:100]}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """A temporary directory beside ``path``, which becomes ``path`` if the block ends well; power may fail at any
    time."""
    temporary = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{path.name[:100]}.", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        sync_tree(temporary)
        os.rename(temporary, path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; a file that says so already is left as it is."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == text.encode():
            return
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no fsync of directories
            raise
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Bring a directory and everything in it to the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                sync(file)
        sync(Path(folder))


def link_tree(source: Path, target: Path) -> None:
    """Have every file of ``source`` in ``target`` too; see :func:`link_file`.

    Args:
        source: A directory.
        target: Made where it is not there; files in it that ``source`` does not have stay.
    """
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            link_file(Path(folder, name), place / name)


def link_file(source: Path, target: Path) -> None:
    """Have one file at two paths: hard-linked, or copied where links are impossible; never half of it.

    A ``target`` that is the same file already is left as it is; any other is replaced.
    """
    if _same(source, target):
        return
    if not source.is_symlink() and _linked(source, target):
        return
    with atomic_file(target) as temporary:
        shutil.copyfile(source, temporary)


def _same(source: Path, target: Path) -> bool:
    try:
        return os.path.samestat(source.stat(), target.lstat())
    except FileNotFoundError:
        if not source.exists():
            raise
        return False


def _linked(source: Path, target: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix=f"{_TEMPORARY}{target.name[:100]}.", dir=target.parent) as folder:
        temporary = Path(folder, target.name)
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        os.replace(temporary, target)
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Atomic files: complete or absent. Each is written under a temporary name, synced to the disk, then renamed.

Reading never blocks and has a size limit: a path may name a pipe, a device, or a file that is far too large.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from srframework.errors import NoFile

_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES)
"""Errors of a file system that cannot link: other device, links not supported, too many links."""


_TEMPORARY = ".srframework-"
"""Prefix of the names of all temporary files and directories."""

MAX_BYTES = 64 << 20
"""Maximum size of a JSON or text file that is read, in bytes."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: Path | str) -> BufferedReader:
    """Open a regular file to read its bytes; never blocks.

    Raises:
        OSError: The file cannot be read, or is not a regular file; ``strerror`` says which.
    """
    _require_regular(os.stat(path), path)  # opening a device may have an effect
    file = open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")  # noqa: SIM115 -- the caller closes it
    try:
        _require_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def _require_regular(found: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise NoFile(f"it is {kind}, not a file", path)


def read_bytes(path: Path | str, most: int | None = MAX_BYTES) -> bytes:
    """Read a regular file of at most ``most`` bytes; None: of any size.

    Raises:
        OSError: The file cannot be read, is not a regular file, or is larger; ``strerror`` says which.
    """
    with open_file(path) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise NoFile(f"it is larger than {most} bytes", path)
        return file.read()


def read_text(path: Path | str, most: int = MAX_BYTES) -> str:
    """Read a UTF-8 file; see :func:`read_bytes`.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: The file is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8")


def read_json(path: Path | str, most: int = MAX_BYTES) -> Any:
    """Read the value in a JSON file.

    Raises:
        OSError: The file cannot be read; see :func:`read_bytes`.
        ValueError: It is not JSON, contains NaN or infinity, or is nested too deeply.
    """
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """Parse a JSON text.

    Raises:
        ValueError: It is not JSON, contains NaN or infinity, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def append(path: Path) -> int:
    """Open a file for appending, create it if it does not exist, and return its descriptor; never blocks.

    Raises:
        OSError: The file cannot be written, or is a pipe without a reader.
    """
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)


def _no_number(word: str) -> Any:
    raise ValueError(f"expected a finite number, got {word}")


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with its content; do nothing if the path does not exist."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def is_temporary(path: Path) -> bool:
    """Whether it is a temporary file or directory of a process that is writing it or was killed."""
    return path.name.startswith(_TEMPORARY)


@contextmanager
def atomic_file(path: Path, written: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` and rename it to ``path`` if the block succeeds; safe at a power failure.

    Args:
        path: Path of the file.
        written: Called with the temporary path after the sync to the disk, before the rename.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _set_usual_mode(temporary)
        sync(temporary)
        written(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, written: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """Yield a temporary directory beside ``path`` and rename it to ``path`` if the block succeeds; safe at a power
    failure. ``written``: as for :func:`atomic_file`."""
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for each in (folder, *(os.path.join(folder, name) for name in names)):
                _set_usual_mode(Path(each))
        sync_tree(temporary)
        written(temporary)
        os.rename(temporary, path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; a file that already has this content stays unchanged."""
    with contextlib.suppress(OSError):
        if read_bytes(path, len(text.encode())) == text.encode():
            return
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; refuse NaN and infinity."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return ``value`` as indented JSON; refuse NaN and infinity."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def sync(path: Path) -> None:
    """Sync a file, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # no fsync of directories
            raise
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Sync a directory and its content to the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                sync(file)
        sync(Path(folder))


def link_tree(source: Path, target: Path) -> None:
    """Link every file of ``source`` into ``target``; see :func:`link_file`.

    Args:
        source: A directory.
        target: Created if it does not exist; its other files stay.
    """
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            link_file(Path(folder, name), place / name)


def link_file(source: Path, target: Path) -> None:
    """Hard-link a file to a second path, atomically; copy it if links are not possible.

    A ``target`` that already is the same file stays; any other is replaced.
    """
    if _same(source, target):
        return
    if not source.is_symlink() and link_only(source, target):
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


def link_only(source: Path, target: Path) -> bool:
    """Hard-link a file to a second path, atomically; replace any other file there.

    Returns:
        False if links are not possible; then nothing was changed.
    """
    with tempfile.TemporaryDirectory(prefix=_prefix(target), dir=target.parent) as folder:
        temporary = Path(folder, target.name)
        try:
            os.link(source, temporary)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        os.replace(temporary, target)
    return True


def _prefix(path: Path) -> str:
    return f"{_TEMPORARY}{os.fsdecode(os.fsencode(path.name)[:100])}."


def _set_usual_mode(path: Path) -> None:
    """Set the usual mode of a new file or directory: ``tempfile``, and libraries that write temporary files, deny
    access to other users."""
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        os.chmod(path, mode & 0o7000 | 0o777 & ~umask())  # keep setgid and sticky bits
    elif stat.S_ISREG(mode):
        os.chmod(path, 0o666 & ~umask())


def umask() -> int:
    """Return the umask of this process."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    mask = os.umask(0)  # other threads see 0 for a moment, so this is the second choice
    os.umask(mask)
    return mask

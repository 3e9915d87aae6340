"""Files that are whole or not there: written under a temporary name, brought to the disk, then renamed.

Reading never waits and is bounded: what stands where a file is expected may be a pipe, a device, or far too large.
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
"""What a file system says that cannot link: another device, none of its kind, too many of one file."""


_TEMPORARY = ".srframework-"
"""How the names of all temporary files and directories begin."""

MOST = 64 << 20
"""Bytes of the largest JSON or text file that is read."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: Path | str) -> BufferedReader:
    """Open a regular file to read its bytes; never waits.

    Raises:
        OSError: It cannot be read, or is no regular file; ``strerror`` says which.
    """
    _require_regular(os.stat(path), path)  # a device may act on being opened
    file = open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")  # noqa: SIM115 -- the caller's
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


def read_bytes(path: Path | str, most: int | None = MOST) -> bytes:
    """What is in a regular file of at most so many bytes; None for any.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger; ``strerror`` says which.
    """
    with open_file(path) as file:
        if most is not None and os.fstat(file.fileno()).st_size > most:
            raise NoFile(f"it is larger than {most} bytes", path)
        return file.read()


def read_text(path: Path | str, most: int = MOST) -> str:
    """What is in a UTF-8 file; as :func:`read_bytes`.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bytes(path, most).decode("utf-8")


def read_json(path: Path | str, most: int = MOST) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: It cannot be read; see :func:`read_bytes`.
        ValueError: It is no JSON, has NaN or infinity in it, or is nested too deeply.
    """
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """The value that a text is in JSON.

    Raises:
        ValueError: It is no JSON, has NaN or infinity in it, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def append(path: Path) -> int:
    """Open a file to add to its end, made where there is none, and give its descriptor; never waits.

    Raises:
        OSError: It cannot be written, or is a pipe that nobody reads.
    """
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)


def _no_number(word: str) -> Any:
    raise ValueError(f"expected a finite number, got {word}")


def remove(path: Path) -> None:
    """Remove a file, a link, or a directory with all that is in it; nothing where there is none."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()


def is_temporary(path: Path) -> bool:
    """Whether it is something that a process has not brought to its name, or never will, since it was killed."""
    return path.name.startswith(_TEMPORARY)


@contextmanager
def atomic_file(path: Path, written: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """A temporary path beside ``path``, which becomes ``path`` if the block ends well; power may fail at any time.

    Args:
        path: Of the file.
        written: Called with the temporary path once all of it is on the disk, before it has its name.
    """
    handle, name = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _permit(temporary)
        sync(temporary)
        written(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path, written: Callable[[Path], None] = lambda _: None) -> Iterator[Path]:
    """A temporary directory beside ``path``, which becomes ``path`` if the block ends well; power may fail at any
    time. ``written``: as for :func:`atomic_file`."""
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
    try:
        yield temporary
        for folder, _, names in os.walk(temporary):
            for each in (folder, *(os.path.join(folder, name) for name in names)):
                _permit(Path(each))
        sync_tree(temporary)
        written(temporary)
        os.rename(temporary, path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically; a file that says so already is left as it is."""
    with contextlib.suppress(OSError):
        if read_bytes(path, len(text.encode())) == text.encode():
            return
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """``value`` as indented JSON; NaN and infinity are refused."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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


def _permit(path: Path) -> None:
    """Give a file or directory the mode that any program gives it: libraries that write temporary files, and
    ``tempfile`` itself, keep others out."""
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        os.chmod(path, mode & 0o7000 | 0o777 & ~umask())  # what a shared directory hands on to those in it stays
    elif stat.S_ISREG(mode):
        os.chmod(path, 0o666 & ~umask())


def umask() -> int:
    """The umask of this process."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return int(next(line for line in lines if line.startswith("Umask:")).split()[1], 8)
    mask = os.umask(0)  # for a moment another thread sees it
    os.umask(mask)
    return mask

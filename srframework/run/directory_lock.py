"""A directory in which one process at a time works: made, locked, and what the file system refuses there said."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from srframework.errors import FULL, SYSTEM_ERRORS, RunDirectoryError, UsageError, failed_operation
from srframework.files import open_file

LOCK = ".lock"

POLL_SECONDS = 1.0
"""Seconds after which a process that waits for a directory looks again what is in it."""


def make_directory(path: Path) -> None:
    """Make the directory.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: the directory cannot be made: {error.strerror}") from error


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """What the file system refuses in a run directory, or of what is linked to it, becomes a sentence."""
    try:
        yield
    except OSError as error:
        if error.errno not in SYSTEM_ERRORS:
            raise
        named = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes | os.PathLike) else None
        outside = named is not None and not named.absolute().is_relative_to(path.absolute())
        if outside and failed_operation(error, "read") == "read":
            raise RunDirectoryError(f"{named}: cannot be read: {error.strerror}") from error
        advice = "free some space, or choose" if error.errno in FULL else "choose"
        inside = f"{named}: " if named is not None and not outside and error.errno not in FULL else ""
        raise RunDirectoryError(
            f"run directory {path}: cannot be {failed_operation(error, 'written')}: {inside}{error.strerror}; the stages that were "
            f"computed are in the store; {advice} another directory with --out"
        ) from error


@contextmanager
def locked(
    path: Path, check: Callable[[], None], note: Callable[[str], None] = lambda _: None, leave: bool = True
) -> Iterator[None]:
    """Keep other processes from working in a directory, which is made; wait, and say so, where one does.

    Args:
        path: The directory.
        check: Called while another process works there, and with the lock: raises where the directory is by then
            of other work.
        note: Told of the waiting.
        leave: Whether the lock's file stays, by which others tell whether a process works there.

    Raises:
        UsageError: The directory cannot be made, or ``check`` refuses it.
        RunDirectoryError: It cannot be locked.
    """
    make_directory(path)
    lock = FileLock(path / LOCK)
    with sentences(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            check()
            note(f"waiting for another process that works in {path}")
            while not lock.is_locked:
                with contextlib.suppress(Timeout):
                    lock.acquire(timeout=POLL_SECONDS)
                if not lock.is_locked:
                    check()
    is_ours = False
    try:
        check()
        is_ours = True
        yield
    finally:
        if not (leave and is_ours):  # who waits for it finds that it has no name any more, and makes another
            with contextlib.suppress(OSError):
                (path / LOCK).unlink()
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process works in a directory; True where that cannot be told."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        with open_file(path / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False

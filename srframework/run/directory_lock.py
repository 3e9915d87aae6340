"""A directory for one process at a time: creates it, locks it, and turns errors of the file system into messages."""

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
"""Seconds between two checks of a directory while a process waits for its lock."""


def make_directory(path: Path) -> None:
    """Create the directory.

    Raises:
        UsageError: It cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {path}: the directory cannot be created: {error.strerror}") from error


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turn errors of the file system in a run directory, or in files linked to it, into :class:`RunDirectoryError`."""
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
        failed = f"cannot be {failed_operation(error, 'written')}: {inside}{error.strerror}"
        raise RunDirectoryError(
            f"run directory {path}: {failed}; the stages that were computed are in the store; "
            f"{advice} another directory with --out"
        ) from error


@contextmanager
def locked(
    path: Path, check: Callable[[], None], note: Callable[[str], None] = lambda _: None, leave: bool = True
) -> Iterator[None]:
    """Create and lock a directory; report and wait while another process has the lock.

    Args:
        path: The directory.
        check: Called repeatedly while waiting, and once with the lock; raises if the directory now belongs to
            another run.
        note: Receives a message before waiting.
        leave: Whether the lock file stays afterwards; :func:`is_locked` reads it.

    Raises:
        UsageError: The directory cannot be created, or ``check`` refuses it.
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
        if not (leave and is_ours):  # a waiting process finds that the file is gone, and creates a new one
            with contextlib.suppress(OSError):
                (path / LOCK).unlink()
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process has the lock of a directory; True if unknown."""
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

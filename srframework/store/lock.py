"""The lock of a store entry: one process at a time computes or removes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def try_lock(path: Path, touch: bool = True) -> Iterator[bool]:
    """Try to lock a file without waiting; yields whether it was free.

    The operating system releases the lock when its process ends.

    Args:
        path: The lock file.
        touch: Create a missing lock file. Without it, a missing file counts as free and nothing is locked.
    """
    from filelock import FileLock, Timeout

    if not touch and not path.exists():
        yield True
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()

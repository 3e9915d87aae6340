"""Where everything is in a store, and what is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from srframework.errors import FULL, SYSTEM_ERRORS, StoreError, failed_operation
from srframework.store import drafts, manifest
from srframework.store.content import FILES, Damaged
from srframework.store.drafts import Remains
from srframework.store.manifest import Entry

_KEY = re.compile("[0-9a-z]{4,128}")


class StorePaths:
    """A store as it is found; :class:`srframework.store.store.Store` computes into it.

    Args:
        root: The directory.
        note: Given sentences for the user: of damage, of waiting.
    """

    def __init__(self, root: Path, note: Callable[[str], None] = lambda _: None) -> None:
        self.root = root
        self.note = note

    def entries(self) -> Iterator[Entry]:
        """Every entry, by key; their content is not read. What has a damaged manifest is left out, and said."""
        for key, place in self.places():
            try:
                entry = manifest.read(place)
            except Damaged as damage:
                self.note(f"store {self.root}: {damage}")
                continue
            if entry is not None and entry.key == key:
                yield entry

    def foreign(self) -> Iterator[Remains]:
        """What other versions of srframework keep among the entries in another format, by key; left alone."""
        for key, place in self.places():
            if manifest.foreign(place):
                yield drafts.remains(place, key)

    def drafts(self) -> Iterator[Remains]:
        """What was begun and is not whole, by key; perhaps in the hands of a process that works on it."""
        for path in self._directories("work"):
            yield drafts.remains(path, path.name)

    def damaged(self) -> Iterator[Remains]:
        """What was set aside, by key, then by time."""
        for path in self._directories("damaged"):
            yield drafts.remains(path, path.name.split("-")[0])

    def place(self, key: str) -> Path:
        """Where the entry is, or would be."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"expected a key in hexadecimal, got {key!r}")
        return self.root / "entries" / key[:2] / key

    def draft(self, key: str) -> Path:
        """What ``compute`` is given while the entry is computed, for processes that compute it together."""
        return self.root / "work" / key / FILES

    def places(self) -> Iterator[tuple[str, Path]]:
        """Key and directory of whatever is among the entries, by key."""
        for shelf in self._directories("entries"):
            for path in _directories(shelf):
                if _KEY.fullmatch(path.name):
                    yield path.name, path

    @contextmanager
    def lock(self, key: str, touch: bool = True) -> Iterator[bool]:
        """Hold the lock of a key; whether it was free. ``touch``: make its file where there is none."""
        from filelock import FileLock, Timeout

        path = self.root / "locks" / f"{key}.lock"
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

    def writing(self) -> AbstractContextManager[None]:
        """What the disk refuses in the block is a :class:`StoreError`."""
        return self._sentences()

    @contextmanager
    def _sentences(self, done: str = "written") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in SYSTEM_ERRORS:
                raise
            raise self._sentence(error, failed_operation(error, done)) from error

    def _sentence(self, error: OSError, done: str = "written") -> StoreError:
        advice = "free some space, or choose another" if error.errno in FULL else "choose another"
        kept = "nothing that was computed before is lost; " if done == "written" else ""
        return StoreError(
            f"store {self.root}: cannot be {done}: {error.strerror}; {kept}{advice} with --store or $SRFRAMEWORK_STORE"
        )

    def _directories(self, name: str) -> list[Path]:
        with self._sentences("read"):
            return _directories(self.root / name)


def _directories(path: Path) -> list[Path]:
    """The directories in one, by name; not those in the middle of something, which have a dot in their names."""
    try:
        return sorted(each for each in path.iterdir() if "." not in each.name and each.is_dir())
    except FileNotFoundError:
        return []

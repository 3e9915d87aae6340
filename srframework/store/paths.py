"""Paths in a store, and lists of its entries, drafts and damaged entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from srframework.errors import FULL, SYSTEM_ERRORS, StoreError, failed_operation
from srframework.store import drafts, manifest
from srframework.store.content import FILES, Damaged
from srframework.store.drafts import Remains
from srframework.store.lock import try_lock
from srframework.store.manifest import Entry

_KEY = re.compile("[0-9a-z]{4,128}")


class StorePaths:
    """The content of a store; :class:`srframework.store.store.Store` adds results to it.

    Args:
        root: The directory of the store.
        note: Receives messages for the user, about damage and waiting.
    """

    def __init__(self, root: Path, note: Callable[[str], None] = lambda _: None) -> None:
        self.root = root
        self.note = note

    def entries(self) -> Iterator[Entry]:
        """Yield all entries in order of their keys, without a check of their content.

        Entries with a damaged manifest are reported and left out.
        """
        for key, place in self.places():
            try:
                entry = manifest.read(place)
            except Damaged as damage:
                self.note(f"store {self.root}: {damage}")
                continue
            if entry is not None and entry.key == key:
                yield entry

    def foreign(self) -> Iterator[Remains]:
        """Yield the entries of other versions of srframework, in order of their keys."""
        for key, place in self.places():
            if manifest.foreign(place):
                yield drafts.remains(place, key)

    def drafts(self) -> Iterator[Remains]:
        """Yield the drafts in order of their keys; a process may be writing to them."""
        for path in self._directories("work"):
            yield drafts.remains(path, path.name)

    def damaged(self) -> Iterator[Remains]:
        """Yield the damaged entries that were set aside, by key, then by time."""
        for path in self._directories("damaged"):
            yield drafts.remains(path, path.name.split("-")[0])

    def place(self, key: str) -> Path:
        """Return the directory of an entry, which may not exist."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"expected a key in hexadecimal, got {key!r}")
        return self.root / "entries" / key[:2] / key

    def draft(self, key: str) -> Path:
        """Return the directory that ``compute`` writes to, for processes that compute an entry together."""
        return self.root / "work" / key / FILES

    def places(self) -> Iterator[tuple[str, Path]]:
        """Yield key and directory of all entries, damaged and foreign ones included, in order of their keys."""
        for shelf in self._directories("entries"):
            for path in _directories(shelf):
                if _KEY.fullmatch(path.name):
                    yield path.name, path

    def lock(self, key: str, touch: bool = True) -> AbstractContextManager[bool]:
        """Try to lock a key; see :func:`srframework.store.lock.try_lock`."""
        return try_lock(self.root / "locks" / f"{key}.lock", touch)

    def writing(self) -> AbstractContextManager[None]:
        """Turn errors of the disk in the block into :class:`StoreError`."""
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
    """Return the directories in one, by name; a dot in the name marks an unfinished operation and is left out."""
    try:
        return sorted(each for each in path.iterdir() if "." not in each.name and each.is_dir())
    except FileNotFoundError:
        return []

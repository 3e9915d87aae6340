"""The stage store: computes each result once and keeps it under the hash of its inputs.

::

    STORE/
      entries/<key[:2]>/<key>/   complete results; see manifest.py
      users/<key[:2]>/<key>/     a file for each run that uses or waits for the entry: path of the run directory
      work/<key>/                an unfinished result; the next process resumes it
      locks/<key>.lock           locked while the result is computed; unlocked when the process ends
      damaged/<key>-<time>/      an entry that was damaged

A draft gets its manifest when it is complete; then it is renamed into ``entries/``. An entry that it replaces is
``<key>.old`` between two renames. If the process is killed between them, the next one restores the old entry.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from srframework.errors import FULL, SYSTEM_ERRORS, StoreError, error_of_rust, failed_operation
from srframework.files import remove, sync, write_text
from srframework.store import drafts, manifest
from srframework.store.content import FILES, Damaged, is_scratch
from srframework.store.drafts import Sums
from srframework.store.entry_users import user_record
from srframework.store.manifest import Entry
from srframework.store.paths import StorePaths

Facts = Mapping[str, Any]
Compute = Callable[[Path], object]

_ATTEMPTS = 3
"""Attempts to compute a result that is damaged as soon as it is complete."""


class Store(StorePaths):
    """The stage store in one directory.

    Args:
        root: The directory of the store; created by the first write.
        note: Receives messages for the user, about damage and waiting.
    """

    def get(self, key: str) -> Entry | None:
        """Return an intact entry, or None.

        A damaged entry is reported and set aside. The files are read once per process, and again if their size,
        modification time or inode changed.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._sentences("read"):
            try:
                found = manifest.check(self.place(key), key)
                if _old(self.place(key)).exists():
                    self._try_recover(key)
                return found
            except Damaged as damage:
                found_damage = damage
            try:
                with self.lock(key) as free:
                    # Without the lock, another process may be computing or removing it.
                    return self._checked(key) if free else None
            except OSError as error:
                if error.errno not in SYSTEM_ERRORS:
                    raise
            unused = "it is not used, but stays because the store cannot be written"
            self.note(f"store {self.root}: {found_damage}; {unused}")
            return None

    def get_or_compute(
        self,
        key: str,
        kind: str,
        what: str,
        identity: Facts,
        compute: Compute,
        enough: Callable[[Path], bool] = lambda _: True,
        users: Sequence[Path] = (),
        about: Mapping[str, str] | None = None,
    ) -> tuple[Entry, bool]:
        """Return an entry and whether it existed; compute a missing entry, in one process at a time.

        Args:
            key: SHA-256 of ``identity``, in hexadecimal.
            kind: trained, measured, taught, pretrained.
            what: Name for messages.
            identity: Everything that determines the result; JSON.
            compute: Writes the result into the given directory, which may contain files of a killed process.
                Afterwards ``checkpoints/`` and hidden files are removed. If it returns a
                :class:`srframework.store.drafts.Sums`, only the files recorded there belong to the entry.
            enough: Whether the files of an existing entry suffice. If not, the entry is computed again, and stays
                until the new one replaces it.
            users: The directories of the runs that need the entry; it stays as long as they use it.
            about: The recipe and stage of the call, for people.

        Raises:
            StoreError: The store cannot be written, or damages files. The draft stays, and the next call resumes it.
        """
        try:
            lock = self._acquired(key, what)
        except OSError as error:
            if error.errno not in (*SYSTEM_ERRORS, errno.ENOENT):  # no directory can be made under /proc
                raise
            if (entry := self.get(key)) is not None and enough(entry.files):
                return entry, True  # needs no lock: nobody can remove it from a read-only store
            raise self._sentence(error, failed_operation(error, "written")) from error
        with lock:
            with self._sentences():
                self.recover(key)
                for run in users:
                    self.use(key, run)
                entry = self._checked(key)
            if entry is not None and enough(entry.files):
                return entry, True
            if manifest.foreign(self.place(key)):
                raise StoreError(
                    f"store {self.root}: {self.place(key)} is of another version of srframework and stays unchanged; "
                    "choose another store with --store or $SRFRAMEWORK_STORE"
                )
            for _ in range(_ATTEMPTS):
                try:
                    return self._computed(key, kind, what, identity, compute, about), False
                except Damaged as damage:
                    found_damage = damage
                    self.note(f"store {self.root}: {damage}; the result is computed again")
            raise StoreError(
                f"store {self.root}: {found_damage}; {what} was computed {_ATTEMPTS} times, and its files were damaged "
                "each time: the disk or the memory may be faulty; choose another store with --store"
            )

    def _computed(
        self, key: str, kind: str, what: str, identity: Facts, compute: Compute, about: Mapping[str, str] | None
    ) -> Entry:
        """Compute a new entry; the caller has the lock.

        Raises:
            Damaged: A file was changed after it was written; no entry is made.
        """
        draft, place = self.root / "work" / key, self.place(key)
        with self._sentences():
            seconds = drafts.begin(draft, kind, what)
        started = time.monotonic()
        try:
            sums = self._compute(compute, self.draft(key))
        except BaseException:
            with contextlib.suppress(OSError):
                drafts.end(draft, kind, what, seconds + time.monotonic() - started)
            raise
        with self._sentences():
            spent = seconds + time.monotonic() - started
            drafts.end(draft, kind, what, spent)
            written = sums.all() if isinstance(sums, Sums) else None
            manifest.write(draft, key, kind, what, spent, identity, written, about)
            try:
                with self._sentences("read"):
                    manifest.check(draft, key, again=True, seen=sums.seen if isinstance(sums, Sums) else None)
            except Damaged:
                (draft / manifest.NAME).unlink()
                raise
            self._install(key)
            manifest.moved(draft, place)
            done = manifest.check(place, key)
            assert done is not None, "it was just renamed to there, under the lock"
            return done

    def use(self, key: str, run: Path) -> None:
        """Record that a run directory uses or waits for an entry; the caller has the lock.

        A store that cannot be written is left as it is.
        """
        path = str(run.resolve())
        record = user_record(self.root, key, path)
        with contextlib.suppress(OSError, UnicodeError):
            record.parent.mkdir(parents=True, exist_ok=True)
            _tidy(record.parent)
            write_text(record, path + "\n")

    def set_aside(self, key: str, damage: Damaged) -> None:
        """Move a damaged entry to ``damaged/`` and report it; the caller has the lock."""
        place = self._damaged(key)
        os.rename(self.place(key), place)
        sync(place.parent)
        self.note(f"store {self.root}: {damage}; it is set aside as {place} and is computed again when needed")

    def _acquired(self, key: str, what: str) -> AbstractContextManager[object]:
        """Lock a key; wait until no other process has the lock."""
        from filelock import FileLock, Timeout

        path = self.root / "locks" / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            self.note(f"waiting for another process that computes {what}")
            return lock.acquire()

    def _try_recover(self, key: str) -> None:
        """Call :meth:`recover`, unless another process has the lock or the store cannot be written."""
        with contextlib.suppress(OSError, StoreError), self.lock(key) as free:
            if free:
                self.recover(key)

    def _checked(self, key: str) -> Entry | None:
        """Return an intact entry or None, as :meth:`get` does; the caller has the lock."""
        try:
            with self._sentences("read"):
                return manifest.check(self.place(key), key)
        except Damaged as damage:
            self.set_aside(key, damage)
            return None

    def recover(self, key: str) -> None:
        """Finish what a killed process had begun: replace an entry, or install a draft. The caller has the lock."""
        place, draft = self.place(key), self.root / "work" / key
        old = _old(place)
        if old.exists():
            if place.exists():
                shutil.rmtree(old)
            else:
                os.rename(old, place)
                sync(place.parent)
        try:
            with self._sentences("read"):
                complete = manifest.check(draft, key) is not None
        except Damaged as damage:
            aside = self._damaged(key)
            os.rename(draft, aside)
            sync(aside.parent)
            self.note(f"store {self.root}: {damage}; it is set aside as {aside} and is computed again")
            return
        if complete:
            self._install(key)

    def _install(self, key: str) -> None:
        """Turn a complete draft into the entry; an older entry stays complete until the new one replaces it."""
        place, draft = self.place(key), self.root / "work" / key
        files = draft / FILES
        for folder, folders, names in os.walk(files):
            for each in [*folders, *names]:
                path = Path(folder, each)
                if is_scratch(path, files):
                    remove(path)
            folders[:] = [each for each in folders if Path(folder, each).exists()]
        for name in (drafts.NAME, drafts.SUMS):
            (draft / name).unlink(missing_ok=True)
        _tidy(draft)
        place.parent.mkdir(parents=True, exist_ok=True)
        old = _old(place)
        if place.exists():
            os.rename(place, old)
        os.rename(draft, place)
        for parent in (place.parent, place.parent.parent, self.root, draft.parent):
            sync(parent)
        if old.exists():
            shutil.rmtree(old)

    def _damaged(self, key: str) -> Path:
        """Return a new path in ``damaged/``."""
        parent = self.root / "damaged"
        parent.mkdir(parents=True, exist_ok=True)
        return parent / f"{key}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"

    def _compute(self, compute: Callable[[Path], object], files: Path) -> object:
        try:
            return compute(files)
        except OSError as error:
            inside = error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(self.root)
            # A write that fails names no file; only the store is written to here.
            if error.errno in SYSTEM_ERRORS and (inside or (error.filename is None and error.errno in FULL)):
                kept = inside and Path(os.fsdecode(error.filename)).is_relative_to(self.root / "entries")
                raise self._sentence(error, "read" if kept else "written") from error
            raise
        except Damaged:
            raise
        except Exception as error:
            refused = error_of_rust(error)
            if refused is not None and refused.errno in SYSTEM_ERRORS:
                raise self._sentence(refused) from error
            raise


def _tidy(folder: Path) -> None:
    """Remove the temporary files of killed processes."""
    for left in folder.glob(".*"):
        remove(left)


def _old(place: Path) -> Path:
    return place.with_name(f"{place.name}.old")

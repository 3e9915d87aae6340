"""The stage store: a result is kept under the hash of what determines it, and is computed once.

::

    STORE/
      entries/<key[:2]>/<key>/   whole results; see manifest.py
      users/<key[:2]>/<key>/     a file for each run that uses it, or waits for it: the run's directory
      work/<key>/                a draft: what was written so far; a killed process's is gone on with
      locks/<key>.lock           held while the result is computed; free again when its holder dies
      damaged/<key>-<time>/      what was not as it had been written

A draft has no manifest until it is complete; then it is renamed into ``entries/``. Where it replaces an
entry, that one is ``<key>.old`` for the moment between two renames, and is put back should the process die there.
"""

from __future__ import annotations

import contextlib
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

_ATTEMPTS = 3
"""How often a result is computed that is no longer what was written when it is complete."""


class Store(StorePaths):
    """The stage store in one directory.

    Args:
        root: The directory; made when there is something to write.
        note: Given sentences for the user: of damage, of waiting.
    """

    def get(self, key: str) -> Entry | None:
        """The entry, seen to be whole; None where there is none.

        A damaged one is set aside, and the user told. The files are read once per process, unless
        they look otherwise by then (size, time, inode).

        Raises:
            StoreError: The store cannot be read.
        """
        with self._sentences("read"):
            try:
                found = manifest.check(self.place(key), key)
                if _old(self.place(key)).exists():
                    self._put_right(key)
                return found
            except Damaged as damage:
                said = damage
            try:
                with self.lock(key) as free:
                    # Without the lock it may be in the hands of somebody who just computes or removes it.
                    return self._checked(key) if free else None
            except OSError as error:
                if error.errno not in SYSTEM_ERRORS:
                    raise
            self.note(f"store {self.root}: {said}; it is not used, and stays because the store cannot be written")
            return None

    def get_or_compute(
        self,
        key: str,
        kind: str,
        what: str,
        identity: Mapping[str, Any],
        compute: Callable[[Path], object],
        enough: Callable[[Path], bool] = lambda _: True,
        users: Sequence[Path] = (),
        about: Mapping[str, str] | None = None,
    ) -> tuple[Entry, bool]:
        """The entry, and whether it was there already; computed where it was not, by one process at a time.

        Args:
            key: SHA-256 of what determines the result, in hexadecimal.
            kind: trained, measured, taught.
            what: What a person calls it.
            identity: What the key was made of; JSON.
            compute: Writes the result into the directory that it is given. What a killed process left is
                there; files whose names begin with a dot, and all in ``checkpoints/``, are removed at the end.
                Where it gives a :class:`srframework.store.drafts.Sums`, what is kept is what that says was written;
                where it gives anything else, what is there at the end.
            enough: Whether an entry's files hold what is wanted. One that does not is computed again,
                and stays until the new one takes its place.
            users: The directories of the runs that ask for it; from here on it stays for them.
            about: The recipe and stage that ask for it, for people.

        Raises:
            StoreError: The store cannot be written, or does not keep what is written. What was computed stays, and
                is gone on with.
        """
        try:
            lock = self._acquired(key, what)
        except OSError as error:
            if error.errno not in SYSTEM_ERRORS:
                raise
            if (entry := self.get(key)) is not None and enough(entry.files):
                return entry, True  # of a store that cannot be written, where nobody removes anything either
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
                    f"store {self.root}: {self.place(key)} is of another version of srframework, and is left alone; "
                    "choose another store with --store or $SRFRAMEWORK_STORE"
                )
            for _ in range(_ATTEMPTS):
                try:
                    return self._computed(key, kind, what, identity, compute, about), False
                except Damaged as damage:
                    said = damage
                    self.note(f"store {self.root}: {said}; it is computed again")
            raise StoreError(
                f"store {self.root}: {said}; {what} was computed {_ATTEMPTS} times, and each time what is read is not "
                "what was written: the disk or the memory may be faulty; choose another store with --store"
            )

    def _computed(
        self,
        key: str,
        kind: str,
        what: str,
        identity: Mapping[str, Any],
        compute: Callable[[Path], object],
        about: Mapping[str, str] | None,
    ) -> Entry:
        """A new entry; the caller holds the lock.

        Raises:
            Damaged: What was written is no longer what it was; nothing of that is an entry.
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
        """Record that a run directory uses an entry, or waits for it, as far as the store can be written; the caller
        holds the lock of the key."""
        path = str(run.resolve())
        record = user_record(self.root, key, path)
        with contextlib.suppress(OSError, UnicodeError):
            record.parent.mkdir(parents=True, exist_ok=True)
            _tidy(record.parent)
            write_text(record, path + "\n")

    def set_aside(self, key: str, damage: Damaged) -> None:
        """Move a damaged entry out of the way, and say so; the caller holds its lock."""
        place = self._damaged(key)
        os.rename(self.place(key), place)
        sync(place.parent)
        self.note(f"store {self.root}: {damage}; it is set aside as {place}, and is computed again where it is needed")

    def _acquired(self, key: str, what: str) -> AbstractContextManager[object]:
        """The lock of a key, once no other process has it."""
        from filelock import FileLock, Timeout

        path = self.root / "locks" / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            return lock.acquire(blocking=False)
        except Timeout:
            self.note(f"waiting for another process that computes {what}")
            return lock.acquire()

    def _put_right(self, key: str) -> None:
        """Finish what a process was about when it died, unless one is about it now, or the store cannot be written."""
        with contextlib.suppress(OSError, StoreError), self.lock(key) as free:
            if free:
                self.recover(key)

    def _checked(self, key: str) -> Entry | None:
        """As :meth:`get`; the caller holds the lock."""
        try:
            with self._sentences("read"):
                return manifest.check(self.place(key), key)
        except Damaged as damage:
            self.set_aside(key, damage)
            return None

    def recover(self, key: str) -> None:
        """Finish what a process was about when it died; the caller holds the lock."""
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
            self.note(f"store {self.root}: {damage}; it is set aside as {aside}, and is computed again")
            return
        if complete:
            self._install(key)

    def _install(self, key: str) -> None:
        """Make a complete draft the entry, in the place of an older one; at every moment one of them is whole."""
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
        """A new place for what is damaged."""
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
    """Remove the files in it that a process that was killed had not brought to their names."""
    for left in folder.glob(".*"):
        remove(left)


def _old(place: Path) -> Path:
    return place.with_name(f"{place.name}.old")

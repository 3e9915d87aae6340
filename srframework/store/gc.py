"""Garbage collection: remove results that no run needs, by their age or by the size of the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from srframework.store import entry_users
from srframework.store.drafts import Remains
from srframework.store.manifest import Entry
from srframework.store.sharing import Sharing
from srframework.store.store import Store


@dataclass(frozen=True)
class Item:
    """Something in the store that may be removed.

    Attributes:
        state: entry, draft, damaged or foreign.
        key, kind, what: As for an entry.
        since: Time when it was completed or last changed.
        bytes: Size of its files.
        path: Its directory.
        why: Reason for its removal, or what needs it.
        runs: Directories of the runs that need it.
        entries: Keys of the entries that need it, because they refer to its weights.
    """

    state: str
    key: str
    kind: str
    what: str
    since: datetime
    bytes: int
    path: Path
    why: str = ""
    runs: tuple[Path, ...] = ()
    entries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collected:
    """Result of a garbage collection.

    Attributes:
        removed: Removed items, oldest first.
        kept: Items that are old enough or too large to keep, but in use; oldest first.
        bytes: Size of all remaining items; weights that several entries share count once.
    """

    removed: list[Item]
    kept: list[Item]
    bytes: int


def collect_garbage(
    store: Store, older_than: float | None = None, max_bytes: int | None = None, dry_run: bool = False
) -> Collected:
    """Remove old items, then the oldest of the others until the store is small enough.

    Items in use stay: entries of existing runs, entries to whose weights other remaining entries refer, drafts that a
    run waits for, and items that a process is computing.

    Args:
        store: The store.
        older_than: Remove items older than this, in seconds; None: remove none for its age.
        max_bytes: Remove items until all, including drafts and damaged entries, fit in this size; None: no limit.
        dry_run: Only report what would be removed.

    Raises:
        StoreError: The store cannot be written.
    """
    entries = {each.path: each for each in store.entries()}
    left = _Left(entries, [*_others(store)])
    removed: list[Item] = []
    kept: list[Item] = []
    todo = sorted([*map(_item, entries.values()), *left.others], key=_oldest)
    while todo:
        for item in todo:
            if why := _why(item, left.bytes, older_than, max_bytes):
                needed = _remove(store, item, left.dependents(item), dry_run)
                if needed is not None:
                    kept.append(needed)
                else:
                    removed.append(replace(item, why=why))
                    left.remove(item)
        todo = [item for item in kept if item.entries and not left.dependents(item)]  # these are free by now
        kept = [item for item in kept if item not in todo]
    if not dry_run:
        _sweep(store)
    return Collected(sorted(removed, key=_oldest), sorted(kept, key=_oldest), left.bytes)


class _Left:
    """Everything that is left in the store."""

    def __init__(self, entries: Mapping[Path, Entry], others: Sequence[Item]) -> None:
        self.others = others
        self._entries, self._sharing = entries, Sharing(entries.values())
        self._bytes = sum(item.bytes for item in others)

    @property
    def bytes(self) -> int:
        return self._sharing.bytes + self._bytes

    def dependents(self, item: Item) -> list[str]:
        entry = self._entries.get(item.path)
        return [] if entry is None else self._sharing.dependents(entry)

    def remove(self, item: Item) -> None:
        if (entry := self._entries.get(item.path)) is not None:
            self._sharing.remove(entry)
        else:
            self._bytes -= item.bytes


def _oldest(item: Item) -> tuple[datetime, str]:
    return item.since, item.key


def _why(item: Item, size: int, older_than: float | None, max_bytes: int | None) -> str:
    """Return why an item is to be removed if nothing needs it; empty if it stays."""
    if older_than is not None and (datetime.now(UTC) - item.since).total_seconds() > older_than:
        return "age"
    return "size" if max_bytes is not None and size > max_bytes else ""


def _item(entry: Entry) -> Item:
    return Item("entry", entry.key, entry.kind, entry.what, entry.created, entry.bytes, entry.path)


def _others(store: Store) -> Iterator[Item]:
    for state, remains in (("draft", store.drafts()), ("damaged", store.damaged()), ("foreign", store.foreign())):
        for some in remains:
            yield _remains(state, some)


def _remains(state: str, some: Remains) -> Item:
    return Item(state, some.key, some.kind, some.what, some.changed, some.bytes, some.path)


def _remove(store: Store, item: Item, dependents: Sequence[str], dry_run: bool) -> Item | None:
    """Remove an item and return None; if it is in use, return it with the reason.

    ``dependents``: the keys of the entries that refer to its weights.
    """
    with store.writing(), store.lock(item.key, touch=not dry_run) as free:
        if not free:
            return replace(item, why="another process is computing it")
        if item.state != "damaged" and (found := entry_users.users(store.root, item.key)):
            return replace(item, why=f"used by {', '.join(map(str, found))}", runs=tuple(found))
        if dependents:
            why = f"its weights are part of {', '.join(dependents)}"
            return replace(item, why=why, entries=tuple(dependents))
        if not dry_run and item.path.exists():
            # Renamed first, so that no incomplete entry stays in place.
            gone = item.path.with_name(f"{item.path.name}.gone")
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(item.path, gone)
            shutil.rmtree(gone)
            if not (store.place(item.key).exists() or store.draft(item.key).exists()):
                shutil.rmtree(entry_users.users_place(store.root, item.key), ignore_errors=True)
    return None


def _sweep(store: Store) -> None:
    """Finish the removals and replacements of entries that killed processes had begun."""
    with store.writing():
        for pattern in ("entries/*/*.gone", "work/*.gone", "damaged/*.gone"):
            for path in store.root.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        for path in store.root.glob("entries/*/*.old"):
            with store.lock(path.stem) as free:
                if free:
                    store.recover(path.stem)

"""Garbage collection: remove results that no run needs, by their age or by the size of the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from srframework.store import entry_users
from srframework.store.drafts import Remains
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


@dataclass(frozen=True)
class Collected:
    """Result of a garbage collection.

    Attributes:
        removed: Removed items, oldest first.
        kept: Items that are old enough or too large to keep, but in use; oldest first.
        bytes: Size of all remaining items.
    """

    removed: list[Item]
    kept: list[Item]
    bytes: int


def collect_garbage(
    store: Store, older_than: float | None = None, max_bytes: int | None = None, dry_run: bool = False
) -> Collected:
    """Remove old items, then the oldest of the others until the store is small enough.

    Items in use stay: entries of existing runs, drafts that a run waits for, and items that a process is computing.

    Args:
        store: The store.
        older_than: Remove items older than this, in seconds; None: remove none for its age.
        max_bytes: Remove items until all, including drafts and damaged entries, fit in this size; None: no limit.
        dry_run: Only report what would be removed.

    Raises:
        StoreError: The store cannot be written.
    """
    now = datetime.now(UTC)
    items = sorted(_items(store), key=lambda item: (item.since, item.key))
    size = sum(item.bytes for item in items)
    removed: list[Item] = []
    kept: list[Item] = []
    for item in items:
        age = (now - item.since).total_seconds()
        if older_than is not None and age > older_than:
            why = "age"
        elif max_bytes is not None and size > max_bytes:
            why = "size"
        else:
            continue
        if needed := _remove(store, item, dry_run):
            kept.append(needed)
        else:
            removed.append(replace(item, why=why))
            size -= item.bytes
    if not dry_run:
        _sweep(store)
    return Collected(removed, kept, size)


def _items(store: Store) -> Iterator[Item]:
    for each in store.entries():
        yield Item("entry", each.key, each.kind, each.what, each.created, each.bytes, each.path)
    for state, remains in (("draft", store.drafts()), ("damaged", store.damaged()), ("foreign", store.foreign())):
        for some in remains:
            yield _remains(state, some)


def _remains(state: str, some: Remains) -> Item:
    return Item(state, some.key, some.kind, some.what, some.changed, some.bytes, some.path)


def _remove(store: Store, item: Item, dry_run: bool) -> Item | None:
    """Remove an item and return None; if it is in use, return it with the reason."""
    with store.writing(), store.lock(item.key, touch=not dry_run) as free:
        if not free:
            return replace(item, why="another process is computing it")
        if item.state != "damaged" and (found := entry_users.users(store.root, item.key)):
            return replace(item, why=f"used by {', '.join(map(str, found))}", runs=tuple(found))
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

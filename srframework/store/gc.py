"""Garbage collection: what no run needs is removed from the store, by its age or by the size of the store."""

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
        key, kind, what: Of what it is, or was to be.
        since: When it was whole, or was last written to.
        bytes: Of its files.
        path: Its directory.
        why: Why it was removed, or who needs it.
        runs: The directories of the runs that need it.
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
    """What was removed, and what would have been, were it not in use.

    Attributes:
        removed, kept: Oldest first.
        bytes: Of all that is left.
    """

    removed: list[Item]
    kept: list[Item]
    bytes: int


def collect_garbage(
    store: Store, older_than: float | None = None, max_bytes: int | None = None, dry_run: bool = False
) -> Collected:
    """Remove what is older than that, then the oldest until all fits.

    An entry that an existing run refers to stays, as does a draft that one waits for, and whatever a process
    works on.

    Args:
        store: The store.
        older_than: Age in seconds of the youngest to go; None: none goes for its age.
        max_bytes: Size of all, drafts and damaged ones included, to get down to; None: none goes for it.
        dry_run: Remove nothing; say what would be.

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
    """Remove it, unless it is needed; then, the same with who needs it."""
    with store.writing(), store.lock(item.key, touch=not dry_run) as free:
        if not free:
            return replace(item, why="another process works on it")
        if item.state != "damaged" and (found := entry_users.users(store.root, item.key)):
            return replace(item, why=f"used by {', '.join(map(str, found))}", runs=tuple(found))
        if not dry_run and item.path.exists():
            gone = item.path.with_name(f"{item.path.name}.gone")  # renamed first: never half an entry in its place
            shutil.rmtree(gone, ignore_errors=True)
            os.rename(item.path, gone)
            shutil.rmtree(gone)
            if not (store.place(item.key).exists() or store.draft(item.key).exists()):
                shutil.rmtree(entry_users.users_place(store.root, item.key), ignore_errors=True)
    return None


def _sweep(store: Store) -> None:
    """Finish what a process was about when it died: a removal, or putting a new entry in the place of an old one."""
    with store.writing():
        for pattern in ("entries/*/*.gone", "work/*.gone", "damaged/*.gone"):
            for path in store.root.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        for path in store.root.glob("entries/*/*.old"):
            with store.lock(path.stem) as free:
                if free:
                    store.recover(path.stem)

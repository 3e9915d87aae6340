"""Check every file of the store, and set damaged entries aside."""

from __future__ import annotations

from dataclasses import dataclass, field

from srframework.store import manifest
from srframework.store.content import Damaged
from srframework.store.manifest import Entry
from srframework.store.store import Store


@dataclass(frozen=True)
class Checked:
    """Result of checking all files.

    Attributes:
        intact: The entries without damage.
        damaged: Key and message of each damaged entry; they are set aside if the store can be written.
    """

    intact: list[Entry] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)


def verify(store: Store) -> Checked:
    """Read every file of every entry; a damaged one is set aside, as :meth:`Store.get` does.

    Raises:
        StoreError: The store cannot be read.
    """
    found = Checked()
    for key, place in store.places():
        try:
            entry = manifest.check(place, key, again=True)
        except Damaged as damage:
            found.damaged.append((key, str(damage)))
            store.get(key)
            continue
        if entry is not None:
            found.intact.append(entry)
    return found

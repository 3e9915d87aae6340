"""Which entries refer to the weights of other entries, and the disk space that all of them use together.

An entry has hard links to the weights that it refers to. So it stays complete if the other entry is removed, but then
nothing is gained: the weights stay on the disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from srframework.store.manifest import Entry


class Sharing:
    """The entries of a store, or those that are left of them.

    Args:
        entries: All entries.

    Attributes:
        bytes: Size of their files; weights that several entries share count once.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.bytes = 0
        self._owners: dict[str, set[str]] = defaultdict(set)  # SHA-256 of a file -> entries
        self._borrowers: dict[str, set[str]] = defaultdict(set)  # the same for the files that entries refer to
        every = {each.key: each for each in entries}
        for key, entry in every.items():
            self.bytes += entry.bytes
            for sha in entry.own:
                self._owners[sha].add(key)
        for key, entry in every.items():
            for sha, size in entry.base.items():
                self.bytes += 0 if self._owners[sha] or self._borrowers[sha] else size
                self._borrowers[sha].add(key)

    def dependents(self, entry: Entry) -> list[str]:
        """Return the keys of the other entries that refer to weights of an entry, in order."""
        return sorted({key for sha in entry.own for key in self._borrowers.get(sha, ())} - {entry.key})

    def remove(self, entry: Entry) -> None:
        """Leave an entry out from now on."""
        self.bytes -= entry.bytes
        for sha in entry.own:
            self._owners[sha].discard(entry.key)
        for sha, size in entry.base.items():
            self._borrowers[sha].discard(entry.key)
            self.bytes -= 0 if self._owners[sha] or self._borrowers[sha] else size

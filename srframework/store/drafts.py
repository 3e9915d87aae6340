"""Drafts: the unfinished results of stages and the time spent on them. Also describes damaged entries.

::

    DRAFT/
      draft.json      {"kind", "what", "seconds": of past attempts, "since": start of the current attempt}
      sums.json       {"files": {path: {"bytes", "sha256"}}, "digest"}, computed when the content was written
      files/          the content
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from srframework.errors import NoFile
from srframework.files import atomic_directory, atomic_file, read_json, remove, write_json
from srframework.hashing import digest
from srframework.store import content, manifest
from srframework.store.content import Damaged, Look, Sum

NAME = "draft.json"
SUMS = "sums.json"


class Sums:
    """Size and SHA-256 of every file of a draft, computed when the file is written and stored beside the files.

    Files of a killed process are reused only if they are unchanged. A damaged file is removed together with the
    files that depend on it. Files without a checksum are removed too.

    Args:
        files: The directory of the content.
        note: Receives a message about each damaged file.
        leave: Names of files that are written in several steps and are not removed; :meth:`add` records them at the
            end.
    """

    def __init__(self, files: Path, note: Callable[[str], None] = lambda _: None, leave: Collection[str] = ()) -> None:
        self._files, self._leave = files, leave
        self._sums = self._read(note)
        self._seen: dict[str, Look] = {}
        kept = dict(self._sums)
        for name, expected in self._sums.items():
            try:
                self._see(name, files / name)
                content.compare(files / name, expected)
            except (FileNotFoundError, NotADirectoryError):  # the process was killed before the file was renamed
                kept.pop(name, None)
            except Damaged as damage:
                note(f"draft {damage}; the file is removed and computed again")
                kept.pop(name, None)
        complete = {_unit(name) for name in self._sums} - {_unit(name) for name in self._sums.keys() - kept.keys()}
        self._sums = {name: each for name, each in kept.items() if _unit(name) in complete}
        self._clear()
        self._write()

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def all(self) -> dict[str, Sum]:
        """Return the checksum of each file, by its path relative to the content's directory."""
        return dict(self._sums)

    @property
    def seen(self) -> dict[str, Look]:
        """State of each file when its checksum was computed, by its path relative to the content's directory."""
        return dict(self._seen)

    def file(self, path: Path) -> AbstractContextManager[Path]:
        """Write a file as :func:`srframework.files.atomic_file` does, and record its checksum."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return atomic_file(path, lambda temporary: self._know({path: temporary}))

    def directory(self, path: Path) -> AbstractContextManager[Path]:
        """Replace a directory as :func:`srframework.files.atomic_directory` does, and record the checksums of its
        files."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.remove(path)

        def written(temporary: Path) -> None:
            every = [Path(folder, name) for folder, _, names in os.walk(temporary) for name in names]
            self._know({path / each.relative_to(temporary): each for each in every})

        return atomic_directory(path, written)

    def add(self, path: Path, content: Sum) -> None:
        """Record the checksum of a file that was written in another way."""
        self._sums[self._name(path)] = content
        self._write()

    def remove(self, path: Path) -> None:
        """Remove a file or a directory, if it exists, and the checksums of its files."""
        remove(path)
        name = self._name(path)
        left = {each: known for each, known in self._sums.items() if each != name and not each.startswith(f"{name}/")}
        if left != self._sums:
            self._sums = left
            self._write()

    def _know(self, files: dict[Path, Path]) -> None:
        for path, temporary in files.items():
            self._see(self._name(path), temporary)
            self._sums[self._name(path)] = Sum.of(temporary)
        self._write()

    def _see(self, name: str, path: Path) -> None:
        self._seen.pop(name, None)
        if content.is_settled(found := content.look(path)):
            self._seen[name] = found

    def _name(self, path: Path) -> str:
        return path.relative_to(self._files).as_posix()

    def _read(self, note: Callable[[str], None]) -> dict[str, Sum]:
        path = self._files.parent / SUMS
        try:
            stored = read_json(path)
            if stored["digest"] != digest(stored["files"]):
                raise ValueError("a wrong digest")
            return {name: Sum(**each) for name, each in stored["files"].items()}
        except FileNotFoundError:
            return {}
        except (NoFile, ValueError, TypeError, KeyError, AttributeError) as error:
            note(f"draft {path}: the checksums are damaged: {error}; all files are computed again")
            return {}

    def _write(self) -> None:
        path = self._files.parent / SUMS
        if path.is_dir():
            remove(path)
        files = {name: asdict(each) for name, each in sorted(self._sums.items())}
        write_json(path, {"files": files, "digest": digest(files)})

    def _clear(self) -> None:
        """Remove every file that has no checksum."""
        for path in [*content.content(self._files)]:
            name = self._name(path)
            if not S_ISDIR(path.lstat().st_mode) and name not in self._sums and name not in self._leave:
                path.unlink()
        for folder, _, _ in os.walk(self._files, topdown=False):
            if Path(folder) != self._files and not content.is_scratch(Path(folder), self._files):
                with contextlib.suppress(OSError):  # not empty
                    os.rmdir(folder)


def emptied(files: Path) -> Sums:
    """Remove the files of earlier attempts, for a computation that cannot resume."""
    for left in files.iterdir():
        remove(left)
    return Sums(files)


def _unit(name: str) -> tuple[str, ...]:
    """Return the path prefix of the files that are useless without this one: its point or the model."""
    parts = tuple(name.split("/"))
    return parts[:2] if parts[0] == content.POINTS else parts[:1]


_LAST = 253402300799.0
"""The end of the year 9999, in seconds since 1970."""

_EVER = 1e11
"""Limit for plausible durations and times, in seconds."""


@dataclass(frozen=True)
class Remains:
    """A draft, or a damaged entry that was set aside.

    Attributes:
        key: Key of the entry.
        kind, what: As for an entry; empty if unknown.
        changed: Time of the last change of any file.
        seconds: Seconds spent on computing it so far.
        path: Its directory.
        bytes: Size of its files.
    """

    key: str
    kind: str
    what: str
    changed: datetime
    seconds: float
    path: Path
    bytes: int


def begin(draft: Path, kind: str, what: str) -> float:
    """Create the draft or resume it; return the seconds spent so far."""
    _remove_strange(draft)
    (draft / content.FILES).mkdir(parents=True, exist_ok=True)
    seconds = _spent(draft)
    write_json(draft / NAME, {"kind": kind, "what": what, "seconds": seconds, "since": time.time()})
    return seconds


def _remove_strange(draft: Path) -> None:
    """Remove everything that srframework never writes: files in place of directories, links, pipes and devices."""
    for path, kind in ((draft, S_ISDIR), (draft / content.FILES, S_ISDIR), (draft / NAME, S_ISREG)):
        with contextlib.suppress(FileNotFoundError):
            if not kind(path.lstat().st_mode):
                remove(path)
    scratch = draft / content.FILES / content.SCRATCH
    for folder, folders, names in os.walk(draft):
        for name in (*folders, *names):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not (S_ISDIR(mode) or (S_ISREG(mode) and path != scratch)):
                remove(path)


def end(draft: Path, kind: str, what: str, seconds: float) -> None:
    """Record the seconds spent so far, at the end of an attempt."""
    write_json(draft / NAME, {"kind": kind, "what": what, "seconds": seconds})


def _spent(draft: Path) -> float:
    """Return the seconds of all attempts; a killed attempt counts until its last change of a file."""
    stored = _stored(draft)
    seconds = float(stored.get("seconds", 0.0))
    if "since" in stored:
        seconds += max(0.0, _changed(draft / content.FILES) - float(stored["since"]))
    return seconds


def _stored(draft: Path) -> dict[str, Any]:
    try:
        stored = read_json(draft / NAME)
        texts = {name: stored[name] for name in ("kind", "what") if isinstance(stored.get(name), str)}
        numbers = {name: float(stored[name]) for name in ("seconds", "since") if _is_number(stored.get(name))}
        return {**texts, **numbers}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_number(value: Any) -> bool:
    """Whether ``value`` is a plausible number of seconds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _EVER


def _changed(path: Path) -> float:
    """Return the time of the last change of any file in a directory, in seconds since 1970."""
    return max((stat.st_mtime for stat in _stats(path)), default=0.0)


def _stats(path: Path) -> Iterator[os.stat_result]:
    for folder, _, names in os.walk(path):
        for each in (folder, *(os.path.join(folder, name) for name in names)):
            with contextlib.suppress(OSError):  # a process may be working there
                yield os.lstat(each)


def remains(path: Path, key: str) -> Remains:
    """Describe a draft or a damaged entry; its files may be missing or damaged."""
    stored = _stored(path)
    with contextlib.suppress(Damaged):
        entry = manifest.read(path)
        stored = {"kind": entry.kind, "what": entry.what, "seconds": entry.seconds} if entry is not None else stored
    return Remains(
        key=key,
        kind=stored.get("kind", ""),
        what=stored.get("what", ""),
        changed=datetime.fromtimestamp(max(0.0, min(_changed(path), _LAST)), UTC),
        seconds=_spent(path) if "since" in stored else float(stored.get("seconds", 0.0)),
        path=path,
        bytes=sum(stat.st_size for stat in _stats(path) if not S_ISDIR(stat.st_mode)),
    )
